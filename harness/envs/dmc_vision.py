"""DeepMind Control suite from 64x64 RGB images: camera 0 (quadruped 2), everything else as in `dmc`.

Rendering needs a GL backend: `MUJOCO_GL` (on Linux by default egl; Mesa's software renderer does). Settings: DreamerV3
(Hafner et al., arXiv:2301.04104, Nature 2025).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.protocol import Arrays, Space
from harness.env import Suite
from harness.envs import dmc
from harness.errors import RunFailed

if TYPE_CHECKING:
    from dm_control.mujoco import engine

SIZE = 64
CAMERAS = {"quadruped": 2, "rodent": 4}  # all others 0
TASKS = dmc.TASKS
SUITE = Suite(
    steps=1_000_000,
    repeat=1,
    envs=16,
    ratio=256,
    pixels=True,
    vectors=False,
    source="DreamerV3 (arXiv:2301.04104, Nature 2025), DMC vision; dm_control (arXiv:2006.12983)",
    options={"repeat": 1},
    modules=("dm_control", "mujoco"),
)


check_options = dmc.check_options


def make(task: str, repeat: int = 1) -> PixelControl:
    return PixelControl(*dmc.NAMES[task], repeat=repeat)


class PixelControl(dmc.Control):
    """The task seen by a camera. `native` is applied to the frame as rendered, which is the agent's size already."""

    _camera: engine.Camera | None = None  # reused: to make a camera takes a tenth of the time of a frame

    def _spaces(self) -> dict[str, Space]:
        return {"image": Space((SIZE, SIZE, 3), "uint8")}

    def _observe(self, observation: Arrays) -> Arrays:
        try:
            self._camera = self._camera or self._new_camera()
            frame = np.array(self._camera.render())
        except RuntimeError as error:
            raise RunFailed(
                f"Cannot render {'_'.join(self._name)}: {error}. `dreamproof doctor` says which value of MUJOCO_GL works here."
            ) from error
        return {"image": self.native(frame) if self.native else frame}

    def _new_camera(self) -> engine.Camera:
        from dm_control.mujoco import engine

        return engine.Camera(self._sim.physics, SIZE, SIZE, camera_id=CAMERAS.get(self._name[0], 0))
