"""Gumbel straight-through gradient at temperature 1. Source: Jang et al., arXiv:1611.01144; danijar/dreamerv2 #37."""

CHANGES = {"agent.latent.estimator": {"kind": "gumbel"}}
