"""Reward and value as single numbers, squared error on the raw scale. Source: Hafner et al., arXiv:2010.02193 (DreamerV2)."""

CHANGES = {"agent.reward": {"kind": "mse"}, "agent.value": {"kind": "mse"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/cont")
