"""Without all: no observation symlog, return normalisation, two-hot, KL balance or free bits (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text.
Source: Hafner et al., Nature 2025, Fig. 6.
"""

COMPONENTS = ("no_obs_symlog", "advantage_norm", "huber", "no_kl_balance_free_bits")
