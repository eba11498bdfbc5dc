"""Contexts with binary rewards that no linear model fits exactly, and arms that come and go.

``logistic`` is the simulator of a payment processor's choices that stands for the private data of Vangara and Egg
(2025), "Contextual bandits in payment processing: non-uniform exploration and supervised learning".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.contextual import contextual
from purejaxexplore.envs.bandits.world import Spec, World


class PartialState(NamedTuple):
    """Attributes:
    inner: the world's own state.
    mask: bool[K], the arms that can be chosen in this round.
    """

    inner: Any
    mask: jax.Array


def logistic(
    num_arms: int, dim: int, *, curvature: float = 1.0, intercept: float = 1.0, horizon: int | None = None
) -> World:
    """``P(r = 1 | x, a) = sigmoid(1.2 (w_a^T x + curvature x^T Q_a x) + intercept)`` at contexts ``x ~ N(0, I)``.

    The instance is ``w_a ~ N(0, 1/d)`` and ``Q_a`` with entries ``N(0, 1/d^2)``, both variances, drawn at reset.

    Args:
        num_arms, dim: K and d.
        curvature: 0 makes the log-odds linear; may be traced.
        intercept: of the log-odds, of which the context says nothing; may be traced.
        horizon: pulls it is meant for.

    Raises:
        ValueError: fewer than two arms, no dimension, or a ``curvature`` or ``intercept`` that is not finite.
    """
    require_at_least(1, dim=dim)
    require_between(-np.inf, np.inf, curvature=curvature, intercept=intercept)
    spec = Spec(num_arms, context_dim=dim, stationary=False, horizon=horizon)

    def draw_instance(key):
        key_linear, key_square = jax.random.split(key)
        linear = jax.random.normal(key_linear, (num_arms, dim)) / jnp.sqrt(dim)
        return linear, curvature * jax.random.normal(key_square, (num_arms, dim, dim)) / dim

    def draw_context(key, instance):
        linear, square = instance
        x = jax.random.normal(key, (dim,))
        return x, jax.nn.sigmoid(1.2 * (linear @ x + square @ x @ x) + intercept)

    def draw_values(key, instance, means):
        return (jax.random.uniform(key, means.shape) < means).astype(jnp.float32)

    return contextual(spec, draw_instance, draw_context, draw_values)


def with_missing_arms(world: World, share: float) -> World:
    """``world`` in which every arm is missing from a round with probability ``share``; one at least is always there.

    The regret is against the best arm that is there.

    Raises:
        ValueError: actions are not single arms, the world shows more than the arm played, or ``share`` is not in
            [0, 1).
    """
    spec = world.spec
    if spec.action != "index" or spec.feedback != "bandit":
        raise ValueError(f"action={spec.action!r}, feedback={spec.feedback!r}: expected 'index' and 'bandit'")
    require_between(0.0, 1.0 - 1e-6, share=share)

    def draw_mask(uniform):
        return (uniform >= share) | (jnp.arange(spec.num_arms) == uniform.argmax())

    def reset(key):
        key_inner, key_mask = jax.random.split(key)
        return PartialState(world.reset(key_inner), draw_mask(jax.random.uniform(key_mask, (spec.num_arms,))))

    def observe(state):
        observation = world.observe(state.inner)
        return observation._replace(mask=observation.mask & state.mask)

    def step(noise, state, action):
        noise_inner, uniform = noise
        means = world.means(state.inner)
        regret = jnp.where(observe(state).mask, means, -jnp.inf).max() - means[action]
        inner, feedback, _ = world.step(noise_inner, state.inner, action)
        return PartialState(inner, draw_mask(uniform)), feedback, regret

    def noise(key, n):
        key_inner, key_mask = jax.random.split(key)
        return world.noise(key_inner, n), jax.random.uniform(key_mask, (n, spec.num_arms))

    return World(
        spec._replace(stationary=False), reset, observe, step, lambda state: world.means(state.inner), noise
    )
