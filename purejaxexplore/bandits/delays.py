"""Feedback that comes late, and decisions that last: any policy, with what it learns from held back.

* :func:`batched`: everything seen is used from the end of a batch on; in between the policy acts on what it knew.
* :func:`delayed`: the feedback of a pull comes a fixed number of pulls later.
* :func:`randomly_delayed`: it comes after a random number of pulls, in the order in which it arrives.
* :func:`in_blocks`: every choice is played several times in a row, and its mean value is what is seen.

Joulani, Gyorgy and Szepesvari (2013), "Online learning under delayed feedback": a delay adds to the regret of
independent rewards, and multiplies it by a power of itself for an adversary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.bandits.policy import Aux, Policy
from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.bandits.world import placeholder


class BatchedState(NamedTuple):
    """Attributes:
    acting: the policy's state that decides.
    learning: the policy's state that has seen everything.
    """

    acting: Any
    learning: Any


class DelayedState(NamedTuple):
    """Attributes:
    inner: the policy's own state.
    pending: ``(observation, action, feedback, aux)`` with leading axis [D + 1], a ring over pulls.
    due: i32[D + 1], the number of the pull after which each is released; -1 for an empty place.
    """

    inner: Any
    pending: Any
    due: jax.Array


class BlockState(NamedTuple):
    """Attributes:
    inner: the policy's own state.
    action, aux: of this block.
    played: i32[], pulls of this block so far.
    total: f32[K], sum of the values of this block.
    """

    inner: Any
    action: jax.Array
    aux: Aux
    played: jax.Array
    total: jax.Array


def batched(policy: Policy, size: int) -> Policy:
    """``policy`` that learns every ``size`` pulls only.

    Raises:
        ValueError: ``size`` is not positive, or larger than the horizon of the world.
    """
    require_at_least(1, size=size)
    _require_shorter("size", size, policy.spec.horizon)

    def init(key):
        state = policy.init(key)
        return BatchedState(state, state)

    def act(noise, state, observation):
        return policy.act(noise, state.acting, observation)

    def update(state, observation, action, feedback, aux):
        learning = policy.update(state.learning, observation, action, feedback, aux)
        ends = (observation.t + 1) % size == 0
        return BatchedState(_where(ends, learning, state.acting), learning)

    return _wrapped(policy, init, act, update, lambda state: state.learning)


def delayed(policy: Policy, delay: int) -> Policy:
    """``policy`` that sees the feedback of pull t after pull t + ``delay``.

    Raises:
        ValueError: ``delay`` is negative, or not below the horizon of the world.
    """
    require_at_least(0, delay=delay)
    _require_shorter("delay", delay, policy.spec.horizon)
    return _late(policy, delay, lambda key: jnp.int32(delay), one_a_pull=True)


def randomly_delayed(policy: Policy, draw: Callable[[jax.Array], jax.Array], longest: int) -> Policy:
    """``policy`` that sees the feedback of a pull after ``draw(key) i32[]`` further pulls, clipped to [0, longest].

    Every pull costs ``longest`` + 1 updates, most of them masked, so ``longest`` should be small.

    Raises:
        ValueError: ``longest`` is negative, or not below the horizon of the world.
    """
    require_at_least(0, longest=longest)
    _require_shorter("longest", longest, policy.spec.horizon)
    return _late(policy, longest, lambda key: jnp.clip(draw(key), 0, longest).astype(jnp.int32), one_a_pull=False)


def in_blocks(policy: Policy, length: int) -> Policy:
    """``policy`` that plays every choice ``length`` times in a row and then sees the mean of each value.

    Dekel, Tewari and Arora (2012), "Online bandit learning against an adaptive adversary: from regret to policy
    regret". An arm counts as seen where the last pull of the block shows it.

    Raises:
        ValueError: ``length`` is not positive, or not below the horizon of the world.
    """
    require_at_least(1, length=length)
    _require_shorter("length", length, policy.spec.horizon)

    def init(key):
        inner = policy.init(key)
        _, action, _, aux = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), _first_item(policy, inner))
        return BlockState(inner, action, aux, jnp.int32(0), jnp.zeros(policy.spec.num_arms))

    def act(noise, state, observation):
        return _where(state.played == 0, policy.act(noise, state.inner, observation), (state.action, state.aux))

    def update(state, observation, action, feedback, aux):
        total = state.total + jnp.where(feedback.seen, feedback.value, 0.0)
        mean = feedback._replace(value=jnp.where(feedback.seen, total / length, jnp.nan))
        over = state.played + 1 >= length
        inner = _where(over, policy.update(state.inner, observation, action, mean, aux), state.inner)
        return BlockState(
            inner, action, aux, jnp.where(over, 0, state.played + 1), jnp.where(over, 0.0, total)
        )

    return _wrapped(policy, init, act, update, lambda state: state.inner)


def _late(policy, longest, draw, one_a_pull) -> Policy:
    """The ring of what is pending, in the order of the pulls."""
    places = longest + 1

    def noise(key, n):
        key_policy, key_delay = jax.random.split(key)
        return policy.noise(key_policy, n), jax.vmap(draw)(jax.random.split(key_delay, n))

    def init(key):
        # What is pending is shaped by the world, of which only the first update knows: shapes come from the spec.
        inner = policy.init(key)
        empty = jax.tree.map(lambda leaf: jnp.zeros((places, *leaf.shape), leaf.dtype), _first_item(policy, inner))
        return DelayedState(inner, empty, jnp.full(places, -1, jnp.int32))

    def act(noise, state, observation):
        action, aux = policy.act(noise[0], state.inner, observation)
        return action, Aux(aux.prob, (aux.extras, noise[1]))

    def update(state, observation, action, feedback, aux):
        extras, delay = aux.extras
        place = observation.t % places
        known = feedback._replace(value=jnp.where(feedback.seen, feedback.value, 0.0))  # a state must hold no NaN
        item = (observation, action, known, Aux(aux.prob, extras))
        pending = jax.tree.map(lambda ring, leaf: ring.at[place].set(leaf), state.pending, item)
        due = state.due.at[place].set(observation.t + delay)

        def release(inner, at):
            ready = due[at] == observation.t
            shown, action, known, aux = jax.tree.map(lambda ring: ring[at], pending)
            known = known._replace(value=jnp.where(known.seen, known.value, jnp.nan))
            learnt = policy.update(inner, shown, action, known, aux)
            return _where(ready, learnt, inner), None

        # The oldest first: places after this one, around the ring.
        order = (place + 1 + jnp.arange(1 if one_a_pull else places)) % places
        inner, _ = jax.lax.scan(release, state.inner, order)
        return DelayedState(inner, pending, jnp.where(due == observation.t, -1, due))

    return _wrapped(policy, init, act, update, lambda state: state.inner)._replace(noise=noise)


def _first_item(policy, inner):
    """Shapes of ``(observation, action, feedback, aux)``, from the spec and the policy."""
    observation, feedback = placeholder(policy.spec)
    noise = jax.tree.map(lambda x: x[0], policy.noise(jax.random.key(0), 1))
    action, aux = jax.eval_shape(policy.act, noise, inner, observation)
    return observation, action, feedback, aux


def _wrapped(policy, init, act, update, learnt) -> Policy:
    stopped = None if policy.stopped is None else lambda state: policy.stopped(learnt(state))
    return policy._replace(
        init=init, act=act, update=update, recommend=lambda state: policy.recommend(learnt(state)), stopped=stopped
    )


def _where(condition, new, old):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _require_shorter(name, value, horizon) -> None:
    if horizon is not None and value >= horizon:
        raise ValueError(f"{name}={value}: expected less than the {horizon} pulls of the world's horizon")
