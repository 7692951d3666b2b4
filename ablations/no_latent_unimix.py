"""No unimix in the latent state: posterior and prior are plain softmaxes and the KL is unbounded.

Source: Hafner et al., arXiv:2301.04104.
"""

CHANGES = {"agent.latent.unimix": 0.0}
