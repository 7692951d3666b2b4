"""RePo whose representation is shaped by the replayed values too, as DreamerV3's is.

Source: agents/dreamer/behavior.py, docs/repo.md.
"""

CHANGES = {"agent.kl": {"kind": "repo"}, "agent.recon_grad": {"kind": "stop"}}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
