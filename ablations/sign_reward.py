"""The agent learns from the sign of rewards; reported returns are raw. Source: Mnih et al., Nature 2015."""

CHANGES = {"agent.reward_transform": {"kind": "sign"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/cont", "loss/policy", "loss/value")
