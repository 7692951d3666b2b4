"""RePo with the published dual: Adam on ln beta, which moves at its full rate even at a small violation.

Source: Zhu et al., RePo (arXiv:2309.00082), its code.
"""

CHANGES = {
    "agent.kl": {"kind": "repo", "dual": {"kind": "adam"}},
    "agent.recon_grad": {"kind": "stop"},
    "agent.repval_grad": {"kind": "stop"},
}
INVARIANT = ("act", "loss/recon_*", "loss/reward", "loss/cont", "loss/policy", "loss/value", "loss/replay_value")
