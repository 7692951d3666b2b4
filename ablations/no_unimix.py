"""No unimix: latent and action distributions are plain softmaxes, so a probability may reach zero. Source: arXiv:2301.04104.

The KL is then unbounded.
"""

COMPONENTS = ("no_latent_unimix", "no_actor_unimix")
