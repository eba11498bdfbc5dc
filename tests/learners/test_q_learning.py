"""Q-learning with a count bonus: updates by hand, backward replay, contract, and a corridor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_envs import Corridor, CorridorParams

from purejaxexplore.algorithm import make_train
from purejaxexplore.envs.control import PointMaze
from purejaxexplore.learners.q_learning import QLearningConfig, Transition, q_learning, td_update
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

PARAMS = CorridorParams(max_steps_in_episode=12, random_start=False)
SMALL = QLearningConfig(rollout_length=6)


def test_update_by_hand():
    q = jnp.array([[0.0, 1.0], [2.0, 4.0]])
    step = Transition(0, 1, jnp.float32(0.5), 1, jnp.bool_(False))
    np.testing.assert_allclose(td_update(q, step, 0.5, 0.9), [[0, 1 + 0.5 * (0.5 + 0.9 * 4 - 1)], [2, 4]])
    ended = step._replace(terminated=jnp.bool_(True))
    np.testing.assert_allclose(td_update(q, ended, 0.5, 0.9), [[0, 0.75], [2, 4]])


def test_contract():
    check_algorithm(q_learning(Corridor(4), PARAMS, SMALL), num_steps=2)


def test_what_the_end_was_worth_reaches_the_beginning():
    """After the first success the replay leaves values along the whole walk; without it only at the last step."""
    env = Corridor(6)
    after = {}
    for num_replays in (0, 1):
        plain = SMALL.replace(rollout_length=12, bonus=0.0, initial_value=0.0, learning_rate=1.0)
        config = plain.replace(num_replays=num_replays)
        state, metrics = quick_jit(make_train(q_learning(env, PARAMS, config), 30))(jax.random.key(0))
        first = int(metrics["first_success"][-1])
        iteration = (first - 1) // 12
        assert metrics["first_success"][iteration] == first and (metrics["first_success"][:iteration] == -1).all()
        state, _ = quick_jit(make_train(q_learning(env, PARAMS, config), iteration + 1))(jax.random.key(0))
        after[num_replays] = np.asarray((state.q > 0).any(1))
    assert after[0].sum() == 1 and after[1].sum() > 1
    assert after[1][4]


@pytest.mark.slow
def test_learns_the_corridor_and_counts_visits():
    state, metrics = quick_jit(make_train(q_learning(Corridor(6), PARAMS, SMALL), 60))(jax.random.key(1))
    assert metrics["success"][-1] == 1 and metrics["episode_length"][-1] <= 7 and metrics["coverage"][-1] == 1
    assert metrics["env_steps"][-1] == 360
    ended = int(metrics["episodes"].sum())
    assert state.visits.sum() == 1 + 360 + ended  # the start, every step, and every start after it


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 1.5}, "learning_rate=1.5"),
        ({"bonus": -1.0}, "bonus=-1.0"),
        ({"rollout_length": 0}, "rollout_length=0"),
        ({"num_replays": -1}, "num_replays=-1"),
    ],
)
def test_bad_settings_are_named(change, named):
    with pytest.raises(ValueError, match=named):
        q_learning(Corridor(), PARAMS, SMALL.replace(**change))


def test_worlds_that_do_not_suit():
    with pytest.raises(ValueError, match="expected a Discrete space"):
        q_learning(PointMaze(3), PointMaze(3).default_params)
    with pytest.raises(TypeError, match="expected a gymnax environment"):
        q_learning("RoomMaze", None)

    class Unnumbered(Corridor):
        state_id = property()

    with pytest.raises(ValueError, match="numbered states"):
        q_learning(Unnumbered(), PARAMS)
