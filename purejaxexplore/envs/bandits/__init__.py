"""Bandit worlds, one interface for all of them: :mod:`purejaxexplore.envs.bandits.world`."""

from purejaxexplore.envs.bandits.stochastic import bandit_bench, bernoulli, gaussian, shuffled, uniform_means
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World

__all__ = [
    "Feedback", "Observation", "Spec", "World", "bandit_bench", "bernoulli", "gaussian", "shuffled", "uniform_means",
]  # fmt: skip
