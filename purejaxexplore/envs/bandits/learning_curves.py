"""Arms that learn: the more often one was pulled, the better it is, each along a curve of its own.

The model of hyper-parameter search, where a pull trains a configuration a little further: after r pulls the loss of arm
a is ``c_a + b_a r^-rate_a``, a power law as learning curves often are (Domhan, Springenberg and Hutter 2015, "Speeding
up automatic hyperparameter optimization of deep neural networks by extrapolation of learning curves"), seen with noise.
An arm that learns slowly may be the best in the end, so early means mislead; policies that compare arms after equally
many pulls, such as sequential halving, are made for it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec, World, require_spec, reveal_one, without_context


class CurvesState(NamedTuple):
    """Attributes:
    floor, height, rate: f32[K], ``c``, ``b`` and the exponents.
    pulls: i32[K], of each arm.
    t: i32[], pulls.
    """

    floor: jax.Array
    height: jax.Array
    rate: jax.Array
    pulls: jax.Array
    t: jax.Array


def learning_curves(num_arms: int, *, sd: float = 0.01, horizon: int | None = None) -> World:
    """Values ``1 - c_a - b_a r^-rate_a`` of the r-th pull of arm a, plus noise.

    Drawn for every seed: floors uniform in [0, 0.5], heights in [0.1, 0.5], rates in [0.2, 1]. The means are those of
    the next pull, and the regret is against the arm that would pay most now.

    Args:
        num_arms: K.
        sd: of the Gaussian noise; may be traced.
        horizon: pulls it is meant for.

    Raises:
        ValueError: fewer than two arms, or ``sd`` is negative.
    """
    require_between(0.0, np.inf, sd=sd)
    spec = require_spec(Spec(num_arms, value_range=(-np.inf, np.inf), stationary=False, horizon=horizon))

    def reset(key):
        low, high = jnp.array([[0.0], [0.1], [0.2]]), jnp.array([[0.5], [0.5], [1.0]])
        drawn = low + (high - low) * jax.random.uniform(key, (3, num_arms))
        return CurvesState(*drawn, jnp.zeros(num_arms, jnp.int32), jnp.int32(0))

    def means(state):
        return 1.0 - state.floor - state.height * jnp.power(state.pulls + 1.0, -state.rate)

    def step(normal, state, action):
        now = means(state)
        feedback = reveal_one(spec, action, now[action] + sd * normal)
        after = state._replace(pulls=state.pulls.at[action].add(1), t=state.t + 1)
        return after, feedback, now.max() - now[action]

    def noise(key, n):
        return jax.random.normal(key, (n,))

    return World(spec, reset, lambda state: without_context(spec, state.t), step, means, noise)
