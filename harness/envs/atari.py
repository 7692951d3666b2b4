"""Atari 200M: 57 games, 50 million policy steps (200 million frames), 96x96 grey, all 18 actions, sticky actions.

Option `truncation="terminal"` lets the time limit terminate, as the official code does; by default it truncates.
Options `sticky` (probability per raw frame), `actions` ("minimal", "full") and `life_loss` (a life lost ends the episode)
depart from the protocol.
Settings: DreamerV3 (Hafner et al., arXiv:2301.04104, Nature 2025); sticky actions: Machado et al., arXiv:1709.06009.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.env import Suite
from harness.envs import _atari

PROTOCOL = _atari.AtariProtocol(size=96, grey=True, sticky=0.25, actions="full")
TASKS = _atari.GAMES
SUITE = Suite(
    steps=50_000_000,
    repeat=4,
    envs=16,
    ratio=32,
    pixels=True,
    vectors=False,
    source="DreamerV3 (arXiv:2301.04104, Nature 2025), Atari 200M; ALE (arXiv:1709.06009)",
    options={"truncation": "truncated"},
    extras=_atari.extras(PROTOCOL),
    modules=("ale-py", "pillow"),
)


def check_options(task: str, options: Mapping[str, object]) -> None:
    """BadInput for a value that no game takes."""
    _atari.check_options(options)


def make(task: str, truncation: str = "truncated", **departures: object) -> _atari.Atari:
    return _atari.make(task, PROTOCOL, truncation, **departures)
