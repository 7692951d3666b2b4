"""Returns are divided by their running standard deviation. Source: Hafner et al., arXiv:2301.04104, appendix."""

CHANGES = {"agent.return_scale": {"kind": "std", "limit": 1e-08}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont", "loss/value", "loss/replay_value")
