"""The best mixture of arms under a bound on their mean cost: a linear programme with one constraint, in closed form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Mixture(NamedTuple):
    """Attributes:
    value: f32[], mean reward of the mixture.
    prob: f32[K], of each arm; what is missing to 1 is spent on nothing, at no cost and no reward.
    """

    value: jax.Array
    prob: jax.Array


def best_mixture(reward: jax.Array, cost: jax.Array, limit: jax.Array) -> Mixture:
    """Maximises ``reward . p`` over proportions p with ``cost . p <= limit``.

    Args:
        reward: f32[K].
        cost: f32[K], not negative.
        limit: f32[], positive.

    An optimum mixes at most two arms (of those and of doing nothing): one that costs at most ``limit``, and one that
    costs more, in the proportion that meets the limit. All pairs are compared.
    """
    reward, cost = (jnp.append(x, 0.0) for x in (reward, cost))
    dear = cost > limit
    # Of arm j, beside i; 0 where j is affordable too: then i is played alone.
    part = jnp.where(dear, (limit - cost[:, None]) / jnp.where(dear, cost - cost[:, None], 1.0), 0.0)
    value = jnp.where(dear[:, None], -jnp.inf, (1 - part) * reward[:, None] + part * reward)
    i, j = jnp.divmod(value.argmax(), reward.size)
    arms = jnp.arange(reward.size)
    prob = (1 - part[i, j]) * (arms == i) + part[i, j] * (arms == j)
    return Mixture(value[i, j], prob[:-1])
