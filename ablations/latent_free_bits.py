"""Free bits of each latent: every categorical's KL is clipped at one nat before summing. Source: weipu-zhang/STORM #12.

The floor is then as many nats as there are latents: a pitfall of several ports.
"""

CHANGES = {"agent.kl.stage": "latent"}
INVARIANT = (
    "act",
    "loss/recon_*",
    "loss/reward",
    "loss/cont",
    "loss/policy",
    "loss/value",
    "loss/replay_value",
    "grad/policy",
    "grad/value",
)
