"""What runs: configuration, simulators, noise, the loop, checkpoints, evaluation. Knows agents only by their protocol."""
