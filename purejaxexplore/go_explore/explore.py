"""Go-Explore, exploration phase: return to a promising cell without exploring on the way, then explore from it.

Ecoffet, Huizinga, Lehman, Stanley, Clune (2019), "Go-Explore: a new approach for hard-exploration problems", and
(2021), "First return, then explore". One iteration, with an archive of cells c that keeps the best-known way to each::

    select    c_1 ... c_B  ~  W(c), by default 1 / sqrt(seen(c) + 1)
    return    restore the stored environment state of c_b, or replay the way to it from the start
    explore   k random actions, each the last one again with probability p, until the episode ends
    update    every visited state is offered to its cell: higher score wins, then the shorter way;
              chosen, fresh and seen count selections, selections since the last success, and visits

What differs from the published program:

- The B rollouts of an iteration are parallel: their selections do not see each other's discoveries, and a cell that
  several of them improve is credited to the one whose record is stored. The elites are those of the sequential program.
- The end of an episode, by termination or truncation, is never a cell; its score and the way to it are kept apart.
- A trajectory costs 4 bytes a rollout (:mod:`purejaxexplore.archives.trajectory`) instead of its actions.
- The environment's randomness in a rollout is part of the record: in a stochastic environment a cell may be reached by
  luck. Restoring the state keeps that luck, and replaying the way, during the run or after it, repeats it, since it
  repeats the environment's keys with the actions; a real world or a policy will not.
"""

import numbers
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm, step_key
from purejaxexplore.archives import archive as table
from purejaxexplore.archives import cells, indices, trajectory, weights
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.counters import COUNTERS, count_visits
from purejaxexplore.archives.packing import like, packing
from purejaxexplore.archives.refitting import RefittedCells, View
from purejaxexplore.blocks.episodes import coverage
from purejaxexplore.blocks.sampling import sample_slots
from purejaxexplore.checks import choice, require_at_least

RETURN_MODES = ("restore", "replay")


@flax.struct.dataclass
class GoExploreConfig:
    """Settings of the exploration phase; the defaults are the paper's for Atari, except for the sizes of tables.

    Attributes:
        action_repeat: probability in [0, 1) that an action is the last one again; 0.95 on Atari, 0.9 in robotics.
        num_lanes: ``B``, rollouts an iteration.
        horizon: ``k``, actions a rollout.
        capacity: ``C``, slots of the archive. With the hash index a power of two, best twice the number of cells.
        num_iterations: ``T``, iterations whose rollouts are logged; ``T * B * k`` is below 2^31. Later ones explore
            all the same, but what they find cannot be replayed; the metric ``unlogged`` counts those rollouts.
        index: ``"hash"`` for cells that are vectors of integers, ``"key"`` for cells that are ids in [0, C).
        reset_on_update: an improved cell's counters start again from 0, as in all published runs.
        probes: slots that a hashed cell may try before it is dropped; the metric ``overflow`` counts those.
        return_mode: ``"restore"``: records keep their environment state, and returning is free. ``"replay"``: they do
            not, and returning costs as many environment steps as the way to the cell is long. Both store the same
            records with the same keys, until the log is full: then replay stores no more.
    """

    action_repeat: float = 0.95
    num_lanes: int = flax.struct.field(pytree_node=False, default=100)
    horizon: int = flax.struct.field(pytree_node=False, default=100)
    capacity: int = flax.struct.field(pytree_node=False, default=2**16)
    num_iterations: int = flax.struct.field(pytree_node=False, default=2**14)
    index: str = flax.struct.field(pytree_node=False, default="hash")
    reset_on_update: bool = flax.struct.field(pytree_node=False, default=True)
    probes: int = flax.struct.field(pytree_node=False, default=32)
    return_mode: str = flax.struct.field(pytree_node=False, default="restore")


class Place(NamedTuple):
    """Where a rollout can start, or what it reached; the payload of the archive.

    Attributes:
        packed: packed environment state; () where returns are replayed.
        length: i32, steps since the start of the episode.
    """

    packed: Any
    length: jax.Array


class Best(NamedTuple):
    """The best state ever reached, ends of episodes included: score f32, steps i32 since the start, node i32.

    The highest score wins, then the fewest steps, then the first.
    """

    score: jax.Array
    length: jax.Array
    node: jax.Array


