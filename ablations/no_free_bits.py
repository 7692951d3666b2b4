"""No free bits: the KL terms keep their gradient below one nat. Source: Hafner et al., arXiv:2301.04104."""

CHANGES = {"agent.kl.free_nats": 0.0}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
