"""The one interface of intrinsic rewards, in the manner of an optax transformation.

A bonus scores single steps, shapes a rollout's scores into rewards, and learns from the rollout afterwards. The three
are apart because only ``score`` has to run inside the rollout, and only where the policy observes its result; ``shape``
needs the whole ``[T, N]`` block; and ``update`` must come after ``shape``, or the reward would be computed by a net
that was already trained on the states it judges.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.blocks.selected import map_selected


class Batch(NamedTuple):
    """A rollout as a bonus sees it: ``steps`` [T, N], and the ``features`` f32[T, N, F] that it showed the policy."""

    steps: Step
    features: jax.Array


class BonusState(NamedTuple):
    """Everything a bonus remembers; unused parts are ``()``.

    Attributes:
        learn: parameters and optimiser state; written by ``update`` only.
        life: lifelong memory without an environment axis; written by ``score`` through integer scatter-adds only.
        mem: episodic memory with leading axis [N]; written by ``score``, started afresh there where an episode ends.
        norm: running moments and filters; written by ``shape`` only.
        t: i32[], rollouts shaped so far.
    """

    learn: Any = ()
    life: Any = ()
    mem: Any = ()
    norm: Any = ()
    t: jax.Array = 0


class Bonus(NamedTuple):
    """An intrinsic reward.

    Attributes:
        init: ``(key, steps [M, N]) -> state``; ``steps`` is a rollout of a random policy over M >= 1 steps, whose last
            ``reset_obs`` (and ``reset_state_id``) are what the learner acts on first.
        observe: ``(state) -> f32[N, F]``, what the policy is shown of the bonus (F = 0: nothing).
        score: ``(key, state, step [N]) -> (state, raw f32[N])``; ``raw`` may be a tuple of such arrays (bonuses made
            from bonuses have one for each part).
        shape: ``(state, raw f32[T, N], batch) -> (state, reward f32[T, N])``: normalise, clip, anneal.
        update: ``(key, state, batch) -> (state, metrics)``: gradient steps, with fixed scalar metrics.
        defer: static; True where ``score`` may be scanned over the rollout afterwards.
        needs_state_id: static; True where ``steps.aux`` must hold ``state_id`` and ``reset_state_id``.
        random_mem: static; True where the memory of a new episode is drawn (a skill), not only computed.
        rescore: ``(key, state, steps [M]) -> reward f32[M]``, what old steps would be paid now, which touches no
            statistic; replay then pays that. None: a step keeps what it was paid when it was new. What replaces
            ``score`` or ``shape`` of a bonus replaces this too.
        score_all: ``(key, state, steps [T, N]) -> (state, raw f32[T, N])``, all that ``score`` gives step by step, at
            once. None: ``score`` is scanned. What replaces ``score`` replaces this too.
    """

    init: Callable[[jax.Array, Step], BonusState]
    observe: Callable[[BonusState], jax.Array]
    score: Callable[[jax.Array, BonusState, Step], tuple[BonusState, jax.Array]]
    shape: Callable[[BonusState, jax.Array, Batch], tuple[BonusState, jax.Array]]
    update: Callable[[jax.Array, BonusState, Batch], tuple[BonusState, dict[str, jax.Array]]]
    defer: bool = True
    needs_state_id: bool = False
    random_mem: bool = False
    rescore: Callable[[jax.Array, BonusState, Step], jax.Array] | None = None
    score_all: Callable[[jax.Array, BonusState, Step], tuple[BonusState, jax.Array]] | None = None


def observe_nothing(num_envs: int) -> jax.Array:
    """f32[N, 0], what a policy is shown of a bonus that shows nothing."""
    return jnp.zeros((num_envs, 0))


def batches(bonuses: Sequence[Bonus], states: Sequence[BonusState], steps: Step, features: jax.Array) -> list[Batch]:
    """The rollout as each bonus sees it, ``features f32[T, N, F]`` being all that they showed, one after the other."""
    ends = list(accumulate(bonus.observe(state).shape[-1] for bonus, state in zip(bonuses, states, strict=True)))
    return [Batch(steps, part) for part in jnp.split(features, ends, axis=-1)[:-1]]


def score_rollout(key: jax.Array, bonus: Bonus, state: BonusState, steps: Step) -> tuple[BonusState, jax.Array]:
    """Scores a stored rollout with a deferrable bonus: ``raw f32[T, N]``.

    A bonus without memory is scored in one flat call over T x N steps, which on an accelerator is one large matrix
    product instead of T small ones; one with a ``score_all`` by that; the others are scanned over time.
    """
    T, N = steps.reward.shape
    if bonus.score_all is not None:
        return bonus.score_all(key, state, steps)
    if not jax.tree.leaves((state.life, state.mem)):
        flat = jax.tree.map(lambda x: x.reshape((T * N, *x.shape[2:])), steps)
        state, raw = bonus.score(key, state, flat)
        return state, jax.tree.map(lambda x: x.reshape((T, N, *x.shape[1:])), raw)

    def score(state, key_step):
        return bonus.score(key_step[0], state, key_step[1])

    return jax.lax.scan(score, state, (jax.random.split(key, T), steps))


def score_one(score_all: Callable) -> Callable:
    """The ``score`` that goes with a ``score_all``: that of a rollout of one step."""

    def score(key, state, step):
        state, raw = score_all(key, state, jax.tree.map(lambda x: x[None], step))
        return state, jax.tree.map(lambda x: x[0], raw)

    return score


def embed_rollout(embed: Callable[[jax.Array], jax.Array], steps: Step) -> tuple[jax.Array, jax.Array]:
    """``embed: [B, ...] -> f32[B, d]`` of a rollout's observations in few large calls.

    Returns:
        f32[T, N, d] of the true successors, and f32[T, N, d] of the observations that episodes begin with, which means
        nothing where none ends.
    """
    T, N = steps.reward.shape

    def rows(obs):
        return obs.reshape((T * N, *obs.shape[2:]))

    phi = embed(rows(steps.next_obs))
    begun = map_selected(lambda i: embed(rows(steps.reset_obs)[i]), rows(steps.done), phi, N)
    return phi.reshape((T, N, -1)), begun.reshape((T, N, -1))
