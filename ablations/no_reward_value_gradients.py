"""No reward and value gradients: the representation is shaped without rewards (reconstructed arm).

The original configuration was never published; this is a reconstruction from the text. The continue head keeps its
gradient, as in the code. Source: Hafner et al., Nature 2025, Fig. 6.
"""

COMPONENTS = ("no_reward_gradient", "no_replay_value_gradient")
INVARIANT = ("act", "loss/*", "grad/dyn", "grad/rep", "grad/recon_*", "grad/cont", "grad/policy", "grad/value")
