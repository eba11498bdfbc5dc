"""Bandits with a budget: every pull may use some of a resource, and the world ends when it is used up.

Badanidiyuru, Kleinberg and Slivkins (2013), "Bandits with knapsacks". The regret of a round is what it lacks to the
value of the linear programme that knows all means (the best mixture of arms that spends the budget evenly), and with
the last unit or the last round come the rounds that are left: so the total is the programme's value over the whole
horizon less what was earned. It can be negative in between, and the total too, by chance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.mixtures import best_mixture
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec, World, require_spec, reveal_one, without_context


class KnapsackState(NamedTuple):
    """Attributes:
    left: f32[], of the budget.
    t: i32[], pulls.
    """

    left: jax.Array
    t: jax.Array


def pricing(prices, chances, *, budget: float, horizon: int) -> World:
    """Dynamic pricing: arm a asks ``prices[a]``, a customer buys with probability ``chances[a]``; a sale takes a unit.

    Args:
        prices: f32[K] in [0, 1]; the reward of a sale.
        chances: f32[K] in [0, 1]; the cost of a pull is 1 with this probability.
        budget: units, at least 1; the world is over when less than one is left.
        horizon: rounds, after which the world is over.

    Raises:
        ValueError: prices or chances outside [0, 1] or of different lengths, or a budget or horizon below 1.
    """
    prices, chances = np.asarray(prices, np.float32), np.asarray(chances, np.float32)
    require_between(0.0, 1.0, prices=prices, chances=chances)
    require_between(1.0, np.inf, budget=budget)
    require_at_least(1, horizon=horizon)
    if prices.ndim != 1 or prices.shape != chances.shape:
        raise ValueError(f"prices of shape {prices.shape}, chances of {chances.shape}: expected (K,) twice")
    spec = require_spec(Spec(len(prices), num_resources=1, stationary=False, horizon=horizon))
    prices, chances = jnp.asarray(prices), jnp.asarray(chances)
    means = prices * chances
    best = best_mixture(means, chances, budget / horizon).value

    def reset(key):
        return KnapsackState(jnp.float32(budget), jnp.int32(0))

    def step(uniform, state, action):
        sold = (uniform < chances[action]).astype(jnp.float32)
        left, t = state.left - sold, state.t + 1
        done = (left < 1) | (t >= horizon)
        feedback = reveal_one(spec, action, sold * prices[action])._replace(cost=sold[None], done=done)
        regret = best - means[action] + jnp.where(done, best * (horizon - t), 0.0)
        return KnapsackState(left, t), feedback, regret

    return World(
        spec, reset, lambda state: without_context(spec, state.t), step, lambda state: means,
        lambda key, n: jax.random.uniform(key, (n,)),
    )  # fmt: skip