class GoExploreState(NamedTuple):
    """Everything that an exploration knows.

    Attributes:
        archive: Archive of :class:`Place`.
        parent: i32[T, B], the trajectory log: the node from which each rollout started.
        start: packed environment state at the start of an episode.
        best: the :class:`Best`.
        succeeded: bool, some rollout completed the task.
        visited: bool[num_states], states ever reached, if the environment numbers its states, else None.
        t: i32, iterations done.
        env_steps: i32, steps executed; below 2^31.
        env_steps_explored: i32, those of them that were not part of a return.
        env_steps_replayed: f32, steps that it would have cost with returns replayed from the start of an
            episode.
        accepted: i32, records stored.
        view: the :class:`~purejaxexplore.archives.refitting.View` that decides the cells, None where they are fixed.
        rollout_keys: u32[T, ...], the words from which the actions of each iteration's rollouts were drawn: the record
            of what they did, from which nothing new is drawn; None where states are restored.
    """

    archive: Archive
    parent: jax.Array
    start: Any
    best: Best
    succeeded: jax.Array
    visited: jax.Array | None
    t: jax.Array
    env_steps: jax.Array
    env_steps_explored: jax.Array
    env_steps_replayed: jax.Array
    accepted: jax.Array
    view: View | None
    rollout_keys: jax.Array | None


class Origin(NamedTuple):
    """Where the lanes of an iteration start: slot, packed state (or ()), score, steps and node, each [B, ...]."""

    slot: jax.Array
    packed: Any
    score: jax.Array
    length: jax.Array
    node: jax.Array


class Visits(NamedTuple):
    """What the rollouts of an iteration met, step by step, each [k, B, ...].

    Attributes:
        cell: i32[k, B, d], cell key.
        packed: packed environment state; () where returns are replayed.
        score: f32[k, B], since the start of the episode.
        tie: i32[k, B], smaller is better among equal scores.
        alive: bool[k, B], the step was executed.
        going: bool[k, B], and the episode goes on after it: the state is a candidate.
        success: bool[k, B], and it completed the task.
        state_id: i32[k, B], or None.
    """

    cell: jax.Array
    packed: Any
    score: jax.Array
    tie: jax.Array
    alive: jax.Array
    going: jax.Array
    success: jax.Array
    state_id: jax.Array | None


def choose(key: jax.Array, archive: Archive, weight: jax.Array, start: Any, num_lanes: int) -> Origin:
    """Draws ``num_lanes`` cells by weight f32[C] and looks up their records; a new episode where no cell has weight."""
    slot = sample_slots(key, jnp.where(archive.filled, weight, 0.0), num_lanes)
    known = slot < archive.capacity

    def pick(column, otherwise):
        here = known.reshape(-1, *[1] * (column.ndim - 1))
        return jnp.where(here, column.at[slot].get(mode="clip"), otherwise)

    return Origin(
        slot=slot,
        packed=jax.tree.map(pick, archive.payload.packed, start),
        score=pick(archive.score, 0.0),
        length=pick(archive.payload.length, 0),
        node=pick(archive.node, trajectory.START),
    )


def improve(best: Best, score: jax.Array, length: jax.Array, node: jax.Array, alive: jax.Array) -> Best:
    """The best of ``best`` and the executed steps of an iteration, arrays [k, B]."""
    highest = jnp.max(jnp.where(alive & ~jnp.isnan(score), score, -jnp.inf))
    index = jnp.argmin(jnp.where(alive & (score == highest), length, jnp.iinfo(jnp.int32).max))
    found = Best(highest, length.ravel()[index], node.ravel()[index])
    better = (found.score > best.score) | ((found.score == best.score) & (found.length < best.length))
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)


