"""RoomMaze: rooms are connected as the level says, walls stop, and the goal is as far away as it can be."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.grids import RoomMaze, RoomMazeState
from purejaxexplore.envs.grids.mazes import braid, perfect_maze
from purejaxexplore.testing import check_environment
from purejaxexplore.testing.trees import quick_jit


def search(walls, start):
    """Moves to every cell by breadth-first search, -1 where none lead."""
    away, frontier = np.full(walls.shape, -1), deque([start])
    away[start] = 0
    while frontier:
        y, x = frontier.popleft()
        for cell in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not walls[cell] and away[cell] < 0:
                away[cell] = away[y, x] + 1
                frontier.append(cell)
    return away


@pytest.mark.parametrize(
    "options",
    [
        {"observation": "egocentric", "num_rooms": 2, "size": 3, "loops": 1},
        pytest.param({}, marks=pytest.mark.slow),
    ],
)
def test_contract(options):
    check_environment(*envs.make("RoomMaze", **options), eager=False)


def test_one_hot_observations():
    env = RoomMaze(2, 2, observation="one_hot")
    observation, state = env.reset_env(jax.random.key(0), env.default_params)
    assert observation.shape == (49,) and observation.argmax() == env.state_id(state) == 8


@pytest.fixture(scope="module", params=[(3, 5, 2), pytest.param((4, 5, 0), marks=pytest.mark.slow)])
def levels(request):
    env = RoomMaze(*request.param)
    keys = jax.random.split(jax.random.key(1), 4)
    sample = quick_jit(jax.vmap(env.sample_params, (0, None)))
    drawn = sample(keys, env.default_params)
    walls = quick_jit(jax.vmap(env.walls))(drawn)
    return env, jax.tree.map(np.asarray, drawn), np.asarray(walls)


def test_levels(levels):
    env, drawn, walls = levels
    k = env.num_rooms
    for level, wall in enumerate(walls):
        away = search(wall, env.start)
        assert (away >= 0).sum() == (~wall).sum() == env.num_reachable
        assert drawn.passages[level].sum() == k**2 - 1 + env.loops
        goal = tuple(drawn.goal[level])
        assert away[goal] == away.max()
        rooms = np.asarray(env.room(*np.nonzero(~wall)))
        assert set(rooms) == set(range(k**2))
    assert (walls[0] != walls[1]).any()


def test_every_move_of_a_level(levels):
    env, drawn, walls = levels
    params = jax.tree.map(lambda x: jnp.asarray(x[0]), drawn)
    y, x = np.nonzero(~walls[0])

    def move(y, x, action):
        state = RoomMazeState(y, x, jnp.int32(3))
        _, after, reward, terminated, info = env.step_env(jax.random.key(0), state, action, params)
        return after, reward, info["state_id"]

    every = quick_jit(jax.vmap(jax.vmap(move, (0, 0, None)), (None, None, 0)))
    after, reward, number = every(jnp.asarray(y, jnp.int32), jnp.asarray(x, jnp.int32), jnp.arange(4))
    for action, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
        free = ~walls[0][y + down, x + right]
        np.testing.assert_array_equal(after.y[action], y + down * free)
        np.testing.assert_array_equal(after.x[action], x + right * free)
    np.testing.assert_array_equal(number, after.y * env.side + after.x)
    at_goal = (np.asarray(after.y) == params.goal[0]) & (np.asarray(after.x) == params.goal[1])
    np.testing.assert_array_equal(reward == 1, at_goal)


def test_pictures_show_the_walls(levels):
    env, drawn, walls = levels
    params = jax.tree.map(lambda x: jnp.asarray(x[0]), drawn)
    _, state = env.reset_env(jax.random.key(0), params)
    picture = np.asarray(env.map_background(params))
    dark = picture.reshape(env.side, 16, env.side, 16, 3).mean((1, 3, 4)) < 120
    np.testing.assert_array_equal(dark, walls[0])
    changed = (np.asarray(env.render(state, params)) != picture).any(-1)
    changed = changed.reshape(env.side, 16, env.side, 16).any((1, 3))
    assert np.argwhere(changed).tolist() == [[1, 1]]
    assert env.position_map(np.arange(env.num_states))[1, 2] == env.side + 2


def test_loops_open_inner_walls_only():
    passages = perfect_maze(jax.random.key(2), 4)
    open_ = quick_jit(braid, static_argnums=2)(jax.random.key(3), passages, 9)  # all that are left
    assert open_.sum() == 2 * 4 * 3 and not open_[0, :, -1].any() and not open_[1, -1].any()
    assert (open_ >= passages).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_rooms": 1}, "num_rooms=1"),
        ({"size": 1}, "size=1"),
        ({"num_rooms": 2, "loops": 2}, "loops=2"),
        ({"observation": "image"}, "observation='image'"),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        RoomMaze(**options)
