"""Where an experiment writes what."""

import dataclasses
import sys
from pathlib import Path

import pytest

from purejaxexplore.analysis import arguments


@dataclasses.dataclass(frozen=True)
class Args:
    """An experiment."""

    seeds: int = 30
    smoke: bool = False
    results: Path = Path("experiments/results")


@pytest.mark.parametrize(
    "words, seeds, results",
    [
        ([], 30, "experiments/results"),
        (["--seeds", "3"], 3, "experiments/results"),
        (["--smoke"], 30, "runs/smoke"),
        (["--smoke", "--results", "elsewhere"], 30, "elsewhere"),
        (["--results", "elsewhere"], 30, "elsewhere"),
    ],
)
def test_a_smoke_run_leaves_the_judged_results_alone(monkeypatch, words, seeds, results):
    monkeypatch.setattr(sys, "argv", ["experiment.py", *words])
    assert arguments(Args) == Args(seeds, "--smoke" in words, Path(results))
