"""Bandit worlds, one interface for all of them: :mod:`purejaxexplore.envs.bandits.world`."""

from purejaxexplore.envs.bandits.adversarial import adversary, sinusoidal, switching, trap
from purejaxexplore.envs.bandits.changing import drifting, piecewise
from purejaxexplore.envs.bandits.contextual import classification, contextual, linear, low_rank, wheel
from purejaxexplore.envs.bandits.payments import logistic, with_missing_arms
from purejaxexplore.envs.bandits.stochastic import bandit_bench, bernoulli, gaussian, shuffled, uniform_means
from purejaxexplore.envs.bandits.tallying import improves_with_exposure, tallying
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World, rescaled

__all__ = [
    "Feedback", "Observation", "Spec", "World", "adversary", "bandit_bench", "bernoulli", "classification",
    "contextual", "drifting", "gaussian", "improves_with_exposure", "linear", "logistic", "low_rank", "piecewise",
    "rescaled", "shuffled", "sinusoidal", "switching", "tallying", "trap", "uniform_means", "wheel",
    "with_missing_arms",
]  # fmt: skip
