"""What the house rules see in source code: imports, branches, names, assertions. Each takes a syntax tree."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "harness", "ablations", "results", "slurm")
VAGUE = {
    "made", "told", "said", "found", "seen", "known", "kept", "given", "held", "shown", "own", "some", "drawn", "taken",
    "chosen", "wanted", "left", "begun", "asked", "sent", "spent", "each",
}  # fmt: skip


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def parse(path):
    return ast.parse(path.read_text())


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Imports


def imports(tree, types=True):
    """Names of the modules of import statements anywhere in a file; `from a import b` counts as a.b.

    Without `types` those under `if TYPE_CHECKING:` do not count: they name what is annotated and run nothing.
    """
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = set() if types else {id(child) for node in for_types for part in node.body for child in ast.walk(part)}
    names = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def loads(tree, module):
    """Names of the modules that a file imports by calls: `plugins.load(package, name)`, `import_module(name)`, `Lazy(name)`.

    A part that is not constant is `*`: what is loaded from `results` by a variable's name is `results.*`.
    """
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            if function in ("plugins.load", "load") and len(node.args) >= 2:
                names.add(f"{_pattern(node.args[0], module)}.{_pattern(node.args[1], module)}")
            elif function.split(".")[-1] in ("import_module", "__import__", "Lazy") and node.args:
                names.add(_pattern(node.args[0], module))
    return names


def _pattern(node, module):
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_pattern(part.value if isinstance(part, ast.FormattedValue) else part, module) for part in node.values)
    return module if isinstance(node, ast.Name) and node.id == "__name__" else "*"


# Branches on the configuration

CONFIGS = ("config", "cfg", "parsed")  # what variables and attributes that hold a configuration are called


def config_branches(tree, run_fields=()):
    """(function, line) of every condition that depends on a value of the configuration.

    Seen are attributes and items of something called config, fields of a run (`run.compile`), names that such a value was
    assigned to, and parameters of the same file's functions that are called with one.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    scopes = {function: _assigned(function, set(), run_fields) for function in functions}
    passed = defaultdict(set)
    for scope, tainted in [(tree, _assigned(tree, set(), run_fields)), *scopes.items()]:
        for call in (node for node in ast.walk(scope) if isinstance(node, ast.Call)):
            for function in functions:
                if ast.unparse(call.func) in (function.name, f"self.{function.name}", f"cls.{function.name}"):
                    passed[function] |= _tainted_parameters(call, function, tainted, run_fields)
    for function in functions:
        tainted = _assigned(function, passed[function], run_fields)
        yield from ((function.name, line) for line in _conditions(function, tainted, run_fields))
    in_functions = {id(node) for function in functions for node in ast.walk(function)}
    tainted = _assigned(tree, set(), run_fields)
    yield from (("", line) for line in _conditions(tree, tainted, run_fields, skip=in_functions))


def _reads_config(node, run_fields):
    """Whether one expression node takes a value out of a configuration."""
    if not isinstance(node, ast.Attribute | ast.Subscript):
        return False
    names = {getattr(part, field, None) for part in ast.walk(node.value) for field in ("id", "attr")}
    if any(isinstance(name, str) and name.strip("_") in CONFIGS for name in names):
        return True
    last = getattr(node.value, "id", getattr(node.value, "attr", ""))
    return isinstance(node, ast.Attribute) and last.strip("_") == "run" and node.attr in run_fields


def _is_config_value(node, tainted, run_fields):
    """Whether an expression is a value of the configuration, as it stands or compared, and not what a call makes of one."""
    if isinstance(node, ast.Name):
        return node.id in tainted
    if isinstance(node, ast.Attribute | ast.Subscript):
        return _reads_config(node, run_fields)
    if _is_progress(node):
        return False
    if isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.IfExp | ast.NamedExpr):
        return any(_is_config_value(child, tainted, run_fields) for child in ast.iter_child_nodes(node))
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("bool", "get", "getattr"):
        return any(_is_config_value(child, tainted, run_fields) for child in [node.func, *node.args])
    return False


def _assigned(scope, tainted, run_fields):
    """Names of a scope that hold a value of the configuration; `tainted` are known to do so."""
    tainted = set(tainted)
    while True:
        before = len(tainted)
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    tainted |= _targets(target, node.value, tainted, run_fields)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                tainted |= _targets(node.target, node.value, tainted, run_fields)
        if len(tainted) == before:
            return tainted


def _targets(target, value, tainted, run_fields):
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        pairs = zip(target.elts, value.elts, strict=True)
        return set().union(*(_targets(name, part, tainted, run_fields) for name, part in pairs))
    return {target.id} if isinstance(target, ast.Name) and _is_config_value(value, tainted, run_fields) else set()


def _tainted_parameters(call, function, tainted, run_fields):
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    if isinstance(call.func, ast.Attribute) and names and names[0] in ("self", "cls"):
        names = names[1:]
    arguments = [*zip(names, call.args, strict=False), *((word.arg, word.value) for word in call.keywords if word.arg)]
    return {name for name, value in arguments if _is_config_value(value, tainted, run_fields)}


def _conditions(scope, tainted, run_fields, skip=frozenset()):
    for node in ast.walk(scope):
        if id(node) in skip:
            continue
        tests = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
        tests += [node.subject] if isinstance(node, ast.Match) else []
        tests += node.ifs if isinstance(node, ast.comprehension) else []
        for test in tests:
            measured = {id(part) for compare in ast.walk(test) if _is_progress(compare) for part in ast.walk(compare)}
            for part in ast.walk(test):
                named = isinstance(part, ast.Name) and part.id in tainted
                if id(part) not in measured and (named or _reads_config(part, run_fields)):
                    yield test.lineno


def _is_progress(node):
    """Whether a comparison holds something measured against a limit (`step < config.steps`), which is no switch."""
    return (
        isinstance(node, ast.Compare)
        and all(isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for operator in node.ops)
        and not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
    )


# Names


def vague_names(tree):
    """(name, line) of everything that is given a name from the closed list: variables, parameters, attributes, functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs):
            name = node.name
        elif isinstance(node, ast.alias):
            name = node.asname
        else:
            continue
        if name and name.strip("_").lower() in VAGUE:
            yield name, getattr(node, "lineno", 0)


def class_places(trees):
    """Class name -> the files that define it, for a mapping of file -> tree."""
    places = defaultdict(list)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    return dict(places)


# Assertions


def tests_without_assertion(tree, helpers):
    """Names of test functions in which nothing can fail but by an exception. `helpers`: name -> function, of other files."""
    functions = helpers | {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for name, function in functions.items():
        if name.startswith("test_") and name not in helpers and not _asserts(function, functions, set()):
            yield name


def _asserts(function, functions, visited):
    visited.add(function.name)
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name in ("raises", "warns", "fail") or name.startswith("assert"):
                return True
            if any(word.arg == "check" and getattr(word.value, "value", None) is True for word in node.keywords):
                return True  # a child process that must succeed
            if name in functions and name not in visited and _asserts(functions[name], functions, visited):
                return True
    return False
