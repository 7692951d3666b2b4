"""A run is data: one frozen, validated RunConfig; printable, comparable, hashed, stored before the first step."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, field_validator

from agents.protocol import AgentConfig
from harness import defaults, noise, plugins
from harness.errors import BadInput, unknown
from harness.noise import Noise, NoiseField
from harness.rundir import VERSION

M = TypeVar("M", bound=BaseModel)
Tree = dict[str, Any]  # a configuration as JSON holds it
Changes = Mapping[str, Any]  # dotted path -> value


class FrozenModel(BaseModel):
    """Frozen; unknown keys and values that are not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# What names a run: where it is set. None of these is a setting that `set`, --set or an ablation may change.
LABELS = {
    "study": "`name` of the study's file",
    "task": "--task, or `tasks` of the study",
    "preset": "--preset, or `preset` of the study",
    "size": "--size, or `size` of the study",
    "ablation": "--ablation, or `ablations` of the study",
    "seed": "--seed, or `seeds` of the study",
    "version": "nothing: it is that of the program",
    "source": "`dreamproof adapt`",
}
NAME = r"^[A-Za-z0-9_+][A-Za-z0-9_+.,=@:-]{0,199}$"  # of a study or a run: names of folders


class EnvConfig(FrozenModel):
    envs: int = Field(1, ge=1, le=1024, description="environments that are stepped together")
    options: Tree = Field(default_factory=dict, description="keyword options of the suite's make()")


class TrainConfig(FrozenModel):
    ratio: float = Field(256, ge=0, description="replayed time steps per policy step")
    batch_size: int = Field(16, ge=1, description="sequences per update")
    batch_length: int = Field(64, ge=2, description="trained time steps per sequence")
    start: int | None = Field(None, ge=1, description="replay items before the first update; null: one batch of steps")
    log_every: int = Field(1000, ge=1, description="policy steps between rows of metrics.jsonl")


class ReplayConfig(FrozenModel):
    capacity: int = Field(5_000_000, ge=1, description="start indices in the replay; the oldest is dropped first")
    online: bool = Field(True, description="serve every new sequence once before sampling uniformly")


class EvaluateConfig(FrozenModel):
    """What is measured after training. Not part of a run's identity: a grown grid is added to the same runs."""

    noise: tuple[NoiseField, ...] = Field((noise.parse("clean"),), min_length=1, description="evaluation noises")
    episodes: int = Field(10, ge=1, description="episodes per noise")
    every: int = Field(0, ge=0, description="policy steps between evaluations during training; 0: only at the end")
    policy: Literal["sample", "mode"] = Field("sample", description="how actions are taken; recorded in every row")


