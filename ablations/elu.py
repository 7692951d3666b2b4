"""ELU instead of SiLU. Source: Hafner et al., arXiv:2010.02193 (DreamerV2)."""

CHANGES = {"agent.act": {"kind": "elu"}}
