"""Mutated input of every kind, in process: `python tests/fuzz.py [--cases 5000] [--seed 0] [--out FILE.json]`.

Each case takes one valid file or argument, changes it (bytes, lines, values), and calls the command that reads it. Counted are
exceptions that no user should see (by the place that raised them), calls of more than five seconds, exit statuses, files
written beside the target, and planted values that no reader may take, such as `true` for a number. All but statuses must be 0.
"""

import argparse
import collections
import contextlib
import gzip
import io
import json
import os
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import click

from harness.cli import cli
from harness.errors import BadInput, RunFailed

LIMIT = 5.0  # seconds of a call
STUDY = """name: s
tasks: [catch/sparse, counter/vector]
size: nano
steps: 100
ablations: [none, no_free_bits]
train_noise: {catch: [clean, "gaussian:sigma=10"], counter: [clean]}
seeds: [0, 1]
set: {agent.horizon: 5, train.ratio: 32}
evaluate: {noise: [clean], episodes: 2, every: 0}
resources: {cpus: 1, memory: 4G, hours: 2, extra: {nice: 5}, where: {catch: {hours: 1}}}
scales: {tiny: {steps: 10}}
"""
PROFILE = 'partition: main\nlimits: {array: 10, hours: 4}\nmodules: [a/b]\nsetup: ["echo a"]\nextra: {qos: x}\n'
FIGURES = "- {verb: table, name: runs, runs: runs, out: a.md, options: {reps: 100}}\n"
NOISES = ["gaussian:sigma=10", "blackout:length=6,chance=0.05+gaussian@3", "salt_pepper@2", "clean", "state_gaussian:std=0.1"]
CHANGES = ["agent.horizon=5", "train.ratio=32", "agent.reward.kind=mse", "env.options={a: 1}", "evaluate.noise=[clean]"]
# What no reader may take where a number stands.
PLANTED = ["true", "1_0", '"x"', "9" * 400, "[]", "{}", "[" * 3000 + "]" * 3000]
TOKENS = [
    "", "..", "../../x", "/tmp/x", "null", "-1", "1e400", "NaN", "2026-02-30", "!!int abc", "&a [*a]", "\x00", "\x1b]0;t\x07",
    "$x_{", "[/b]", "\ud7ff", "\u202e", "0x10", "1:30", "010", "~", "*", "?", "{", "}", "[", "]", ":", ",", "\t", "\n", "'",
    '"', "%", "é" * 200, *PLANTED,
]  # fmt: skip


class Hang(BaseException):
    """A call took too long. No handler of the program catches it."""


