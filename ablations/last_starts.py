"""Imagination starts from the last four states of each sequence only. Source: danijar/dreamerv3 e3f0224, imag_last."""

CHANGES = {"agent.starts": {"kind": "last", "count": 4}}
INVARIANT = ("act", "loss/dyn", "loss/rep", "loss/recon_*", "loss/reward", "loss/cont")
