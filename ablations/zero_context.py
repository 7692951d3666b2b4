"""Replayed sequences begin from a zero state instead of the stored latent state. Source: danijar/dreamerv3 #164 (2023)."""

CHANGES = {"agent.replay_context": {"kind": "zeros"}}
INVARIANT = ("act",)
