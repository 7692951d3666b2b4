"""Dense GRU with layer norm before its gates. Source: Hafner et al., arXiv:2301.04104, first version (2023)."""

CHANGES = {"agent.core": {"kind": "layer_norm_gru"}}
