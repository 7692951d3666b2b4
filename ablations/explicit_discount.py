"""Explicit discount: the continue head learns hard ends, the discount is multiplied on.

Source: Hafner et al., arXiv:2301.04104, first version (2023).
"""

CHANGES = {"agent.discount": {"kind": "explicit"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward")
