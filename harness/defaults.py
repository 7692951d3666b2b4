"""What a run or a study has where it does not say otherwise. No imports, because help texts show these values too."""

AGENT = "dreamer"
PRESET = "v3"
SIZE = "12m"
