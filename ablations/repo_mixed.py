"""RePo with a tenth of the reconstruction gradient, for rewards that are too sparse to shape the representation alone.

Source: agents/dreamer/parts/gradients.py.
"""

CHANGES = {
    "agent.kl": {"kind": "repo"},
    "agent.recon_grad": {"kind": "share", "share": 0.1},
    "agent.repval_grad": {"kind": "stop"},
}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
