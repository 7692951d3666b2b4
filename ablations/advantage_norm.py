"""No return normalisation, advantages are normalised instead: the paper's "No retnorm" (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. Mean and standard deviation are
running averages at rate 0.01, debiased. Source: Hafner et al., Nature 2025, Fig. 6.
"""

CHANGES = {"agent.return_scale": {"kind": "none"}, "agent.advantage": {"kind": "meanstd"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont", "loss/value", "loss/replay_value")
