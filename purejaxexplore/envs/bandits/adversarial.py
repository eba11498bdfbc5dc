"""Sequences of losses fixed by an adversary in advance, and three that policies are known to fail on.

The regret of a round is the loss of the arm played minus that of the arm that is best over the whole horizon: it can be
negative, and only its sum at the horizon is the regret against the best fixed arm. Rewards are 1 - loss. No table of
losses is kept: the best arm is found at ``reset`` in one pass.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.sums import add, zero_sum
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.stochastic import sees
from purejaxexplore.envs.bandits.world import Spec, World, chosen_arms, require_spec, reveal, without_context


class AdversaryState(NamedTuple):
    """Attributes:
    instance: what the adversary drew.
    best: i32[], the arm of the least loss over the horizon.
    t: i32[], pulls.
    """

    instance: jax.Array
    best: jax.Array
    t: jax.Array


def adversary(
    loss: Callable[[jax.Array, jax.Array], jax.Array], num_arms: int, horizon: int, *, draw=None, feedback="bandit"
) -> World:
    """A world of deterministic losses.

    Args:
        loss: ``(t i32[], instance) -> f32[K]`` in [0, 1], whatever was played.
        num_arms: ``K``.
        horizon: ``T``, over which the best arm is best.
        draw: ``key -> instance``; by default the instance is the order of the arms, i32[K].
        feedback: ``"bandit"``, ``"full"``, or a graph bool[K, K].

    Raises:
        ValueError: fewer than two arms, a horizon below the number of arms, or an unknown feedback.
    """
    require_at_least(2, num_arms=num_arms)
    require_at_least(num_arms, horizon=horizon)
    seen_by = sees(feedback, num_arms)
    kind = feedback if isinstance(feedback, str) else "graph"
    spec = require_spec(Spec(num_arms, feedback=kind, stationary=False, horizon=horizon))

    def default_draw(key):
        return jax.random.permutation(key, num_arms)

    def reset(key):
        instance = (draw or default_draw)(key)

        def accumulate(total, t):
            return add(total, loss(t, instance)), None

        total, _ = jax.lax.scan(accumulate, zero_sum((num_arms,)), jnp.arange(horizon))
        return AdversaryState(instance, total.value.argmin().astype(jnp.int32), jnp.int32(0))

    def step(noise, state, action):
        now = loss(state.t, state.instance)
        feedback = reveal(spec, action, 1 - now, seen_by(chosen_arms(spec, action)))
        return state._replace(t=state.t + 1), feedback, now[action] - now[state.best]

    def means(state):
        return 1 - loss(state.t, state.instance)

    return World(spec, reset, lambda state: without_context(spec, state.t), step, means, lambda key, n: ())


def switching(num_arms: int, horizon: int, *, gap: float = 0.1, growth: float = 1.6, feedback="bandit") -> World:
    """One arm is better by ``gap`` in every round, but all levels jump between high and low.

    The phases grow by ``growth``: Zimmert and Seldin's (2021) stochastically constrained adversary, on which upper
    confidence bounds fail.
    """
    require_between(0.0, 1.0, gap=gap)
    require_between(1.0 + 1e-6, np.inf, growth=growth)

    def loss(t, order):
        low = jnp.floor(jnp.log(t + 1.0) / jnp.log(growth)) % 2 == 0
        return jnp.where(low, 0.0, 1.0 - gap) + jnp.where(order == 0, 0.0, gap)

    return adversary(loss, num_arms, horizon, feedback=feedback)


def sinusoidal(num_arms: int, horizon: int, *, periods: float = 4.0, gap: float = 0.1, feedback="bandit") -> World:
    """Every arm is the best in turn, one of them by ``gap`` more on average."""
    require_between(0.0, 0.2, gap=gap)

    def loss(t, order):
        phase = 2 * jnp.pi * (periods * t / horizon + order / num_arms)
        return 0.5 + 0.3 * jnp.sin(phase) - jnp.where(order == 0, gap, 0.0)

    return adversary(loss, num_arms, horizon, feedback=feedback)


def trap(num_arms: int, horizon: int, *, feedback="bandit") -> World:
    """The arm that is free in the first quarter costs 1 from then on; another costs 1/2 and then nothing.

    By then EXP3 hardly ever plays the arm that becomes good, and a rare play changes its estimate by more than all
    before: the sequence on which its regret varies most (Lattimore and Szepesvari 2020, "Bandit algorithms", chapter
    12). The other arms always cost 3/4.
    """

    def loss(t, order):
        early = t < horizon // 4
        first, second = jnp.where(early, 0.0, 1.0), jnp.where(early, 0.5, 0.0)
        return jnp.where(order == 0, first, jnp.where(order == 1, second, 0.75))

    return adversary(loss, num_arms, horizon, feedback=feedback)
