"""Feedback graphs, ``bool[K, K]``: playing i shows the values of all j with ``graph[i, j]``.

Any of them is the ``feedback`` of :func:`purejaxexplore.envs.bandits.bernoulli` and of the adversaries.
"""

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.stochastic import bernoulli
from purejaxexplore.envs.bandits.world import World


def star_graph(num_arms: int) -> np.ndarray:
    """Every arm shows itself; the last one, the revealer, shows all."""
    require_at_least(2, num_arms=num_arms)
    graph = np.eye(num_arms, dtype=bool)
    graph[-1] = True
    return graph


def clique_graph(num_cliques: int, size: int) -> np.ndarray:
    """Groups of arms that show each other, and nobody else; the number of groups is the independence number."""
    require_at_least(1, num_cliques=num_cliques, size=size)
    return np.kron(np.eye(num_cliques, dtype=bool), np.ones((size, size), bool))


def random_graph(num_arms: int, chance: float, *, seed: int = 0) -> np.ndarray:
    """Every arm shows itself and each other arm with probability ``chance``; the same graph for the same seed."""
    require_at_least(2, num_arms=num_arms)
    require_between(0.0, 1.0, chance=chance)
    return (np.random.default_rng(seed).random((num_arms, num_arms)) < chance) | np.eye(num_arms, dtype=bool)


def revealing_star(num_arms: int, *, gap: float = 0.25, horizon: int | None = None) -> World:
    """Arms of reward 1/2, one of them, drawn for every seed, better by ``gap``, and a revealer that never pays.

    The ``num_arms - 1`` arms show themselves alone and the last arm shows all, :func:`star_graph`.

    Raises:
        ValueError: fewer than two arms, or ``gap`` outside [0, 1/2].
    """
    require_between(0.0, 0.5, gap=gap)

    def draw(key):
        good = jax.random.randint(key, (), 0, num_arms - 1)
        arms = jnp.arange(num_arms)
        return jnp.where(arms == num_arms - 1, 0.0, jnp.where(arms == good, 0.5 + gap, 0.5))

    return bernoulli(draw, feedback=star_graph(num_arms), horizon=horizon)
