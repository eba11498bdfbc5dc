"""Greedy choices: ties are fair, what is not allowed is never taken."""

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.greedy import best, epsilon_greedy
from purejaxexplore.testing.trees import quick_jit


def test_ties_and_chance():
    keys = jax.random.split(jax.random.key(0), 4000)

    @quick_jit
    def draw(keys):
        values, allowed = jnp.array([1.0, 3.0, 3.0, 9.0]), jnp.array([True, True, True, False])
        one = jax.vmap(lambda key: best(key, values, allowed))(keys)
        mixed = jax.vmap(lambda key: epsilon_greedy(key, values, 0.3, allowed))(keys)
        alone = jax.vmap(lambda key: best(key, jnp.array([-jnp.inf, -2.0, -jnp.inf])))(keys)
        return one, mixed, alone

    one, mixed, alone = (np.bincount(x, minlength=4) / 4000 for x in draw(keys))
    np.testing.assert_allclose(one, [0, 0.5, 0.5, 0], atol=0.03)
    np.testing.assert_allclose(mixed, [0.1, 0.45, 0.45, 0], atol=0.03)
    assert alone[1] == 1
