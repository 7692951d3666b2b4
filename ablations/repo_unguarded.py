"""RePo with its guard-rails off: no ceiling on beta, 40 e-folds a run, Adam, no warm-up, masks or stopped decoder gradient.

A documented way to fail, not to train: with a target that the decoder's gradient keeps out of reach, beta grows without
end (docs/repo.md). Source: the founding study's failed port.
"""

CHANGES = {
    "agent.kl": {
        "kind": "repo",
        "target": 0.1,
        "ceiling": 1e30,
        "warmup": 0,
        "mask_first": False,
        "dual": {"kind": "adam", "e_folds": 40.0},
    },
}
KEEPS = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
