"""No norm between linear layers and activations. Source: Hafner et al., arXiv:2010.02193 (DreamerV2)."""

CHANGES = {"agent.norm": {"kind": "none"}}
