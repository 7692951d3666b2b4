"""The random agent, which ignores all observations: the reference implementation of the protocol."""
