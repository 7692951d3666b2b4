"""Without all: no observation symlog, return normalisation, two-hot, KL balance or free bits (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. It is no_obs_symlog,
advantage_norm, huber and no_kl_balance_free_bits together. Source: Hafner et al., Nature 2025, Fig. 6.
"""

CHANGES = {
    "agent.squash": {"kind": "identity"},
    "agent.return_scale": {"kind": "none"},
    "agent.advantage": {"kind": "meanstd"},
    "agent.reward": {"kind": "huber"},
    "agent.value": {"kind": "huber"},
    "agent.kl.free_nats": 0.0,
    "agent.kl.dyn": 1.0,
    "agent.kl.rep": 1.0,
}
