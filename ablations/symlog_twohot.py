"""Symlog two-hot: bins evenly spaced in symlog space, the mean taken before symexp.

Source: Hafner et al., arXiv:2301.04104, first version (2023).
"""

CHANGES = {"agent.reward": {"kind": "symlog_twohot"}, "agent.value": {"kind": "symlog_twohot"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/cont")
