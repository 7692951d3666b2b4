"""The house rules: who may import whom, where the configuration stops, what stays free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "harness", "ablations", "results", "slurm")
OURS = {
    "agents": ("agents",),
    "harness": ("harness", "agents.protocol"),
    "ablations": ("agents",),
    "results": ("results", "harness.rundir", "harness.plugins", "harness.errors"),
    # What a run directory is and how runs are driven, never what is in them.
    "slurm": (
        "slurm",
        *(
            f"harness.{m}"
            for m in ("rundir", "claim", "failures", "pool", "stop", "study", "strict_yaml", "errors", "plugins", "provenance")
        ),
        "harness.config.FrozenModel",
        "harness.config.validate",
    ),
}
THIRD = {
    "agents": {"torch", "numpy", "pydantic"},
    "harness": {"numpy", "pydantic", "yaml", "click", "rich", "safetensors"},
    "ablations": set(),
    "results": {"numpy", "scipy", "pandas", "matplotlib", "seaborn", "yaml", "jinja2"},
    "slurm": {"submitit", "pydantic"},
}
SHOWS = {("cli/show.py", "results"), ("cli/cluster.py", "slurm")}  # the verbs that show results and drive clusters
ENVS = {"numpy", "pydantic", "gymnasium", "ale_py", "dm_control", "dm_env", "mujoco", "PIL"}
BENCH_FIGURE = "harness/bench/_scaling_figure.py"  # draws measurements of this machine: no results of runs
READ_CONFIG = {
    "harness": {"config", "study", "ablate", "adapt", "build", "run", "catalogue", "plan"},
    "agents": {"config", "build"},
}


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def imported(path):
    """Names of the modules that a file imports anywhere in it; `from a import b` counts as a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def inside(name, allowed):
    return any(name == a or name.startswith(a + ".") for a in allowed)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package):
    for path in sources(package):
        third = ENVS if path.is_relative_to(ROOT / "harness" / "envs") else THIRD[package]
        third = third | {"matplotlib"} if path.relative_to(ROOT).as_posix() == BENCH_FIGURE else third
        for name in imported(path):
            top = name.split(".")[0]
            if top in PACKAGES:
                free = package == "harness" and (path.relative_to(ROOT / package).as_posix(), top) in SHOWS
                assert free or inside(name, OURS[package]), f"{path.relative_to(ROOT)} imports {name}"
            elif top not in sys.stdlib_module_names:
                assert top in third, f"{path.relative_to(ROOT)} imports {top}"


def test_ablations_import_configs_and_parts_only():
    for path in sources("ablations"):
        for name in imported(path):
            parts = name.split(".")
            assert parts[0] == "agents" and ({"config", "parts"} & set(parts)), f"{path.name} imports {name}"


@pytest.mark.parametrize("package", ["agents", "harness"])
def test_only_the_builders_read_a_config(package):
    for path in sources(package):
        if path.stem in READ_CONFIG[package]:
            continue
        names = imported(path)
        readers = {n for n in names if n.startswith("harness.config") or (n.startswith("agents.") and ".config" in n)}
        assert not readers, f"{path.relative_to(ROOT)} imports {readers}"


def branches_on_config(tree):
    """Line numbers of conditions that look into something called config or cfg."""
    for node in ast.walk(tree):
        tests = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
        tests += [node.subject] if isinstance(node, ast.Match) else []
        for test in tests:
            for part in ast.walk(test):
                if isinstance(part, ast.Attribute) and any(
                    getattr(inner, field, "").strip("_") in ("config", "cfg", "parsed")
                    for inner in ast.walk(part.value)
                    for field in ("id", "attr")
                    if isinstance(getattr(inner, field, None), str)
                ):
                    yield node.lineno


@pytest.mark.parametrize("package", ["agents", "harness"])
def test_no_branching_on_config(package):
    for path in sources(package):
        if path.stem in ("config", "study", "ablate"):
            continue  # they make and check it
        lines = set(branches_on_config(ast.parse(path.read_text())))
        assert not lines, f"{path.relative_to(ROOT)} branches on config in lines {lines}"


def test_the_branching_test_sees_a_planted_branch():
    planted = (
        "def f(self, config):\n    if self._config.kl.free_nats > 0:\n        return 1\n    return 2 if config.unimix else 3\n"
    )
    assert set(branches_on_config(ast.parse(planted))) == {2, 4}


@pytest.mark.parametrize(
    "code",
    [
        "import results, slurm, results.tables, results.plots, results.reading.load, results.plots.robustness",
        "import harness.cli, harness.envs, harness.noise; from harness import catalogue; catalogue.list_rows('studies')",
        "from harness import study; study.single('dmc/cartpole_swingup', ablation='no_free_bits', size='nano')",
        "from pathlib import Path; from harness import plan, plan_page; "
        "plan_page.plan_to_text(plan.plan_study('learning', None, Path('no')))",
        "import slurm.submit, slurm.state, slurm.worker, slurm.show, slurm.retry, slurm.cancel, slurm.devcluster, submitit",
        "import harness.loop, harness.replay, harness.checkpoint, harness.evaluate, harness.run",
    ],
)
def test_stays_free_of_torch_and_simulators(code):
    heavy = "{'torch', 'dm_control', 'mujoco', 'ale_py', 'gymnasium'}"
    check = f"import sys; {code}; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_come_from_here(package):
    """Their names are common words; another distribution's `agents` must not be what is imported."""
    module = __import__(package)
    assert Path(module.__file__).resolve().is_relative_to(ROOT)


def test_tests_are_flat():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_file_opens_with_a_sentence():
    for package in PACKAGES:
        for path in sources(package):
            if path.name not in ("__main__.py",) and path.read_text().strip():
                text = ast.get_docstring(ast.parse(path.read_text()))
                assert text and text.split("\n")[0].rstrip().endswith((".", ":", "!")), f"{path.relative_to(ROOT)}"
