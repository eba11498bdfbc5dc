"""The uniform random policy."""

import jax
import numpy as np
import pytest

from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.testing import check_algorithm


def test_contract(corridor):
    check_algorithm(random_policy(*corridor, num_envs=2, rollout_length=4))


def test_walks_as_chance_has_it_and_is_measured(corridor):
    env, params = corridor
    algorithm = random_policy(env, params.replace(random_start=False), num_envs=64, rollout_length=50)
    state, metrics = jax.jit(algorithm.step)(jax.random.key(1), jax.jit(algorithm.init)(jax.random.key(0)))
    assert metrics["env_steps"] == 3200 and metrics["episodes"] == 640
    # Six cells, five steps: only one walk in 2^5 arrives, and it arrives as the time is up.
    assert metrics["episode_length"] == 5 and metrics["coverage"] == 1.0
    assert abs(metrics["success"] - 1 / 32) < 4 * np.sqrt(1 / 32 / 640)
    assert metrics["episode_return"] == metrics["success"]


@pytest.mark.parametrize("name", ["num_envs", "rollout_length"])
def test_refuses_sizes_of_zero(corridor, name):
    with pytest.raises(ValueError, match=f"{name}=0: expected a whole number of at least 1"):
        random_policy(*corridor, **{name: 0})
