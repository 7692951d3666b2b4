"""Bad input is exit status 2 and one paragraph that names what, where, what is allowed and the nearest match."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import study
from harness.errors import BadInput

ROOT = Path(__file__).parent.parent


def dreamproof(*arguments, cwd, timeout=120):
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )


def assert_refused(process, *words):
    assert process.returncode == 2, (process.returncode, process.stderr)
    assert "Traceback" not in process.stderr and len(process.stderr.strip().splitlines()) <= 3, process.stderr
    for word in words:
        assert word in process.stderr, process.stderr


CARTPOLE = ("run", "--task", "dmc/cartpole_swingup", "--size", "nano")
BAD = {
    "unknown verb": (("runn",), ["Did you mean 'run'"]),
    "unknown task": (("run", "--task", "dmc/cartpole_swingUp"), ["Did you mean 'dmc/cartpole_swingup'"]),
    "unknown suite": (("run", "--task", "dcm/cartpole_swingup"), ["Did you mean 'dmc'"]),
    "task without suite": (("run", "--task", "cartpole_swingup"), ["suite/task", "dmc/cartpole_swingup"]),
    "unknown ablation": ((*CARTPOLE, "--ablation", "no_fre_bits"), ["Did you mean 'no_free_bits'"]),
    "misspelt combination": ((*CARTPOLE, "--ablation", "no_unimix+no_symlg"), ["'no_symlg'", "Did you mean 'no_symlog'"]),
    "ablations that do not go together": ((*CARTPOLE, "--ablation", "huber+mse"), ["huber", "mse", "agent.reward.kind"]),
    "no such study to plan": (("plan", "quickstrat"), ["quickstrat", "quickstart"]),
    "unknown agent": ((*CARTPOLE, "--agent", "dreamr"), ["Did you mean 'dreamer'"]),
    "unknown preset": ((*CARTPOLE, "--preset", "v33"), ["Did you mean 'v3'"]),
    "unknown size": (("run", "--task", "dmc/cartpole_swingup", "--size", "10m"), ["12m", "nano"]),
    "unknown noise": ((*CARTPOLE, "--noise", "state_gausian:std=1"), ["Did you mean 'state_gaussian'"]),
    "unknown noise key": ((*CARTPOLE, "--noise", "state_gaussian:sdt=1"), ["std"]),
    "pixel noise on vectors": ((*CARTPOLE, "--noise", "gaussian:sigma=10"), ["pixels", "vectors", "state_gaussian"]),
    "vector noise on pixels": (
        ("run", "--task", "atari100k/asterix", "--noise", "state_gaussian:std=1"),
        ["vectors", "pixels", "gaussian"],
    ),
    "negative sigma": (("run", "--task", "atari100k/asterix", "--noise", "gaussian:sigma=-1"), ["sigma=-1", "0 to 255"]),
    "misspelt path": ((*CARTPOLE, "--set", "agent.kl.free_nat=0"), ["agent.kl.free_nat", "Did you mean free_nats"]),
    "no such part": ((*CARTPOLE, "--set", "agent.nonsense=1"), ["agent.nonsense"]),
    "wrong type": ((*CARTPOLE, "--set", "agent.kl.free_nats=often"), ["agent.kl", "free_nats", "often"]),
    "out of range": ((*CARTPOLE, "--set", "train.batch_size=0"), ["train.batch_size", "1"]),
    "unknown option": ((*CARTPOLE, "--set", "env.options.repat=2"), ["repat", "repeat"]),
    "set without value": ((*CARTPOLE, "--set", "agent.kl"), ["PATH=VALUE"]),
    "no such study": (("run", "nosuch.yaml"), ["nosuch.yaml", "quickstart"]),
    "study and task": (("run", "quickstart", "--task", "dmc/walker_walk"), ["either"]),
    "study and flags": (("run", "quickstart", "--seed", "3"), ["--seed"]),
    "unknown scale": (("run", "asterix-noise", "--scale", "tny"), ["Did you mean 'tiny'"]),
    "unknown kind": (("list", "noise"), ["Did you mean 'noises'"]),
    "unknown thing": (("explain", "gausian"), ["Did you mean 'gaussian'"]),
    "unknown table": (("table", "robustnes", "."), ["Did you mean 'robustness'"]),
    "no runs": (("table", "robustness", "nowhere"), ["nowhere"]),
    "zero steps": ((*CARTPOLE, "--steps", "0"), ["steps"]),
    "negative seed": ((*CARTPOLE, "--seed", "-1"), ["seed"]),
    "unknown device": ((*CARTPOLE, "--device", "gpu"), ["--device", "cuda"]),
    "unknown flag": ((*CARTPOLE, "--sede", "1"), ["--seed"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, tmp_path):
    arguments, words = BAD[name]
    assert_refused(dreamproof(*arguments, cwd=tmp_path), *words)
    assert not (tmp_path / "runs").exists()  # nothing was started


GOOD = "name: s\ntasks: [counter/vector]\nsize: nano\n"
STUDIES = {
    "duplicate seed": (GOOD + "seeds: [1, 2, 1]\n", ["seeds", "'1' is given twice"]),
    "duplicate noise, spelt differently": (
        "name: s\ntasks: [counter/image]\nsize: nano\ntrain_noise: [g10, 'gaussian:sigma=10.0']\n",
        ["train_noise", "gaussian:sigma=10", "twice"],
    ),
    "duplicate task": ("name: s\ntasks: [counter/vector, counter/vector]\n", ["tasks", "twice"]),
    "duplicate key": (GOOD + "seeds: 2\nseeds: 3\n", ["line 5", "seeds", "twice"]),
    "unknown key": (GOOD + "seed: 2\n", ["seed", "did you mean seeds"]),
    "number that YAML reads as text": (GOOD + "steps: 1e5\n", ["line 4", "1e5", "100000"]),
    "pixel noise on a vector task": (
        GOOD + "train_noise: [clean, 'gaussian:sigma=10']\n",
        ["gaussian:sigma=10", "counter/vector"],
    ),
    "evaluation noise of the wrong kind": (GOOD + "evaluate: {noise: [black6]}\n", ["blackout", "counter/vector"]),
    "unknown ablation": (GOOD + "ablations: [none, no_fre_bits]\n", ["Did you mean 'no_free_bits'"]),
    "misspelt path": (GOOD + "set: {agent.kl.free_nat: 0.0}\n", ["free_nat", "Did you mean free_nats"]),
    "task without a noise": (GOOD + "train_noise: {dmc: [clean]}\n", ["counter/vector", "dmc"]),
    "not a mapping": ("- a\n- b\n", ["mapping"]),
    "not YAML": ("name: [s\n", ["not YAML"]),
    "a name that leaves the folder": ("name: ../../s\ntasks: [counter/vector]\n", ["name"]),
    "no tasks": ("name: s\ntasks: []\n", ["tasks"]),
    "no seeds": (GOOD + "seeds: []\n", ["seeds"]),
}


def test_a_gpu_that_is_not_there_is_refused_before_anything_starts(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert_refused(dreamproof(*CARTPOLE, "--device", "cuda", cwd=tmp_path), "cuda", "no GPU")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_bad_studies(name, tmp_path):
    text, words = STUDIES[name]
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        study.load(path)
    for word in [*words, "s.yaml"]:
        assert word in str(error.value), str(error.value)


def test_bad_studies_end_the_command_with_status_2(tmp_path):
    (tmp_path / "s.yaml").write_text(STUDIES["duplicate seed"][0])
    assert_refused(dreamproof("run", "s.yaml", cwd=tmp_path), "s.yaml", "seeds")


def test_a_run_directory_of_another_version_is_refused(tmp_path):
    (tmp_path / "runs/x").mkdir(parents=True)
    (tmp_path / "runs/x/config.json").write_text('{"version": 99}')
    assert_refused(dreamproof("table", "robustness", "runs", cwd=tmp_path), "version 99")


@pytest.mark.parametrize(
    "verb",
    ["list noises", "list tasks", "list studies", "explain gaussian", "explain no_free_bits", "plan quickstart", "schema"],
)
def test_light_verbs_answer(verb, tmp_path):
    process = dreamproof(*verb.split(), cwd=tmp_path)
    assert process.returncode == 0 and process.stdout, process.stderr


def test_listings_are_json_on_demand(tmp_path):
    rows = json.loads(dreamproof("list", "ablations", "--json", cwd=tmp_path).stdout)
    assert {"none", "no_free_bits"} <= {row["name"] for row in rows}
    all_rows = json.loads(dreamproof("list", "--json", cwd=tmp_path).stdout)
    assert {row["kind"] for row in all_rows} >= {"suites", "tasks", "noises", "ablations", "studies", "tables", "plots"}


def test_explain_prints_the_exact_diff(tmp_path):
    text = dreamproof("explain", "no_free_bits", cwd=tmp_path).stdout
    assert "agent.kl.free_nats" in text and "1.0 -> 0.0" in text


def test_explain_names_all_three_readings_of_black6(tmp_path):
    text = dreamproof("explain", "black6", cwd=tmp_path).stdout
    for reading in ("blackout:length=6,chance=0.05", "patches:count=6,size=8", "blackout:length=1,chance=0.6"):
        assert reading in text


def test_the_schema_knows_every_key(tmp_path):
    schema = json.loads(dreamproof("schema", cwd=tmp_path).stdout)
    assert set(schema["properties"]) == set(study.Study.model_fields)
    assert schema["additionalProperties"] is False
