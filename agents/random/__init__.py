"""The agent that ignores everything: the protocol's reference implementation."""
