"""No unimix: latent and action distributions are plain softmaxes, so a probability may reach zero. Source: arXiv:2301.04104.

The KL is then unbounded.
"""

CHANGES = {"agent.latent.unimix": 0.0, "agent.actor.unimix": 0.0}
