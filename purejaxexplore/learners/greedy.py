"""What a learner of action values has learned, apart from how it explores: whole episodes of its greedy policy."""

import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.episodes import first_episodes
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.checks import require_at_least
from purejaxexplore.learners.dqn_config import DQNConfig, action_values, is_not


def with_greedy_evaluation(
    algorithm: Algorithm, env, env_params, config: DQNConfig, num_episodes: int, num_steps: int
) -> Algorithm:
    """The DQN ``algorithm`` with an ``evaluate`` that plays greedily, neither guided nor exploring.

    Metrics: ``start_success`` and ``start_return`` of the first episode of each of ``num_episodes`` environments; one
    that has not ended within ``num_steps`` steps is a failure that returned nothing. The heads of an ensemble are
    averaged.

    Args:
        algorithm: from :func:`~purejaxexplore.learners.dqn.dqn`, with the environment's reward as its only stream.
        env, env_params, config: what it was made from.
        num_episodes, num_steps: static.

    Raises:
        ValueError: a number is not positive, or the values have a prior, which is not in the parameters.
    """
    require_at_least(1, num_episodes=num_episodes, num_steps=num_steps)
    if is_not(config.prior_scale, 0.0):
        raise ValueError(f"prior_scale={config.prior_scale}: expected 0, values without a prior")
    network = action_values(env, env_params, config, 1)

    def evaluate(key, state):
        key_reset, key_rollout = jax.random.split(key)

        def act(key, carry, lanes):
            nothing = jnp.zeros((num_episodes, 0))
            values = jax.vmap(lambda params: network.apply(params, lanes.obs, nothing))(state.params)
            return carry, values.mean(0)[..., 0].argmax(-1), ()

        lanes = reset_lanes(key_reset, env, env_params, num_episodes)
        return first_episodes(rollout(key_rollout, env, env_params, lanes, (), act, num_steps)[3])

    return algorithm._replace(evaluate=evaluate)
