"""PointMaze: mazes are trees, walls stop the point, and every cell can be reached."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.control import PointMaze, PointMazeState, point_maze
from purejaxexplore.testing import check_environment


@pytest.fixture(scope="module")
def env():
    env, _ = envs.make("PointMaze")
    return env


@pytest.fixture(scope="module")
def mazes():
    return np.asarray(jax.vmap(point_maze.perfect_maze, (0, None))(jax.random.split(jax.random.key(0), 3), 24))


def search(passages):
    """Cell -> the cell it is reached from, by breadth-first search from the central one."""
    size = passages.shape[1]
    came_from, frontier = {(size // 2, size // 2): None}, deque([(size // 2, size // 2)])
    while frontier:
        row, column = frontier.popleft()
        for open_, cell in (
            (passages[0, row, column], (row, column + 1)),
            (column > 0 and passages[0, row, column - 1], (row, column - 1)),
            (passages[1, row, column], (row + 1, column)),
            (row > 0 and passages[1, row - 1, column], (row - 1, column)),
        ):
            if open_ and cell not in came_from:
                came_from[cell] = (row, column)
                frontier.append(cell)
    return came_from


@pytest.mark.parametrize("options", [{}, {"size": 5, "noise_dims": 3}])
def test_contract(options):
    env = PointMaze(**options)
    check_environment(env, env.default_params)


def test_mazes_are_random_trees(mazes):
    for passages in mazes:
        assert passages.sum() == 24**2 - 1 and len(search(passages)) == 24**2
        assert not passages[0, :, -1].any() and not passages[1, -1].any()
    assert (mazes[0] != mazes[1]).any()


def test_moves_by_hand():
    """Two by two cells around the origin; open between the upper two and down on the right."""
    env = PointMaze(2)
    passages = jnp.zeros((2, 2, 2), bool).at[0, 0, 0].set(True).at[1, 0, 1].set(True)
    params = env.default_params.replace(passages=passages)

    @jax.jit
    def move(x, y, dx, dy):
        state = PointMazeState(jnp.float32(x), jnp.float32(y), jnp.int32(3))
        observation, after, reward, terminated, info = env.step_env(
            jax.random.key(0), state, jnp.array([dx, dy]), params
        )
        return jnp.append(observation, info["state_id"])

    for given, wanted in (
        ((-0.5, -0.5, 0.3, 0.2), (-0.2, -0.3, 0)),  # inside a cell
        ((-0.5, -0.5, 0.8, 0.0), (0.3, -0.5, 1)),  # through the open side
        ((-0.5, -0.5, 0.0, 0.8), (-0.5, -0.5, 0)),  # against the wall below
        ((-0.5, -0.5, -0.8, 0.0), (-0.5, -0.5, 0)),  # against the border
        ((0.5, -0.5, 0.0, 0.8), (0.5, 0.3, 3)),  # down on the right
        ((-0.2, -0.6, 0.6, 0.8), (0.4, 0.2, 3)),  # round the corner: right first, then down
        ((-0.6, -0.2, 0.8, 0.6), (-0.6, -0.2, 0)),  # down first: into the wall
        ((0.4, 0.2, -0.6, -0.8), (-0.2, -0.6, 0)),  # and back
        ((0.5, 0.5, -0.8, 0.0), (0.5, 0.5, 3)),  # the lower two are apart
        ((-0.9, -0.9, 3.0, 4.0), (-0.3, -0.1, 0)),  # shortened to length 1
    ):
        np.testing.assert_allclose(move(*given), wanted, atol=1e-6, err_msg=str(given))


def test_every_cell_can_be_reached_by_a_scripted_walk(env, mazes):
    """From cell centre to cell centre along the longest of the shortest ways."""
    params = env.default_params.replace(passages=jnp.array(mazes[0]))
    came_from = search(mazes[0])
    ways = {}
    for cell in came_from:  # in order of distance
        ways[cell] = [*ways.get(came_from[cell], []), cell]
    way = max(ways.values(), key=len)
    assert len(way) > 100
    moves = jnp.array([(b[1] - a[1], b[0] - a[0]) for a, b in zip(way[:-1], way[1:], strict=True)], jnp.float32)
    state = env.reset(jax.random.key(0), params)[1]

    def step(state, move):
        _, state, reward, terminated, info = env.step_env(jax.random.key(0), state, move, params)
        return state, info["state_id"]

    _, ids = jax.jit(lambda state: jax.lax.scan(step, state, moves))(state)
    assert ids.tolist() == [row * 24 + column for row, column in way[1:]]


def test_no_walk_passes_a_wall(env, mazes):
    """Random walks change cells only through passages, one side at a time or round an open corner."""
    params = env.default_params.replace(passages=jnp.array(mazes[1]))

    def step(state, key):
        _, state, *_ = env.step_env(key, state, 2 * jax.random.normal(key, (2,)), params)
        return state, env.state_id(state)

    walk = jax.jit(jax.vmap(lambda key: jax.lax.scan(step, env.reset_env(key, params)[1], jax.random.split(key, 300))))
    _, ids = walk(jax.random.split(jax.random.key(1), 8))
    came_from, depth = search(mazes[1]), {}
    for cell in came_from:
        depth[cell] = depth.get(came_from[cell], -1) + 1
    assert len(np.unique(ids)) > 20
    for before, after in zip(np.asarray(ids)[:, :-1].ravel(), np.asarray(ids)[:, 1:].ravel(), strict=True):
        a, b = divmod(int(before), 24), divmod(int(after), 24)
        if a == b:
            continue
        beside = [came_from[a] == b, came_from[b] == a]
        corner = [came_from[a] and came_from[came_from[a]] == b, came_from[b] and came_from[came_from[b]] == a]
        corner.append(came_from[a] == came_from[b])
        assert any(beside) or (any(corner) and abs(a[0] - b[0]) == abs(a[1] - b[1]) == 1), (a, b)


def test_noise_is_drawn_anew_and_levels_share_shapes():
    env = PointMaze(4, noise_dims=8)
    params = env.sample_params(jax.random.key(3), env.default_params)
    first, state = env.reset(jax.random.key(0), params)
    second, *_ = env.step_env(jax.random.key(1), state, jnp.zeros(2), params)
    assert first.shape == (10,) and np.array_equal(first[:2], second[:2]) and (first[2:] != second[2:]).all()


def test_pictures_show_the_walls(env, mazes):
    params = env.default_params.replace(passages=jnp.array(mazes[0]))
    picture = np.asarray(env.map_background(params))
    assert picture.shape == (384, 384, 3) and picture.dtype == np.uint8
    dark = picture.mean(-1) < 120
    middle = 16 * np.arange(24) + 8
    np.testing.assert_array_equal(dark[middle][:, middle + 7], ~mazes[0][0])  # the right side of each cell
    np.testing.assert_array_equal(dark[middle + 7][:, middle], ~mazes[0][1])
    assert not dark[middle][:, middle].any()
    _, state = env.reset(jax.random.key(0), params)
    changed = (np.asarray(env.render(state, params)) != picture).any(-1).reshape(24, 16, 24, 16).any((1, 3))
    assert np.argwhere(changed).tolist() == [[12, 12]]


@pytest.mark.parametrize("options, named", [({"size": 1}, "size=1"), ({"noise_dims": -1}, "noise_dims=-1")])
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        PointMaze(**options)
