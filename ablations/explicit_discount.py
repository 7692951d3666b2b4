"""Explicit discount: the continue head predicts real ends only, and its output is multiplied by the discount.

Source: Hafner et al., arXiv:2301.04104, first version (2023).
"""

CHANGES = {"agent.discount": {"kind": "explicit"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward")
