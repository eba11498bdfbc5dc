"""RoomChain: geometry and difficulty by exact computation over all its cells."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.envs.grids import RoomChain, room_chain


def every_cell(env, params):
    """One state per id, and the successor ids ``i64[S, 4]`` by the environment's own step."""
    y, x = np.asarray(env.positions(params)).T
    door_rows = jnp.tile(params.door_rows, (env.num_states, 1)) if env.resample else None
    states = room_chain.RoomChainState(jnp.array(y), jnp.array(x), jnp.zeros(env.num_states, jnp.int32), door_rows)

    def step(state, action):
        _, _, reward, terminated, info = env.step_env(jax.random.key(0), state, action, params)
        return info["state_id"], reward, terminated

    step = jax.vmap(jax.vmap(step, (None, 0)), (0, None))
    return states, *map(np.asarray, jax.jit(step)(states, jnp.arange(4)))


def distances(successors, start):
    distance, frontier = {start: 0}, deque([start])
    while frontier:
        cell = frontier.popleft()
        for successor in successors[cell]:
            if successor not in distance:
                distance[successor] = distance[cell] + 1
                frontier.append(successor)
    return distance


@pytest.fixture(scope="module")
def env():
    return RoomChain()


@pytest.mark.parametrize(
    "num_rooms, size, cells, shortest, success",
    [(4, 4, 67, 30, 8.81e-3), (6, 4, 101, 46, 3.99e-5), (8, 4, 135, 62, 3.31e-8), (6, 6, 221, 70, 2.38e-9)],
)
def test_facts(num_rooms, size, cells, shortest, success):
    env = RoomChain(num_rooms, size)
    params = env.default_params
    states, successors, rewards, terminated = every_cell(env, params)
    ids = np.asarray(jax.vmap(env.state_id)(states))
    assert np.array_equal(ids, np.arange(cells)) and env.num_states == env.num_reachable == cells
    start = int(env.state_id(env.reset(jax.random.key(0), params)[1]))
    goal = np.flatnonzero(jax.vmap(lambda s: env.is_terminated(s, params))(states))
    assert len(goal) == 1
    assert np.array_equal(terminated, successors == goal[0]) and np.array_equal(rewards, terminated)
    distance = distances(successors, start)
    assert len(distance) == cells and distance[goal[0]] == shortest
    walk = np.zeros((cells, cells))
    np.add.at(walk, (np.repeat(np.arange(cells), 4), successors.ravel()), 0.25)
    walk[goal[0]] = np.eye(cells)[goal[0]]
    probability = np.linalg.matrix_power(walk, params.max_steps_in_episode)[start, goal[0]]
    assert probability == pytest.approx(success, rel=5e-3)


def test_the_goal_terminates_and_the_clock_truncates(env):
    params = env.default_params
    state = room_chain.RoomChainState(jnp.int32(1), jnp.int32(28), jnp.int32(5))
    _, after, reward, terminated, truncated, info = env.step(jax.random.key(0), state, 1, params)
    assert (reward, terminated, truncated, info["success"], info["state_id"]) == (1, True, False, True, 88)
    assert tuple(map(int, after[:3])) == (1, 1, 0)
    late = state._replace(time=jnp.int32(199))
    _, _, reward, terminated, truncated, info = env.step(jax.random.key(0), late, 0, params)
    assert (reward, terminated, truncated, info["success"]) == (0, False, True, False)


def test_sampled_levels_are_connected_and_share_the_ids(env):
    params = jax.vmap(lambda key: env.sample_params(key, env.default_params))(jax.random.split(jax.random.key(0), 40))
    assert params.door_rows.shape == (40, 5)
    assert set(np.unique(params.door_rows)) == {1, 2, 3, 4}
    level = jax.tree.map(lambda leaf: leaf[3], params)
    states, successors, *_ = every_cell(env, level)
    assert np.array_equal(jax.vmap(env.state_id)(states), np.arange(101))
    assert len(distances(successors, 0)) == 101


