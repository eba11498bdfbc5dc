"""HardMaze: walls, sensors and rewards by hand, and a scripted way to the goal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.control import HardMaze, HardMazeState, drawing, hard_maze, segments
from purejaxexplore.testing import check_environment

BOX = np.array([(0, 0, 10, 0), (10, 0, 10, 20), (10, 20, 0, 20), (0, 20, 0, 0)], np.float64)


def state_at(x, y, heading=0.0, speed=0.0, turn=0.0, time=0):
    return HardMazeState(*map(jnp.float32, (x, y, heading, speed, turn)), jnp.int32(time))


@pytest.fixture(scope="module")
def env():
    env, _ = envs.make("HardMaze")
    return env


@pytest.fixture(scope="module")
def step(env):
    return jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, action, env.default_params))


@pytest.mark.parametrize(
    "reward", [hard_maze.REWARDS[0], *(pytest.param(r, marks=pytest.mark.slow) for r in hard_maze.REWARDS[1:])]
)
def test_contract(reward):
    env = HardMaze(reward, stop_at_goal=reward == "distance")
    check_environment(env, env.default_params, eager=reward == "distance")  # the same program but for its end


def test_clearance_by_hand():
    points = jnp.array([[2.0, 5.0], [5.0, 19.0], [13.0, -4.0]])
    squared = jax.vmap(lambda p: segments.clearance_squared(tuple(p), BOX))(points)
    np.testing.assert_allclose(squared, [4.0, 1.0, 25.0], rtol=1e-6)  # left wall, lower wall, beyond a corner


@pytest.mark.parametrize(
    "direction, seen",
    [((1, 0), 7), ((-1, 0), 3), ((0, 1), 15), ((0, -1), 5), ((0.6, -0.8), 6.25), ((-0.6, -0.8), 5)],
)
def test_sight_by_hand(direction, seen):
    """From (3, 5) in a box of 10 x 20; the ray (0, 1) is parallel to two walls and passes the corners of none."""
    point = jnp.float32(3), jnp.float32(5)
    direction = tuple(map(jnp.float32, direction))
    assert segments.sight(point, direction, BOX, 100.0) == pytest.approx(seen, rel=1e-6)
    assert segments.sight(point, direction, BOX, 4.0) == pytest.approx(min(seen, 4.0))


def test_sight_is_the_first_wall_of_many():
    """Against a dense march along each ray through the maze."""
    rng = np.random.default_rng(0)
    x, y, angle = rng.uniform(20, 180, 40), rng.uniform(20, 190, 40), rng.uniform(0, 2 * np.pi, 40)
    dx, dy = np.cos(angle), np.sin(angle)
    look = jax.jit(jax.vmap(lambda x, y, dx, dy: segments.sight((x, y), (dx, dy), hard_maze.WALLS, 100.0)))
    seen = np.asarray(look(*map(jnp.float32, (x, y, dx, dy))))
    # The path up to the reported range has some clearance; at its end there is a wall, or the reach is over.
    share = np.linspace(0, 0.995, 400)
    along = drawing.distances(x[:, None] + seen[:, None] * dx[:, None] * share,
                              y[:, None] + seen[:, None] * dy[:, None] * share, hard_maze.WALLS)  # fmt: skip
    assert along.min() > 0
    end = drawing.distances(x + seen * dx, y + seen * dy, hard_maze.WALLS)
    assert np.all((end < 1e-3) | (seen == 100.0)) and (seen < 100).any() and (seen == 100).any()


def test_controls_move_towards_their_targets(step):
    state = state_at(30, 160)
    _, state, *_ = step(state, jnp.array([1.0, 1.0]))
    # Speed first, then the place along the old heading, then the heading.
    np.testing.assert_allclose(state[:5], [30.2, 160, 0.2, 0.2, 0.2], rtol=1e-6)
    _, state, *_ = step(state, jnp.array([0.5, 0.6]))
    speed = 0.4  # towards 0.6
    expected = [30.2 + 0.4 * np.cos(np.deg2rad(0.2)), 160 + 0.4 * np.sin(np.deg2rad(0.2)), 0.2, speed, 0.0]
    np.testing.assert_allclose(state[:5], expected, rtol=1e-5, atol=1e-6)
    for _ in range(20):
        _, state, *_ = step(state, jnp.array([-5.0, 9.0]))  # clipped to [0, 1]
    assert state.speed == pytest.approx(3.0) and state.turn == pytest.approx(-3.0)
    assert 0 <= state.heading < 360 and state.heading > 300  # it turned below zero


def test_walls_cancel_a_move_but_not_the_turn(step):
    """The wall x = 56 from y = 54 to 157: 8 away at x = 48."""
    _, state, *_ = step(state_at(47.5, 100, speed=0.6, turn=2.0), jnp.array([0.9, 0.6]))
    assert (state.x, state.y) == (47.5, 100.0)
    assert state.heading == pytest.approx(2.2) and state.speed == pytest.approx(0.6)
    _, state, *_ = step(state_at(47.0, 100, speed=0.6), jnp.array([0.5, 0.6]))
    assert state.x == pytest.approx(47.6)


def test_observation_by_hand(env):
    """At (48, 100), heading along +y (90 degrees): the wall x = 56 is at -90 degrees, 8 away."""
    seen = env.get_obs(state_at(48, 100, heading=90.0))
    assert seen[0] == 1 and seen[1] == pytest.approx(0.08, rel=1e-4)
    # At -45 degrees the same wall, 8 sqrt(2) away.
    assert seen[2] == pytest.approx(0.08 * np.sqrt(2), rel=1e-4)
    # The goal (31, 20) lies behind: (-17, -80).
    assert seen[7:].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("heading, radar", [(0, 3), (90, 2), (180, 1), (270, 0)])
def test_radars_turn_with_the_robot(env, heading, radar):
    """From below the goal it lies in the direction -y: at heading 0 that is -90 degrees, at 270 ahead."""
    seen = env.get_obs(state_at(31, 150, heading=heading))
    assert seen[7:].tolist() == np.eye(4)[radar].tolist()


def drive(env, step, route):
    """Steers to each point of a route in turn: as fast as it can still stop turning, and driving when it is ahead."""
    state, total = env.reset(jax.random.key(0), env.default_params)[1], 0.0
    for target in route:
        while np.hypot(target[0] - float(state.x), target[1] - float(state.y)) > 9:
            bearing = np.rad2deg(np.arctan2(target[1] - float(state.y), target[0] - float(state.x)))
            error = (bearing - float(state.heading) + 180) % 360 - 180
            turn = np.sign(error) * min(3.0, np.sqrt(0.4 * abs(error)))
            speed = 3.0 * np.clip(1 - abs(error) / 60, 0, 1)
            _, state, reward, terminated, info = step(state, jnp.array([turn, speed]) / 6 + 0.5)
            total += float(reward)
            if terminated:
                return state, total, info
            if state.time > 1000:
                raise AssertionError(f"lost at {float(state.x)}, {float(state.y)} on the way to {target}")
    return state, total, info


ROUTE = [(70, 168), (100, 149), (120, 157), (148, 178), (170, 172), (160, 147), (110, 119), (74, 97), (76, 78)]
ROUTE += [(95, 68), (130, 64), (152, 40), (135, 20), (83, 25), (31, 20)]


def test_a_scripted_robot_reaches_the_goal_in_time(env, step):
    state, total, info = drive(env, step, ROUTE)
    assert info["success"] and info["distance"] < 10 and state.time <= 400
    assert total == pytest.approx(float(np.hypot(5, 164)) - float(info["distance"]), rel=1e-4)


def test_the_end_is_judged_as_chosen():
    near, late = state_at(31, 31, heading=270, speed=2.0), state_at(31, 31, heading=270, speed=2.0, time=399)
    action = jnp.array([0.5, 5 / 6])  # keeps a speed of 2
    for options, wanted in (
        ({}, [(True, True, 2.0), (True, True, 2.0)]),
        ({"stop_at_goal": False}, [(False, False, 2.0), (False, True, 2.0)]),
        ({"reward": "discs"}, [(True, True, 1 - 9 / 15)] * 2),
        ({"reward": "discs", "stop_at_goal": False}, [(False, False, 0.0), (False, True, 1 - 9 / 15)]),
    ):
        env = HardMaze(**options)
        for state, (terminated, success, reward) in zip((near, late), wanted, strict=True):
            _, _, given, ended, info = env.step_env(jax.random.key(0), state, action, env.default_params)
            assert (bool(ended), bool(info["success"])) == (terminated, success), options
            assert given == pytest.approx(reward, abs=1e-4), options


def test_reachable_squares_and_pictures(env):
    reachable = env.reachable
    picture = np.asarray(env.map_background())
    assert reachable.shape == (52, 50) and picture.shape == (416, 400, 3)
    assert env.num_reachable == reachable.sum() and 0.4 < reachable.mean() < 0.8
    assert reachable[184 // 4, 36 // 4] and reachable[20 // 4, 31 // 4]
    assert not reachable[100 // 4, 56 // 4]  # on a wall
    start = env.reset(jax.random.key(0), env.default_params)[1]
    changed = (np.asarray(env.render(start)) != picture).any(-1)
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() / 2 - 184) < 1 and abs(columns.mean() / 2 - 36) < 1 and 15 < np.ptp(rows) / 2 < 18
    assert env.position_map(np.arange(env.num_states))[46, 9] == env.state_id(start)
    assert (np.asarray(HardMaze("discs").map_background()) != picture).any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="reward='disc'.*did you mean 'discs'"):
        HardMaze("disc")
