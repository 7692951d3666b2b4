"""Free bits of the batch: the KL is clipped after averaging over the batch, not per step.

Source: Hafner et al., arXiv:2010.02193 (DreamerV2).
"""

CHANGES = {"agent.kl.stage": "batch"}
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
