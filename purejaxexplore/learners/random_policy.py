"""The uniform random policy, the baseline of every exploration claim, with the metrics of a learner."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.checks import require_at_least
from purejaxexplore.learners.admissible import admissible_of, require_admissible, uniform_actions


class RandomPolicyState(NamedTuple):
    """Attributes:
    lanes: the N environments.
    visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
    t: i32[], iterations done.
    """

    lanes: Lanes
    visited: jax.Array
    t: jax.Array


def random_policy(env, env_params, *, num_envs: int = 16, rollout_length: int = 128) -> Algorithm:
    """Uniform random actions in ``num_envs`` environments; one step is ``rollout_length`` steps of each.

    Of the admissible actions, where the world tells which they are.

    Raises:
        ValueError: a size is not positive, or an ``admissible_actions`` does not say so of each action.
    """
    require_at_least(1, num_envs=num_envs, rollout_length=rollout_length)
    require_admissible(env, env_params)
    action_space = env.action_space(env_params)
    admissible = admissible_of(env)
    numbered = hasattr(env, "state_id")

    def act(key, carry, lanes):
        return carry, uniform_actions(key, action_space, admissible, lanes.obs), ()

    def init(key):
        lanes = reset_lanes(key, env, env_params, num_envs)
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(env.state_id, in_axes=(0, None))(lanes.env_state, env_params))
        return RandomPolicyState(lanes, visited, jnp.int32(0))

    def step(key, state):
        lanes, _, steps, finished, *_ = rollout(key, env, env_params, state.lanes, (), act, rollout_length)
        episodes, metrics = summarise(lanes.episodes, finished)
        visited = state.visited
        if numbered:
            visited = mark_visited(visited, steps.aux["state_id"])
            metrics["coverage"] = coverage(env, visited)
        t = state.t + 1
        metrics["env_steps"] = num_envs * rollout_length * t
        return RandomPolicyState(lanes._replace(episodes=episodes), visited, t), metrics

    return Algorithm(init, step)
