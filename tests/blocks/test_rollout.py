"""Rollouts of a corridor, every step of which is predicted by a Python loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import reset_lanes, rollout

N, T = 3, 23


def scripted(key, clock, lanes):
    """Mostly to the right: lane 0 always, lane 1 now and then back, lane 2 always left (so that it is truncated)."""
    action = jnp.stack([1, jnp.where(clock % 4 == 3, 0, 1), 0]).astype(jnp.int32)
    return clock + 1, action, {"clock": clock, "acted_on": lanes.obs, "start": lanes.done}


def react(key, carry, step):
    return carry + 100, (step.obs, step.next_obs, step.reset_obs, step.aux)


@pytest.fixture(scope="module")
def played(corridor):
    env, params = corridor
    params = params.replace(max_steps_in_episode=7)

    @jax.jit
    def play(key):
        key_reset, key_rollout = jax.random.split(key)
        lanes = reset_lanes(key_reset, env, params, N)
        return lanes, rollout(key_rollout, env, params, lanes, jnp.int32(0), scripted, T, react)

    return jax.tree.map(np.asarray, play(jax.random.key(1)))


def test_a_fresh_start(played):
    lanes, _ = played
    assert lanes.done.all() and not lanes.episodes.lengths.any()
    np.testing.assert_array_equal(lanes.obs[:, 0], lanes.env_state.position)
    assert set(lanes.env_state.position) <= {0, 1}


def test_every_step_is_that_of_the_corridor(played):
    start, (lanes, clock, steps, finished, acted, reacted) = played
    position, time, total = start.env_state.position.copy(), np.zeros(N, int), np.zeros(N)
    began = np.ones(N, bool)
    for t in range(T):
        np.testing.assert_array_equal(steps.obs[t], np.stack([position, 10 * time], -1))
        np.testing.assert_array_equal(acted["acted_on"][t], steps.obs[t])
        np.testing.assert_array_equal(acted["start"][t], began)
        position = np.clip(position + 2 * steps.action[t] - 1, 0, 5)
        time, total = time + 1, total + (position == 5)
        terminated, truncated = position == 5, time >= 7
        np.testing.assert_array_equal(steps.next_obs[t], np.stack([position, 10 * time], -1))
        np.testing.assert_array_equal(steps.reward[t], position == 5)
        np.testing.assert_array_equal(steps.terminated[t], terminated)
        np.testing.assert_array_equal(steps.truncated[t], truncated)
        np.testing.assert_array_equal(steps.aux["state_id"][t], position)
        np.testing.assert_array_equal(finished.done[t], terminated | truncated)
        np.testing.assert_array_equal(finished.returns[t], total)
        np.testing.assert_array_equal(finished.lengths[t], time)
        np.testing.assert_array_equal(finished.success[t], terminated)
        began = terminated | truncated
        restarted = steps.reset_obs[t]
        np.testing.assert_array_equal(restarted[~began], steps.next_obs[t][~began])
        assert set(restarted[began, 0]) <= {0, 1} and not restarted[began, 1].any()
        position = np.where(began, restarted[:, 0].astype(int), position)
        time, total = np.where(began, 0, time), np.where(began, 0, total)
        np.testing.assert_array_equal(steps.aux["reset_state_id"][t], position)
    assert steps.terminated.any() and steps.truncated.any() and not steps.terminated[:, 2].any()
    np.testing.assert_array_equal(lanes.env_state.position, position)
    np.testing.assert_array_equal(lanes.done, began)
    np.testing.assert_array_equal(lanes.episodes.lengths, time)


def test_the_observation_acted_on_next_is_the_following_row(played):
    _, (lanes, _, steps, *_) = played
    np.testing.assert_array_equal(steps.reset_obs[:-1], steps.obs[1:])
    np.testing.assert_array_equal(steps.reset_obs[-1], lanes.obs)


def test_the_carry_passes_through_act_and_then_react(played):
    _, (_, clock, steps, _, acted, (obs, next_obs, reset_obs, aux)) = played
    np.testing.assert_array_equal(acted["clock"], 101 * np.arange(T))
    assert clock == 101 * T
    np.testing.assert_array_equal(obs, steps.obs)
    np.testing.assert_array_equal(next_obs, steps.next_obs)
    np.testing.assert_array_equal(reset_obs, steps.reset_obs)
    np.testing.assert_array_equal(aux["reset_state_id"], steps.aux["reset_state_id"])


def test_two_rollouts_continue_one_another(corridor, played):
    env, params = corridor
    _, (after, *_) = played
    play = jax.jit(lambda lanes: rollout(jax.random.key(9), env, params, lanes, jnp.int32(0), scripted, 4))
    _, _, steps, finished, _, extras = play(after)
    np.testing.assert_array_equal(steps.obs[0], after.obs)
    np.testing.assert_array_equal(finished.lengths[0], after.episodes.lengths + 1)
    assert extras == ()


def test_a_world_that_does_not_number_its_states_has_no_ids(cartpole):
    env, params = cartpole

    def act(key, carry, lanes):
        return carry, jnp.zeros(2, jnp.int32), ()

    lanes = jax.eval_shape(lambda key: reset_lanes(key, env, params, 2), jax.random.key(0))
    _, _, steps, *_ = jax.eval_shape(
        lambda key, lanes: rollout(key, env, params, lanes, (), act, 3), jax.random.key(0), lanes
    )
    assert steps.aux == {}
    assert steps.reward.shape == (3, 2) and steps.reward.dtype == jnp.float32
