"""Robustification: demonstrations, noisy starts, the frontier, and the backward algorithm on a corridor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives.trajectory import Replay
from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.go_explore.backward import BackwardConfig, backward, move_frontier, update_rates
from purejaxexplore.go_explore.demonstrations import (
    NoisyStart,
    demo_steps,
    demonstrations,
    discounted_returns,
    from_the_start,
)
from purejaxexplore.go_explore.imitation import ImitationConfig, imitation
from purejaxexplore.learners.ppo import PPOConfig, ppo
from purejaxexplore.testing import check_algorithm, check_environment
from tests.go_explore.test_explore import NoisyLine
from tests.toy_envs import Corridor, CorridorParams

LENGTH = 8
PPO = PPOConfig(
    learning_rate=0.05, num_envs=8, rollout_length=16, num_minibatches=2, num_epochs=2, network="table",
    entropy_coef=1e-3,
)  # fmt: skip
SMALL = BackwardConfig(ppo=PPO, window=3, retreat=2, lag=4, sil_batch=8, num_eval_steps=40)


def straight(env, params, steps=None):
    """The replay of walking right, from the first cell to the last."""
    state = env.reset_env(jax.random.key(0), params)[1]
    states, rewards = [state], []
    for _ in range(LENGTH - 1 if steps is None else steps):
        _, state, reward, *_ = env.step_env(jax.random.key(0), state, jnp.int32(1), params)
        states.append(state)
        rewards.append(reward)
    stacked = jax.tree.map(lambda *rows: np.stack(rows), *states)
    return Replay(np.ones(len(rewards), np.int32), np.asarray(rewards, np.float32), stacked)


@pytest.fixture(scope="module")
def line():
    """(env, params, demonstrations) of a corridor of eight cells with episodes of twenty steps."""
    env, params = Corridor(LENGTH), CorridorParams(max_steps_in_episode=20, random_start=False)
    return env, params, demonstrations(env, params, [straight(env, params)], max_length=9)


def test_demonstrations_are_padded_with_their_last_state(line):
    _, _, demos = line
    assert demos.lengths.tolist() == [7]
    assert demos.packed.position[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]
    assert demos.scores[0].tolist() == [0] * 7 + [1, 1, 1]
    assert demos.rewards[0].tolist() == [0] * 6 + [1, 0, 0]


def test_refuses_replays_that_are_no_demonstration(line):
    env, params, _ = line
    good = straight(env, params)
    with pytest.raises(ValueError, match=r"replays of \[0\] steps"):
        demonstrations(env, params, [straight(env, params, 0)._replace(rewards=np.zeros(0, np.float32))])
    with pytest.raises(ValueError, match="replays of \\[\\] steps"):
        demonstrations(env, params, [])
    with pytest.raises(ValueError, match="max_length=3: expected at least 7"):
        demonstrations(env, params, [good], max_length=3)
    with pytest.raises(ValueError, match=r"replays\[1\] leads elsewhere"):
        demonstrations(env, params, [good, good._replace(actions=np.zeros(7, np.int32))])


def test_refuses_a_replay_of_luck():
    env = NoisyLine()
    params = env.default_params
    state = env.reset_env(jax.random.key(0), params)[1]
    _, after, reward, *_ = env.step_env(jax.random.key(5), state, jnp.ones(1), params)
    data = [jax.tree.map(jnp.asarray, s._replace(key=jax.random.key_data(s.key))) for s in (state, after)]
    states = jax.tree.map(lambda *rows: np.stack(rows), *data)
    with pytest.raises(ValueError, match="stochastic"):
        demonstrations(env, params, [Replay(np.ones((1, 1)), np.asarray([reward]), states)])


def test_returns_and_what_a_policy_would_have_seen(line):
    env, params, demos = line
    np.testing.assert_allclose(discounted_returns(jnp.array([[0.0, 2.0, 1.0]]), 0.5), [[1.25, 2.5, 1.0]])
    shown = demo_steps(ObserveStateId(env), params, demos, 0.5)
    assert shown.obs.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    assert shown.valid.tolist() == [True] * 7 + [False] * 2
    np.testing.assert_allclose(shown.returns[:7], 0.5 ** np.arange(6, -1, -1.0))


def test_rates_are_running_averages_of_the_episodes_that_ended():
    rates = jnp.array([[0.0, 1.0, 0.5]])
    demo, start = jnp.zeros((2, 2), jnp.int32), jnp.array([[1, 1], [2, 0]])
    done, success = jnp.array([[True, True], [True, False]]), jnp.array([[True, False], [True, True]])
    got = update_rates(rates, demo, start, done, success, 0.5)
    np.testing.assert_allclose(got, [[0.0, 0.25 * 1.0 + 0.75 * 0.5, 0.5 * 0.5 + 0.5 * 1.0]])


def test_the_frontier_is_where_cumulative_success_reaches_the_threshold():
    lengths = jnp.array([6, 6, 6])
    rates = jnp.array([[0, 0, 0, 0.5, 0.5, 1, 1], [0, 0, 0, 0, 0, 0.3, 0], [0.4, 0, 0, 0, 0, 0, 0]])
    got = move_frontier(jnp.array([5, 3, 2]), rates, lengths, window=4, threshold=0.2, retreat=10)
    # 0.5 + 0.5 = 1 >= 0.8 at step 4; never: back to the last step before the end; 0.4 < 0.8 never either
    assert got.tolist() == [4, 5, 5]
    got = move_frontier(jnp.array([5, 3, 2]), rates, lengths, window=2, threshold=0.2, retreat=1)
    assert got.tolist() == [3, 4, 0]


def test_noisy_starts_keep_the_environment_contract(line):
    env, params, demos = line
    noisy = NoisyStart(env)
    check_environment(noisy, noisy.from_the_start(noisy.begin(params, demos)))


def test_starts_lie_in_the_window_or_behind_it(line):
    env, params, demos = line
    noisy = NoisyStart(env)
    keys = jax.random.split(jax.random.key(0), 512)
    at = noisy.begin(params, demos, spread=0.0).replace(frontier=jnp.array([4]), window=jnp.int32(3))
    states = jax.vmap(noisy.reset_env, (0, None))(keys, at)[1]
    assert set(states.start.tolist()) == {2, 3, 4}
    assert (states.env_state.position == states.start).all() and (states.env_state.time == states.start).all()
    spread = jax.vmap(noisy.reset_env, (0, None))(keys, at.replace(spread=1.0))[1]
    assert set(spread.start.tolist()) == {4, 5, 6}
    fresh = jax.vmap(noisy.reset_env, (0, None))(keys, noisy.from_the_start(at))[1]
    assert set(fresh.start.tolist()) == {0} and not fresh.moved.any()


def test_actions_stick_as_often_as_asked(line):
    env, params, demos = line
    noisy = NoisyStart(env)
    world = noisy.begin(params, demos, sticky=0.25).replace(frontier=jnp.array([4]))
    state = noisy.reset_env(jax.random.key(0), world)[1]
    keys = jax.random.split(jax.random.key(1), 4096)
    after = jax.vmap(noisy.step_env, (0, None, None, None))(keys, state, jnp.int32(0), world)[1]
    # The demonstration's last action was 1: a step to the right is one that stuck.
    assert abs((after.env_state.position == state.env_state.position + 1).mean() - 0.25) < 0.03
    start = noisy.reset_env(jax.random.key(0), noisy.from_the_start(world))[1]
    after = jax.vmap(noisy.step_env, (0, None, None, None))(keys, start, jnp.int32(0), world)[1]
    assert (after.last_action == 0).all()


def test_who_falls_behind_is_ended_and_who_arrives_goes_on_a_little():
    line = Corridor(LENGTH), CorridorParams(max_steps_in_episode=50, random_start=False)
    demos = demonstrations(*line, [straight(*line)])
    demos = demos._replace(scores=jnp.minimum(jnp.arange(8.0), 1.0)[None])  # scores at the first step already
    noisy = NoisyStart(line[0])
    world = noisy.from_the_start(noisy.begin(line[1], demos, sticky=0.0)).replace(lag=3)
    state = noisy.reset_env(jax.random.key(0), world)[1]
    ends = []
    for _ in range(5):
        _, state, _, terminated, info = noisy.step_env(jax.random.key(0), state, jnp.int32(0), world)
        ends.append(bool(terminated))
    assert ends == [False, False, False, True, True] and not info["success"]

    flat = demos._replace(scores=jnp.zeros((1, 8)))  # nothing to score: reached at once
    world = noisy.begin(line[1], flat, sticky=0.0)
    extras = []
    for i in range(200):
        state = noisy.reset_env(jax.random.key(i), world)[1]._replace(start=jnp.int32(0))
        _, state, _, terminated, info = noisy.step_env(jax.random.key(i), state, jnp.int32(0), world)
        assert info["success"] and not terminated
        extras.append(int(state.extra))
    assert min(extras) == 1 and 10 < np.median(extras) < 100 and max(extras) <= np.exp(7)


@pytest.mark.slow
def test_short_episodes_count_once_in_an_evaluation(line):
    """Lanes that fail at once start again and again: over all episodes their failures would outnumber the successes."""
    env, params, demos = line
    noisy = NoisyStart(env)

    def act(key, carry, lanes):  # the first four lanes walk straight to the end, the others wait for the time limit
        return carry, (jnp.arange(8) < 4).astype(jnp.int32), ()

    measured = from_the_start(jax.random.key(0), noisy, noisy.begin(params, demos, sticky=0.0), act, 8, 64)
    assert measured == {"start_success": 0.5, "start_return": 0.5}


@pytest.mark.slow
@pytest.mark.parametrize("start", ["backward", "beginning"])
def test_contract(line, start):
    check_algorithm(backward(*line, SMALL.replace(start=start)))


def test_contract_of_imitation(line):
    check_algorithm(imitation(*line, ImitationConfig(ppo=PPO, num_updates=3, num_eval_steps=20)))


def test_the_frontier_reaches_the_start_and_the_policy_survives_noise(line):
    algorithm = backward(*line, SMALL)
    state, metrics = jax.jit(make_train(algorithm, 60))(jax.random.key(3))
    assert metrics["frontier"][0] > 0.5 and metrics["frontier"][-1] < 0.2
    assert jax.jit(algorithm.evaluate)(jax.random.key(4), state)["start_success"] > 0.9


def test_imitation_follows_the_demonstration(line):
    algorithm = imitation(*line, ImitationConfig(ppo=PPO, num_updates=200, num_eval_steps=40))
    state, metrics = jax.jit(make_train(algorithm, 1))(jax.random.key(0))
    assert metrics["log_likelihood"][-1] > -0.05
    assert (state.params["params"]["actor_table"][:7].argmax(1) == 1).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"start": "middle"}, "start='middle': expected one of backward, beginning"),
        ({"window": 0}, "window=0: expected a whole number of at least 1"),
        ({"threshold": 1.5}, "threshold=1.5: expected a number in"),
        ({"sil_batch": -1}, "sil_batch=-1"),
        ({"ppo": PPO.replace(anneal_iterations=5.0)}, "anneal_iterations=5.0: expected 0"),
        ({"ppo": PPO.replace(bootstrap_truncation=False)}, "bootstrap_truncation=False: expected True"),
        ({"ppo": PPO.replace(gru_size=4, network="mlp", num_minibatches=2)}, "gru_size=4: expected 0"),
        ({"ppo": PPO.replace(noisy=True, network="mlp")}, "noisy=True: expected False"),
    ],
)
def test_refuses_a_bad_config(line, change, message):
    with pytest.raises(ValueError, match=message):
        backward(*line, SMALL.replace(**change))


def test_refuses_a_world_that_cannot_show_a_stored_state():
    with pytest.raises(TypeError, match="has no get_obs"):
        NoisyStart(NoisyLine())


def test_a_table_needs_numbered_states(cartpole, corridor):
    with pytest.raises(ValueError, match="network='table' needs numbered observations: wrap CartPole"):
        ppo(*cartpole, PPO)
    with pytest.raises(ValueError, match="network='table': expected gru_size=0 and noisy=False"):
            ppo(ObserveStateId(corridor[0]), corridor[1], PPO.replace(gru_size=3))
