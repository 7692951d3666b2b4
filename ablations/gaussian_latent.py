"""Gaussian latents: as many normal variables as the base has categorical ones.

Source: Hafner et al., arXiv:1912.01603; RePo, arXiv:2309.00082.
"""

CHANGES = {"agent.latent": {"kind": "gaussian"}}
