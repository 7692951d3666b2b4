"""No KL balance and no free bits: both weights are 0.55, which keeps their sum (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. The second reading of
no_kl_balance_free_bits. Source: Hafner et al., Nature 2025, Fig. 6.
"""

CHANGES = {"agent.kl.free_nats": 0.0, "agent.kl.dyn": 0.55, "agent.kl.rep": 0.55}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
