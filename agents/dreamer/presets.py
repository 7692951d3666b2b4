"""Published versions of the algorithm as named diffs to the current one, each with what it cannot express.

A preset is an ordered mapping of dotted changes. Changes under the name of a suite or task apply to it alone. A preset sets
the algorithm, a size sets the widths: the sizes `2023-*` and `v2-*` belong to the older presets.
"""

from __future__ import annotations

from typing import Any

Changes = dict[str, Any]

# Published training ratios: replayed time steps per policy step.
DMC_2024: Changes = {"train.ratio": 512, "env.options.repeat": 2}

V3_2024: Changes = {"dmc": DMC_2024, "dmc_vision": DMC_2024}

# The article's text has another decay than its code, and its table another ratio.
V3_NATURE: Changes = {"agent.optimizer.beta2": 0.99, "atari100k": {"train.ratio": 128}}

_SYMLOG_TWOHOT: Changes = {"kind": "symlog_twohot"}
_BEFORE_2024: Changes = {
    "agent.multipliers": (1, 2, 4, 8),
    "agent.core": {"kind": "layer_norm_gru"},
    "agent.layers.prior": 1,
    "agent.actor.outscale": 1.0,
    "agent.replay_value.weight": 0.0,
    "agent.replay_context": {"kind": "zeros"},
    "replay.online": False,
}
_DYNAMICS_BACKPROP: Changes = {"agent.actor_grad": {"kind": "dynamics"}}  # continuous actions
_DMC_2023: Changes = DMC_2024 | _DYNAMICS_BACKPROP

V3_2023: Changes = _BEFORE_2024 | {
    "agent.norm": {"kind": "layer", "eps": 1e-3},
    "agent.kl.dyn": 0.5,
    "agent.kl.rep": 0.1,
    "agent.reward": _SYMLOG_TWOHOT,
    "agent.value": _SYMLOG_TWOHOT,
    "agent.discount": {"kind": "explicit", "steps": 333.0},
    "agent.optimizer": {
        "kind": "adam",
        "lr": 1e-4,
        "actor": 0.3,
        "critic": 0.3,
        "warmup": 0,
        "eps": 1e-8,
        "clip": {"kind": "global_norm", "limit": 1000.0},
    },
    "replay.capacity": 1_000_000,
    "atari": {"train.ratio": 64},
    "atari100k": {"train.ratio": 1024},
    "dmc": _DMC_2023,
    "dmc_vision": _DMC_2023,
}

_MSE: Changes = {"kind": "mse", "outscale": 1.0}
_V2: Changes = _BEFORE_2024 | {
    "agent.norm": {"kind": "none"},
    "agent.act": {"kind": "elu"},
    "agent.latent.unimix": 0.0,
    "agent.actor.unimix": 0.0,
    "agent.squash": {"kind": "identity"},
    "agent.reward": _MSE,
    "agent.value": _MSE,
    "agent.return_scale": {"kind": "none"},
    "agent.slow_critic": {"kind": "target", "rate": 0.02},
    "agent.weights.recon": 0.5,
    "agent.weights.reward": 0.5,
    "agent.weights.value": 0.5,
    "replay.capacity": 2_000_000,
    "train.batch_size": 50,
    "train.batch_length": 50,
}


def _older_adam(lr: float, actor: float, critic: float, eps: float = 1e-5) -> Changes:
    """The older versions' Adam, from their three published learning rates: world model, actor, critic."""
    rates = {"lr": lr, "actor": actor / lr, "critic": critic / lr, "warmup": 0}
    return {"kind": "adam", **rates, "eps": eps, "clip": {"kind": "global_norm", "limit": 100.0}}


V2_ATARI: Changes = _V2 | {
    "agent.kl.dyn": 0.08,
    "agent.kl.rep": 0.02,
    "agent.kl.free_nats": 0.0,
    "agent.discount.steps": 1000.0,
    "agent.weights.cont": 5.0,
    "agent.actor.entropy": 1e-3,
    "agent.reward_transform": {"kind": "tanh"},
    "agent.optimizer": _older_adam(2e-4, 4e-5, 1e-4),
    "train.ratio": 50 * 50 / 16,
    "train.start": 50_000,
}

_DMC_V2: Changes = {"env.options.repeat": 2} | _DYNAMICS_BACKPROP
V2_DMC: Changes = _V2 | {
    "agent.kl.dyn": 0.8,
    "agent.kl.rep": 0.2,
    "agent.kl.free_nats": 1.0,
    "agent.kl.stage": "batch",
    "agent.discount.steps": 100.0,
    "agent.actor.entropy": 1e-4,
    "agent.optimizer": _older_adam(3e-4, 8e-5, 8e-5),
    "train.ratio": 50 * 50 / 5,
    "train.start": 2500,
    "dmc": _DMC_V2,
    "dmc_vision": _DMC_V2,
}

