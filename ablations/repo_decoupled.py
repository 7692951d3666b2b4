"""RePo, decoupled: the prior follows the posterior with weight 1; beta weighs the posterior's term alone.

With beta near its floor the dynamics still learn. Source: agents/dreamer/parts/bottleneck.py.
"""

CHANGES = {
    "agent.kl": {"kind": "repo", "split": "decoupled"},
    "agent.recon_grad": {"kind": "stop"},
    "agent.repval_grad": {"kind": "stop"},
}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
