"""Atari 100k: 26 games, 100,000 policy steps (400,000 frames), 64x64 RGB, minimal action sets, no sticky actions.

Option `truncation="terminal"` lets the time limit terminate, as the official code does; by default it truncates.
Options `sticky` (probability per raw frame), `actions` ("minimal", "full") and `life_loss` (a life lost ends the episode)
depart from the protocol.
Settings: DreamerV3 (Hafner et al., arXiv:2301.04104, Nature 2025); games: Kaiser et al., arXiv:1903.00374.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.env import Suite
from harness.envs import _atari

PROTOCOL = _atari.AtariProtocol(size=64, grey=False, sticky=0.0, actions="minimal")
TASKS = (
    *("alien", "amidar", "assault", "asterix", "bank_heist", "battle_zone", "boxing", "breakout", "chopper_command"),
    *("crazy_climber", "demon_attack", "freeway", "frostbite", "gopher", "hero", "jamesbond", "kangaroo", "krull"),
    *("kung_fu_master", "ms_pacman", "pong", "private_eye", "qbert", "road_runner", "seaquest", "up_n_down"),
)
SUITE = Suite(
    steps=100_000,
    repeat=4,
    envs=1,
    ratio=256,
    pixels=True,
    vectors=False,
    source="DreamerV3 (arXiv:2301.04104, Nature 2025), Atari100k; ALE (arXiv:1207.4708)",
    options={"truncation": "truncated"},
    extras=_atari.extras(PROTOCOL),
    modules=("ale-py", "pillow"),
)


def check_options(task: str, options: Mapping[str, object]) -> None:
    """BadInput for a value that no game takes."""
    _atari.check_options(options)


def make(task: str, truncation: str = "truncated", **departures: object) -> _atari.Atari:
    return _atari.make(task, PROTOCOL, truncation, **departures)
