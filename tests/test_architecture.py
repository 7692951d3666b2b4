"""The house rules: who may import whom, where the configuration stops, what stays free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import house_rules
import pytest
from house_rules import PACKAGES, ROOT, imports, loads, parse, sources

from harness.config import RunConfig

OURS = {
    "agents": ("agents",),
    "harness": ("harness", "agents.protocol"),
    "ablations": ("agents",),
    "results": ("results", "harness.rundir", "harness.plugins", "harness.errors", "harness.names"),
    # What a run directory is and how runs are driven, never what is in them.
    "slurm": (
        "slurm",
        *(
            f"harness.{m}"
            for m in (
                "rundir",
                "claim",
                "failures",
                "local_queue",
                "pool",
                "stop",
                "study",
                "strict_yaml",
                "errors",
                "plugins",
                "provenance",
            )
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
# Modules that are loaded by name across a border that an import may not cross: (file, module) -> why.
LOADS = {
    ("agents/lazy.py", "*"): "the loader itself",
    ("harness/plugins.py", "*"): "the loader itself",
    ("harness/plugins.py", "*.*"): "the loader itself",
    ("harness/catalogue.py", "*.*"): "captions of a package's plugs; its callers name the package",
    ("harness/config.py", "agents.*.config"): "an agent is a plug: its name finds its configuration",
    ("harness/ablate.py", "ablations.*"): "an ablation is a plug: its name finds its changes",
    ("harness/envs/gym.py", "*"): "a user's module registers its environments when it is imported",
    ("harness/verify.py", "agents.*.probe"): "what an agent measures of itself for `verify`",
    ("harness/build.py", "agents.device"): "only the agents' side can ask torch for devices and compilers",
    ("harness/doctor.py", "agents.device"): "only the agents' side can ask torch for devices and compilers",
    ("harness/doctor.py", "slurm.check"): "the doctor's checks of SLURM and of cluster.yaml",
    ("harness/plan.py", "slurm.*"): "a plan shows the arrays that submit would send",
    ("harness/bench/act.py", "agents.measure"): "the bench times the agents",
    ("harness/bench/scaling.py", "agents.measure"): "the bench times the agents",
    ("harness/bench/train.py", "agents.measure"): "the bench times the agents",
    ("harness/bench/load.py", "results.reading.load"): "the bench times the reading of runs",
    ("harness/bench/load.py", "results.tables"): "the bench times a table",
    ("harness/bench/stats.py", "results.statistics.*"): "the bench times the statistics",
    ("harness/bench/stats.py", "results.statistics.intervals"): "the bench times the statistics",
    ("harness/bench/_scaling_figure.py", "results.style"): "one look for all figures",
    ("results/report/design.py", "ablations.*"): "the caption of an ablation",
    ("results/scoring/noises.py", "harness.noise"): "the name of a noise is parsed in one place",
}
# Branches on a value of the configuration: (file, function) -> why.
BRANCHES = {
    ("harness/build.py", "resolve_compile"): "`compile: auto` is decided when a run starts",
    ("harness/build.py", "_compiling_pays"): "`compile: auto` is decided when a run starts",
    ("harness/run.py", "_restore"): "a run that begins with the weights of another reads them; every other has none to read",
}
# Names of classes that a contract gives to more than one: name -> why.
SHARED_CLASSES = {
    "Config": "every agent's config.py names its configuration so",
}
READ_CONFIG = {
    "harness": {"config", "study", "ablate", "adapt", "build", "run", "catalogue", "plan"},
    "agents": {"config", "build"},
}


def inside(name, allowed):
    return any(name == a or name.startswith(a + ".") for a in allowed)


def forbidden(tree, path):
    """What a file imports, or loads by name, that it may not; `path` is relative to the root."""
    package = path.split("/")[0]
    third = ENVS if path.startswith("harness/envs/") else THIRD[package]
    third = third | {"matplotlib"} if path == BENCH_FIGURE else third
    names = {name for name in loads(tree, house_rules.module_name(ROOT / path)) if (path, name) not in LOADS}
    for name in sorted(imports(tree) | names):
        top = name.split(".")[0]
        if top in PACKAGES or top == "*":
            is_free = package == "harness" and (path.removeprefix("harness/"), top) in SHOWS
            if not is_free and not inside(name, OURS[package]):
                yield name
        elif top not in sys.stdlib_module_names and top not in third:
            yield name


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package):
    for path in sources(package):
        name = path.relative_to(ROOT).as_posix()
        assert not list(forbidden(parse(path), name)), name


@pytest.mark.parametrize(
    ("path", "planted", "names"),
    [
        ("agents/a.py", "import harness.run", ["harness.run"]),
        ("agents/a.py", "def f():\n    from results import tables", ["results.tables"]),
        ("agents/a.py", 'Lazy("harness.rundir")', ["harness.rundir"]),
        ("agents/a.py", 'torch, nn = Lazy("torch"), Lazy("agents.nn.gru")', []),
        ("harness/a.py", 'plugins.load("agents", "device")', ["agents.device"]),
        ("harness/a.py", 'plugins.load(f"agents.{kind}", "config")', ["agents.*.config"]),
        ("harness/a.py", 'plugins.load(__name__, "clean"), plugins.load("harness.envs", name)', []),
        ("results/a.py", 'def f(name):\n    return importlib.import_module("agents.random")', ["agents.random"]),
        ("results/a.py", 'f = [plugins.load("slurm", name) for name in ("submit", "state")]', ["slurm.*"]),
        ("results/a.py", "plugins.load(package, name)", ["*.*"]),
        ("results/a.py", "import pandas, torch", ["torch"]),
        ("slurm/a.py", '__import__("torch"), import_module("results.tables")', ["results.tables", "torch"]),
    ],
)
def test_the_import_test_sees_a_planted_import(path, planted, names):
    assert list(forbidden(ast.parse(planted), path)) == names


def test_an_import_for_types_reads_no_config():
    tree = ast.parse("if TYPE_CHECKING:\n    from harness.config import RunConfig\nimport harness.study")
    assert imports(tree) == {"harness.config.RunConfig", "harness.study"}
    assert imports(tree, types=False) == {"harness.study"}


def test_no_exception_for_loads_is_out_of_date():
    names_loaded = {(p.relative_to(ROOT).as_posix(), n) for q in PACKAGES for p in sources(q) for n in loads(parse(p), "")}
    assert LOADS.keys() <= names_loaded, LOADS.keys() - names_loaded


def test_ablations_import_configs_and_parts_only():
    for path in sources("ablations"):
        for name in imports(parse(path)):
            parts = name.split(".")
            assert parts[0] == "agents" and ({"config", "parts"} & set(parts)), f"{path.name} imports {name}"


@pytest.mark.parametrize("package", ["agents", "harness"])
def test_only_the_builders_read_a_config(package):
    for path in sources(package):
        if path.stem in READ_CONFIG[package]:
            continue
        names = imports(parse(path), types=False) | loads(parse(path), house_rules.module_name(path))
        names -= {"harness.config.FrozenModel", "harness.config.validate"}  # for any strict model, not only a run's
        readers = {n for n in names if n.startswith("harness.config") or (n.startswith("agents.") and ".config" in n)}
        assert not readers, f"{path.relative_to(ROOT)} imports {readers}"


@pytest.mark.parametrize("package", ["agents", "harness"])
def test_no_branching_on_config(package):
    for path in sources(package):
        if path.stem in ("config", "study", "ablate"):
            continue  # they make and check it
        name = path.relative_to(ROOT).as_posix()
        places = [place for place in config_branches(parse(path)) if (name, place[0]) not in BRANCHES]
        assert not places, f"{name} branches on config in {places}"


def test_no_exception_for_branches_is_out_of_date():
    for path, function in BRANCHES:
        assert function in dict(config_branches(parse(ROOT / path))), (path, function)


def config_branches(tree):
    return house_rules.config_branches(tree, RunConfig.model_fields)


@pytest.mark.parametrize(
    ("planted", "lines"),
    [
        ("def f(self):\n    if self._config.kl.free_nats > 0:\n        pass", [2]),
        ("def f(config):\n    return 2 if config.unimix else 3", [2]),
        ("def f(config):\n    match config.kind:\n        case 1:\n            pass", [2]),
        ("def f(config):\n    return [x for x in range(3) if config.every]", [2]),
        ("def f(config):\n    x = config.compile\n    if x:\n        pass", [3]),
        ("def f(config):\n    x, y = 1, config.size\n    z = y == 'nano'\n    if not z:\n        pass", [4]),
        ("def f(config):\n    while (x := config.compile):\n        pass", [2]),
        ("def f(run):\n    if run.config['agent']['kind'] == 'dreamer':\n        pass", [2]),
        ("def f(run):\n    if run.compile:\n        pass", [2]),
        ("def f(run):\n    x = run.config.get('source')\n    return 1 if x else 2", [3]),
        ("def f(config):\n    g(config.size)\ndef g(size):\n    return 1 if size == 'nano' else 2", [4]),
        ("class A:\n  def f(self):\n    self.g(1, x=self.config.x)\n  def g(self, a, x):\n    if x:\n      pass", [5]),
        ("config = read()\nif config.x:\n    pass", [2]),
        ("def f(config, step):\n    return build(config.size) if step < config.steps else None", []),  # progress, no switch
        ("def f(run):\n    return 1 if run.state['step'] else 2", []),
        ("def f(config, x):\n    y = build(config.size)\n    return 1 if y is None or x else 2", []),
    ],
)  # fmt: skip
def test_the_branching_test_sees_a_planted_branch(planted, lines):
    assert sorted({line for _, line in config_branches(ast.parse(planted))}) == lines


@pytest.mark.parametrize("package", (*PACKAGES, "tests"))
def test_names_are_not_vague(package):
    for path in sources(package):
        assert not list(house_rules.vague_names(parse(path))), path.relative_to(ROOT)


@pytest.mark.parametrize(
    "planted",
    [
        "made = 1",
        "a, *rest, (b, told) = x",
        "def f(given): pass",
        "def f(*, own=1): pass",
        "lambda seen: 1",
        "self._known = 1",
        "kept: int = 1",
        "[1 for each in x]",
        "for left, right in x: pass",
        "with a as held: pass",
        "if (said := 1): pass",
        "def _found(): pass",
        "import a as some",
        "class Sent: pass",
    ],
)
def test_the_vague_name_test_sees_a_planted_name(planted):
    assert len(list(house_rules.vague_names(ast.parse(planted)))) == 1


def test_the_vague_name_test_lets_words_that_are_read_pass():
    assert not list(house_rules.vague_names(ast.parse("f(made=x.told)\nrows = shown['found']\nmade_by = 1")))


def shared_classes(trees):
    return {name: places for name, places in house_rules.class_places(trees).items() if len(places) > 1}


def test_a_class_name_means_one_thing():
    trees = {path.relative_to(ROOT).as_posix(): parse(path) for package in PACKAGES for path in sources(package)}
    assert shared_classes(trees).keys() == SHARED_CLASSES.keys()


def test_the_class_test_sees_a_planted_twin():
    planted = {"a.py": "class Plan: pass", "b.py": "def f():\n    class Plan: pass\nclass Cell: pass"}
    assert shared_classes({path: ast.parse(text) for path, text in planted.items()}) == {"Plan": ["a.py", "b.py"]}


def test_every_test_can_fail():
    trees = {path: parse(path) for path in sources("tests")}
    shared = [tree for path, tree in trees.items() if not path.name.startswith("test_")]
    helpers = {node.name: node for tree in shared for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for path, tree in trees.items():
        assert not list(house_rules.tests_without_assertion(tree, helpers)), path.name


def test_the_assertion_test_sees_a_planted_test():
    planted = "def test_a():\n    f()\ndef f():\n    g()\ndef g():\n    f()\n"
    helpers = {"check": ast.parse("def check():\n    assert x").body[0]}
    assert list(house_rules.tests_without_assertion(ast.parse(planted), helpers)) == ["test_a"]
    for line in (
        "assert x",
        "with pytest.raises(E): x()",
        "np.testing.assert_allclose(a, b)",
        "cluster.check()",
        "f(check=True)",
    ):
        assert not list(house_rules.tests_without_assertion(ast.parse(f"{planted}    {line}"), helpers)), line


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
