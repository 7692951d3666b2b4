"""No online queue: replayed sequences are drawn uniformly, fresh ones get no priority. Source: danijar/dreamerv3 e3f0224."""

CHANGES = {"replay.online": False}
INVARIANT = ("act", "loss/*", "grad/*", "step", "weights")
