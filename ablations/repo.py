"""RePo: neither pixels nor values shape the representation, and the KL is held at 3 nats by a learned weight.

Reward and continuation alone decide what to represent. The decoder stays as a probe. The replayed values have no gradient
either, as in the original: bootstrapped targets drown the reward's gradient (docs/repo.md). Source: Zhu et al., RePo
(arXiv:2309.00082), on the DreamerV3 state space.
"""

CHANGES = {
    "agent.kl": {"kind": "repo"},
    "agent.recon_grad": {"kind": "stop"},
    "agent.repval_grad": {"kind": "stop"},
}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
