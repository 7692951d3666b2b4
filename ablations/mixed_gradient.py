"""Actor gradient half score function, half dynamics. Source: Hafner et al., arXiv:2010.02193 (DreamerV2)."""

CHANGES = {"agent.actor_grad": {"kind": "mix"}}
INVARIANT = ("act", "loss/[!pt]*", "grad/value")
