"""The switchable parts of the agent: one slot per file, its alternatives side by side."""
