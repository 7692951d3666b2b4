"""RePo: no reconstruction gradient; the KL is held at 3 nats by a learned weight, so that only the task says what to keep.

The decoder stays as a probe that shapes nothing. Source: Zhu et al., RePo (arXiv:2309.00082), on the DreamerV3 state space.
"""

CHANGES = {"agent.kl": {"kind": "repo"}, "agent.recon_grad": {"kind": "stop"}}
KEEPS = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
