"""Observation noise: one file per perturbation, each a frozen description, pure in (observation, key, step).

A noise is written `clean`, `name:key=value,key=value`, `name@3` (severity 1 to 5), several joined by `+` in the order
they are applied; `str(noise)` is its one canonical spelling. A file dropped into this package exposes `NOISE`, a subclass of
`Noise`; it may expose `ALIASES`, names bound to parameters of that noise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from agents.protocol import Arrays
from harness import plugins
from harness.errors import BadInput, unknown
from harness.rng import Key

_PART = re.compile(r"^([A-Za-z_]\w*)(?:@([^:]*))?(?::(.*))?$")
_JOIN = re.compile(r"\+(?=\s*[A-Za-z_])")  # not the plus of 1e+5


class Noise(BaseModel):
    """One perturbation: frozen parameters with units in their descriptions, and `apply`, a pure function.

    `on` says what it perturbs; `SEVERITY` the parameters of `name@1` to `name@5` at 64 pixels, `NATIVE_SEVERITY` those
    for frames of native size. Parameters are spelled in declared order, those at their default left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]
    on: ClassVar[Literal["pixels", "vectors", "any"]]
    SEVERITY: ClassVar[dict[int, dict[str, Any]]] = {}
    NATIVE_SEVERITY: ClassVar[dict[int, dict[str, Any]]] = {}

    @property
    def parts(self) -> tuple[Noise, ...]:
        """The noises applied, in order; none for a noise that does nothing at any setting."""
        return (self,)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """A name for each part's stream: `gaussian`, and `gaussian#2` for the second of its kind."""
        before = [[p.kind for p in self.parts[:i]].count(part.kind) for i, part in enumerate(self.parts)]
        return tuple(part.kind + (f"#{n + 1}" if n else "") for part, n in zip(self.parts, before, strict=True))

    @property
    def place(self) -> str:
        """ "agent": on the observation the agent would get; "native": on the simulator's frame before resizing."""
        return getattr(self, "at", "agent")

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        """The perturbed array, same shape and dtype; `array` itself is never written to."""
        raise NotImplementedError

    def bind(self, task: str) -> Noise:
        """This noise for `task` ("suite/task"): here it looks up what is stored per task. BadInput where nothing is."""
        return self

    def of(self, name: str) -> Noise:
        """This noise for the observation key `name`."""
        return self

    def __str__(self) -> str:
        fields = {n: (getattr(self, n), type(self).model_fields[n]) for n in parameters(type(self))}
        said = [f"{n}={_number(v)}" for n, (v, f) in fields.items() if f.is_required() or v != f.default]
        return f"{self.kind}:{','.join(said)}" if said else self.kind


class PixelNoise(Noise):
    """A noise on images: uint8 (H, W, C), on the agent's observation or (`at=native`) on the simulator's frame."""

    on: ClassVar[Literal["pixels", "vectors", "any"]] = "pixels"
    at: Literal["agent", "native"] = "agent"


class Chain(Noise):
    """Several noises, applied from left to right, each with its own stream."""

    kind: ClassVar[str] = "chain"
    on: ClassVar[Literal["pixels", "vectors", "any"]] = "any"
    chain: tuple[Noise, ...]

    @property
    def parts(self) -> tuple[Noise, ...]:
        return self.chain

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        for part, stream in zip(self.parts, self.streams, strict=True):
            array = part.apply(array, _child(key, stream), step)
        return array

    def bind(self, task: str) -> Noise:
        return Chain(chain=tuple(part.bind(task) for part in self.chain))

    def __str__(self) -> str:
        return "+".join(str(part) for part in self.chain)


# ---- Applying


def observe(noise: Noise, obs: Arrays, key: Key, step: int) -> Arrays:
    """The observation as the agent gets it. Pixel noise meets uint8 images, vector noise float32 vectors.

    Every noise and observation key has its own stream, named by the noise's kind and not by its strength or neighbours:
    `gaussian:sigma=10` and `blackout:...+gaussian:sigma=20` use the same normal numbers. What no noise touches is passed
    on as it is.
    """
    result = dict(obs)
    for part, stream in zip(noise.parts, noise.streams, strict=True):
        if part.place == "agent":
            for name, array in result.items():
                if _fits(part.on, array):
                    result[name] = part.of(name).apply(array, _child(key, f"{stream}/{name}"), step)
    return result


