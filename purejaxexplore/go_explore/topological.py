"""TopoNav: a map of landmarks that grows as one moves, and two levels of Q-learning that walk on it.

Hossain, Faridee, Roy, Freeman, Gregory and Trout (2024), "TopoNav: topological navigation for efficient exploration in
sparse reward environments". A place farther than ``spacing`` from every landmark becomes one, and so does a place of
reward; walking from one to another draws an edge. At a landmark c the upper level chooses a landmark g,
epsilon-greedily among those that can be reached, by the highest

    Q(c, g) + novelty_weight / sqrt(seen(g) + 1) - distance_weight D(c, g)

with D the length of the shortest way on the map. The way is walked landmark by landmark. A choice is over at g, or when
``patience`` steps brought no landmark; with k steps and the discounted task rewards R, at a landmark c'::

    Q(c, g)       <- + lr (R + bonus / sqrt(seen(c')) + gamma^k max Q(c', .) - Q(c, g))
    q_h(s, a)     <- + lr (1[h reached] - step_cost - bump_cost 1[s' = s] + gamma_low max q_h(s', .) - q_h(s, a))

To choose g = c is to explore from there: the low level takes the action that it tried least in each cell, until a new
landmark is found or the patience ends. Landmarks are counted as they are reached and as exploring begins there.

What differs from the paper, whose robot sees landmarks by a residual network with attention, and whose weights are not
given in full: places are what the observation says (or ``describe`` makes of it), both levels are tables, every step
teaches the ways to all landmarks (Kaelbling, 1993, "Learning to achieve goals"), and once more backwards after each
``rollout_length`` steps (Lin, 1992), the next landmark on the map and not the chosen one is the low level's goal, and
exploring from a landmark is a choice of its own. With a ``chart`` the map is given and does not grow; the choice is
then always another landmark. On a complete chart of a regular grid that is H-DQN (Kulkarni, Narasimhan, Saeedi and
Tenenbaum, 2016, "Hierarchical deep reinforcement learning") with tables.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import landmarks as graph
from purejaxexplore.archives.landmarks import Landmarks
from purejaxexplore.blocks.episodes import coverage, first_success, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.greedy import best, epsilon_greedy
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.requirements import require_numbered


@flax.struct.dataclass
class TopoNavConfig:
    """Settings; the paper gives none for tables.

    Attributes:
        spacing: a place farther than this from every landmark becomes one; in units of the description of places.
        reach: distance at which one is at a landmark, below ``spacing``; small, or one is there through a wall.
        learning_rate: lr of both levels, (0, 1].
        gamma: discount of the upper level per environment step, [0, 1].
        gamma_low: discount of the lower level, [0, 1].
        epsilon: probability of a uniform choice of the upper level.
        epsilon_low: of a uniform action on the way to a landmark.
        bonus: intrinsic reward, times ``1 / sqrt(seen)``, at least 0.
        novelty_weight: at least 0.
        distance_weight: per step of the way, at least 0.
        step_cost, bump_cost: of the lower level, at least 0.
        patience: steps without a landmark after which a choice is over, at least 1.
        capacity: C, landmarks; those for which there is no room are counted in ``overflow``.
        rollout_length: environment steps an iteration.
        num_replays: how often they are learned from once more, backwards.
    """

    spacing: float = 3.0
    reach: float = 1.0
    learning_rate: float = 0.5
    gamma: float = 0.99
    gamma_low: float = 0.95
    epsilon: float = 0.05
    epsilon_low: float = 0.05
    bonus: float = 0.01
    novelty_weight: float = 1.0
    distance_weight: float = 0.005
    step_cost: float = 0.01
    bump_cost: float = 0.1
    patience: float = 30.0
    capacity: int = flax.struct.field(pytree_node=False, default=128)
    rollout_length: int = flax.struct.field(pytree_node=False, default=50)
    num_replays: int = flax.struct.field(pytree_node=False, default=1)


class Choice(NamedTuple):
    """What the upper level is after.

    Attributes:
        origin, target: i32, the landmark where it was chosen and the chosen one; equal for exploring.
        idle: i32, steps since the last landmark was reached.
        gain: f32, discounted task rewards so far.
        discount: f32, gamma to the number of steps so far.
    """

    origin: jax.Array
    target: jax.Array
    idle: jax.Array
    gain: jax.Array
    discount: jax.Array


class Mind(NamedTuple):
    """All that changes at every step.

    Attributes:
        map: the :class:`Landmarks`; ``seen`` counts arrivals and explorations.
        distance: f32[C, C], shortest ways; too short, until the next iteration, where an edge became dearer.
        high: f32[C, C], Q of the upper level: at a landmark, of the chosen one.
        low: f32[S, A, C], q of the lower level.
        tries: i32[S, A], actions taken in each cell.
        node: i32, the landmark reached last.
        away: i32, steps since one was there.
        cell: i32, the state to act in.
        choice: the :class:`Choice`.
    """

    map: Landmarks
    distance: jax.Array
    high: jax.Array
    low: jax.Array
    tries: jax.Array
    node: jax.Array
    away: jax.Array
    cell: jax.Array
    choice: Choice


class Move(NamedTuple):
    """What the lower level learns from: cell, action, true successor, landmark reached there (C for none), all i32, and
    whether the episode terminated there, bool."""

    cell: jax.Array
    action: jax.Array
    successor: jax.Array
    reached: jax.Array
    terminated: jax.Array


class TopoNavState(NamedTuple):
    """The learner and its world.

    Attributes:
        lanes: the one environment.
        mind: the :class:`Mind`.
        visited: bool[S], cells ever entered.
        first_success: i32, environment steps at the first success; -1 before it.
        t: i32, iterations done.
    """

    lanes: Lanes
    mind: Mind
    visited: jax.Array
    first_success: jax.Array
    t: jax.Array


def scores(mind: Mind, config: TopoNavConfig, growing: bool = True) -> jax.Array:
    """What each landmark promises as the next target, f32[C]; -inf where no way leads or the slot is empty.

    On a chart that is given the landmark where one stands is no choice.
    """
    novelty = jax.lax.rsqrt(mind.map.nodes.seen + 1.0)
    way = mind.distance[mind.node]
    value = mind.high[mind.node] + config.novelty_weight * novelty - config.distance_weight * way
    elsewhere = growing | (jnp.arange(value.size) != mind.node)
    return jnp.where(mind.map.filled & elsewhere & (way < jnp.inf), value, -jnp.inf)


def choose(key: jax.Array, mind: Mind, config: TopoNavConfig, growing: bool = True) -> Choice:
    """A fresh choice at ``mind.node``."""
    value = scores(mind, config, growing)
    target = epsilon_greedy(key, value, config.epsilon, value > -jnp.inf)
    return Choice(mind.node, target, jnp.int32(0), jnp.float32(0.0), jnp.float32(1.0))


def learn_way(low: jax.Array, move: Move, filled: jax.Array, config: TopoNavConfig) -> jax.Array:
    """The lower level's values f32[S, A, C] after one step, for all landmarks that are ``filled``, bool[C]."""
    hit = jnp.arange(low.shape[-1]) == move.reached
    following = jnp.where(hit | move.terminated, 0.0, low[move.successor].max(0))
    cost = config.step_cost + config.bump_cost * (move.successor == move.cell)
    error = hit - cost + config.gamma_low * following - low[move.cell, move.action]
    return low.at[move.cell, move.action].add(jnp.where(filled, config.learning_rate * error, 0.0))


