"""A world that changes in the middle of a run."""

import jax
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.learners.switching import switching
from purejaxexplore.testing import check_algorithm


def walk(corridor, before, after, iteration=2):
    env, params = corridor

    def make(level):
        return random_policy(env, level, num_envs=4, rollout_length=12)

    params = params.replace(random_start=False)
    return switching(
        make, params.replace(max_steps_in_episode=before), params.replace(max_steps_in_episode=after), iteration
    )


def test_contract(corridor):
    check_algorithm(walk(corridor, 5, 3))


def test_the_world_changes_at_its_iteration_and_nothing_else_does(corridor):
    changed, same = (make_train(walk(corridor, 5, after), 4) for after in (3, 5))
    (_, changed), (_, same) = jax.jit(lambda key: (changed(key), same(key)))(jax.random.key(0))
    np.testing.assert_array_equal(same["episode_length"], [5, 5, 5, 5])  # 12 steps: a running episode is taken over
    np.testing.assert_array_equal(changed["episode_length"][:2], [5, 5])
    assert changed["episode_length"][2] < 4 and changed["episode_length"][3] == 3
    np.testing.assert_array_equal(changed["env_steps"], same["env_steps"])


def test_refuses_other_worlds_and_negative_steps(corridor):
    with pytest.raises(ValueError, match="iteration=-1"):
        walk(corridor, 5, 3, -1)
    env, params = corridor
    with pytest.raises(ValueError, match="expected parameters of the same world"):
        switching(lambda level: random_policy(env, level), params, None, 2)
