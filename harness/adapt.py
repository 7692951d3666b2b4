"""Adaptation to other observations: a run that starts with a trained run's weights and trains the encoder alone.

The adapted run lies beside its source, as the source's ablation `finetune` (`repo+finetune`), so that tables compare both.
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


def adapted_config(
    source: RunDir,
    train_noise: str,
    steps: int,
    *,
    eval_noises: Sequence[str] = (),
    episodes: int | None = None,
    changes: Mapping[str, Any] | None = None,
    where: str = "command line",
) -> RunConfig:
    """The run that adapts `source` to a noise in `steps` policy steps. Its evaluation adds that noise to the source's.

    `eval_noises`: more evaluation noises; `episodes`: per noise, None as the source has them; `changes`: dotted paths of
    the configuration. `where`: what error messages name as the origin of the values. Raises BadInput where the source has
    not finished training, is itself adapted, or its task cannot have the noise.
    """
    source_config = config.parse(source.config, str(source.path))
    checkpoint.load_trained(source.path / "checkpoint", source_config.steps, source_config.digest)
    if source_config.source is not None:
        raise BadInput(f"{source.path} is an adapted run: adapt its source {source_config.source} instead.")
    eval_grid = [*source_config.evaluate.noise, *(noise.parse(text) for text in (train_noise, *eval_noises))]
    overrides = {
        "train_noise": train_noise,
        "steps": steps,
        "source": f"{source_config.study}/{source.name}",
        "evaluate.noise": [str(eval_noise) for eval_noise in dict.fromkeys(eval_grid)],
        "evaluate.episodes": episodes or source_config.evaluate.episodes,
    }
    run = ablate.apply(config.apply_changes(source_config, overrides, where), ablate.parse(ABLATION), where)
    config.refuse_labels(changes or {}, f"{where}, set")
    run = config.apply_changes(run, {**(changes or {})}, f"{where}, set")
    study.check_run(run, where)
    ablation = ABLATION if source_config.ablation == "none" else f"{source_config.ablation}+{ABLATION}"
    return config.apply_changes(run, {"ablation": ablation}, where)


def load_source_weights(agent: Agent, source: Path) -> None:
    """Give a fresh agent the weights of the run in `source`. RunFailed where they are gone or do not fit."""
    try:
        source_config = config.parse(RunDir(source).config, str(source))
        trained = checkpoint.load_trained(source / "checkpoint", source_config.steps, source_config.digest)
        agent.load_weights(trained.arrays["agent"])
    except (BadInput, ValueError) as error:
        raise RunFailed(f"Cannot start with the weights of {source}: {error}") from None
