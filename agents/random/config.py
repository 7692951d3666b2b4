"""Uniform random play: it has no settings."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from agents.protocol import AgentConfig, Spec
from agents.random.agent import RandomAgent


class Config(AgentConfig):
    """Uniform random actions."""

    learns: ClassVar[bool] = False
    kind: Literal["random"] = "random"

    def build(
        self,
        spec: Spec,
        *,
        seed: int,
        updates: int = 100_000,
        device: str = "auto",
        precision: str = "float32",
        threads: int = 1,
        compile: bool = False,
    ) -> RandomAgent:
        return RandomAgent(spec)


# It has no networks. It accepts every size of the Dreamer, so that one study can run both.
NAMES = "nano 1m 12m 25m 50m 100m 200m 400m 2023-xs 2023-s 2023-m 2023-l 2023-xl v2-atari v2-dmc repo-faithful"
SIZES: dict[str, dict[str, Any]] = {size: {} for size in NAMES.split()}
PRESETS: dict[str, dict[str, Any]] = {"v3": {}}
