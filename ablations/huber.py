"""No symexp two-hot: reward and value are single numbers fitted with a Huber loss (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. The loss is sqrt(error^2 + 1) -
1 on the raw scale; output weights still start at zero. Source: Hafner et al., Nature 2025, Fig. 6.
"""

CHANGES = {"agent.reward": {"kind": "huber"}, "agent.value": {"kind": "huber"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/cont")
