"""No reward gradient: the reward head reads the representation and does not shape it.

Source: Hafner et al., Nature 2025, Fig. 6 (one half of an arm).
"""

CHANGES = {"agent.reward_grad": {"kind": "stop"}}
INVARIANT = (
    "act",
    "loss/*",
    "grad/dyn",
    "grad/rep",
    "grad/recon_*",
    "grad/cont",
    "grad/policy",
    "grad/value",
    "grad/replay_value",
)
