"""Tsallis-INF: the best of both worlds.

Zimmert and Seldin (2021), "Tsallis-INF: an optimal algorithm for stochastic and adversarial bandits". Follow the
regularised leader with the Tsallis entropy of power 1/2, eta_t = 2 / sqrt(t), and importance-weighted losses:

    w_a = 4 (eta_t (L_a - x))^-2,       x the number below min L at which the weights sum to 1.

Regret, with no horizon to know: at most ``4 sqrt(K T) + 1`` against every sequence of losses in [0, 1], and
``O(sum_a ln T / gap_a)`` for independent rewards.
"""

import jax
import jax.numpy as jnp

from purejaxexplore.bandits.exponential import LossState, weighted_loss
from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    draw_arm,
    first_argmax,
    require_index_world,
    require_unit_values,
)
from purejaxexplore.envs.bandits.world import Spec

_NEWTON_STEPS = 6


def tsallis_inf(spec: Spec) -> Policy:
    """The policy.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or rewards leave [0, 1].
    """
    require_index_world(spec, "tsallis_inf")
    require_unit_values(spec, "tsallis_inf")

    def act(uniform, state, observation):
        losses = jnp.where(observation.mask, state.losses, jnp.inf)
        prob = tsallis_weights(losses, 2 * jax.lax.rsqrt(observation.t + 1.0))
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        losses = state.losses + weighted_loss(feedback, action, aux.prob)
        return LossState(losses - losses.min())

    def noise(key, n):
        return jax.random.uniform(key, (n,))

    return Policy(
        spec, lambda key: LossState(jnp.zeros(spec.num_arms)), act, update,
        lambda state: first_argmax(-state.losses), noise=noise,
    )  # fmt: skip


def tsallis_weights(losses: jax.Array, eta: jax.Array) -> jax.Array:
    """f32[K], the weights; an infinite loss has weight 0.

    Newton from ``min L - 2 / eta``, where one weight alone is 1: there the sum is at least 1, it is convex and falls
    with falling x, so no step passes the root. After six steps the sum is within 1e-3 of 1, and it is then divided out.
    """
    gaps = losses - losses.min()
    x = -2 / eta
    for _ in range(_NEWTON_STEPS):
        inverse = 2 / (eta * (gaps - x))
        weights = jnp.square(inverse)
        x = x - (weights.sum() - 1) / (eta * weights * inverse).sum()
    weights = jnp.square(2 / (eta * (gaps - x)))
    return weights / weights.sum()