REPO: Changes = {
    "agent.kl": {"kind": "repo"},
    "agent.recon_grad": {"kind": "stop"},
    "agent.repval_grad": {"kind": "stop"},
}

_DMC_REPO: Changes = {"env.options.repeat": 2}
REPO_FAITHFUL: Changes = _V2 | {
    "agent.latent": {"kind": "gaussian", "latents": 30},
    "agent.kl": {
        "kind": "repo",
        "init": 1e-5,
        "floor": 1e-10,
        "warmup": 0,
        "mask_first": False,
        "dual": {"kind": "adam"},
    },
    "agent.recon_grad": {"kind": "stop"},
    "agent.slow_critic": {"kind": "regularizer", "weight": 0.0},
    "agent.discount": {"kind": "explicit", "steps": 100.0},
    "agent.actor.entropy": 0.0,
    "agent.actor_grad": {"kind": "dynamics"},
    "agent.optimizer": _older_adam(3e-4, 8e-5, 8e-5, eps=1e-8),
    "replay.capacity": 1_000_000,
    "train.ratio": 50 * 50 * 100 / 500,
    "train.start": 2500,
    "dmc": _DMC_REPO,
    "dmc_vision": _DMC_REPO,
}

PRESETS: dict[str, Changes] = {
    "v3": {},
    "v3-2024": V3_2024,
    "v3-nature": V3_NATURE,
    "v3-2023": V3_2023,
    "v2-atari": V2_ATARI,
    "v2-dmc": V2_DMC,
    "repo": REPO,
    "repo-faithful": REPO_FAITHFUL,
}

_SUITES = "Environment protocols (sticky actions, action sets, image sizes, budgets) are the suites' own, not the version's."
_NETWORKS = (
    "Convolutions are 5x5 with pooling, not 4x4 with stride 2; linear layers before a norm have a bias; the first state is "
    "zeros; weights start with fan-in variance; training starts without random actions."
)

NOTES: dict[str, str] = {
    "v3": "The official code of 2026-05 (e3f0224), except 1 % uniform mixture in the discrete policy, as in the paper.",
    "v3-2024": "The official code of 2024-07 (251910d), arXiv:2301.04104v2. Not expressed: the extra full-resolution stage and "
    f"strides of the encoder; the first imagined reward and continuation come from the model, not the data. {_SUITES}",
    "v3-nature": "The article, Nature 2025: beta2 0.99 as in its text, ratio 128 on Atari-100k as in its table. Not expressed: "
    f"convolutions with stride 2; strict comparison in the two-hot; factor 1/2 of the symlog loss. {_SUITES}",
    "v3-2023": "The first version (8fa35f8), arXiv:2301.04104v1; sizes 2023-xs to 2023-xl are its own. Actor gradient through "
    "the dynamics on continuous tasks. Not expressed: continuation as 0 or 1; gradients clipped to norm 1000 for model and "
    f"100 for actor and critic apart (here 1000 together); Adam's eps 1e-5 for actor and critic. {_NETWORKS} {_SUITES}",
    "v2-atari": "DreamerV2 on Atari, arXiv:2010.02193; size v2-atari is its own. Not expressed: a hard copy of the critic "
    "every 100 updates (here an average that lags by as much); weight decay 1e-6; clip 100 for each network apart; reward on "
    f"arrival, where the original pairs it one step earlier; pixels without sigmoid; grey images. {_NETWORKS} {_SUITES}",
    "repo": "RePo on DreamerV3: the ablation `repo` as a base, so that other ablations can change it.",
    "repo-faithful": "RePo as published (arXiv:2309.00082; its code, c6c813f) on pixels with continuous actions; size "
    "repo-faithful is its own. Not expressed: pixels and rewards as unit-variance Gaussians only up to their constant; "
    "reconstruction masked at terminal steps; the GRU without norm; actions of one network with exploration noise (here a "
    "bounded normal); no continue head (here one that learns the constant discount); beta without bounds (here above "
    f"1e-10, below 10, neither in reach of its rate). {_NETWORKS} {_SUITES}",
    "v2-dmc": "DreamerV2 on control tasks, arXiv:2010.02193; size v2-dmc is its own. Not expressed, beside what v2-atari "
    "lists: no continue head (here one that learns the constant discount); 100 updates before the first step; truncated "
    f"normal policy (here a bounded normal). {_NETWORKS} {_SUITES}",
}
