"""Run directories -> tidy tables, and the cache that makes the second reading fast."""
