"""No unimix in the policy: the official code since 2024. Source: danijar/dreamerv3 e3f0224, where the setting is not read."""

CHANGES = {"agent.actor.unimix": 0.0}
SCOPE = "discrete"
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont")
