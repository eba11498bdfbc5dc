"""What was learned, apart from how it explores: whole episodes of a policy that neither explores nor learns."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import first_episodes
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.admissible import admissible_of
from purejaxexplore.learners.dqn_config import DQNConfig, action_values, is_not

Policy = Callable[[jax.Array, Any, Any], jax.Array]
"""``(key, state of the learner, observations of B environments) -> B actions``."""


def with_evaluation(
    algorithm: Algorithm, env, env_params, policy: Policy, num_episodes: int, num_steps: int
) -> Algorithm:
    """``algorithm`` with an ``evaluate`` that plays episodes by ``policy``.

    Metrics: ``start_success`` and ``start_return`` of the first episode of each of ``num_episodes`` environments; one
    that has not ended within ``num_steps`` steps is a failure that returned nothing.

    Args:
        algorithm: any learner.
        env, env_params: the world of the episodes.
        policy: such as :func:`greedy_policy`.
        num_episodes, num_steps: static.

    Raises:
        ValueError: a number is not positive.
    """
    require_at_least(1, num_episodes=num_episodes, num_steps=num_steps)

    def evaluate(key, state):
        key_reset, key_rollout = jax.random.split(key)

        def act(key, carry, lanes):
            return carry, policy(key, state, lanes.obs), ()

        lanes = reset_lanes(key_reset, env, env_params, num_episodes)
        return first_episodes(rollout(key_rollout, env, env_params, lanes, (), act, num_steps)[3])

    return algorithm._replace(evaluate=evaluate)


def greedy_policy(env, env_params, config: DQNConfig, num_streams: int = 1) -> Policy:
    """The greedy policy of DQN's values of its first stream, the heads of an ensemble averaged.

    Among admissible actions, where the world tells them.

    Args:
        env, env_params, config: what :func:`~purejaxexplore.learners.dqn.dqn` was made from.
        num_streams: K, of its reward streams.

    Raises:
        ValueError: the values have a prior, which is not among the parameters.
    """
    values = _values(env, env_params, config, num_streams)
    return lambda key, state, obs: values(state, obs).argmax(-1)


def softmax_policy(env, env_params, config: DQNConfig, temperature: float, num_streams: int = 1) -> Policy:
    """Actions in proportion to ``exp(value / temperature)`` of the same values.

    Raises:
        ValueError: as :func:`greedy_policy`, or ``temperature`` is not positive.
    """
    require_between(float(np.finfo(np.float32).tiny), np.inf, temperature=temperature)
    values = _values(env, env_params, config, num_streams)
    return lambda key, state, obs: jax.random.categorical(key, values(state, obs) / temperature)


def _values(env, env_params, config: DQNConfig, num_streams: int) -> Callable[[Any, Any], jax.Array]:
    """``(state, observations [B]) -> f32[B, A]``, -inf where an action is not admissible."""
    if is_not(config.prior_scale, 0.0):
        raise ValueError(f"prior_scale={config.prior_scale}: expected 0, values without a prior")
    network, admissible = action_values(env, env_params, config, num_streams), admissible_of(env)

    def values(state, obs):
        nothing = jnp.zeros((jax.tree.leaves(obs)[0].shape[0], 0))
        values = jax.vmap(lambda params: network.apply(params, obs, nothing))(state.params).mean(0)[..., 0]
        return values if admissible is None else jnp.where(admissible(obs), values, -jnp.inf)

    return values
