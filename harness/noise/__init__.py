"""Observation noise: one file per perturbation. A noise is a frozen value, and a pure function of (observation, key, step).

A noise is written `clean`, `name:key=value,key=value` or `name@3` (severity 1 to 5). Several are joined by `+` in the order
they are applied. `parse` reads the text once; everything after it passes the `Noise` on, and `str(noise)` is its one
canonical spelling, which files store. A file dropped into this package exposes `NOISE`, a subclass of `Noise`. It may also
expose `ALIASES`: short names bound to parameters of that noise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError

from agents.protocol import Arrays
from harness import plugins
from harness.errors import BadInput, unknown
from harness.rng import Key

_PART = re.compile(r"^([A-Za-z_]\w*)(?:@([^:]*))?(?::(.*))?$")
_JOIN = re.compile(r"\+(?=\s*[A-Za-z_])")  # not the plus of 1e+5


class Noise(BaseModel):
    """One perturbation: frozen parameters with units in their descriptions, and `apply`, a pure function.

    `on` says what it perturbs. `SEVERITY` holds the parameters of `name@1` to `name@5` at 64 pixels, `NATIVE_SEVERITY` those
    for frames of native size. `STRENGTH` names the parameter that says how strong the noise is: at 0 the observation is
    clean, a larger value perturbs it more; empty for a noise without one. The spelling lists parameters in declared order and
    leaves out those at their default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]
    on: ClassVar[Literal["pixels", "vectors", "any"]]
    STRENGTH: ClassVar[str] = ""
    SEVERITY: ClassVar[dict[int, dict[str, Any]]] = {}
    NATIVE_SEVERITY: ClassVar[dict[int, dict[str, Any]]] = {}

    @property
    def parts(self) -> tuple[Noise, ...]:
        """The noises applied, in order; none for a noise that does nothing at any setting."""
        return (self,)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """A name for each part's random stream: `gaussian`, and `gaussian#2` for the second of its kind."""
        repeats = [[p.kind for p in self.parts[:i]].count(part.kind) for i, part in enumerate(self.parts)]
        return tuple(part.kind + (f"#{n + 1}" if n else "") for part, n in zip(self.parts, repeats, strict=True))

    @property
    def stage(self) -> str:
        """ "agent": acts on the observation that the agent gets; "native": on the simulator's frame before resizing."""
        return getattr(self, "at", "agent")

    def apply(self, array: np.ndarray, key: Key, step: int) -> np.ndarray:
        """The perturbed array, same shape and dtype; `array` itself is never written to."""
        raise NotImplementedError

    def bind_task(self, task: str) -> Noise:
        """This noise with what is stored for `task` ("suite/task"). BadInput where it needs stored values and has none."""
        return self

    def for_key(self, name: str) -> Noise:
        """This noise for the observation key `name`."""
        return self

    def __str__(self) -> str:
        fields = {n: (getattr(self, n), type(self).model_fields[n]) for n in parameter_names(type(self))}
        pairs = [f"{n}={_number(v)}" for n, (v, f) in fields.items() if f.is_required() or v != f.default]
        return f"{self.kind}:{','.join(pairs)}" if pairs else self.kind


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
            array = part.apply(array, _child_key(key, stream), step)
        return array

    def bind_task(self, task: str) -> Noise:
        return Chain(chain=tuple(part.bind_task(task) for part in self.chain))

    def __str__(self) -> str:
        return "+".join(str(part) for part in self.chain)


# ---- Applying


def perturb_observation(noise: Noise, obs: Arrays, key: Key, step: int) -> Arrays:
    """The observation as the agent gets it. Pixel noise acts on uint8 images, vector noise on float32 vectors.

    Every noise and observation key has its own stream. The noise's kind names the stream, not its strength or neighbours:
    `gaussian:sigma=10` and `blackout:...+gaussian:sigma=20` use the same normal numbers. Arrays that no noise acts on are
    passed on as they are.
    """
    result = dict(obs)
    for part, stream in zip(noise.parts, noise.streams, strict=True):
        if part.stage == "agent":
            for name, array in result.items():
                if _acts_on(part.on, array):
                    result[name] = part.for_key(name).apply(array, _child_key(key, f"{stream}/{name}"), step)
    return result


