"""Free bits of each latent: every categorical's KL is clipped at one nat before summing. Source: weipu-zhang/STORM #12.

The floor of the sum is then as many nats as there are latents. Several ports do so by mistake.
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