class RunConfig(FrozenModel):
    """Everything that changes a run's result, and its evaluation grid."""

    version: int = VERSION
    study: str = Field(pattern=NAME)
    task: str
    preset: str = defaults.PRESET
    size: str
    ablation: str = "none"  # its canonical spelling: a study's own ablations are known to that study alone
    train_noise: NoiseField = noise.parse("clean")
    seed: int = Field(0, ge=0, lt=2**31)
    steps: int = Field(ge=1, description="policy steps over all environments")
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="compile the model's inner steps: faster, and rounded differently; auto: on a CPU from size 1m on, where "
        "there is a C++ compiler. state.json records the choice",
    )
    source: str | None = Field(
        None, pattern=f"{NAME[:-1]}/{NAME[1:]}", description="run whose trained weights this one starts from: study/run_id"
    )
    agent: SerializeAsAny[AgentConfig]
    env: EnvConfig = EnvConfig()
    train: TrainConfig = TrainConfig()
    replay: ReplayConfig = ReplayConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("agent", mode="before")
    @classmethod
    def _parse_agent(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return agent_module(value.get("kind", "")).Config.model_validate(value)
        return value

    def dump(self) -> Tree:
        """As stored in config.json; `parse` of it is equal and hashes alike."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """8 hex digits over what changes the trained agent: neither the study's name nor what is evaluated."""
        content = {k: v for k, v in self.dump().items() if k not in ("version", "study", "evaluate")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def run_id(self) -> str:
        """`asterix.no_free_bits.gaussian-sigma10.s3-1a2b3c4d`. Agents other than the default are named too."""
        agent = [] if self.agent.kind == defaults.AGENT else [self.agent.kind]
        ablation = [] if agent and self.ablation == "none" else [self.ablation]
        labels = (self.task.split("/", 1)[-1], *agent, *ablation, str(self.train_noise), f"s{self.seed}")
        return ".".join(_slug(label) for label in labels) + "-" + self.digest


def parse(value: Mapping[str, Any], where: str = "run configuration") -> RunConfig:
    """A validated RunConfig; BadInput with one line per mistake."""
    return validate(RunConfig, value, where)


def validate(model: type[M], value: object, where: str) -> M:
    """`model.model_validate` with errors for people: dotted path, the value given, what is allowed."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadInput(f"{where}: " + "; ".join(_explain(model, detail) for detail in error.errors())) from None


def apply_changes(config: RunConfig, changes: Changes, where: str) -> RunConfig:
    """The config with dotted paths replaced. BadInput for a path that does not exist or a value it does not take.

    A part that becomes another kind (`path: {"kind": ...}`, or `path.kind`) keeps the settings that both kinds have.
    """
    tree = config.dump()
    for path, value in changes.items():
        if path.count(".") > 1 and path.endswith(".kind"):
            path, value = path.removesuffix(".kind"), {"kind": value}
        _set_path(config, tree, path, value, where)
    return parse(tree, where)


def refuse_labels(changes: Changes, where: str) -> None:
    """BadInput for a path that names a run: a record that says one thing of a run that is another."""
    for path in changes:
        if (label := path.split(".")[0]) in LABELS:
            raise BadInput(f"{where}: '{path}' names the run and cannot be set. Use {LABELS[label]}.")


def flatten(config: RunConfig) -> Tree:
    """Dotted path -> value of every leaf, for diffs."""
    return dict(_leaves("", config.dump()))


def diff(base: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (base value, other value) where they differ; None where a path exists on one side only."""
    old, new = flatten(base), flatten(other)
    paths = list(old) + [path for path in new if path not in old]
    return {path: (old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)}


def agent_names() -> list[str]:
    """Every package below `agents/` that has a `config.py`; the default agent first."""
    packages = [name for name in plugins.packages("agents") if "config" in plugins.names(f"agents.{name}")]
    return sorted(packages, key=lambda name: name != defaults.AGENT)


def agent_module(kind: str) -> ModuleType:
    """`agents/<kind>/config.py`: its Config, SIZES and PRESETS, and optionally NOTES on the presets."""
    if kind not in agent_names():
        raise unknown("agent", kind, agent_names())
    return plugins.load(f"agents.{kind}", "config")


def base_preset(kind: str) -> str:
    """The preset of an agent that the others are diffs to: its first."""
    return next(iter(agent_module(kind).PRESETS))


def default_size(kind: str) -> str:
    """The default size where an agent has it, else its first."""
    sizes = agent_module(kind).SIZES
    return defaults.SIZE if defaults.SIZE in sizes else next(iter(sizes))


def _set_path(config: RunConfig, tree: Tree, path: str, value: object, where: str) -> None:
    """Replace one dotted path of `tree`, the dump of `config`."""
    node: object = config
    parent: object = config
    *parents, last = path.split(".")
    for depth, name in enumerate([*parents, last]):
        parent = node
        if isinstance(node, Mapping):  # free-form options: checked by the suite that takes them
            for inner in parents[depth:]:
                tree = tree.setdefault(inner, {})
                if not isinstance(tree, dict):
                    raise BadInput(f"{where}: no '{path}': '{inner}' is {tree!r}, which has no parts.")
            break
        if name not in _field_names(node):
            raise _unknown_path(path, node, name, where)
        node = getattr(node, name)
        tree = tree if depth == len(parents) else tree[name]
    tree[last] = value.model_dump(mode="json") if isinstance(value, BaseModel) else _complete_part(parent, last, value)


def _field_names(node: object) -> list[str]:
    """The paths that go on below a node. A noise is one value: its text is replaced as a whole."""
    return list(type(node).model_fields) if isinstance(node, BaseModel) and not isinstance(node, Noise) else []


def _complete_part(parent: object, name: str, value: object) -> object:
    """`value`; a part, `{kind: ...}`, takes the settings that it does not mention from the part that it replaces.

    Only settings that both kinds have are taken over, so that another kind at the same size is one change, not several.
    """
    if not isinstance(parent, BaseModel) or not isinstance(value, Mapping) or "kind" not in value:
        return value
    old = getattr(parent, name)
    kinds = get_args(type(parent).model_fields[name].annotation) or (type(old),)
    fields = {field for kind in kinds if kind.model_fields["kind"].default == value["kind"] for field in kind.model_fields}
    return {field: x for field, x in old.model_dump(mode="json").items() if field in fields} | dict(value)


def _unknown_path(path: str, node: object, name: str, where: str) -> BadInput:
    fields = _field_names(node)
    near = difflib.get_close_matches(name, fields, n=1)
    value = str(node) if isinstance(node, Noise) else node
    allowed = f"{type(node).__name__} has {', '.join(fields)}" if fields else f"{value!r} has no parts"
    return BadInput(f"{where}: no '{path}': {allowed}." + (f" Did you mean {near[0]}?" if near else ""))


def _explain(model: type[BaseModel], detail: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    value = "" if detail["type"] == "missing" else f" (got {str(detail['input'])[:60]!r})"
    if detail["type"] == "extra_forbidden":
        fields = list(model.model_fields)
        near = difflib.get_close_matches(str(detail["loc"][-1]), fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown key '{path}'; allowed: {', '.join(fields)}{hint}"
    return f"{path}: {detail['msg']}{value}"


def _leaves(prefix: str, node: object) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else name, value)
    else:
        yield prefix, node


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_+.-]+", "-", text.replace("=", "").replace(":", "-").replace(",", "-")).strip("-.")[:60]
