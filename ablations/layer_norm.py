"""Layer norm instead of RMS norm. Source: Hafner et al., arXiv:2301.04104, first version (2023)."""

CHANGES = {"agent.norm": {"kind": "layer", "eps": 0.001}}
