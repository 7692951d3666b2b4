"""Exact numbers of optimised weights: every size and task of the published table, counted on the meta device."""

from __future__ import annotations

import pytest
import torch

from agents.dreamer.build import build_modules, trainable_parameters
from agents.dreamer.config import SIZES, Config
from agents.protocol import Space, Spec


def image(size: int, channels: int) -> dict[str, Space]:
    return {"image": Space((size, size, channels), "uint8")}


def discrete(classes: int) -> Space:
    return Space((), "int32", classes)


CONTINUOUS = Space((6,), "float32")
TASKS = {
    "crafter": Spec(image(64, 3), discrete(17)),
    "dmc_vision": Spec(image(64, 3), CONTINUOUS),
    "atari": Spec(image(96, 1), discrete(18)),
    "walker": Spec(
        {k: Space(s, "float32") for k, s in {"height": (), "orientations": (14,), "velocity": (9,)}.items()}, CONTINUOUS
    ),
    "atari100k": Spec(image(64, 3), discrete(18)),
}

# size: encoder, dynamics, decoder, reward, continue, policy, value, then totals by task
TABLE = {
    "1m": (14304, 377408, 80595, 57663, 41153, 50641, 66111, 687875, 686846, 769762, 640867),
    "12m": (220416, 5982464, 1272003, 721407, 656129, 792337, 853503, 10498259, 10494158, 11808850, 9738019),
    "25m": (493824, 13446528, 2857635, 1573503, 1475713, 1778321, 1869951, 23495475, 23489326, 26444402, 21782947),
    "50m": (876032, 23892480, 5076355, 2753279, 2622977, 3157521, 3279615, 41658259, 41650062, 46900882, 38612003),
    "100m": (1966848, 53730048, 11413059, 6095871, 5900545, 7095569, 7278591, 93480531, 93468238, 105276626, 86622499),
    "200m": (
        *(3492864, 95495168, 20282115, 10749183, 10488833, 12606481, 12850431),
        *(165965075, 165948686, 186936082, 153769507),
    ),
    "400m": (
        *(7850496, 214808064, 45617283, 23987967, 23597569, 28346897, 28712703),
        *(372920979, 372896398, 420106130, 345473059),
    ),
}
PARTS = ("world.encoder", "world.rssm", "world.decoder", "world.reward", "world.cont", "behavior.actor", "behavior.critic")


def sized(size: str) -> Config:
    """The default configuration with a size's changes."""
    config = Config().model_dump()
    for path, value in SIZES[size].items():
        *outer, leaf = path.split(".")[1:]
        place = config
        for key in outer:
            place = place[key]
        place[leaf] = value
    return Config.model_validate(config)


def counts(size: str, task: str) -> dict[str, int]:
    with torch.device("meta"):
        named = trainable_parameters(*build_modules(sized(size), TASKS[task]))
    return {name: p.numel() for name, p in named.items()}


@pytest.mark.parametrize("size", TABLE)
def test_every_component(size):
    weights = counts(size, "crafter")
    assert tuple(sum(n for name, n in weights.items() if name.startswith(p + ".")) for p in PARTS) == TABLE[size][:7]


@pytest.mark.parametrize("size", TABLE)
@pytest.mark.parametrize(("column", "task"), list(enumerate(["crafter", "dmc_vision", "atari", "walker"], 7)))
def test_every_total(size, column, task):
    assert sum(counts(size, task).values()) == TABLE[size][column]


def test_the_count_printed_by_the_official_code_for_atari100k():
    assert sum(counts("1m", "atari100k").values()) == 688004


def test_recurrent_layers_by_their_closed_form():
    """Hidden layer D (D/8 + 3 hidden) + 2D with its norm, gates 3D^2/8 + 3D; 12M: 2,101,248 and 1,579,008."""
    weights, D, hidden = counts("12m", "crafter"), 2048, 256
    core = "world.rssm.core."
    inner = sum(n for name, n in weights.items() if name.startswith((core + "hidden.", core + "hidden_norm.")))
    gates = sum(n for name, n in weights.items() if name.startswith(core + "gates."))
    assert inner == D * (D // 8 + 3 * hidden) + 2 * D == 2101248
    assert gates == 3 * D * D // 8 + 3 * D == 1579008