def go_explore(
    env: Any,
    env_params: Any,
    config: GoExploreConfig,
    *,
    cell: cells.CellFunction | RefittedCells | None = None,
    weight: Callable[[Archive], jax.Array] = weights.no_knowledge,
    tie: Callable[[jax.Array, Any, Any], jax.Array] | None = None,
) -> Algorithm:
    """Go-Explore's exploration phase.

    Args:
        env: gymnax environment. Its ``pack``/``unpack`` keep the archive small; without them whole states are stored.
        env_params: its parameters; the horizon of an episode is counted by the clock in the state.
        config: the settings.
        cell: ``(observation, state, env_params) -> i32[d]`` or scalar; default the environment's ``cell_key``. Or
            :func:`~purejaxexplore.archives.refitting.refitted` cells, which change during the run.
        weight: ``archive -> f32[C]``, selection weights; empty slots are ignored. ``weights.uniform`` and
            ``weights.start`` are the usual baselines.
        tie: ``(length, state, env_params) -> i32``, preferred among equal scores where smaller; default the length. A
            score-first archive can be trapped by a nearly dead state: then use minus the health.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is one iteration of ``B`` rollouts. Metrics count from
        the beginning: ``env_steps`` (executed), ``env_steps_explored`` (without those of returns),
        ``env_steps_replayed`` (with returns, replayed or not), ``cells``, ``coverage`` (visited share of the reachable
        states, or the filled share of the archive where the environment does not number its states), ``best_score``,
        ``episode_return`` (the same), ``episode_length`` (of the best), ``success`` (1 once the task was completed),
        ``accepted``, ``overflow``, ``unlogged``; with refitted cells also ``cell_height``, ``cell_width``,
        ``cell_depth``, their sizes now.

    Raises:
        TypeError: ``env`` is not an environment.
        ValueError: a setting is out of range, the actions are unbounded, there is no cell function, or it gives
            something else than one vector of integers (a NaN has no cell; ``cells.quantised`` and ``cells.grid`` say
            what becomes of one).
    """
    _require(env, config, isinstance(cell, RefittedCells))
    space = env.action_space(env_params)
    trajectory.require_bounded(space)
    cell = cells.own_cells(env) if cell is None else cell
    changing = isinstance(cell, RefittedCells)
    num_states = getattr(env, "num_states", None) if hasattr(env, "state_id") else None
    B, k, T = config.num_lanes, config.horizon, config.num_iterations
    replaying = config.return_mode == "replay"
    pack, unpack = packing(env, env_params)
    locate = partial(indices.hash_slots, probes=config.probes) if config.index == "hash" else indices.key_slots

    if not changing:
        _require_cells(env, env_params, config, cell)

    def transition(cell, key, state, action):
        observation, following, reward, terminated, info = env.step_env(key, state, action, env_params)
        following = like(following, state)
        going = ~jnp.logical_or(terminated, env.is_truncated(following, env_params))
        success = jnp.asarray(info.get("success", False), bool)
        return following, cell_key(cell, observation, following), jnp.asarray(reward, jnp.float32), going, success

    def cell_key(cell, observation, state):
        return jnp.atleast_1d(cell(observation, state, env_params))

    def kept(state):
        """What a record keeps of a state."""
        return () if replaying else pack(state)

    def init(key):
        observation, state = env.reset_env(jax.random.fold_in(key, 0), env_params)  # some keep the key that they get
        state = jax.tree.map(jnp.asarray, state)
        packed = pack(state)
        fields = ("tie", "node", *COUNTERS, *(("key",) if config.index == "hash" else ()))
        place = Place(kept(state), jnp.int32(0))
        archive = table.init(place, config.capacity, fields)
        first = jax.tree.map(lambda x: x[None], place)
        view = cell.init(packed) if changing else None
        first_key = cell_key(cell.cell(view) if changing else cell, observation, state)
        slot, archive = locate(archive, first_key[None], jnp.ones(1, bool))
        first_tie = jnp.int32(0) if tie is None else tie(jnp.int32(0), state, env_params)
        node = jnp.full(1, trajectory.START, jnp.int32)
        archive, _ = table.insert(archive, slot, jnp.zeros(1), first, tie=jnp.reshape(first_tie, 1), node=node)
        visited = None if num_states is None else jnp.arange(num_states) == env.state_id(state, env_params)
        return GoExploreState(
            archive=archive,
            parent=jnp.full((T, B), trajectory.UNLOGGED, jnp.int32),
            start=packed,
            best=Best(jnp.float32(0), jnp.int32(0), jnp.int32(trajectory.START)),
            succeeded=jnp.bool_(False),
            visited=visited,
            t=jnp.int32(0),
            env_steps=jnp.int32(0),
            env_steps_explored=jnp.int32(0),
            env_steps_replayed=jnp.float32(0),
            accepted=jnp.int32(0),
            view=view,
            rollout_keys=jnp.zeros((T, *jax.random.key_data(key).shape), jnp.uint32) if replaying else None,
        )

    def go(key, state, origin):
        """The environment states at the origins, by one of the two ways to return."""
        if not replaying:
            return jax.vmap(unpack)(origin.packed)

        def explore_key(t):
            return jax.random.wrap_key_data(state.rollout_keys[t], impl=jax.random.key_impl(key))

        def walk(node):
            start = unpack(state.start)
            return trajectory.retrace(env, env_params, start, state.parent, node, explore_key, k, config.action_repeat)

        return jax.vmap(walk)(origin.node)

    def explore(key, origin, states, cell):
        """Rolls every lane out for ``k`` steps; what comes after the end of an episode is marked as not alive."""
        lane_keys = jax.vmap(trajectory.lane_key, (None, 0))(key, jnp.arange(B))
        keys_actions, keys_env = jax.vmap(trajectory.split_lane_key)(lane_keys)
        repeat = jax.vmap(lambda lane: trajectory.repeat_actions(lane, space, k, config.action_repeat), out_axes=1)

        def step(carry, inputs):
            states, scores, alive = carry
            j, action = inputs
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys_env, j)
            states, cell_keys, rewards, going, success = jax.vmap(partial(transition, cell))(keys, states, action)
            scores = scores + jnp.where(alive, rewards, 0.0)
            length = origin.length + j + 1
            visits = Visits(
                cell=cell_keys,
                packed=jax.vmap(kept)(states),
                score=scores,
                tie=length if tie is None else jax.vmap(tie, (0, 0, None))(length, states, env_params),
                alive=alive,
                going=alive & going,
                success=alive & success,
                state_id=None if num_states is None else jax.vmap(env.state_id, (0, None))(states, env_params),
            )
            return (states, scores, alive & going), visits

        _, visits = jax.lax.scan(step, (states, origin.score, jnp.ones(B, bool)), (jnp.arange(k), repeat(keys_actions)))
        return visits

    def step(key, state):
        start = () if replaying else state.start
        origin = choose(trajectory.select_key(key), state.archive, weight(state.archive), start, B)
        visits = explore(key, origin, go(key, state, origin), cell.cell(state.view) if changing else cell)

        j = jnp.arange(k)[:, None]
        node = (state.t * B + jnp.arange(B)) * k + j
        node = jnp.where(state.t < T, node, trajectory.UNLOGGED)
        length = origin.length + j + 1

        def flat(x):
            return x.reshape(k * B, *x.shape[2:])

        # Where ways are replayed, one that is not in the log would lead nowhere.
        storable = flat(visits.going & (state.t < T) if replaying else visits.going)
        slot, archive = locate(state.archive, flat(visits.cell), storable)
        archive, info = table.insert(
            archive,
            slot,
            flat(visits.score),
            Place(jax.tree.map(flat, visits.packed), flat(length)),
            tie=flat(visits.tie),
            node=flat(node),
            valid=storable,
        )
        win = info.win.reshape(k, B)
        archive = count_visits(archive, origin.slot, info.slot.reshape(k, B), win, config.reset_on_update)

        visited = state.visited
        if visited is not None:
            visited = visited.at[jnp.where(visits.alive, visits.state_id, num_states)].set(True, mode="drop")
        executed, returned = visits.alive.sum(dtype=jnp.int32), origin.length.sum()
        env_steps, view = state.env_steps + executed + (returned if replaying else 0), state.view
        if changing:
            met = jax.tree.map(flat, visits.packed), flat(visits.going)
            counting = config.probes, config.reset_on_update
            view, archive = cell.update(trajectory.cells_key(key), view, *met, archive, env_steps, *counting)
        rollout_keys = state.rollout_keys
        if replaying:
            words = jax.random.key_data(trajectory.explore_key(key))
            rollout_keys = rollout_keys.at[state.t].set(words, mode="drop")
        state = GoExploreState(
            archive=archive,
            parent=state.parent.at[state.t].set(origin.node, mode="drop"),
            start=state.start,
            best=improve(state.best, visits.score, length, node, visits.alive),
            succeeded=state.succeeded | visits.success.any(),
            visited=visited,
            t=state.t + 1,
            env_steps=env_steps,
            env_steps_explored=state.env_steps_explored + executed,
            env_steps_replayed=state.env_steps_replayed + (executed + returned),
            accepted=state.accepted + win.sum(dtype=jnp.int32),
            view=view,
            rollout_keys=rollout_keys,
        )
        return state, metrics(state)

    def metrics(state):
        num_cells = state.archive.filled.sum(dtype=jnp.int32)
        if state.visited is None:
            covered = num_cells / config.capacity
        else:
            covered = coverage(env, state.visited)
        sizes = state.view.sizes._asdict() if changing else {}
        return {f"cell_{name}": size for name, size in sizes.items()} | {
            "env_steps": state.env_steps,
            "env_steps_explored": state.env_steps_explored,
            "env_steps_replayed": state.env_steps_replayed,
            "cells": num_cells,
            "coverage": covered,
            "best_score": state.best.score,
            "episode_return": state.best.score,
            "episode_length": state.best.length,
            "success": state.succeeded.astype(jnp.float32),
            "accepted": state.accepted,
            "overflow": state.archive.overflow,
            "unlogged": jnp.maximum(state.t - T, 0) * B,
        }

    return Algorithm(init, step)


