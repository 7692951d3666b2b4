"""No symlog anywhere: raw observations, reward and value fitted with squared error on the raw scale.

It acts on every task; no_obs_symlog changes the observations alone, symlog_mse and mse the two scalars. Source: Hafner
et al., arXiv:2301.04104, Sec. 3.
"""

COMPONENTS = ("no_obs_symlog", "mse")
