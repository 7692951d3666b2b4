"""The worked examples in the docstrings of dense numpy: each is run, and its numbers are those that the code gives."""

import doctest
import importlib

import pytest

MODULES = [f"results.statistics.{name}" for name in ("aggregates", "components", "contrasts", "grim", "improvement")]
MODULES += [f"results.statistics.{name}" for name in ("intervals", "jackknife", "strata")]
MODULES += ["results.scoring.estimates", "results.analyses.measures"]


@pytest.mark.parametrize("name", MODULES)
def test_worked_examples(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted and not outcome.failed