def native_perturbation(noise: Noise, key: Key, step: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """What to set as `env.native` before a step or reset: the parts with `at=native`; None where there are none."""
    pairs = zip(noise.parts, noise.streams, strict=True)
    native_parts = [(part, _child_key(key, f"{stream}/native")) for part, stream in pairs if part.stage == "native"]
    if not native_parts:
        return None

    def perturb(frame: np.ndarray) -> np.ndarray:
        for part, stream_key in native_parts:
            frame = part.apply(frame, stream_key, step)
        return frame

    return perturb


def check_modality(noise: Noise, pixels: bool, vectors: bool, task: str = "") -> None:
    """BadInput if a part of the noise has nothing to act on in observations that hold `pixels` and/or `vectors`."""
    available = {"pixels": pixels, "vectors": vectors, "any": True}
    for part in noise.parts:
        if not available[part.on]:
            fitting = [name for name, noise_type in noise_types().items() if available[noise_type.on]]
            owner = f"'{task}'" if task else "this task"
            content = "pixels" if pixels else "vectors" if vectors else "neither pixels nor float vectors"
            raise BadInput(
                f"Noise '{part}' perturbs {part.on}, but the observations of {owner} hold {content}. "
                f"Allowed there: {', '.join(fitting)}."
            )


def _acts_on(modality: str, array: np.ndarray) -> bool:
    image = array.dtype == np.uint8 and array.ndim == 3
    return modality == "any" or (modality == "pixels" if image else modality == "vectors" and array.dtype == np.float32)


@lru_cache(maxsize=1024)
def _child_key(key: Key, name: str) -> Key:
    return key.child(name)


# ---- Reading and spelling


@lru_cache(maxsize=1)
def noise_types() -> dict[str, type[Noise]]:
    """Every noise by name, in alphabetical order."""
    return {name: plugins.load(__name__, name).NOISE for name in plugins.names(__name__)}


@lru_cache(maxsize=1)
def aliases() -> dict[str, Noise]:
    """Short names of the founding study and the noises that they stand for: `black6`, `g10`, ..."""
    modules = [plugins.load(__name__, name) for name in plugins.names(__name__)]
    return {alias: m.NOISE(**values) for m in modules for alias, values in getattr(m, "ALIASES", {}).items()}


def parse(text: str | Noise) -> Noise:
    """`gaussian@1+blackout:length=6,chance=0.05` -> a noise; a Noise is returned as it is.

    BadInput says what is wrong, what is allowed and the nearest match.
    """
    if isinstance(text, Noise):
        return text
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"A noise is text such as 'clean' or 'gaussian:sigma=10', not {text!r}.")
    parts = tuple(part for piece in _JOIN.split(text) for part in _parse_part(piece.strip(), text).parts)
    if len(parts) == 1:
        return parts[0]
    return Chain(chain=parts) if parts else noise_types()["clean"]()


# A field of a configuration: text is parsed where the configuration is validated, and stored in its canonical spelling.
NoiseField = Annotated[Noise, PlainValidator(parse), PlainSerializer(str, return_type=str)]


def _parse_part(piece: str, text: str) -> Noise:
    match = _PART.match(piece)
    if not match:
        raise BadInput(f"Cannot read '{piece}' in noise '{text}': write 'name', 'name@3', 'name:key=value,key=value'.")
    name, level, pairs = match.groups()
    values = _parse_parameters(pairs, piece) if pairs is not None else {}
    if name in aliases() and not values and level is None:
        return aliases()[name]
    if name not in noise_types():
        raise unknown("noise", name, [*noise_types(), *aliases()])
    noise_type = noise_types()[name]
    severity = _severity(noise_type, level, values) if level is not None else {}
    return _build(noise_type, severity | values, piece)


def _parse_parameters(pairs: str, piece: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs.split(","):
        name, equals, value = (word.strip() for word in pair.partition("="))
        if not (name and equals and value):
            raise BadInput(f"Cannot read '{pair}' in noise '{piece}': parameters are written key=value,key=value.")
        if name in values:
            raise BadInput(f"Noise '{piece}' sets {name} twice.")
        if (re.search(r"\d_|_\d", value) and re.fullmatch(r"[\d_.eE+-]+", value)) or not value.isascii():
            raise BadInput(f"Noise '{piece}': {name}={value} is not allowed. Write numbers in plain digits.")
        values[name] = value
    return values


def _severity(noise_type: type[Noise], level: str, values: dict[str, str]) -> dict[str, Any]:
    table = noise_type.NATIVE_SEVERITY if values.get("at") == "native" else noise_type.SEVERITY
    if not table:
        parameters = "; ".join(f"{name}: {describe_parameter(noise_type, name)}" for name in parameter_names(noise_type))
        raise BadInput(f"Noise '{noise_type.kind}' has no severities; set {parameters}.")
    if not level.isdecimal() or int(level) not in table:
        raise BadInput(f"No severity '{level}' of noise '{noise_type.kind}'. Allowed: {min(table)} to {max(table)}.")
    return table[int(level)]


def _build(noise_type: type[Noise], values: dict[str, Any], piece: str) -> Noise:
    for name in values:
        if name not in noise_type.model_fields:
            raise unknown("parameter", name, parameter_names(noise_type), where=f"noise '{noise_type.kind}'")
    try:
        return noise_type(**values)
    except ValidationError as error:
        detail = error.errors()[0]
        if not detail["loc"]:
            raise BadInput(f"Noise '{piece}': {detail['msg']}.") from None
        name = str(detail["loc"][0])
        meaning = describe_parameter(noise_type, name)
        if detail["type"] == "missing":
            raise BadInput(f"Noise '{piece}' needs {name}: {meaning}.") from None
        raise BadInput(f"Noise '{piece}': {name}={values[name]} is not allowed. {name}: {meaning}.") from None


def parameter_names(noise_type: type[Noise]) -> list[str]:
    """The parameters of a noise in the order they are spelled: as declared, `at` (declared in the base) last."""
    return sorted(noise_type.model_fields, key=lambda name: name == "at")


def describe_parameter(noise_type: type[Noise], name: str) -> str:
    """What a parameter means, with its unit and range."""
    field = noise_type.model_fields[name]
    choices = getattr(field.annotation, "__args__", ())
    return field.description or (f"one of {', '.join(map(str, choices))}" if choices else str(field.annotation))


def _number(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