def mutate(text, rng):
    """Up to three changes: a token put in place of a word, a line twice or gone, bytes flipped, the end cut off."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, kind = rng.randrange(len(text) + 1), rng.randrange(6)
        end = min(len(text), at + rng.randint(0, 12))
        if kind <= 1:
            text = text[:at] + rng.choice(TOKENS).encode("utf-8", "surrogatepass") + text[end:]
        elif kind == 2:
            text = text[:at] + text[end:]
        elif kind == 3:
            text = text[:at]
        elif kind == 4 and text:
            at = min(at, len(text) - 1)
            text = text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1 :]
        else:
            lines = text.splitlines(keepends=True)
            text = b"".join(lines + rng.sample(lines, min(1, len(lines))))
    return text


class Fuzz:
    """Valid inputs in a folder, and the counts of what mutated copies of them led to."""

    def __init__(self, folder, seed):
        self.folder, self.rng = folder, random.Random(seed)
        self.statuses, self.tracebacks = collections.Counter(), collections.Counter()
        self.hangs, self.escapes, self.accepted_values, self.cases = [], [], [], collections.Counter()
        self.valid = folder / "valid"
        self.work = folder / "work"
        self.valid.mkdir()
        self._make_valid()

    def _make_valid(self):
        record = {"task": "a_b", "method": "m", "seed": "0", "xs": [1, 2], "ys": [3.0, None]}
        (self.valid / "b-m.json").write_text(json.dumps([record, record | {"seed": "1"}]))
        (self.valid / "b-m.json.gz").write_bytes(gzip.compress((self.valid / "b-m.json").read_bytes()))
        (self.valid / "a.csv").write_text(
            "task,method,seed,step,return,split,noise\na/b,m,0,5,1.5,train,clean\na/b,m,1,7,2,eval,clean\n"
        )
        (self.valid / "m.monitor.csv").write_text('#{"t_start": 1.0, "env_id": "C-v1"}\nr,l,t\n1.0,5,0.5\n2.0,6,0.9\n')
        (self.valid / "study.yaml").write_text(STUDY)
        (self.valid / "cluster.yaml").write_text(PROFILE)
        (self.valid / "list.yaml").write_text(FIGURES)
        self.call("import", "dreamerv3", self.valid / "b-m.json.gz", "--out", self.valid / "runs")
        self.call("export", "archive", self.valid / "runs", "--out", self.valid / "r.tar.gz")
        self.call("export", "stored", self.valid / "runs", "--out", self.valid / "r.csv.gz")

    def call(self, *arguments):
        """The exit status of a call in this process; `traceback` or `hang` where it ended so."""

        def stop(*_):
            raise Hang

        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                return cli.main(list(map(str, arguments)), standalone_mode=False) or 0
        except (BadInput, click.ClickException):
            return 2
        except RunFailed:
            return 1
        except Hang:
            self.hangs.append(list(map(str, arguments)))
            return "hang"
        except Exception as error:
            frame = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename][-1]
            self.tracebacks[f"{Path(frame.filename).name}:{frame.name}: {type(error).__name__}: {str(error)[:80]}"] += 1
            return "traceback"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def case(self):
        """One mutated input of a kind that is drawn."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.valid, self.work / "inside")
        inside = self.work / "inside"
        os.chdir(inside)
        kind = self.rng.choice([name for name in dir(self) if name.startswith("kind_")])
        beside = set(self.folder.iterdir()), set(self.work.iterdir())
        status = getattr(self, kind)(inside)
        self.cases[kind.removeprefix("kind_")] += 1
        self.statuses[str(status)] += 1
        if (set(self.folder.iterdir()), set(self.work.iterdir())) != beside:
            self.escapes.append(kind)

    def mutate_file(self, path):
        path.write_bytes(mutate(path.read_bytes(), self.rng))

    def kind_study(self, inside):
        self.mutate_file(inside / "study.yaml")
        return self.call("plan", "study.yaml")

    def kind_profile(self, inside):
        self.mutate_file(inside / "cluster.yaml")
        return self.call("plan", "study.yaml", "--profile", "cluster.yaml")

    def kind_noise(self, inside):
        noise = mutate(self.rng.choice(NOISES).encode(), self.rng).decode(errors="replace")
        (inside / "study.yaml").write_text(
            "name: s\ntasks: [catch/sparse]\nsize: nano\ntrain_noise: [" + json.dumps(noise) + "]\n"
        )
        return self.call("plan", "study.yaml")

    def kind_set(self, inside):
        from harness import study
        from harness.cli import _values

        text = mutate(self.rng.choice(CHANGES).encode(), self.rng).decode(errors="replace")

        @click.command()
        def parse():
            study.single("catch/sparse", size="nano", steps=10, changes=_values.parse_changes([text]))

        cli.add_command(parse, "fuzz-set")
        try:
            return self.call("fuzz-set")
        finally:
            cli.commands.pop("fuzz-set")

    def kind_run_directory(self, inside):
        self.mutate_file(self.rng.choice([path for path in sorted((inside / "runs").rglob("*")) if path.is_file()]))
        return self.call(*self.rng.choice([("table", "runs"), ("check",), ("table", "curves")]), "runs")

    def kind_planted_value(self, inside):
        """A value that is no number where one must stand: the call must not succeed."""
        path = self.rng.choice(sorted((inside / "runs").rglob("episodes.jsonl")))
        name = self.rng.choice(["step", "return", "episode"])
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        planted = self.rng.choice([value for value in PLANTED if value != "1_0"])
        rows[0][name] = "PLANTED"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows).replace('"PLANTED"', planted))
        status = self.call("table", "runs", "runs")
        if status == 0:
            self.accepted_values.append(f"{name} = {planted[:20]}")
        return status

    def kind_checkpoint(self, inside):
        """A changed file of the newer of two checkpoints: the other one is used, or nothing is."""
        import numpy as np

        from harness import checkpoint

        for step in (1, 2):
            arrays = {"agent": {"w": np.arange(5.0) + step}}
            newest = checkpoint.save(inside / "checkpoint", step=step, meta={"run": "0"}, arrays=arrays)
        checkpoint._verified.clear()
        path = self.rng.choice(sorted(newest.iterdir()))
        before = path.read_bytes()
        self.mutate_file(path)

        @click.command()
        def read():
            saved = checkpoint.load(inside / "checkpoint", run="0")
            if saved.step == 2 and path.read_bytes() != before:
                self.accepted_values.append(f"{path.name} of a checkpoint")

        cli.add_command(read, "fuzz-read")
        try:
            return self.call("fuzz-read")
        finally:
            cli.commands.pop("fuzz-read")

    def kind_score_file(self, inside):
        self.mutate_file(inside / "b-m.json")
        (inside / "b-m.json.gz").write_bytes(gzip.compress((inside / "b-m.json").read_bytes(), 1))
        return self.call("import", "dreamerv3", "b-m.json.gz", "--out", "out")

    def kind_csv(self, inside):
        self.mutate_file(inside / "a.csv")
        return self.call("import", "csv", "a.csv", "--out", "out")

    def kind_monitor(self, inside):
        self.mutate_file(inside / "m.monitor.csv")
        return self.call("import", "sb3", "m.monitor.csv", "--out", "out", "--method", "m", "--seed", "0")

    def kind_compressed(self, inside):
        path = self.rng.choice([inside / "r.tar.gz", inside / "r.csv.gz", inside / "b-m.json.gz"])
        self.mutate_file(path)
        return self.call("table", "runs", path.name)

    def kind_archive(self, inside):
        plain = gzip.decompress((inside / "r.tar.gz").read_bytes())
        (inside / "r.tar.gz").write_bytes(gzip.compress(mutate(plain, self.rng), 1))
        return self.call("table", "runs", "r.tar.gz")

    def kind_member(self, inside):
        with tarfile.open(inside / "r.tar.gz", "w:gz") as archive:
            info = tarfile.TarInfo(self.rng.choice(["../x", "/tmp/x", "a/../../x", "a/b/config.json", "a\x1b/config.json"]))
            info.type = self.rng.choice([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
            info.linkname = "../../x"
            archive.addfile(info)
        return self.call("table", "runs", "r.tar.gz")

    def kind_stored(self, inside):
        plain = gzip.decompress((inside / "r.csv.gz").read_bytes())
        (inside / "r.csv.gz").write_bytes(gzip.compress(mutate(plain, self.rng), 1))
        return self.call("table", "runs", "r.csv.gz")

    def kind_figures(self, inside):
        self.mutate_file(inside / "list.yaml")
        return self.call("reproduce", "list.yaml")

    def summary(self):
        return {
            "cases": sum(self.cases.values()),
            "kinds": dict(sorted(self.cases.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "tracebacks": dict(self.tracebacks.most_common()),
            "hangs": self.hangs,
            "written outside": self.escapes,
            "taken": self.accepted_values,
        }


def run(cases, seed, folder, seconds=float("inf")):
    """The summary of so many cases, or of those that fit into so many seconds."""
    import time

    start, before = time.monotonic(), os.getcwd()
    fuzz = Fuzz(folder, seed)
    try:
        for _ in range(cases):
            fuzz.case()
            if time.monotonic() - start > seconds:
                break
    finally:
        os.chdir(before)
    return fuzz.summary()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        summary = run(options.cases, options.seed, Path(folder))
    text = json.dumps(summary, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    return int(any(summary[key] for key in ("tracebacks", "hangs", "written outside", "taken")))


if __name__ == "__main__":
    sys.exit(main())
