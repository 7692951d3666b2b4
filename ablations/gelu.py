"""GELU instead of SiLU. Source: Hendrycks and Gimpel, arXiv:1606.08415."""

CHANGES = {"agent.act": {"kind": "gelu"}}
