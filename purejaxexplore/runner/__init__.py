"""Runs algorithms: seeds, devices, checkpoints, sweeps and stored results."""

from purejaxexplore.runner.results import Runs
from purejaxexplore.runner.run import run
from purejaxexplore.runner.sweep import load, sweep

__all__ = ["Runs", "load", "run", "sweep"]