def replay(
    env: Any, env_params: Any, config: GoExploreConfig, state: GoExploreState, node: Any, seed_key: jax.Array
) -> trajectory.Replay:
    """Steps once more along the way to a node: that of a slot, ``state.archive.node[slot]``, or of ``state.best``.

    Args:
        env: the environment of the run.
        env_params: its parameters; under ``per_seed`` those that this seed drew.
        config: the settings of the run.
        state: final state of one seed, without a seed axis.
        node: i32.
        seed_key: the key from which the runner derived this seed's iterations.

    Raises:
        ValueError: the node was reached after the log was full.
    """
    start = packing(env, env_params)[1](state.start)
    segments = trajectory.extract(state.parent, node, config.horizon)
    return trajectory.replay(
        env, env_params, start, segments, lambda t: step_key(seed_key, t), config.horizon, config.action_repeat
    )


def _require_cells(env: Any, env_params: Any, config: GoExploreConfig, cell: cells.CellFunction) -> None:
    def first_cell(key):
        observation, state = env.reset_env(key, env_params)
        return jnp.atleast_1d(cell(observation, jax.tree.map(jnp.asarray, state), env_params))

    got = jax.eval_shape(first_cell, jax.random.key(0))
    if got.ndim != 1 or not jnp.issubdtype(got.dtype, jnp.integer):
        got = f"{got.dtype}{list(got.shape)}"
        raise ValueError(f"cell returns {got}: expected integers [d]; quantise floats, as cells.quantised does")
    if config.index == "key" and got.shape != (1,):
        raise ValueError(f"cell returns {got.shape[0]} numbers: index='key' needs one id; use index='hash'")


