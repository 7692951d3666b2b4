"""Slow target: returns bootstrap from the slow critic, which is no regulariser.

Source: Hafner et al., arXiv:2010.02193 (DreamerV2).
"""

CHANGES = {"agent.slow_critic": {"kind": "target"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont")
