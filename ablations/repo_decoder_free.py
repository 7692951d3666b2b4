"""RePo without the decoder, which only probes: the same learning in less time, without reconstructions.

Source: Zhu et al., RePo (arXiv:2309.00082): the decoder shapes nothing.
"""

CHANGES = {
    "agent.kl": {"kind": "repo"},
    "agent.reconstruction": {"kind": "none"},
    "agent.repval_grad": {"kind": "stop"},
}
INVARIANT = ("act", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
