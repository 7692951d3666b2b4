"""Gaussian latents: as many normal variables as there were categoricals.

Source: Hafner et al., arXiv:1912.01603; RePo, arXiv:2309.00082.
"""

CHANGES = {"agent.latent": {"kind": "gaussian"}}
