"""No replay critic: the critic learns from imagined returns only. Source: Hafner et al., Nature 2025, Methods."""

CHANGES = {"agent.replay_value.weight": 0.0}
INVARIANT = ("act", "loss/[!t]*", "grad/dyn", "grad/rep", "grad/recon_*", "grad/policy", "grad/value")
