"""Index policies: play the arm whose index, a function of what was seen of it, is largest."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, no_noise, one_hot
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.envs.bandits.world import Spec


def index_policy(spec: Spec, index: Callable[[Arms, jax.Array], jax.Array], *, variance: bool = False) -> Policy:
    """Plays every arm once, in order, and then the arm of the largest ``index(arms, t) f32[K]``.

    Args:
        spec: a world whose actions are single arms.
        index: of arms seen at least once (others are not looked at), with ``t`` f32[] the number of this pull, from 1.
        variance: ``arms.variance`` is needed.

    Ties go to the arm of the lowest number.
    """

    def act(noise, arms, observation):
        scores = jnp.where(arms.n > 0, index(arms, observation.t + 1.0), jnp.inf)
        action = first_argmax(jnp.where(observation.mask, scores, -jnp.inf))
        return action, Aux(one_hot(spec, action))

    def update(arms, observation, action, feedback, aux):
        return see(arms, feedback.seen, feedback.value)

    return Policy(
        spec, lambda key: new_arms(spec.num_arms, variance=variance), act, update, most_promising, noise=no_noise
    )


def most_promising(arms: Arms) -> jax.Array:
    """i32[], the arm of the largest mean among those seen."""
    return first_argmax(jnp.where(arms.n > 0, arms.mean, -jnp.inf))
