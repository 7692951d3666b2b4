"""The agent learns from the tanh of rewards; reported returns are raw.

Source: Hafner et al., arXiv:2010.02193 (DreamerV2, Atari).
"""

CHANGES = {"agent.reward_transform": {"kind": "tanh"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/cont", "loss/policy", "loss/value")
