"""Aggregates, contrasts and components of scores, on numpy arrays; this package knows nothing of runs."""
