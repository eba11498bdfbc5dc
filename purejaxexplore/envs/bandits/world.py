"""The one interface of bandit worlds: context-free, contextual, adversarial, restless, and every kind of feedback.

A world is written for one seed. What a learner may use and what only the measurements may use are kept apart: an
outcome that the learner does not see is NaN, so a policy that peeks poisons its own state, and
:func:`purejaxexplore.testing.check_policy` finds it.

All randomness of a pull comes in from outside as ``noise``, and the noise of many pulls is drawn in one call, which on
a CPU is several times cheaper than a key for every pull. It does not depend on the actions: two policies that run with
the same seeds meet the same noise (common random numbers), so compare them by paired statistics.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import choice, require_at_least

ACTIONS = ("index", "mask", "point")


class Spec(NamedTuple):
    """The static shape of a world; a policy is built for a spec.

    Attributes:
        num_arms: ``K``, entries of ``Feedback.value``; 1 where the action is a point.
        action: ``"index"``: i32[] in [0, K); ``"mask"``: bool[K], several arms at once; ``"point"``: f32[D].
        context_dim: ``d``, 0 without contexts.
        per_arm: contexts are f32[K, d], one for each arm, rather than f32[d].
        num_chosen: largest number of arms of a mask.
        low, high: corners of the box of points, tuples of length D; empty where the action is not a point.
        value_range: the values lie in this closed interval, which may be infinite.
        num_resources: ``R``, entries of ``Feedback.cost``.
        feedback: what is seen of the values: ``"bandit"``, ``"semi"`` (the chosen arms), ``"full"`` or ``"graph"``.
        stationary: the means never change, so that the regret follows from the counts of the arms alone.
        horizon: pulls the world is meant for, or None.
    """

    num_arms: int
    action: str = "index"
    context_dim: int = 0
    per_arm: bool = False
    num_chosen: int = 1
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    value_range: tuple[float, float] = (0.0, 1.0)
    num_resources: int = 0
    feedback: str = "bandit"
    stationary: bool = True
    horizon: int | None = None


class Observation(NamedTuple):
    """What a learner sees before it acts.

    Attributes:
        context: f32[K, d] or f32[d]; f32[K, 0] without contexts.
        mask: bool[K], the arms that can be chosen now.
        t: i32[], pulls done.
    """

    context: jax.Array
    mask: jax.Array
    t: jax.Array


class Feedback(NamedTuple):
    """What a learner sees after it acted.

    Attributes:
        value: f32[K], the outcome of each arm; NaN outside ``seen``. Mask *before* computing:
            ``jnp.where(seen, value, 0.0)``.
        seen: bool[K], the entries that may be used.
        reward: f32[], what was earned (the sum for a mask).
        cost: f32[R], what was consumed of each resource.
        done: bool[], the world is over (a budget is spent); later pulls change nothing.
    """

    value: jax.Array
    seen: jax.Array
    reward: jax.Array
    cost: jax.Array
    done: jax.Array


class World(NamedTuple):
    """A bandit problem, or a distribution over problems from which ``reset`` draws one.

    Attributes:
        spec: static.
        reset: ``key -> state``; draws the instance, which then is part of the state.
        observe: ``state -> Observation``.
        step: ``(noise, state, action) -> (state, Feedback, regret f32[])``; the regret is the expected value, given
            the past, of the best action minus that of ``action``, exactly 0 for a best action; for measurements.
        means: ``state -> f32[K]``, the expected value of each arm in this round, given the past; for measurements.
        noise: ``(key, n) -> noise [n, ...]``, the randomness of ``n`` pulls; by default a key for each.
    """

    spec: Spec
    reset: Callable[[jax.Array], Any]
    observe: Callable[[Any], Observation]
    step: Callable[[Any, Any, jax.Array], tuple[Any, Feedback, jax.Array]]
    means: Callable[[Any], jax.Array]
    noise: Callable[[jax.Array, int], Any] = jax.random.split


def require_spec(spec: Spec) -> Spec:
    """Returns ``spec``.

    Raises:
        TypeError: it is not a Spec (the world itself was passed).
        ValueError: a size is out of range, or the fields contradict each other.
    """
    if not isinstance(spec, Spec):
        raise TypeError(f"spec={type(spec).__name__}: expected a Spec, for instance world.spec")
    choice("action", spec.action, ACTIONS)
    if spec.action == "point":
        require_at_least(1, points=len(spec.low))
        if len(spec.low) != len(spec.high) or not np.all(np.asarray(spec.low) < np.asarray(spec.high)):
            raise ValueError(f"low={spec.low}, high={spec.high}: expected as many highs as lows, each above its low")
    else:
        require_at_least(2, num_arms=spec.num_arms)
        if not 1 <= spec.num_chosen <= spec.num_arms:
            raise ValueError(f"num_chosen={spec.num_chosen!r}: expected 1 to {spec.num_arms}, the number of arms")
    require_at_least(0, context_dim=spec.context_dim, num_resources=spec.num_resources)
    if spec.horizon is not None:
        require_at_least(1, horizon=spec.horizon)
    if not spec.value_range[0] < spec.value_range[1]:
        raise ValueError(f"value_range={spec.value_range!r}: expected (low, high) with low < high")
    return spec


def placeholder(spec: Spec) -> tuple[Observation, Feedback]:
    """An observation and a feedback of the shapes of ``spec``, of zeros; for shapes and empty buffers."""
    K, d = spec.num_arms, spec.context_dim
    context = jnp.zeros((K, d) if spec.per_arm or not d else (d,))
    zero = jnp.float32(0)
    feedback = Feedback(jnp.zeros(K), jnp.zeros(K, bool), zero, jnp.zeros(spec.num_resources), jnp.bool_(False))
    return Observation(context, jnp.ones(K, bool), jnp.int32(0)), feedback


def without_context(spec: Spec, t: jax.Array) -> Observation:
    """What a world without contexts shows: every arm can be chosen."""
    return Observation(jnp.zeros((spec.num_arms, 0)), jnp.ones(spec.num_arms, bool), t)


def chosen_arms(spec: Spec, action: jax.Array) -> jax.Array:
    """bool[K], the arms that an index or a mask chooses."""
    return action if spec.action == "mask" else jnp.arange(spec.num_arms) == action


def reveal(spec: Spec, action: jax.Array, value: jax.Array, seen: jax.Array | None = None) -> Feedback:
    """Feedback of an index or a mask: the values f32[K] where ``seen``, by default where chosen, and NaN elsewhere.

    Of ``value`` only the entries that are chosen or seen are looked at.
    """
    chosen = chosen_arms(spec, action)
    seen = chosen if seen is None else seen
    return Feedback(
        value=jnp.where(seen, value, jnp.nan),
        seen=seen,
        reward=jnp.where(chosen, value, 0.0).sum(),
        cost=jnp.zeros(spec.num_resources),
        done=jnp.bool_(False),
    )


def reveal_one(spec: Spec, action: jax.Array, value: jax.Array) -> Feedback:
    """Feedback of an index of which only its own ``value`` f32[] is seen."""
    seen = jnp.arange(spec.num_arms) == action
    return Feedback(jnp.where(seen, value, jnp.nan), seen, value, jnp.zeros(spec.num_resources), jnp.bool_(False))


def regret_of(spec: Spec, action: jax.Array, means: jax.Array) -> jax.Array:
    """f32[], the regret of an index against the best arm, of a mask against the ``num_chosen`` best."""
    taken = jnp.where(chosen_arms(spec, action), means, 0.0).sum()
    best = means.max() if spec.action == "index" else jax.lax.top_k(means, spec.num_chosen)[0].sum()
    return best - taken


def rescaled(world: World, low: float, high: float, *, clip: bool = False) -> World:
    """``world`` with values mapped from [low, high] to [0, 1], for policies that are stated for that range.

    The regret and the means are divided by ``high - low`` too.

    Args:
        world: actions are single arms.
        low, high: finite, low < high.
        clip: values outside are moved to the nearer end. The means that the regret is measured by stay those of the
            unclipped values.

    Raises:
        ValueError: not low < high, actions are not single arms, or values may lie outside and ``clip`` is False.
    """
    if not np.isfinite(low) or not np.isfinite(high) or low >= high:
        raise ValueError(f"low={low!r}, high={high!r}: expected finite numbers, low < high")
    if world.spec.action != "index":
        raise ValueError(f"action={world.spec.action!r}: expected a world of single arms")
    stated = world.spec.value_range
    if not clip and (stated[0] < low or stated[1] > high):
        raise ValueError(f"value_range={stated}: values may leave [{low:g}, {high:g}]; expected clip=True")

    def unit(x):
        x = (x - low) / (high - low)
        return jnp.clip(x, 0.0, 1.0) if clip else x

    def step(noise, state, action):
        state, feedback, regret = world.step(noise, state, action)
        feedback = feedback._replace(value=unit(feedback.value), reward=unit(feedback.reward))
        return state, feedback, regret / (high - low)

    def means(state):
        return (world.means(state) - low) / (high - low)

    return world._replace(spec=world.spec._replace(value_range=(0.0, 1.0)), step=step, means=means)
