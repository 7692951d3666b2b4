"""No slow critic: the critic fits the returns alone and bootstraps from itself. Source: Hafner et al., Nature 2025, Methods."""

CHANGES = {"agent.slow_critic.weight": 0.0}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy")
