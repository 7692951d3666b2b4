"""Reward and value as single numbers, squared error in symlog space. Source: Hafner et al., arXiv:2301.04104, eq. 2."""

CHANGES = {"agent.reward": {"kind": "symlog_mse"}, "agent.value": {"kind": "symlog_mse"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/cont")
