"""Lists and explanations: they hold for whatever agents exist, and not only for the default one."""

from __future__ import annotations

import sys

import pytest

import ablations
import agents
from harness import catalogue, config, defaults, study
from harness.errors import BadInput

CONFIG = '''"""A planted agent with one setting."""

from typing import Literal

from agents.protocol import AgentConfig


class Config(AgentConfig):
    kind: Literal["planted"] = "planted"
    gain: float = 1.0
    width: int = 8


SIZES = {"small": {"agent.width": 4}, "nano": {"agent.width": 2}}
PRESETS = {"plain": {}, "loud": {"agent.gain": 2.0}}
NOTES = {"loud": "Twice as loud."}
'''
ABLATION = '"""No gain: the planted agent is silent."""\n\nCHANGES = {"agent.gain": 0.0}\n'


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A second agent, with an ablation of its own, beside those of the project."""
    (tmp_path / "agents" / "planted").mkdir(parents=True)
    (tmp_path / "agents" / "planted" / "__init__.py").touch()
    (tmp_path / "agents" / "planted" / "config.py").write_text(CONFIG)
    (tmp_path / "ablations").mkdir()
    (tmp_path / "ablations" / "no_gain.py").write_text(ABLATION)
    (tmp_path / "ablations" / "misspelt.py").write_text('CHANGES = {"agent.kl.free_nat": 0.0}')
    for package, folder in ((agents, "agents"), (ablations, "ablations")):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / folder)])
    yield
    sys.modules.pop("agents.planted.config", None)
    for package, name in ((agents, "planted"), (ablations, "no_gain"), (ablations, "misspelt")):
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


def names(kind):
    return [row["name"] for row in catalogue.list_rows(kind)]


def test_the_default_agent_is_the_first_of_those_that_exist(planted):
    assert config.agent_names()[0] == defaults.AGENT and set(config.agent_names()) >= {"random", "planted"}


def test_the_lists_hold_every_agent_s_presets_and_sizes_once(planted):
    assert "planted" in names("agents") and "no_gain" in names("ablations")
    presets, sizes = names("presets"), names("sizes")
    assert {"v3", "repo", "plain", "loud"} <= set(presets) and len(presets) == len(set(presets))
    assert {"nano", "12m", "small"} <= set(sizes) and len(sizes) == len(set(sizes))
    captions = {row["name"]: row["caption"] for row in catalogue.list_rows("presets")}
    assert captions["plain"] == "the base" and captions["loud"] == "agent.gain=2.0"


def test_a_second_agent_s_names_are_explained(planted):
    loud = catalogue.explain("loud")
    assert loud["text"] == "Twice as loud." and loud["changes to the base (plain)"] == {"agent.gain": "1.0 -> 2.0"}
    assert catalogue.explain("small")["sets"] == {"agent.width": 4}
    assert catalogue.explain("nano")["sets"]["agent.deter"] == 128  # the default agent's, which has it too
    assert catalogue.explain("planted")["settings"] == {"agent.kind": "planted", "agent.gain": 1.0, "agent.width": 4}
    assert catalogue.explain("no_gain")["changes to the base"] == {"agent.gain": "1.0 -> 0.0"}


def test_an_ablation_of_no_agent_is_explained_by_the_default_agent_s_settings(planted):
    with pytest.raises(BadInput, match="Did you mean free_nats"):
        catalogue.explain("misspelt")
    assert catalogue.explain("no_free_bits")["changes to the base"] == {"agent.kl.free_nats": "1.0 -> 0.0"}


def test_a_run_of_a_second_agent_is_named_after_it_and_its_ablation(planted):
    plain, ablated = (study.single("counter/vector", agent="planted", ablation=name) for name in ("none", "no_gain"))
    assert plain.run_id.startswith("vector.planted.clean.s0-") and (plain.preset, plain.size) == ("plain", "small")
    assert ablated.run_id.startswith("vector.planted.no_gain.clean.s0-") and ablated.agent.gain == 0.0
