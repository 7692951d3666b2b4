"""Adam with one global clip instead of LaProp with a clip per tensor, at the same learning rate.

Source: Hafner et al., arXiv:2301.04104, first version (2023).
"""

CHANGES = {"agent.optimizer": {"kind": "adam", "eps": 1e-08, "clip": {"kind": "global_norm"}}}
INVARIANT = ("act", "loss/*", "grad/*")
