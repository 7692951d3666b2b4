"""Decoder-free: nothing is reconstructed and there is no decoder. Source: Burchi and Timofte, arXiv:2405.15083 (MuDreamer)."""

CHANGES = {"agent.reconstruction": {"kind": "none"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
