"""No gradient through samples: it passes through time in the deterministic state alone.

Source: Hafner et al., arXiv:2010.02193 (ablation).
"""

CHANGES = {"agent.latent.estimator": {"kind": "none"}}
INVARIANT = ("act", "loss/*", "grad/policy", "grad/value")
