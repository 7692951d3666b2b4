"""No limit of the return scale: small returns are scaled up too. Source: Hafner et al., Nature 2025, eq. 7 (max with 1)."""

CHANGES = {"agent.return_scale.limit": 1e-08}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont", "loss/value", "loss/replay_value")
