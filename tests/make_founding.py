"""The founding study's stored results from truth.json: `python tests/make_founding.py` writes results/stored/founding*.

Twelve possible scores per cell (truth.json: consistent with each published mean and half width), of one trained model per
training noise, as runs; and the published table itself, as means.
"""

import csv
import tempfile
from pathlib import Path

from published import truth

from results import exporters, importers
from results.importers._run import ImportOptions

STORED = Path(__file__).parent.parent / "results" / "stored"
NOISES = {0: "clean", 10: "gaussian:sigma=10", 20: "gaussian:sigma=20"}
OF_RUN = {"study": "founding", "task": "atari100k/asterix", "method": "dreamer", "seed": 0, "steps": 100_000}


def episodes():
    """Rows of the plain table of docs/results-of-others.md."""
    for cell in truth()["asterix_noise_table"]["cells"]:
        of_cell = OF_RUN | {"train_noise": NOISES[cell["train"]], "noise": NOISES[cell["test"]], "split": "eval"}
        for episode, score in enumerate(cell["example_sample_consistent"]):
            yield of_cell | {"step": 100_000, "frames": 400_000, "episode": episode, "return": score}


def means():
    """Rows of a table of means, as `dreamproof check` reads it."""
    table = truth()["asterix_noise_table"]
    for cell in table["cells"]:
        names = {"trained": NOISES[cell["train"]], "tested": NOISES[cell["test"]]}
        numbers = {"mean": f"{cell['mean']:.2f}", "half_width": f"{cell['half_width_reported']:.2f}", "n": table["n"]}
        yield names | numbers | {"granularity": table["score_granularity"], "models": 1}


def write(path, rows):
    rows = list(rows)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make(folder):
    write(folder / "founding-means.csv", means())
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "founding.csv", episodes())
        importers.import_files("csv", [Path(name) / "founding.csv"], Path(name) / "runs", ImportOptions())
        exporters.export("stored", [Path(name) / "runs"], folder / "founding.csv.gz")


if __name__ == "__main__":
    make(STORED)
