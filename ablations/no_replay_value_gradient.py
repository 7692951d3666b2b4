"""No value gradient: the critic on the replay does not shape the representation.

Source: Hafner et al., Nature 2025, Fig. 6 (one half of an arm).
"""

CHANGES = {"agent.repval_grad": {"kind": "stop"}}
INVARIANT = ("act", "loss/*", "grad/dyn", "grad/rep", "grad/recon_*", "grad/reward", "grad/cont", "grad/policy", "grad/value")
