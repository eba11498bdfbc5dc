"""KeyRooms against a second implementation that reads the map of the module's docstring letter by letter."""

from collections import deque
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.envs.grids import KeyRooms, key_rooms

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
DEFAULT_MAP = [line[4:23] for line in key_rooms.__doc__.splitlines() if line.startswith("    #")]


class SlowKeyRooms:
    """Mechanics on a list of strings; a state is (y, x, keys, doors) with frozensets of letters."""

    def __init__(self, lines):
        self.lines = lines

    def find(self, letter):
        return next((y, line.index(letter)) for y, line in enumerate(self.lines) if letter in line)

    def step(self, state, action):
        """Returns (successor, reward, terminated)."""
        y, x, keys, doors = state
        down, right = MOVES[action]
        tile = self.lines[y + down][x + right]
        if tile == "#" or (tile.isupper() and tile not in "ST" and tile.lower() not in keys):
            return state, 0.0, False
        y, x, reward = y + down, x + right, 0.0
        if tile.islower() and tile != "o" and tile not in keys:
            keys, reward = keys | {tile}, 1.0
        if tile.isupper() and tile not in "ST" and tile not in doors:
            doors, reward = doors | {tile}, 2.0
        return (y, x, keys, doors), 10.0 if tile == "T" else reward, tile in "oT"

    def search(self):
        """Breadth-first: the distance of each non-terminal state, and the shortest route to T (actions, return)."""
        start = (*self.find("S"), frozenset(), frozenset())
        routes, frontier, goal = {start: ((), 0.0)}, deque([start]), None
        while frontier:
            state = frontier.popleft()
            actions, score = routes[state]
            for action in range(4):
                successor, reward, terminated = self.step(state, action)
                route = (*actions, action), score + reward
                if terminated:
                    goal = route if goal is None and successor[:2] == self.find("T") else goal
                elif successor not in routes:
                    routes[successor] = route
                    frontier.append(successor)
        return routes, goal


def bits(letters):
    return sum(1 << "abcdefgh".index(letter.lower()) for letter in letters)


def as_state(env, y, x, keys=0, doors=0, time=0):
    last_action = jnp.int32(-1) if env.sticky else None
    return key_rooms.KeyRoomsState(*map(jnp.int32, (y, x, keys, doors, time)), last_action)


@pytest.fixture(scope="module")
def env():
    return KeyRooms()


@pytest.fixture(scope="module")
def slow():
    return SlowKeyRooms(DEFAULT_MAP)


@pytest.fixture(scope="module")
def routes_and_goal(slow):
    return slow.search()


@pytest.fixture(scope="module")
def all_steps(env, routes_and_goal):
    """Every (reachable state, action): the slow states [S], and the environment's answer with axes [S, 4]."""
    states = list(routes_and_goal[0])
    rows = jnp.array([(y, x, bits(k), bits(d), 0) for y, x, k, d in states], jnp.int32)
    batch = key_rooms.KeyRoomsState(*rows.T)

    def step(state, action):
        return env.step_env(jax.random.key(0), state, action, env.default_params)[1:]

    step = jax.vmap(jax.vmap(step, (None, 0)), (0, None))
    answer = jax.jit(step)(batch, jnp.arange(4))
    return states, jax.tree.map(np.asarray, answer), np.asarray(jax.vmap(env.state_id)(batch))


def test_facts(env, routes_and_goal):
    routes, (actions, score) = routes_and_goal
    assert len(routes) == env.num_reachable == 1321
    assert env.num_states == 1322
    assert len(actions) == 68
    assert score == env.max_return == 19


def test_every_transition_equals_the_slow_model(slow, all_steps):
    states, (successors, rewards, terminated, info), _ = all_steps
    for number, state in enumerate(states):
        for action in range(4):
            (y, x, keys, doors), reward, end = slow.step(state, action)
            got = tuple(int(field[number, action]) for field in successors[:5])
            assert got == (y, x, bits(keys), bits(doors), 1), (state, action)
            assert rewards[number, action] == reward
            assert terminated[number, action] == end
            assert info["success"][number, action] == (reward == 10)


def test_state_ids_are_dense_and_terminal_states_share_the_last(env, all_steps):
    states, (successors, _, terminated, info), ids = all_steps
    assert sorted(ids) == list(range(1321))
    id_of = dict(zip(states, ids, strict=True))
    assert np.all(info["state_id"][terminated] == 1321)
    for number, action in np.argwhere(~terminated)[::7]:
        letters = [
            frozenset(c for c in s if bits(c) & field[number, action])
            for s, field in (("abc", successors.keys), ("ABC", successors.doors))
        ]
        key = (int(successors.y[number, action]), int(successors.x[number, action]), *letters)
        assert info["state_id"][number, action] == id_of[key]
    positions = env.positions()
    assert np.array_equal(positions[ids], [state[:2] for state in states])
    assert np.array_equal(positions[-1], [-1, -1])
    is_terminated = jax.vmap(jax.vmap(partial(env.is_terminated, params=env.default_params)))
    assert np.array_equal(is_terminated(jax.tree.map(jnp.asarray, successors)), terminated)


