"""RePo with its guard-rails off: V3's free bits keep the target out of reach, and nothing bounds beta.

This documents a failure; it is not meant for training. The decoder's gradient keeps the KL near the free nats. So the
violation never ends, and beta grows by all of its e-folds (docs/repo.md). Source: the founding study's failed port.
"""

CHANGES = {
    "agent.kl": {
        "kind": "repo",
        "target": 0.5,
        "idle_below": 1.0,
        "guarded": False,
        "ceiling": 1e30,
        "warmup": 0,
        "mask_first": False,
        "dual": {"kind": "adam", "e_folds": 60.0},
    },
}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
