"""No KL balance and no free bits: one plain KL of weight 1 (reconstructed arm). Source: Hafner et al., Nature 2025, Fig. 6.

The original configuration was never published; this is a reconstruction from the text. Both terms have weight 1, which
is the gradient of the unbalanced KL; see also no_kl_balance_free_bits_half.
"""

CHANGES = {"agent.kl.free_nats": 0.0, "agent.kl.dyn": 1.0, "agent.kl.rep": 1.0}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
