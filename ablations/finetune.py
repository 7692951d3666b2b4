"""Encoder only: all other weights are frozen, and the encoder learns from reward and KL, for changed observations.

Meant for a run that begins with another run's weights: `dreamproof adapt RUN --noise N`. Source: Zhu et al., RePo
(arXiv:2309.00082), test-time adaptation with rewards.
"""

CHANGES = {
    "agent.trained": {"kind": "encoder"},
    "agent.kl": {"kind": "repo", "split": "plain"},
    "agent.recon_grad": {"kind": "stop"},
    "agent.repval_grad": {"kind": "stop"},
    "agent.weights.cont": 0.0,
}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
