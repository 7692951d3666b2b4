"""No zero initialisation: reward head and critic start with random output weights. Source: Hafner et al., arXiv:2301.04104."""

CHANGES = {"agent.reward.outscale": 1.0, "agent.value.outscale": 1.0}
INVARIANT = ("act", "loss/*", "grad/*", "step", "replay")
