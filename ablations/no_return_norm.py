"""No return normalisation: the scale is exactly 1, without a replacement. Source: Hafner et al., Nature 2025, eqs. 7, 8.

The paper's own arm normalises advantages instead: advantage_norm.
"""

CHANGES = {"agent.return_scale": {"kind": "none"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont", "loss/value", "loss/replay_value")
