"""Plain KL: one term of weight 1 that moves posterior and prior alike, free bits kept.

Source: Hafner et al., arXiv:1912.01603 (DreamerV1).
"""

CHANGES = {"agent.kl": {"kind": "plain"}}
INVARIANT = (
    "act",
    "loss/recon_*",
    "loss/reward",
    "loss/cont",
    "loss/policy",
    "loss/value",
    "loss/replay_value",
    "grad/policy",
    "grad/value",
)
