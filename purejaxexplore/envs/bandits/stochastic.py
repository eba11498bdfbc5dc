"""Stationary bandits with Bernoulli or Gaussian rewards, and the instances that the field measures on.

An instance is an array of means or a function that draws one from a key at ``reset``; the latter makes the seeds of a
run a sample of instances. Arms of equal index are broken ties of a deterministic policy, so instances with one special
arm are best shuffled for every seed (:func:`shuffled`).

BanditBench's presets are those of Nie, Su, Chang, Lee, Chi, Le and Chen (2024), "EVOLvE: Evaluating and optimizing
LLMs for exploration": one Bernoulli arm at 1/2 + g/2 and the others at 1/2 - g/2, g = 0.5 (easy) or 0.2 (hard);
Gaussian means from N(0, s) with noise of standard deviation s, s = 1 (easy) or 3 (hard).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.world import (
    Spec,
    World,
    chosen_arms,
    regret_of,
    require_spec,
    reveal,
    reveal_one,
    without_context,
)

Instance = jax.Array | np.ndarray | tuple[float, ...] | Callable[[jax.Array], jax.Array]


class StationaryState(NamedTuple):
    """Attributes:
    means: f32[K], the instance.
    gaps: f32[K], the largest mean minus each.
    t: i32[], pulls.
    """

    means: jax.Array
    gaps: jax.Array
    t: jax.Array


def bernoulli(instance: Instance, *, feedback="bandit", num_chosen: int = 1, horizon: int | None = None) -> World:
    """Rewards 1 with probability ``means[a]``, else 0.

    Args:
        instance: means f32[K] in [0, 1], or ``key -> means``.
        feedback: ``"bandit"``; ``"full"``: all values are seen; ``"semi"``: the action is a mask of ``num_chosen``
            arms whose values are seen; or a graph, bool[K, K]: playing i shows j where ``graph[i, j]``.
        num_chosen: arms of a mask.
        horizon: pulls it is meant for.

    Raises:
        ValueError: fewer than two arms, means that are not finite or outside [0, 1], an unknown feedback, or a graph
            in which an arm is seen by playing none.
    """

    def values(uniform, means):
        return (uniform < means).astype(jnp.float32)

    return stationary(instance, (0.0, 1.0), values, jax.random.uniform, feedback, num_chosen, horizon)


def gaussian(
    instance: Instance, *, sd: float = 1.0, feedback="bandit", num_chosen: int = 1, horizon: int | None = None
) -> World:
    """Rewards ``means[a] + sd N(0, 1)``; arguments otherwise as for :func:`bernoulli`, with any finite means.

    Raises:
        ValueError: as for :func:`bernoulli`, or ``sd`` is negative.
    """
    require_between(0.0, np.inf, sd=sd)

    def values(normal, means):
        return means + sd * normal

    return stationary(instance, (-np.inf, np.inf), values, jax.random.normal, feedback, num_chosen, horizon)


def stationary(instance, value_range, values, draw, feedback="bandit", num_chosen=1, horizon=None) -> World:
    """A world with fixed means, whose outcomes are ``values(draw(key, shape), means)``, elementwise."""
    draw_means = sampler(instance)
    K = num_arms(instance, value_range)
    seen_by = sees(feedback, K)
    kind = feedback if isinstance(feedback, str) else "graph"
    spec = require_spec(
        Spec(
            K, "mask" if kind == "semi" else "index", num_chosen=num_chosen, value_range=value_range, feedback=kind,
            horizon=horizon,
        )
    )  # fmt: skip
    # One pull needs one number; what is seen together must be drawn apart.
    shape = () if kind == "bandit" else (K,)

    def reset(key):
        means = draw_means(key)
        return StationaryState(means, means.max() - means, jnp.int32(0))

    def pull_one(noise, state, action):
        feedback = reveal_one(spec, action, values(noise, state.means[action]))
        return state._replace(t=state.t + 1), feedback, state.gaps[action]

    def pull_many(noise, state, action):
        feedback = reveal(spec, action, values(noise, state.means), seen_by(chosen_arms(spec, action)))
        return state._replace(t=state.t + 1), feedback, regret_of(spec, action, state.means)

    return World(
        spec, reset, lambda state: without_context(spec, state.t), pull_one if kind == "bandit" else pull_many,
        lambda state: state.means, lambda key, n: draw(key, (n, *shape)),
    )  # fmt: skip


def sampler(instance: Instance) -> Callable[[jax.Array], jax.Array]:
    """``key -> means f32[K]``; the same means for every key where they are given."""
    if callable(instance):
        return instance
    means = jnp.asarray(instance, jnp.float32)
    return lambda key: means


def num_arms(instance: Instance, value_range: tuple[float, float]) -> int:
    """``K`` of an instance.

    Raises:
        ValueError: not one axis of at least two finite means within ``value_range``.
    """
    if callable(instance):
        shape = jax.eval_shape(instance, jax.random.key(0)).shape
    else:
        shape = np.shape(instance)
        if not isinstance(instance, jax.core.Tracer) and not np.all(np.isfinite(np.asarray(instance, float))):
            raise ValueError(f"means={instance!r}: expected finite numbers")
        require_between(*value_range, means=instance)
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(f"means of shape {shape}: expected (K,) with at least 2 arms")
    return shape[0]


def sees(feedback, K: int) -> Callable[[jax.Array], jax.Array]:
    """``chosen bool[K] -> seen bool[K]`` of a kind of feedback or a graph.

    Raises:
        ValueError: an unknown kind, a graph that is not bool[K, K], or one in which nobody shows some arm.
    """
    if isinstance(feedback, str):
        choice("feedback", feedback, ("bandit", "semi", "full"))
        return (lambda chosen: jnp.ones(K, bool)) if feedback == "full" else (lambda chosen: chosen)
    graph = np.asarray(feedback)
    if graph.shape != (K, K) or graph.dtype != bool:
        raise ValueError(f"feedback: {graph.dtype} of shape {graph.shape}, expected bool of ({K}, {K}) or a kind")
    if not graph.any(0).all():
        hidden = np.flatnonzero(~graph.any(0)).tolist()
        raise ValueError(f"feedback: arms {hidden} are shown by no arm; expected a graph that observes every arm")
    edges = jnp.asarray(graph)
    return lambda chosen: edges[chosen.argmax()]  # a row, as one arm is played: nothing of size K^2 is touched


def shuffled(means: Instance) -> Callable[[jax.Array], jax.Array]:
    """The instance with its arms in another order for every seed."""

    def draw(key):
        key_means, key_order = jax.random.split(key)
        return jax.random.permutation(key_order, sampler(means)(key_means))

    num_arms(means, (-np.inf, np.inf))
    return draw


def uniform_means(num_arms: int, low: float = 0.0, high: float = 1.0) -> Callable[[jax.Array], jax.Array]:
    """``K`` means, uniform in [low, high]."""
    require_at_least(2, num_arms=num_arms)
    return lambda key: jax.random.uniform(key, (num_arms,), minval=low, maxval=high)


def bandit_bench(rewards: str, num_arms: int, level: str) -> World:
    """One of BanditBench's presets, for instance ``bandit_bench("bernoulli", 5, "hard")``.

    Args:
        rewards: ``"bernoulli"`` or ``"gaussian"``.
        num_arms: 5 or 20 in the benchmark.
        level: ``"easy"`` (300 pulls) or ``"hard"`` (1000 pulls).

    Raises:
        ValueError: an unknown preset or fewer than two arms.
    """
    choice("rewards", rewards, ("bernoulli", "gaussian"))
    choice("level", level, ("easy", "hard"))
    require_at_least(2, num_arms=num_arms)
    horizon = 300 if level == "easy" else 1000
    if rewards == "bernoulli":
        gap = 0.5 if level == "easy" else 0.2
        means = np.full(num_arms, 0.5 - gap / 2, np.float32)
        means[0] += gap
        return bernoulli(shuffled(means), horizon=horizon)
    sd = 1.0 if level == "easy" else 3.0
    return gaussian(lambda key: sd * jax.random.normal(key, (num_arms,)), sd=sd, horizon=horizon)