def survey(mind: Mind, place: jax.Array, rewarded: jax.Array, config: TopoNavConfig, growing: bool):
    """The map after a step to ``place`` f32[D].

    Returns:
        The mind with map, distances, ``node`` and ``away`` renewed, the landmark that was reached by this step i32 (C
        if none was), and whether it is a new one.
    """
    away = mind.away + 1
    near, far = graph.nearest(mind.map, place)
    wanted = growing & ((far > config.spacing) | rewarded & (far > config.reach))
    chart, slot = graph.add(mind.map, wanted, place=place)
    added = slot < chart.nodes.capacity
    arrived = added | (far <= config.reach)
    node = jnp.where(added, slot, jnp.where(arrived, near, mind.node))
    moved = node != mind.node
    chart = graph.visit(chart, node, moved)
    distance = mind.distance
    if growing:
        chart = graph.connect(chart, mind.node, node, away.astype(jnp.float32), moved)
        distance = graph.shorten(distance, mind.node, node, jnp.where(moved, chart.cost[mind.node, node], jnp.inf))
    mind = mind._replace(map=chart, distance=distance, node=node, away=jnp.where(arrived, 0, away))
    return mind, jnp.where(arrived, node, chart.nodes.capacity), added


def topo_nav(
    env,
    env_params,
    config: TopoNavConfig | None = None,
    *,
    describe: Callable[[jax.Array], jax.Array] = jnp.ravel,
    chart: Landmarks | None = None,
) -> Algorithm:
    """TopoNav in one environment as an :class:`Algorithm`; one step is ``rollout_length`` environment steps.

    Args:
        env, env_params: gymnax environment that numbers its states, and its parameters; discrete actions.
        config: the settings.
        describe: ``observation -> f32[D]``, the place of a landmark.
        chart: a map that is given and does not grow, with places; its capacity is that of the tables.

    Returns:
        An algorithm with metrics ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``, ``success``,
        ``coverage``, ``first_success`` (steps at the first success, -1 before it), ``landmarks``, ``edges`` and
        ``overflow``.

    Raises:
        ValueError: a setting is out of range, the states have no numbers, the actions are continuous, or the chart has
            no places.
        TypeError: ``env`` is not an environment.
    """
    config = TopoNavConfig() if config is None else config
    num_actions = require_numbered(env, env_params)
    _require(config, chart)
    growing = chart is None
    capacity = config.capacity if growing else chart.nodes.capacity

    def place_of(observation):
        return describe(observation).astype(jnp.float32)

    def init(key):
        key_reset, key_choice = jax.random.split(key)
        lanes = reset_lanes(key_reset, env, env_params, 1)
        place = place_of(lanes.obs[0])
        if growing:
            first, node = graph.add(graph.init((), capacity, place.size), jnp.bool_(True), place=place)
        else:
            first, node = chart, graph.nearest(chart, place)[0]
        cell = jax.vmap(env.state_id, (0, None))(lanes.env_state, env_params)[0]
        mind = Mind(
            map=graph.visit(first, node, True),
            distance=graph.shortest(first.cost),
            high=jnp.zeros((capacity, capacity)),
            low=jnp.zeros((env.num_states, num_actions, capacity)),
            tries=jnp.zeros((env.num_states, num_actions), jnp.int32),
            node=node,
            away=jnp.int32(0),
            cell=cell,
            choice=Choice(node, node, jnp.int32(0), jnp.float32(0.0), jnp.float32(1.0)),
        )
        mind = mind._replace(choice=choose(key_choice, mind, config, growing))
        visited = mark_visited(no_state_visited(env), cell)
        return TopoNavState(lanes, mind, visited, jnp.int32(-1), jnp.int32(0))

    def act(key, mind: Mind, lanes):
        key_explore, key_walk = jax.random.split(key)
        choice = mind.choice
        aim = graph.next_node(mind.map.cost, mind.distance, mind.node, choice.target)
        tries = mind.tries[mind.cell]
        least_tried = best(key_explore, -tries)
        onwards = epsilon_greedy(key_walk, mind.low[mind.cell, :, aim], config.epsilon_low)
        action = jnp.where(choice.origin == choice.target, least_tried, onwards)
        return mind._replace(tries=mind.tries.at[mind.cell, action].add(1)), action[None], ()

    def react(key, mind: Mind, step):
        reward, terminated, done = step.reward[0], step.terminated[0], step.done[0]
        successor = step.aux["state_id"][0]
        before = mind.node
        mind, reached, added = survey(mind, place_of(step.next_obs[0]), reward > 0, config, growing)
        move = Move(mind.cell, step.action[0], successor, reached, terminated)
        mind = mind._replace(low=learn_way(mind.low, move, mind.map.filled, config))

        choice = mind.choice
        gain, discount = choice.gain + choice.discount * reward, choice.discount * config.gamma
        idle = jnp.where(mind.node != before, 0, choice.idle + 1)
        there = jnp.where(choice.origin == choice.target, added, mind.node == choice.target)
        over = there | done | (idle >= config.patience)
        found = gain + config.bonus * jax.lax.rsqrt(jnp.maximum(mind.map.nodes.seen[mind.node], 1).astype(jnp.float32))
        ahead = jnp.max(jnp.where(mind.map.filled, mind.high[mind.node], -jnp.inf))
        target = found + jnp.where(terminated, 0.0, discount * ahead)
        error = target - mind.high[choice.origin, choice.target]
        high = mind.high.at[choice.origin, choice.target].add(jnp.where(over, config.learning_rate * error, 0.0))

        start = graph.nearest(mind.map, place_of(step.reset_obs[0]))[0]
        mind = mind._replace(
            map=graph.visit(mind.map, start, done),
            high=high,
            node=jnp.where(done, start, mind.node),
            away=jnp.where(done, 0, mind.away),
            cell=step.aux["reset_state_id"][0],
        )
        going_on = Choice(choice.origin, choice.target, idle, gain, discount)
        fresh = choose(key, mind, config, growing)
        choice = jax.tree.map(lambda new, old: jnp.where(over, new, old), fresh, going_on)
        chart = graph.visit(mind.map, mind.node, over & (choice.target == mind.node))
        return mind._replace(map=chart, choice=choice), move

    def step(key, state: TopoNavState):
        mind = state.mind._replace(distance=graph.shortest(state.mind.map.cost))
        lanes, mind, steps, finished, _, moves = rollout(
            key, env, env_params, state.lanes, mind, act, config.rollout_length, react
        )
        low = mind.low
        for _ in range(config.num_replays):
            low, _ = jax.lax.scan(
                lambda low, move: (learn_way(low, move, mind.map.filled, config), None), low, moves, reverse=True
            )
        episodes, metrics = summarise(lanes.episodes, finished)
        state = TopoNavState(
            lanes=lanes._replace(episodes=episodes),
            mind=mind._replace(low=low),
            visited=mark_visited(state.visited, steps.aux["state_id"]),
            first_success=first_success(state.first_success, finished, state.t * config.rollout_length),
            t=state.t + 1,
        )
        return state, metrics | {
            "env_steps": state.t * config.rollout_length,
            "coverage": coverage(env, state.visited),
            "first_success": state.first_success,
            "landmarks": mind.map.filled.sum(dtype=jnp.int32),
            "edges": (mind.map.walks > 0).sum(dtype=jnp.int32) // 2,
            "overflow": mind.map.nodes.overflow,
        }

    return Algorithm(init, step)


def _require(config: TopoNavConfig, chart: Landmarks | None) -> None:
    require_at_least(1, capacity=config.capacity, rollout_length=config.rollout_length)
    require_at_least(0, num_replays=config.num_replays)
    rates = ("learning_rate", "gamma", "gamma_low", "epsilon", "epsilon_low")
    require_between(0, 1, **{name: getattr(config, name) for name in rates})
    amounts = ("spacing", "reach", "bonus", "novelty_weight", "distance_weight", "step_cost", "bump_cost")
    require_between(0, inf, **{name: getattr(config, name) for name in amounts})
    require_between(1, inf, patience=config.patience)
    if chart is not None and chart.nodes.desc is None:
        raise ValueError("chart: expected landmarks with places, landmarks.init(..., place_size=D)")
