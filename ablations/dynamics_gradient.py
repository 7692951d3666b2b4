"""Actor gradient through the imagined dynamics.

Source: Hafner et al., arXiv:1912.01603; Hafner et al., arXiv:2301.04104 (2023, continuous actions).
"""

CHANGES = {"agent.actor_grad": {"kind": "dynamics"}}
INVARIANT = ("act", "loss/[!pt]*", "grad/value")
