"""Intelligent Go-Explore: a judge, not a rule of thumb, picks the state to return to, the action, and what to keep.

Lu, Hu and Clune (2024), "Intelligent Go-Explore: Standing on the Shoulders of Giant Foundation Models". With an archive
of exact states, each with the set of actions not yet tried in it:

    select    where no walk is going on: a state with untried actions ~ softmax(judge's score of states / temperature);
              where none is left, every action counts as untried again
    act       an untried action ~ softmax(judge's score of actions / temperature); it is tried from now on
    keep      a state seen for the first time is archived if the judge says so, else banned: it is never asked about
              again, never returned to, but this walk may go on from it
    walk on   from the new state, until the episode ends, it has no untried action, or the walk is long enough

One operation is one action in the simulator, impossible ones included: operations are the budget. A known state that
is reached by fewer actions is kept with those. The judge is a :class:`Judge`, three pure functions; :mod:`.judges` has
exact, noisy, learned, tabulated and indifferent ones.

What differs from the published program:

- Its judge, a language model, answers with one choice from a list; here it gives scores, and the choice is drawn.
- A judge sees the state and the task, not the rest of the archive, so each archived state is scored once and the score
  kept. A model's answers are no pure function: tabulate them first (``experiments/examples/judge_table.py``).
- In the grid and text worlds the program replays actions to return; here the state is restored, and the metric
  ``env_steps_replayed`` counts what replaying would cost. The simulator must be deterministic.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import indices
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.packing import like, packing
from purejaxexplore.blocks.sampling import sample_slots
from purejaxexplore.checks import require_at_least

START, UNLOGGED = -1, -2  # nodes: before the first operation; after the log was full
_WORST = -1e4  # scores are clipped to +- this: a NaN or -inf is worst, and even then a choice can be made


class Judge(NamedTuple):
    """Three pure functions of states and the environment's parameters (the task).

    A score that is NaN or -inf counts as worst: what has it is chosen only where all have it; NaNs are counted.

    Attributes:
        score_states: ``(states [n, ...], env_params) -> f32[n]``, logits of returning to each.
        score_actions: ``(state, env_params) -> f32[A]``, logits of trying each.
        keep: ``(state, env_params) -> bool``, whether a new state is worth archiving.
    """

    score_states: Callable[[Any, Any], jax.Array]
    score_actions: Callable[[Any, Any], jax.Array]
    keep: Callable[[Any, Any], jax.Array]


@flax.struct.dataclass
class IntelligentGoExploreConfig:
    """Settings.

    Attributes:
        state_temperature: above 0; large ones choose states uniformly, small ones the judge's favourite.
        action_temperature: above 0; the same for actions.
        walk_length: operations of a walk before a state is selected anew; 128 or 64 in the published grid worlds.
        capacity: ``C``, slots for archived and banned states: a power of two, best twice their number.
        num_operations: ``T``, operations that are logged; later ones go on, but what they find has no recorded way.
        probes: slots that a state may try before it is dropped; the metric ``overflow`` counts those.
    """

    state_temperature: float = 1.0
    action_temperature: float = 1.0
    walk_length: int = 128
    capacity: int = flax.struct.field(pytree_node=False, default=256)
    num_operations: int = flax.struct.field(pytree_node=False, default=700)
    probes: int = flax.struct.field(pytree_node=False, default=32)


class Place(NamedTuple):
    """A state and how it was reached.

    Attributes:
        packed: packed environment state.
        length: i32, actions since the start.
        node: i32, the operation that reached it, or ``START``.
    """

    packed: Any
    length: jax.Array
    node: jax.Array


class IntelligentGoExploreState(NamedTuple):
    """Everything that a run knows.

    Attributes:
        archive: Archive of (packed state, length); ``thr`` is the judge's score of each state, ``node`` the operation.
        untried: bool[C, A], actions not yet tried in the state of each slot, archived or banned.
        legal: bool[C, A], actions that exist there; all False where no state was seen.
        banned: bool[C], states that the judge rejected.
        here: Place, where the walk stands.
        slot: i32, its slot.
        walk: i32, operations of this walk; 0 selects a state first.
        actions: i32[T], the log: the action of each operation.
        parents: i32[T], and the node from which it was done.
        goal: Place without state, (length, node) of the shortest success; the largest i32 and ``UNLOGGED`` before.
        solved_at: i32, operations done when the task was first completed; 0 before.
        t: i32, operations done.
        walks, refills, nan_scores, env_steps_replayed: i32 counters of the metrics.
    """

    archive: Archive
    untried: jax.Array
    legal: jax.Array
    banned: jax.Array
    here: Place
    slot: jax.Array
    walk: jax.Array
    actions: jax.Array
    parents: jax.Array
    goal: tuple[jax.Array, jax.Array]
    solved_at: jax.Array
    t: jax.Array
    walks: jax.Array
    refills: jax.Array
    nan_scores: jax.Array
    env_steps_replayed: jax.Array


def draw(key: jax.Array, scores: jax.Array, allowed: jax.Array, temperature: jax.Array | float) -> jax.Array:
    """An allowed index i32 with probability ~ exp(score / temperature); the number of scores if none is allowed.

    Args:
        key: consumed.
        scores: f32[n]; NaN and what lies beyond +-10,000 counts as the end of that range, NaN as the lower one.
        allowed: bool[n].
        temperature: above 0.
    """
    scores = jnp.where(allowed, jnp.clip(jnp.where(jnp.isnan(scores), _WORST, scores), _WORST, -_WORST), -jnp.inf)
    best = jnp.maximum(scores.max(), _WORST)
    return sample_slots(key, jnp.exp((scores - best) / temperature), 1)[0]


def intelligent_go_explore(env: Any, env_params: Any, config: IntelligentGoExploreConfig, judge: Judge) -> Algorithm:
    """Intelligent Go-Explore; ``step`` is one operation.

    Args:
        env: deterministic gymnax environment with discrete actions and ``cell_key(state, params) -> i32[d]``, its exact
            state. ``legal_actions(state, params) -> bool[A]`` says which actions exist (default all),
            ``info["success"]`` that the task is completed; ``pack``/``unpack`` keep the archive small.
        env_params: its parameters, the task.
        config: the settings.
        judge: the :class:`Judge`.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`. Metrics count from the beginning: ``env_steps`` (operations),
        ``env_steps_replayed`` (with returns replayed), ``success`` (1 once the task was completed), ``solved_at``
        (operations until then, 0 before), ``episode_length`` (actions of the shortest solution, 0 before), ``cells``
        (archived states), ``banned``, ``walks``, ``refills``, ``nan_scores`` (NaNs among the judge's scores),
        ``overflow``, ``unlogged``.

    Raises:
        TypeError: ``env`` is not an environment, or ``judge`` not a Judge.
        ValueError: a setting is out of range, the actions are not discrete, there is no ``cell_key``, or a function of
            the judge returns the wrong shape or type.
    """
    _require(env, env_params, config, judge)
    A, C, T = env.action_space(env_params).n, config.capacity, config.num_operations
    pack, unpack = packing(env, env_params)

    def cell_key(state):
        return jnp.atleast_1d(env.cell_key(state, env_params))

    def legal_actions(state):
        return env.legal_actions(state, env_params) if hasattr(env, "legal_actions") else jnp.ones(A, bool)

    def locate(archive, state, valid):
        return indices.hash_slots(archive, cell_key(state)[None], jnp.reshape(valid, 1), config.probes)

    def score_state(state):
        return judge.score_states(jax.tree.map(lambda x: x[None], state), env_params)[0]

    def store(archive, slot, place, valid, score, new):
        """Offers a place to its slot: a new one with its score, a known one for a shorter way."""
        one = jax.tree.map(lambda x: jnp.asarray(x)[None], place)
        archive, _ = table.insert(
            archive, slot, jnp.zeros(1), (one.packed, one.length), tie=one.length, node=one.node, valid=valid
        )
        return table.write(archive, slot, jnp.reshape(new, 1), thr=jnp.reshape(score, 1))

    def init(key):
        _, state = env.reset_env(key, env_params)
        state = jax.tree.map(jnp.asarray, state)
        place = Place(pack(state), jnp.int32(0), jnp.int32(START))
        archive = table.init((place.packed, place.length), C, ("tie", "node", "thr", "key"))
        slot, archive = locate(archive, state, True)
        score = score_state(state)
        legal = jnp.zeros((C, A), bool).at[slot[0]].set(legal_actions(state))
        zero = jnp.int32(0)
        return IntelligentGoExploreState(
            archive=store(archive, slot, place, True, score, True),
            untried=legal,
            legal=legal,
            banned=jnp.zeros(C, bool),
            here=place,
            slot=slot[0],
            walk=zero,
            actions=jnp.zeros(T, jnp.int32),
            parents=jnp.full(T, UNLOGGED, jnp.int32),
            goal=(jnp.int32(jnp.iinfo(jnp.int32).max), jnp.int32(UNLOGGED)),
            solved_at=zero,
            t=zero,
            walks=zero,
            refills=zero,
            nan_scores=jnp.isnan(score).sum(dtype=jnp.int32),
            env_steps_replayed=zero,
        )

    def select(key, state):
        """The state's walk, or a new one that starts at an archived state with untried actions."""
        archive, idle = state.archive, state.walk == 0
        exhausted = idle & ~(archive.filled & state.untried.any(1)).any()
        untried = jnp.where(exhausted, state.legal, state.untried)
        slot = draw(key, archive.thr, archive.filled & untried.any(1), config.state_temperature)
        slot = jnp.where(idle, slot, state.slot)
        packed, length = jax.tree.map(lambda column: column[slot], archive.payload)
        here = jax.tree.map(
            lambda a, b: jnp.where(idle, a, b), Place(packed, length, archive.node[slot]), state.here
        )
        return state._replace(
            untried=untried,
            here=here,
            slot=slot,
            walks=state.walks + idle,
            refills=state.refills + exhausted,
            env_steps_replayed=state.env_steps_replayed + jnp.where(idle, here.length, 0),
        )

    def step(key, state):
        key_state, key_action, key_env = jax.random.split(key, 3)
        state = select(key_state, state)
        before = unpack(state.here.packed)

        action_scores = judge.score_actions(before, env_params)
        choices = state.untried[state.slot]
        action = draw(key_action, action_scores, choices, config.action_temperature)
        untried = state.untried.at[state.slot, action].set(False, mode="drop")

        _, after, _, terminated, info = env.step_env(key_env, before, action, env_params)
        after = like(after, before)
        alive = ~jnp.logical_or(terminated, env.is_truncated(after, env_params))
        success = jnp.asarray(info.get("success", False), bool)
        node = jnp.where(state.t < T, state.t, UNLOGGED)
        place = Place(pack(after), state.here.length + 1, node)

        slots, archive = locate(state.archive, after, alive)
        slot = slots[0]
        stored = alive & (slot < C)
        first = stored & ~state.legal.at[slot].get(mode="fill", fill_value=False).any()
        kept = first & judge.keep(after, env_params)
        known = archive.filled.at[slot].get(mode="fill", fill_value=False)
        score = score_state(after)
        archive = store(archive, slots, place, kept | (stored & known), score, kept)
        arrival = jnp.where(first, slot, C)
        legal = state.legal.at[arrival].set(legal_actions(after), mode="drop")
        untried = untried.at[arrival].set(legal_actions(after), mode="drop")

        walk = state.walk + 1
        going = stored & untried.at[slot].get(mode="fill", fill_value=False).any() & (walk < config.walk_length)
        length, goal_node = state.goal
        shorter = success & (place.length < length)
        nans = (jnp.isnan(action_scores) & choices).sum(dtype=jnp.int32) + (kept & jnp.isnan(score))
        state = state._replace(
            archive=archive,
            untried=untried,
            legal=legal,
            banned=state.banned.at[jnp.where(kept, C, arrival)].set(True, mode="drop"),
            here=place,
            slot=slot,
            walk=jnp.where(going, walk, 0),
            actions=state.actions.at[state.t].set(action, mode="drop"),
            parents=state.parents.at[state.t].set(state.here.node, mode="drop"),
            goal=(jnp.where(shorter, place.length, length), jnp.where(shorter, node, goal_node)),
            solved_at=jnp.where(success & (state.solved_at == 0), state.t + 1, state.solved_at),
            t=state.t + 1,
            nan_scores=state.nan_scores + nans,
            env_steps_replayed=state.env_steps_replayed + 1,
        )
        return state, metrics(state)

    def metrics(state):
        solved = state.solved_at > 0
        return {
            "env_steps": state.t,
            "env_steps_replayed": state.env_steps_replayed,
            "success": solved.astype(jnp.float32),
            "solved_at": state.solved_at,
            "episode_length": jnp.where(solved, state.goal[0], 0),
            "cells": state.archive.filled.sum(dtype=jnp.int32),
            "banned": state.banned.sum(dtype=jnp.int32),
            "walks": state.walks,
            "refills": state.refills,
            "nan_scores": state.nan_scores,
            "overflow": state.archive.overflow,
            "unlogged": jnp.maximum(state.t - T, 0),
        }

    return Algorithm(init, step)


def way_to(state: IntelligentGoExploreState, node: Any) -> np.ndarray:
    """The actions i64[L] from the start to a node (``state.goal[1]``, or ``state.archive.node[slot]``), on the host.

    Raises:
        ValueError: nothing was found there, or after the log was full.
    """
    actions, parents, found = np.asarray(state.actions), np.asarray(state.parents), []
    node = int(node)
    while node != START:
        if not 0 <= node < len(actions):
            raise ValueError(f"node={node}: not in the log of {len(actions)} operations; nothing found, or found later")
        found.append(int(actions[node]))
        node = int(parents[node])
    return np.array(found[::-1], np.int64)


def _require(env: Any, env_params: Any, config: IntelligentGoExploreConfig, judge: Judge) -> None:
    if not (hasattr(env, "step_env") and hasattr(env, "reset_env")):
        raise TypeError(f"env={env!r}: expected a gymnax environment, with step_env and reset_env")
    if not isinstance(judge, Judge):
        raise TypeError(f"judge={judge!r}: expected a Judge(score_states, score_actions, keep)")
    if not hasattr(env, "cell_key"):
        raise ValueError(f"env={env.name}: no cell_key(state, params), which the archive of exact states needs")
    space = env.action_space(env_params)
    if not hasattr(space, "n"):
        raise ValueError(f"action space {space!r}: expected a Discrete one, whose actions can be tried one by one")
    for name in ("capacity", "num_operations", "probes"):
        require_at_least(1, **{name: getattr(config, name)})
    indices.require_power_of_two(config.capacity)
    if not isinstance(config.walk_length, jax.core.Tracer):
        require_at_least(1, walk_length=config.walk_length)
    for name in ("state_temperature", "action_temperature"):
        value = getattr(config, name)
        if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
            raise ValueError(f"{name}={value!r}: expected a number above 0")
    state = jax.eval_shape(env.reset_env, jax.random.key(0), env_params)[1]
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((3, *jnp.shape(x)), jnp.result_type(x)), state)
    expected = {"score_states": (batch, (3,)), "score_actions": (state, (space.n,)), "keep": (state, ())}
    for name, (argument, shape) in expected.items():
        answer = jax.eval_shape(getattr(judge, name), argument, env_params)
        kind = jnp.bool_ if name == "keep" else jnp.floating
        if getattr(answer, "shape", None) != shape or not jnp.issubdtype(answer.dtype, kind):
            got = f"{answer.dtype}{list(answer.shape)}" if hasattr(answer, "shape") else answer
            wanted = f"{'bool' if name == 'keep' else 'float'}{list(shape)}"
            raise ValueError(f"judge.{name} returns {got}: expected {wanted}")
