"""KL balance 0.8 at scale 1, as in DreamerV2: dyn 0.8, rep 0.2, free bits kept. Source: Hafner et al., arXiv:2010.02193."""

CHANGES = {"agent.kl.dyn": 0.8, "agent.kl.rep": 0.2}
INVARIANT = ("act", "loss/[!t]*", "grad/policy", "grad/value")