def test_the_shortest_route_scores_19_and_then_resets(env, routes_and_goal):
    actions = jnp.array(routes_and_goal[1][0])
    params = env.default_params
    _, state = env.reset(jax.random.key(0), params)

    def step(state, action):
        obs, state, reward, terminated, truncated, info = env.step(jax.random.key(1), state, action, params)
        return state, (reward, terminated, truncated, info["success"])

    state, (reward, terminated, truncated, success) = jax.lax.scan(step, state, actions)
    assert reward.sum() == 19
    assert np.flatnonzero(terminated).tolist() == np.flatnonzero(success).tolist() == [67]
    assert not truncated.any()
    assert tuple(map(int, state[:5])) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("y, x, action", [(5, 5, 1), (5, 15, 2)])
def test_walls_and_locked_doors_cost_a_step(env, y, x, action):
    _, state, reward, terminated, _ = env.step_env(jax.random.key(0), as_state(env, y, x), action, env.default_params)
    assert tuple(map(int, state[:5])) == (y, x, 0, 0, 1)
    assert reward == 0 and not terminated


def test_the_time_limit_truncates(env):
    params = env.default_params
    *_, terminated, truncated, _ = env.step(jax.random.key(0), as_state(env, 1, 1, time=398), 0, params)
    assert not terminated and not truncated
    *_, terminated, truncated, _ = env.step(jax.random.key(0), as_state(env, 1, 1, time=399), 0, params)
    assert not terminated and truncated


def test_rewards_come_from_the_parameters(env):
    params = env.default_params.replace(key_reward=3.0, door_reward=5.0, treasure_reward=7.0)
    rewards = [
        env.step_env(jax.random.key(0), as_state(env, *state), action, params)[2]
        for state, action in (((5, 10), 1), ((5, 15, 1), 2), ((17, 16, 7, 7), 1))
    ]
    assert rewards == [3, 5, 7]


@pytest.mark.parametrize("sticky, num_bytes", [(0.0, 6), (0.25, 7)])
def test_pack(sticky, num_bytes):
    env = KeyRooms(sticky=sticky)
    state = as_state(env, 17, 13, 5, 3, 399)
    packed = env.pack(state)
    assert packed.nbytes == num_bytes and packed.dtype == jnp.uint8
    assert jax.tree.map(int, env.unpack(packed, env.default_params)) == jax.tree.map(int, state)
    if sticky:
        state = state._replace(last_action=jnp.int32(2))
        assert env.unpack(env.pack(state)).last_action == 2


def test_cell_keys_are_unique(env, all_steps):
    states, *_ = all_steps
    keys = [int(env.cell_key(as_state(env, y, x, bits(k), bits(d)))) for y, x, k, d in states[::9]]
    assert len(set(keys)) == len(keys) and max(keys) < 19 * 19 * 64
    assert env.cell_key(as_state(env, 2, 3, 5, 1)) == ((2 * 19 + 3) * 8 + 5) * 8 + 1


def test_without_sticky_actions_no_random_number_is_drawn(env):
    jaxpr = str(jax.make_jaxpr(env.step_env)(jax.random.key(0), as_state(env, 1, 1), 0, env.default_params))
    assert "random" not in jaxpr and "threefry" not in jaxpr
    sticky = KeyRooms(sticky=0.5)
    assert "random" in str(
        jax.make_jaxpr(sticky.step_env)(jax.random.key(0), as_state(sticky, 1, 1), 0, sticky.default_params)
    )


def test_sticky_actions_repeat_at_their_rate():
    env = KeyRooms(sticky=0.25)
    params = env.default_params
    moved = as_state(env, 3, 3)._replace(last_action=jnp.int32(key_rooms.RIGHT))
    keys = jax.random.split(jax.random.key(0), 4000)
    _, after, *_ = jax.vmap(lambda key: env.step_env(key, moved, key_rooms.LEFT, params))(keys)
    assert abs(float((after.x == 4).mean()) - 0.25) < 0.04
    assert np.array_equal(after.last_action == key_rooms.RIGHT, after.x == 4)
    _, first, *_ = jax.vmap(lambda key: env.step_env(key, as_state(env, 3, 3), key_rooms.LEFT, params))(keys[:64])
    assert (first.x == 2).all()


