"""The critic predicts normalised returns: running mean and standard deviation. Source: danijar/dreamerv3, valnorm."""

CHANGES = {"agent.value_norm": {"kind": "meanstd"}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont")
