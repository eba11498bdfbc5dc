"""Tabular Q-learning with a count bonus: the flat learner that hierarchies and planners are measured against.

Watkins (1989), "Learning from delayed rewards", with the bonus of Strehl and Littman (2008), "An analysis of
model-based interval estimation for Markov decision processes", on states. After each step of one environment::

    r' = r + bonus / sqrt(n(s'))
    Q(s, a) <- Q(s, a) + lr (r' + gamma max Q(s', .) - Q(s, a))

and after each ``rollout_length`` steps the same updates once more for all of them, the last one first (Lin, 1992,
"Self-improving reactive agents based on reinforcement learning, planning and teaching"), by which what the end of a
walk was worth reaches its beginning at once. A value beyond the time limit counts, one beyond the end of an episode
does not.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, first_success, summarise
from purejaxexplore.blocks.greedy import epsilon_greedy
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.requirements import require_numbered


@struct.dataclass
class QLearningConfig:
    """Hyper-parameters.

    Attributes:
        learning_rate: lr, (0, 1].
        gamma: discount, [0, 1].
        epsilon: probability of a uniform action, [0, 1].
        bonus: weight of ``1 / sqrt(n)``, at least 0.
        initial_value: of Q; without optimism what was never tried looks worse than what was, which had its bonus.
        rollout_length: environment steps an iteration.
        num_replays: how often they are learned from once more, backwards; 0 for the textbook's algorithm.
    """

    learning_rate: float = 0.5
    gamma: float = 0.99
    epsilon: float = 0.05
    bonus: float = 0.01
    initial_value: float = 1.0
    rollout_length: int = struct.field(pytree_node=False, default=50)
    num_replays: int = struct.field(pytree_node=False, default=1)


class Transition(NamedTuple):
    """What is learned from: state i32, action i32, reward f32 with the bonus, true successor i32, terminated bool."""

    state: jax.Array
    action: jax.Array
    reward: jax.Array
    successor: jax.Array
    terminated: jax.Array


class QLearningState(NamedTuple):
    """The learner and its world.

    Attributes:
        lanes: the one environment.
        q: f32[S, A].
        visits: i32[S], how often each state was entered.
        here: i32, the state to act in.
        first_success: i32, environment steps at the first success; -1 before it.
        t: i32, iterations done.
    """

    lanes: Lanes
    q: jax.Array
    visits: jax.Array
    here: jax.Array
    first_success: jax.Array
    t: jax.Array


def td_update(q: jax.Array, step: Transition, learning_rate: jax.Array, gamma: jax.Array) -> jax.Array:
    """``q: f32[S, A]`` after one transition."""
    value = jnp.where(step.terminated, 0.0, q[step.successor].max())
    error = step.reward + gamma * value - q[step.state, step.action]
    return q.at[step.state, step.action].add(learning_rate * error)


def q_learning(env, env_params, config: QLearningConfig | None = None) -> Algorithm:
    """Q-learning in one environment as an :class:`Algorithm`; one step is ``rollout_length`` environment steps.

    Args:
        env, env_params: gymnax environment that numbers its states, and its parameters; discrete actions.
        config: hyper-parameters.

    Returns:
        An algorithm with metrics ``env_steps``, ``episodes``, ``episode_return``, ``episode_length``, ``success``,
        ``coverage`` and ``first_success`` (steps at the first success, -1 before it).

    Raises:
        ValueError: a setting is out of range, the states have no numbers, or the actions are continuous.
        TypeError: ``env`` is not an environment.
    """
    config = QLearningConfig() if config is None else config
    num_actions = require_numbered(env, env_params)
    require_between(0, 1, learning_rate=config.learning_rate, gamma=config.gamma, epsilon=config.epsilon)
    require_between(0, inf, bonus=config.bonus)
    require_at_least(1, rollout_length=config.rollout_length)
    require_at_least(0, num_replays=config.num_replays)

    def update(q, step):
        return td_update(q, step, config.learning_rate, config.gamma)

    def init(key):
        lanes = reset_lanes(key, env, env_params, 1)
        here = jax.vmap(env.state_id, (0, None))(lanes.env_state, env_params)[0]
        visits = jnp.zeros(env.num_states, jnp.int32).at[here].set(1)
        q = jnp.full((env.num_states, num_actions), config.initial_value, jnp.float32)
        return QLearningState(lanes, q, visits, here, jnp.int32(-1), jnp.int32(0))

    def act(key, mind, lanes):
        q, _, here = mind
        return mind, epsilon_greedy(key, q[here], config.epsilon)[None], ()

    def react(key, mind, step):
        q, visits, here = mind
        successor, following = step.aux["state_id"][0], step.aux["reset_state_id"][0]
        visits = visits.at[successor].add(1)
        reward = step.reward[0] + config.bonus * jax.lax.rsqrt(visits[successor].astype(jnp.float32))
        met = Transition(here, step.action[0], reward, successor, step.terminated[0])
        visits = visits.at[following].add(step.done[0])
        return (update(q, met), visits, following), met

    def step(key, state: QLearningState):
        lanes, (q, visits, here), _, finished, _, met = rollout(
            key, env, env_params, state.lanes, (state.q, state.visits, state.here), act, config.rollout_length, react
        )
        for _ in range(config.num_replays):
            q, _ = jax.lax.scan(lambda q, step: (update(q, step), None), q, met, reverse=True)
        episodes, metrics = summarise(lanes.episodes, finished)
        first = first_success(state.first_success, finished, state.t * config.rollout_length)
        state = QLearningState(lanes._replace(episodes=episodes), q, visits, here, first, state.t + 1)
        return state, metrics | {
            "env_steps": state.t * config.rollout_length,
            "coverage": coverage(env, visits > 0),
            "first_success": first,
        }

    return Algorithm(init, step)
