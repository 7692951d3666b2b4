"""Adaptation to other observations: a run that begins with a trained run's weights and trains its encoder alone.

The adapted run stands beside its source as the ablation `finetune` of it (`repo+finetune`), so that tables compare both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.protocol import Agent
from harness import ablate, checkpoint, config, noise, study
from harness.config import RunConfig
from harness.errors import BadInput, RunFailed
from harness.rundir import RunDir

ABLATION = "finetune"


def adapted(
    source: RunDir,
    train_noise: str,
    steps: int,
    *,
    eval_noises: Sequence[str] = (),
    episodes: int | None = None,
    changes: Mapping[str, Any] | None = None,
    where: str = "command line",
) -> RunConfig:
    """The run that adapts `source` to a noise in so many policy steps; evaluated as the source was, and under the noise.

    Raises BadInput where the source has not finished training, is itself adapted, or its task cannot have the noise.
    """
    before = config.parse(source.config, str(source.path))
    _trained(source)
    if before.source is not None:
        raise BadInput(f"{source.path} is adapted itself: adapt its source {before.source} instead.")
    noises = dict.fromkeys(noise.parse(n) for n in (*before.evaluate.noise, train_noise, *eval_noises))
    told = {
        "train_noise": train_noise,
        "steps": steps,
        "source": f"{before.study}/{source.name}",
        "evaluate.noise": [str(n) for n in noises],
        "evaluate.episodes": episodes or before.evaluate.episodes,
    }
    run = ablate.apply(config.apply_changes(before, told, where), ablate.parse(ABLATION), where)
    run = config.apply_changes(run, {**(changes or {})}, f"{where}, set")
    study.check_run(run, where)
    return config.apply_changes(
        run, {"ablation": ABLATION if before.ablation == "none" else f"{before.ablation}+{ABLATION}"}, where
    )


def load_source_weights(agent: Agent, source: Path) -> None:
    """Give a fresh agent what the run in `source` has learned. RunFailed where that is gone or does not fit."""
    try:
        agent.load_weights(_trained(RunDir(source)).arrays["agent"])
    except (BadInput, ValueError) as error:
        raise RunFailed(f"Cannot begin with the weights of {source}: {error}") from None


def _trained(source: RunDir) -> checkpoint.Checkpoint:
    saved = checkpoint.load(source.path / "checkpoint", replay=False)
    if saved is None or saved.step < source.config["steps"]:
        raise BadInput(f"{source.path} has not finished training: run it first.")
    return saved