def test_resampling_draws_a_layout_an_episode_and_plays_it(env):
    episodic = RoomChain(resample=True)
    params = episodic.default_params
    _, states = jax.vmap(lambda key: episodic.reset(key, params))(jax.random.split(jax.random.key(1), 40))
    assert len(np.unique(states.door_rows, axis=0)) > 30
    level = params.replace(door_rows=states.door_rows[0])
    assert np.array_equal(every_cell(episodic, level)[1], every_cell(env, level)[1])
    state = jax.tree.map(lambda leaf: leaf[0], states)._replace(time=jnp.int32(199))
    _, after, *_ = episodic.step(jax.random.key(2), state, 0, params)
    assert after.time == 0 and not np.array_equal(after.door_rows, state.door_rows)


@pytest.mark.parametrize("resample, num_bytes", [(False, 4), (True, 9)])
def test_pack(resample, num_bytes):
    env = RoomChain(resample=resample)
    _, state = env.reset(jax.random.key(0), env.default_params)
    state = state._replace(y=jnp.int32(4), x=jnp.int32(30), time=jnp.int32(299))
    packed = env.pack(state)
    assert packed.nbytes == num_bytes and packed.dtype == jnp.uint8
    unpacked = env.unpack(packed, env.default_params)
    assert jax.tree.structure(unpacked) == jax.tree.structure(state)
    assert all(map(np.array_equal, jax.tree.leaves(unpacked), jax.tree.leaves(state)))


@pytest.mark.parametrize("observation", room_chain.OBSERVATIONS)
def test_observations(observation):
    env = RoomChain(4, 4, observation=observation)
    params = env.default_params
    chart = [list(line[4:25]) for line in room_chain.__doc__.splitlines() if line.startswith("    #")]
    chart = np.pad(np.array(chart), 2, constant_values="#")
    kind = np.where(chart == "#", 1, np.where(chart == "G", 2, 0))
    space = env.observation_space(params)
    states, *_ = every_cell(env, params)
    observations = np.asarray(jax.vmap(lambda s: env.get_obs(s, params))(states))
    assert observations.shape[1:] == space.shape and observations.dtype == np.float32
    for number, (y, x) in enumerate(np.asarray(env.positions(params))):
        if observation == "one_hot":
            assert np.array_equal(observations[number], np.eye(67)[number])
        if observation == "egocentric":
            assert np.array_equal(observations[number].argmax(-1), kind[y : y + 5, x : x + 5])
        if observation == "image":
            expected = np.array([0.85, 0.2, 0.6], np.float32)[kind[2:-2, 2:-2]]
            expected[y, x] = 1.0
            assert np.array_equal(observations[number][..., 0], np.kron(expected, np.ones((2, 2))))


def test_maps_and_pictures(env):
    params = env.sample_params(jax.random.key(0), env.default_params)
    laid_out = np.asarray(env.position_map(1.0 + np.arange(101), params))
    picture = np.asarray(env.map_background(params))
    assert laid_out.shape == (6, 31) and picture.shape == (96, 496, 3) and picture.dtype == np.uint8
    is_wall = picture.reshape(6, 16, 31, 16, 3).mean((1, 3, 4)) < 120
    assert np.array_equal(is_wall, laid_out == 0)
    _, state = env.reset(jax.random.key(0), params)
    changed = (np.asarray(jax.jit(env.render)(state, params)) != picture).any(-1).reshape(6, 16, 31, 16).any((1, 3))
    assert np.argwhere(changed).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"num_rooms": 0}, "num_rooms=0"),
        ({"size": 1}, "size=1"),
        ({"num_rooms": 51, "size": 4}, "num_rooms=51.*at most 50"),
        ({"observation": "onehot"}, "observation='onehot'.*one_hot"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        RoomChain(**arguments)


def test_odd_and_single_rooms_end_opposite_the_last_door():
    assert RoomChain(3).default_params.goal_row == 4
    single = RoomChain(1)
    params = single.default_params
    _, successors, *_ = every_cell(single, params)
    assert distances(successors, 0)[15] == 6 and params.goal_row == 4
