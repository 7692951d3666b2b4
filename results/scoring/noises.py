"""Names of noises in results: the family of a noise, the order of noises, and the strength of each.

A noise of `harness/noise` says itself which parameter is its strength (`STRENGTH`). Results of others may name noises that
are not there; for them the name alone decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from harness import plugins
from harness.errors import BadInput

_PART = re.compile(r"(?P<family>[^:@+]+)(?:@(?P<level>[^:+]+))?(?::(?P<settings>.*))?")
SEVERITY = "@"  # the key of a severity among the settings of a noise
ZERO_IS_CLEAN = {"sigma", "std", "chance", "amount", "probability", "p", "epsilon"}  # parameters of noises of others

Settings = dict[str, str]


def noise_parts(noise: str) -> list[tuple[str, Settings]]:
    """Family and settings of each part: `a:x=1,y=2+b@3` -> [("a", {"x": "1", "y": "2"}), ("b", {"@": "3"})]; [] of `clean`."""
    return [_part(text) for text in noise.split("+") if text != "clean"]


def noise_family(noise: str) -> str:
    """`gaussian` of `gaussian:sigma=10` and of its alias `g10`, `a+b` of a chain, `clean` of clean."""
    return "+".join(_unaliased(name) if not settings else name for name, settings in noise_parts(noise)) or "clean"


def noise_order(noise: str) -> tuple:
    """Sort key: clean first, then single noises before chains, by family and by the numbers that set their strength."""
    parts = noise_parts(noise)
    settings = tuple(_comparable(value) for _, part_settings in parts for value in part_settings.values())
    return len(parts), tuple(name for name, _ in parts), settings, noise


def noise_strengths(noises: Iterable[str]) -> dict[str, float] | None:
    """Noise -> strength, with 0 for clean, for noises of one family; None where they are not points of one curve.

    Noises of one family are one curve where only their strength differs, or where all are severities of that family.
    The strength is the severity where all are spelled `family@level`, else the parameter `STRENGTH` of the noise; the name
    `g20` and the spelling `gaussian:sigma=20` say the same. A chain has no strength: at 0 of one part the others remain.
    A noise of strength 0 is clean by another name and is left out.
    """
    noisy = tuple(noise for noise in noises if noise_parts(noise))
    strengths = _severities(noisy) or _parameters(noisy) if noisy else None
    strengths = {noise: strength for noise, strength in (strengths or {}).items() if strength}
    if not strengths or len(set(strengths.values())) < len(strengths):
        return None
    return {"clean": 0.0} | strengths


def _severities(noises: Sequence[str]) -> dict[str, float] | None:
    """`fog@1`, `fog@3` -> 1.0, 3.0; None unless every noise is such a severity and nothing else differs."""
    parts = [noise_parts(noise) for noise in noises]
    if any(len(chain) > 1 or SEVERITY not in chain[0][1] for chain in parts):
        return None
    return _only_difference(noises, [settings for ((_, settings),) in parts], SEVERITY)


def _parameters(noises: Sequence[str]) -> dict[str, float] | None:
    """The parameter that says how strong each noise is; None unless all are of one family and differ in nothing else."""
    parsed = [_known_noise(noise) for noise in noises]
    if None not in parsed:
        return _strengths_of_known(noises, parsed)
    parts = [noise_parts(noise) for noise in noises]
    if any(len(chain) > 1 for chain in parts) or any(parsed):
        return None
    settings = [settings for ((_, settings),) in parts]
    varying = [key for key in dict.fromkeys(key for s in settings for key in s) if len({s.get(key) for s in settings}) > 1]
    if len(noises) == 1:  # a noise with one setting
        varying = list(settings[0])
    return _only_difference(noises, settings, varying[0]) if len(varying) == 1 and varying[0] in ZERO_IS_CLEAN else None


def _strengths_of_known(noises: Sequence[str], parsed: Sequence[Any]) -> dict[str, float] | None:
    """As `_parameters`, of noises of `harness/noise`: their `STRENGTH`, defaults and severities count."""
    strength = getattr(parsed[0], "STRENGTH", "")
    if not strength or len({noise.kind for noise in parsed}) > 1:
        return None
    moving = _severity_parameters(parsed) or {strength}
    fixed = {tuple((name, value) for name, value in noise if name not in moving) for noise in parsed}
    if len(fixed) > 1:
        return None
    return {noise: float(getattr(one, strength)) for noise, one in zip(noises, parsed, strict=True)}


def _severity_parameters(parsed: Sequence[Any]) -> set[str]:
    """The parameters that severities set, where every noise has those of one severity; else none."""
    table = parsed[0].NATIVE_SEVERITY if parsed[0].stage == "native" else parsed[0].SEVERITY
    names = {name for settings in table.values() for name in settings}
    on_table = all({name: getattr(noise, name) for name in names} in table.values() for noise in parsed)
    return names if on_table else set()


def _only_difference(noises: Sequence[str], settings: Sequence[Settings], key: str) -> dict[str, float] | None:
    """Noise -> the number of its setting `key`; None where another setting differs or one is no number."""
    if len({tuple((name, value) for name, value in s.items() if name != key) for s in settings}) > 1:
        return None
    try:
        return {noise: float(s[key]) for noise, s in zip(noises, settings, strict=True)}
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _known_noise(noise: str) -> Any:
    """The noise of `harness/noise` that a name spells, None for a chain and for a noise of others."""
    try:
        parsed = plugins.load("harness", "noise").parse(noise)
    except BadInput:
        return None
    return parsed if len(parsed.parts) == 1 else None


def _unaliased(name: str) -> str:
    """`gaussian` of `g10`; a name that is no alias stays."""
    noise = _known_noise(name)
    return noise.kind if noise else name


def _part(text: str) -> tuple[str, Settings]:
    match = _PART.fullmatch(text)
    if not match:
        return text, {}
    settings = dict(item.partition("=")[::2] for item in (match["settings"] or "").split(",") if item)
    return match["family"], ({SEVERITY: match["level"]} if match["level"] else {}) | settings


def _comparable(value: str) -> tuple[int, float, str]:
    """Numbers before texts, each in their order."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value
