"""Defaults of runs and studies. It imports nothing, because help texts show these values too."""

AGENT = "dreamer"
PRESET = "v3"
SIZE = "12m"