def test_noops_spend_time_at_the_start():
    env = KeyRooms(max_noops=3)
    _, state = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 256))
    assert set(np.asarray(state.time).tolist()) == {0, 1, 2, 3}


def test_observations(env):
    state = as_state(env, 9, 7, 3, 1)
    symbolic = env.get_obs(state)
    expected = [float(i == 9) for i in range(19)] + [float(i == 7) for i in range(19)] + [1, 1, 0, 1, 0, 0]
    assert symbolic.tolist() == expected
    grid = np.asarray(KeyRooms(observation="grid").get_obs(state))
    tile = grid.argmax(-1)
    kinds = {".": 0, "S": 0, "#": 1, "o": 2, "a": 0, "b": 0, "c": 3, "A": 0, "B": 4, "C": 4, "T": 5}
    reference = np.array([[kinds[letter] for letter in line] for line in DEFAULT_MAP])
    reference[9, 7] = 6
    assert grid.shape == (19, 19, 7) and np.array_equal(grid.sum(-1), np.ones((19, 19)))
    assert np.array_equal(tile, reference)
    image = np.asarray(KeyRooms(observation="image").get_obs(state))[..., 0]
    assert image.shape == (38, 38)
    kind = np.kron(tile, np.ones((2, 2)))
    assert len(set(zip(kind.ravel(), image.ravel(), strict=True))) == len(set(image.ravel())) == 7


@pytest.mark.parametrize("observation", key_rooms.OBSERVATIONS)
def test_observations_lie_in_their_space(observation):
    env = KeyRooms(2, 2, observation=observation)
    obs, _ = env.reset(jax.random.key(0), env.default_params)
    space = env.observation_space(env.default_params)
    assert obs.shape == space.shape and obs.dtype == space.dtype and space.contains(obs)


def test_position_map_sums_over_keys_and_doors(env, routes_and_goal):
    values = np.ones(env.num_states, np.float32)
    values[-1] = 1e6  # the terminal id must not show
    counts = np.zeros((19, 19))
    for y, x, *_ in routes_and_goal[0]:
        counts[y, x] += 1
    assert np.array_equal(env.position_map(values), counts)


def test_pictures(env):
    background = np.asarray(env.map_background())
    assert background.shape == (304, 304, 3) and background.dtype == np.uint8
    picture = np.asarray(jax.jit(env.render)(as_state(env, 3, 4), env.default_params))
    changed = (picture != background).any(-1).reshape(19, 16, 19, 16).any((1, 3))
    assert np.argwhere(changed).tolist() == [[3, 4]]
    later = np.asarray(env.render(as_state(env, 3, 4, keys=1, doors=1)))
    changed = (later != picture).any(-1).reshape(19, 16, 19, 16).any((1, 3))
    assert np.argwhere(changed).tolist() == [[5, 11], [6, 15]]


@pytest.mark.parametrize("num_rooms, num_keys", [(2, 1), (2, 3), (3, 8), (4, 5), (5, 6)])
def test_other_sizes_can_be_solved_and_their_ids_are_complete(num_rooms, num_keys):
    env = KeyRooms(num_rooms, num_keys)
    tile = np.array(list(".#oxXT"))[
        np.asarray(KeyRooms(num_rooms, num_keys, observation="grid").get_obs(as_state(env, 0, 0)))
        .argmax(-1)
        .clip(max=5)
    ]
    tile[0, 0] = "#"
    tile[env.start] = "S"
    for letter, key, door in zip("abcdefgh", env.keys, env.doors, strict=False):
        assert (tile[key], tile[door]) == ("x", "X")
        tile[key], tile[door] = letter, letter.upper()
    routes, (_, score) = SlowKeyRooms(["".join(row) for row in tile]).search()
    assert env.num_reachable == len(routes)
    everything = (1 << num_keys) - 1
    assert any(bits(keys) == everything and len(doors) == num_keys for _, _, keys, doors in routes)
    assert score == env.max_return


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"num_rooms": 1}, "num_rooms=1"),
        ({"num_rooms": 43}, "num_rooms=43"),
        ({"num_keys": 0}, "num_keys=0"),
        ({"num_keys": -1}, "num_keys=-1: expected 1 to 8 with num_rooms=3"),
        ({"num_keys": 9}, "num_keys=9: expected 1 to 8 with num_rooms=3"),
        ({"num_rooms": 2, "num_keys": 4}, "num_keys=4.*1 to 3"),
        ({"sticky": 1.0}, "sticky=1.0"),
        ({"max_noops": -1}, "max_noops=-1"),
        ({"observation": "pixels"}, "observation='pixels'.*image"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        KeyRooms(**arguments)
