"""LidarMaze: ranges against a slow ray march, goals as far as asked, and the contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.control import LidarMaze, LidarMazeState
from purejaxexplore.envs.control.lidar_maze import GOAL_RADIUS, REACH
from purejaxexplore.envs.grids.mazes import walks
from purejaxexplore.testing import check_environment
from purejaxexplore.testing.trees import quick_jit


@pytest.mark.parametrize("options", [{"size": 4, "loops": 2, "goal_distance": 2}])
@pytest.mark.slow
def test_contract(options):
    check_environment(*envs.make("LidarMaze", **options), eager=False)


@pytest.fixture(scope="module")
def env():
    return LidarMaze(6, loops=4, noise_dims=0, goal_distance=5)


@pytest.fixture(scope="module")
def levels(env):
    keys = jax.random.split(jax.random.key(0), 5)
    return quick_jit(jax.vmap(env.sample_params, (0, None)))(keys, env.default_params)


def march(passages, brightness, x, y, angle, step=2e-3):
    """Range and brightness by small steps from cell to cell; x and y from the upper left corner."""
    size = passages.shape[-1]
    row, column = int(y), int(x)
    for length in np.arange(step, REACH, step):
        to_row, to_column = (int(np.floor(z + length * d)) for z, d in ((y, np.sin(angle)), (x, np.cos(angle))))
        if to_column != column:
            left = min(column, to_column)
            if not 0 <= to_column < size or not passages[0, row, left]:
                return length, brightness[0, left + 1, row]
        if to_row != row:
            above = min(row, to_row)
            if not 0 <= to_row < size or not passages[1, above, to_column]:
                return length, brightness[1, above + 1, to_column]
        row, column = to_row, to_column
    return REACH, 0.0


def test_ranges_and_brightness(env, levels):
    rng = np.random.default_rng(0)
    places = rng.uniform(0.05, 5.95, (6, 2))
    scan = quick_jit(env.scan)
    for i, (x, y) in enumerate(places):
        params = jax.tree.map(lambda x, i=i: x[i % 5], levels)
        passages, brightness = np.asarray(params.passages), np.asarray(params.brightness)
        found = np.stack(scan(x - 3, y - 3, params), 1)
        wanted = [march(passages, brightness, x, y, 2 * np.pi * ray / 32) for ray in range(32)]
        close = np.isclose(found, wanted, atol=6e-3).all(1)
        assert close.sum() >= 31  # a march may slip past a corner
    walls = levels.brightness[0]
    closed, open_ = (params.replace(passages=jnp.full((2, 6, 6), is_open)) for is_open in (False, True))
    ranges, brightness = scan(0.5, 0.5, closed)  # in the middle of a closed cell, in row and column 3
    np.testing.assert_allclose(ranges[jnp.array([0, 4, 8, 12])], np.sqrt([0.25, 0.5, 0.25, 0.5]), rtol=1e-5)
    sides = closed.brightness[jnp.array([0, 1, 0, 1]), jnp.array([4, 4, 3, 3]), 3]
    np.testing.assert_array_equal(brightness[::8], sides)
    assert walls.shape == (2, 7, 6) and (scan(0.0, 0.0, open_)[0][::8] == 3).all()  # the border
    ranges, brightness = scan(-2.5, 0.5, open_)
    assert ranges[0] == REACH and brightness[0] == 0  # nothing to see


def test_goals_are_far_and_end_the_episode(env, levels):
    for i in range(5):
        params = jax.tree.map(lambda x, i=i: x[i], levels)
        assert params.passages.sum() == 35 + 4
        row, column = (int(z + 3) for z in np.asarray(params.goal)[::-1])
        assert walks(params.passages, 3, 3)[row, column] >= 5
    x, y = np.asarray(params.goal)

    @quick_jit
    def step(x, y):
        state = LidarMazeState(jnp.float32(x), jnp.float32(y), jnp.int32(0), jnp.zeros(2))
        _, after, reward, terminated, info = env.step_env(jax.random.key(0), state, jnp.array([3.0, 4.0]) / 5, params)
        return after.x, after.y, reward, terminated, info["success"]

    for inside, start in ((True, (x - 0.2, y - 4 / 15)), (False, (x - 0.2 - 0.3, y - 4 / 15 - 0.29))):
        after_x, after_y, reward, *ended = map(float, step(*start))
        np.testing.assert_allclose((after_x, after_y), (start[0] + 0.2, start[1] + 4 / 15), atol=1e-5)
        assert np.hypot(after_x - x, after_y - y) < GOAL_RADIUS if inside else True
        assert (reward, *ended) == (inside,) * 3


def test_slides_along_walls():
    """In a closed cell around (0.5, 0.5): north-east is north only, and east is nowhere."""
    env, params = envs.make("LidarMaze", size=4, loops=0, goal_distance=2)
    closed = params.replace(passages=jnp.zeros((2, 4, 4), bool))

    @quick_jit
    def move(action):
        state = LidarMazeState(jnp.float32(0.9), jnp.float32(0.5), jnp.int32(3), jnp.ones(2))
        after = env.step_env(jax.random.key(0), state, action, closed)[1]
        return jnp.stack([after.x, after.y]), env.odometry(after)

    for action, moved in (((0.6, -0.8), (0, -0.8)), ((1, 0), (0, 0)), ((-2, 0), (-1, 0)), ((0.15, 0), (0.15, 0))):
        place, odometry = move(jnp.array(action, jnp.float32))
        np.testing.assert_allclose(odometry, moved, atol=1e-6)
        np.testing.assert_allclose(place, np.array([0.9, 0.5]) + np.array(moved) / 3, atol=1e-6)


def test_walks_by_hand():
    """A snake through three by three cells: right, right, down, left, left, down, right, right."""
    passages = jnp.zeros((2, 3, 3), bool).at[0, :, :2].set(True).at[1, 0, 2].set(True).at[1, 1, 0].set(True)
    assert walks(passages, 0, 0).tolist() == [[0, 1, 2], [5, 4, 3], [6, 7, 8]]
    cut = passages.at[1, 1, 0].set(False)
    assert walks(cut, 0, 0)[2].tolist() == [9, 9, 9]


def test_what_is_observed_at_the_goal():
    env, params = envs.make("LidarMaze", size=4, loops=0, goal_distance=2)
    one, two = (env.goal_observation(jax.random.key(i), params) for i in range(2))
    assert one.shape == (68,) and np.array_equal(one[:64], two[:64]) and (one[64:] != two[64:]).all()
    picture = np.asarray(env.render(env.reset_env(jax.random.key(0), params)[1], params))
    ground = np.asarray(env.map_background(params))
    assert picture.shape == ground.shape == (64, 64, 3) and (picture != ground).any()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"loops": 82}, "loops=82"), ({"goal_distance": 100}, "goal_distance=100"), ({"size": 1}, "size=1")],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        LidarMaze(**options)