def _require(env: Any, config: GoExploreConfig, changing: bool) -> None:
    if not (hasattr(env, "step_env") and hasattr(env, "reset_env")):
        raise TypeError(f"env={env!r}: expected a gymnax environment, with step_env and reset_env")
    sizes = ("num_lanes", "horizon", "capacity", "num_iterations", "probes")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    repeat = config.action_repeat
    if isinstance(repeat, numbers.Real) and not 0 <= repeat < 1:
        raise ValueError(f"action_repeat={repeat!r}: expected a probability in [0, 1)")
    choice("return_mode", config.return_mode, RETURN_MODES)
    if changing and config.return_mode != "restore":
        raise ValueError(f"return_mode={config.return_mode!r}: cells that change during a run need 'restore'")
    if config.index not in ("hash", "key"):
        raise ValueError(f"index={config.index!r}: expected 'hash', or 'key' (also for a grid, with cell=cells.grid)")
    if config.capacity < config.num_lanes:
        raise ValueError(f"capacity={config.capacity}: expected at least num_lanes={config.num_lanes} slots")
    if changing and config.index != "hash":
        raise ValueError(f"index={config.index!r}: cells that change during a run need 'hash'")
    if config.index == "hash":
        indices.require_power_of_two(config.capacity)
    if config.num_iterations * config.num_lanes * config.horizon >= 2**31:
        most = (2**31 - 1) // (config.num_lanes * config.horizon)
        raise ValueError(f"num_iterations={config.num_iterations}: expected at most {most}, for a log below 2^31 steps")