def native(noise: Noise, key: Key, step: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """What to set as `env.native` before a step or reset: the parts with `at=native`; None where there are none."""
    pairs = zip(noise.parts, noise.streams, strict=True)
    todo = [(part, _child(key, f"{stream}/native")) for part, stream in pairs if part.place == "native"]
    if not todo:
        return None

    def perturb(frame: np.ndarray) -> np.ndarray:
        for part, stream in todo:
            frame = part.apply(frame, stream, step)
        return frame

    return perturb


def check(noise: Noise, pixels: bool, vectors: bool, task: str = "") -> None:
    """BadInput if a part of the noise has nothing to perturb in observations that hold `pixels` and/or `vectors`."""
    has = {"pixels": pixels, "vectors": vectors, "any": True}
    for part in noise.parts:
        if not has[part.on]:
            fitting = [name for name, kind in kinds().items() if has[kind.on]]
            place = f"'{task}'" if task else "this task"
            held = "pixels" if pixels else "vectors" if vectors else "neither pixels nor float vectors"
            raise BadInput(
                f"Noise '{part}' perturbs {part.on}, but the observations of {place} hold {held}. "
                f"Allowed there: {', '.join(fitting)}."
            )


def _fits(on: str, array: np.ndarray) -> bool:
    image = array.dtype == np.uint8 and array.ndim == 3
    return on == "any" or (on == "pixels" if image else on == "vectors" and array.dtype == np.float32)


@lru_cache(maxsize=1024)
def _child(key: Key, name: str) -> Key:
    return key.child(name)


# ---- Reading and spelling


@lru_cache(maxsize=1)
def kinds() -> dict[str, type[Noise]]:
    """Every noise by name, in alphabetical order."""
    return {name: plugins.load(__name__, name).NOISE for name in plugins.names(__name__)}


@lru_cache(maxsize=1)
def aliases() -> dict[str, Noise]:
    """Short names of the founding study and what they are bound to: `black6`, `g10`, ..."""
    modules = [plugins.load(__name__, name) for name in plugins.names(__name__)]
    return {alias: m.NOISE(**values) for m in modules for alias, values in getattr(m, "ALIASES", {}).items()}


def parse(text: str | Noise) -> Noise:
    """`gaussian@1+blackout:length=6,chance=0.05` -> a noise. BadInput says what is wrong, allowed and near."""
    if isinstance(text, Noise):
        return text
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"A noise is text such as 'clean' or 'gaussian:sigma=10', not {text!r}.")
    parts = tuple(part for piece in _JOIN.split(text) for part in _parse_part(piece.strip(), text).parts)
    if len(parts) == 1:
        return parts[0]
    return Chain(chain=parts) if parts else kinds()["clean"]()


def _parse_part(piece: str, text: str) -> Noise:
    match = _PART.match(piece)
    if not match:
        raise BadInput(f"Cannot read '{piece}' in noise '{text}': write 'name', 'name@3', 'name:key=value,key=value'.")
    name, level, rest = match.groups()
    values = _values(rest, piece) if rest is not None else {}
    if name in aliases() and not values and level is None:
        return aliases()[name]
    if name not in kinds():
        raise unknown("noise", name, [*kinds(), *aliases()])
    kind = kinds()[name]
    return _build(kind, (_severity(kind, level, values) if level is not None else {}) | values, piece)


def _values(rest: str, piece: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in rest.split(","):
        name, equals, value = (word.strip() for word in pair.partition("="))
        if not (name and equals and value):
            raise BadInput(f"Cannot read '{pair}' in noise '{piece}': parameters are written key=value,key=value.")
        if name in values:
            raise BadInput(f"Noise '{piece}' sets {name} twice.")
        values[name] = value
    return values


def _severity(kind: type[Noise], level: str, values: dict[str, str]) -> dict[str, Any]:
    table = kind.NATIVE_SEVERITY if values.get("at") == "native" else kind.SEVERITY
    if not table:
        said = "; ".join(f"{name}: {describe(kind, name)}" for name in parameters(kind))
        raise BadInput(f"Noise '{kind.kind}' has no severities; set {said}.")
    if not level.isdecimal() or int(level) not in table:
        raise BadInput(f"No severity '{level}' of noise '{kind.kind}'. Allowed: {min(table)} to {max(table)}.")
    return table[int(level)]


def _build(kind: type[Noise], values: dict[str, Any], piece: str) -> Noise:
    for name in values:
        if name not in kind.model_fields:
            raise unknown("parameter", name, parameters(kind), where=f"noise '{kind.kind}'")
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise BadInput(f"Noise '{piece}': {first['msg']}.") from None
        name = str(first["loc"][0])
        if first["type"] == "missing":
            raise BadInput(f"Noise '{piece}' needs {name}: {describe(kind, name)}.") from None
        said = f"{name}={values[name]} is not allowed. {name}: {describe(kind, name)}."
        raise BadInput(f"Noise '{piece}': {said}") from None


def parameters(kind: type[Noise]) -> list[str]:
    """The parameters of a noise in the order they are spelled: as declared, `at` (declared in the base) last."""
    return sorted(kind.model_fields, key=lambda name: name == "at")


def describe(kind: type[Noise], name: str) -> str:
    """What a parameter means, with its unit and range."""
    field = kind.model_fields[name]
    choices = getattr(field.annotation, "__args__", ())
    return field.description or (f"one of {', '.join(map(str, choices))}" if choices else str(field.annotation))


def _number(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
