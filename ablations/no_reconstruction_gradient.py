"""No reconstruction gradient: the decoder learns, but does not shape the representation (reconstructed arm).

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
