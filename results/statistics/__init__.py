"""Aggregates, contrasts and components of scores, on numpy arrays; nothing here knows where scores come from."""
