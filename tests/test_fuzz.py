"""A short, seeded form of `make fuzz`: no mutated input gives a traceback, hangs, escapes or passes for valid."""

import fuzz


def test_mutated_input_is_refused_or_read_for_what_it_is(tmp_path):
    summary = fuzz.run(400, seed=7, folder=tmp_path, seconds=40)
    assert not any(summary[key] for key in ("tracebacks", "hangs", "written outside", "taken")), summary
    assert set(summary["statuses"]) <= {"0", "1", "2"} and summary["statuses"]["0"] and summary["statuses"]["2"]


def test_a_planted_bug_is_counted(tmp_path, monkeypatch):
    from harness import strict_yaml

    monkeypatch.setattr(strict_yaml, "read", lambda path: {}["planted"])
    summary = fuzz.run(60, seed=7, folder=tmp_path)
    assert any("planted" in text for text in summary["tracebacks"]), summary
