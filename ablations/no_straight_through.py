"""No gradient through samples: the deterministic state alone carries it through time.

Source: Hafner et al., arXiv:2010.02193 (ablation).
"""

CHANGES = {"agent.latent.estimator": {"kind": "none"}}
INVARIANT = ("act", "loss/*", "grad/policy", "grad/value")
