"""What bandits are used for, as worlds: each application with the difficulty that it is known for.

The uses are those of surveys such as Bouneffouf, Rish and Aggarwal (2020), "Survey on applications of multi-armed and
contextual bandits"; sizes and numbers are ours, small enough for a test.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from purejaxexplore.checks import choice
from purejaxexplore.envs.bandits.changing import piecewise
from purejaxexplore.envs.bandits.combinatorial import combinatorial, grid_paths
from purejaxexplore.envs.bandits.contextual import low_rank
from purejaxexplore.envs.bandits.graphs import random_graph
from purejaxexplore.envs.bandits.knapsack import pricing
from purejaxexplore.envs.bandits.learning_curves import learning_curves
from purejaxexplore.envs.bandits.payments import with_missing_arms
from purejaxexplore.envs.bandits.stochastic import bernoulli, uniform_means
from purejaxexplore.envs.bandits.world import World


class Application(NamedTuple):
    """``make``: builds the world; ``difficulty``: what a policy has to cope with there."""

    make: Callable[[], World]
    difficulty: str


APPLICATIONS = {
    "clinical_trial": Application(
        lambda: bernoulli((0.45, 0.3, 0.3), horizon=500),
        "few patients: those treated worse count, and the power of the comparison in the end",
    ),
    "recommendation": Application(
        lambda: with_missing_arms(low_rank(10, 5, horizon=1_000), 0.2),
        "tastes differ from user to user, and not every item can be shown",
    ),
    "routing": Application(
        lambda: combinatorial(uniform_means(40), grid_paths(5, 5), horizon=2_000),
        "70 paths share 40 streets; add delays by bandits.randomly_delayed",
    ),
    "dynamic_pricing": Application(
        lambda: pricing(np.linspace(0.1, 1.0, 10), np.linspace(0.95, 0.05, 10), budget=300, horizon=2_000),
        "a stock that ends: the best price is a mixture of two",
    ),
    "hyperparameter_search": Application(
        lambda: learning_curves(16, horizon=640),
        "what trains slowly may be best in the end",
    ),
    "anomaly_detection": Application(
        lambda: bernoulli(uniform_means(20, 0.0, 0.3), feedback=random_graph(20, 0.2), horizon=2_000),
        "looking at one node shows its neighbours as well",
    ),
    "dialogue": Application(
        lambda: piecewise(5, 10_000, 4),
        "what users want changes without notice",
    ),
}
"""Name -> application."""


def application(name: str) -> World:
    """The world of an application, one of ``APPLICATIONS``.

    Raises:
        ValueError: an unknown name.
    """
    choice("name", name, tuple(APPLICATIONS))
    return APPLICATIONS[name].make()
