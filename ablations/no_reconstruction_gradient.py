"""No reconstruction gradient: the decoder is trained and shapes nothing but itself (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. Source: Hafner et al., Nature
2025, Fig. 6.
"""

CHANGES = {"agent.recon_grad": {"kind": "stop"}}
INVARIANT = (
    "act",
    "loss/*",
    "grad/dyn",
    "grad/rep",
    "grad/reward",
    "grad/cont",
    "grad/policy",
    "grad/value",
    "grad/replay_value",
)
