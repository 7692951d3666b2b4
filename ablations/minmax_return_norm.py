"""Returns are divided by their whole range instead of the range between two percentiles.

Source: Hafner et al., arXiv:2301.04104, appendix.
"""

CHANGES = {"agent.return_scale.low": 0.0, "agent.return_scale.high": 100.0}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont", "loss/value", "loss/replay_value")
