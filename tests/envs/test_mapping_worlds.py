"""MarsGrid, MarsTeam and SemanticHouse: what is seen, what is paid, what is known by whom."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.grids import houses, mapping, mars_team, semantic_house
from purejaxexplore.envs.grids.mars import MarsGrid
from purejaxexplore.envs.grids.mars_team import MarsTeam
from purejaxexplore.envs.grids.semantic_house import SemanticHouse
from purejaxexplore.testing import check_environment


@pytest.mark.parametrize(
    "name, options",
    [
        ("MarsGrid", {"size": 9, "num_levels": 2, "collision": "crash"}),
        pytest.param("MarsTeam", {"size": 15, "ground": "rocks", "num_levels": 2}, marks=pytest.mark.slow),
        pytest.param("SemanticHouse", {"side": 23, "num_levels": 2}, marks=pytest.mark.slow),
    ],
)
def test_contract(name, options):
    check_environment(*envs.make(name, **options), eager=False)


def walked(blocked, y, x):
    """The cells that each ray meets, one after the other: what :func:`mapping.sight` says at once."""
    seen = {(y, x)}
    for ray in range(32):
        for step in range(1, 7):
            angle = ray * 2 * np.pi / 32
            row, column = y + round(step * np.sin(angle)), x + round(step * np.cos(angle))
            if not (0 <= row < blocked.shape[0] and 0 <= column < blocked.shape[1]):
                break
            seen.add((row, column))
            if blocked[row, column]:
                break
    return seen


@pytest.fixture(scope="module")
def ground():
    rng = np.random.default_rng(0)
    blocked = rng.random((4, 11, 13)) < np.array([0.05, 0.2, 0.3, 0.5])[:, None, None]
    blocked[:, 0, 0] = False
    return blocked


def test_nobody_sees_through_rocks(ground):
    table = jax.jit(mapping.sight_table)
    for blocked in ground:
        windows = np.asarray(table(jnp.asarray(blocked)))
        for number in range(0, 143, 5):
            y, x = divmod(number, 13)
            seen = {(y + i - 6, x + j - 6) for i, j in np.argwhere(windows[number])}
            assert seen == walked(blocked, y, x), (y, x)


def breadth_first(free, y, x):
    found, frontier = {(y, x): 0}, deque([(y, x)])
    while frontier:
        cell = frontier.popleft()
        for move in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            beside = cell[0] + move[0], cell[1] + move[1]
            within = 0 <= beside[0] < free.shape[0] and 0 <= beside[1] < free.shape[1]
            if within and free[beside] and beside not in found:
                found[beside] = found[cell] + 1
                frontier.append(beside)
    return found


def test_frontier_policies_against_plain_search(ground):
    """The three policies of a robot in the middle of a half-known map."""
    plan = jax.jit(lambda *given: [mapping.frontiers(*given[:2]), *(policy(*given) for policy in POLICIES)])
    rng = np.random.default_rng(1)
    for blocked in ground[:3]:
        known = np.zeros_like(blocked)
        known[2:9, 2:11] = True
        y, x = rng.choice(np.argwhere(known & ~blocked & np.pad(np.ones((5, 7), bool), 3)))
        edge, utility, cost, nearest = map(np.asarray, plan(jnp.asarray(known), jnp.asarray(blocked), y, x))
        rim = known & ~np.pad(np.ones((5, 7), bool), 3)
        assert np.array_equal(edge, rim & ~blocked)
        rows, columns = np.nonzero(edge)
        moves = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
        summed = [np.hypot(rows - y - down, columns - x - right).sum() for down, right in moves]
        assert utility == np.argmin(summed)
        first = np.argmin(np.hypot(rows - y, columns - x))
        assert cost == np.argmin([np.hypot(rows[first] - y - d, columns[first] - x - r) for d, r in moves])
        found = breadth_first(known & ~blocked, y, x)
        away = [found[cell] for cell in zip(rows, columns, strict=True) if cell in found]
        if away:
            after = breadth_first(known & ~blocked, *(moves[nearest] + (y, x)))
            assert min(after[c] for c in zip(rows, columns, strict=True) if c in after) == min(away) - 1


POLICIES = (mapping.utility_action, mapping.cost_action, mapping.nearest_frontier_action)


@pytest.fixture(scope="module")
def mars():
    env = MarsGrid(11, 3, num_levels=3)
    params = env.default_params

    def play(policy):
        def step(state, key):
            known, rocks = mapping.inside(state.known), params.rocks[state.level]
            action = policy(key, known, rocks, state.y, state.x)
            _, after, reward, terminated, info = env.step_env(key, state, action, params)
            return after, (state, after, reward, terminated, info)

        def episode(key):
            return jax.lax.scan(step, env.reset_env(key, params)[1], jax.random.split(key, 120))[1]

        return jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(0), 6))

    def nearest(key, *given):
        return mapping.nearest_frontier_action(*given)

    return env, params, play(lambda key, *_: jax.random.randint(key, (), 0, 4)), play(nearest)


def test_mars_pays_for_what_is_new(mars):
    env, params, random, nearest = mars
    for before, after, reward, terminated, info in (random, nearest):
        known = np.asarray(before.known), np.asarray(after.known)
        assert (known[1] >= known[0]).all()
        gain = known[1].sum((-1, -2)) - known[0].sum((-1, -2)) - 0.2
        share = np.asarray(info["known_share"])
        np.testing.assert_allclose(reward, np.where(share >= 0.95, 400, gain), rtol=1e-5)
        assert np.array_equal(terminated, share >= 0.95) and np.array_equal(info["success"], terminated)
    first = [np.asarray(run[3]).argmax(1) for run in (random, nearest)]
    assert np.asarray(nearest[3]).any(1).all() and first[1].max() < 80


def test_mars_crashes_only_if_it_should():
    for collision in ("stop", "crash"):
        env, params = envs.make("MarsGrid", size=9, num_levels=2, collision=collision)
        _, state = env.reset_env(jax.random.key(0), params)
        _, after, reward, terminated, info = env.step_env(jax.random.key(0), state, 0, params)
        assert (int(after.y), int(after.x), bool(info["success"])) == (0, 0, False)
        wanted = (True, -400) if collision == "crash" else (False, pytest.approx(-0.2))
        assert (bool(terminated), float(reward)) == wanted


@pytest.fixture(scope="module")
def team():
    env = MarsTeam(15, 3, "rocks", num_rocks=6, num_levels=2)
    base = env.default_params

    @jax.jit
    def play(radio_range, key):
        params = base.replace(radio_range=radio_range)

        def step(state, key):
            action = jax.random.randint(key, (), 0, 64)
            _, after, reward, _, info = env.step_env(key, state, action, params)
            return after, (after, reward, info)

        return jax.lax.scan(step, env.reset_env(key, params)[1], jax.random.split(key, 60))[1]

    return env, base, play


def test_radio_decides_who_knows_what(team):
    env, params, play = team
    runs = {reach: play(reach, jax.random.key(5)) for reach in (0.0, 4.0, np.inf)}
    apart, near, together = (np.asarray(run[0].known) for run in runs.values())
    assert np.array_equal(runs[0.0][0].y, runs[np.inf][0].y)  # the same walks
    assert (together == together[:, :1]).all()  # one map for all ...
    assert np.array_equal(together[:, 0], apart.any(1))  # ... which is what one robot with three finders knows
    assert (near >= apart).all() and (near <= together).all() and (near != apart).any() and (near != together).any()
    assert (np.asarray(runs[0.0][2]["connected"]) == np.eye(3, dtype=bool)).all()


def test_every_cell_is_handed_over_once(team):
    """Rewards against a slow count; a cell is paid at most once for each pair, and only if the other lacked it."""
    env, params, play = team
    after, reward, info = play(4.0, jax.random.key(5))
    known, heard = np.asarray(after.known), np.asarray(info["connected"])
    alone = np.asarray(play(0.0, jax.random.key(5))[0].known)  # what own eyes have seen
    told = np.zeros((3, 3, 15, 15), bool)
    told[:] = alone[0] & False
    start = np.asarray(env.reset_env(jax.random.key(5), params)[1].known)
    told[:], before, num_paid = start[:, None], start, 0
    for t in range(60):
        eyes = alone[t] & ~(alone[t - 1] if t else start)
        seen = before | eyes
        fresh = (seen & ~before).sum((1, 2))
        paid = np.zeros(3)
        for i in range(3):
            for j in range(3):
                if i != j and heard[t, i, j]:
                    over = seen[i] & ~seen[j] & ~told[i, j]
                    paid[i] += over.sum()
        for i in range(3):
            for j in range(3):
                if heard[t, i, j]:
                    told[i, j] |= known[t, i]
        num_paid += paid.sum()
        np.testing.assert_allclose(info["rewards"][t], 0.02 * fresh + 0.01 * paid - 0.02, atol=1e-5)
        before = known[t]
    assert num_paid > 20
    np.testing.assert_allclose(reward, np.asarray(info["rewards"]).mean(1), rtol=1e-5)


@pytest.mark.slow
def test_rock_weakens_the_radio():
    rocks = jnp.zeros((9, 9), bool).at[2:7, 4].set(True)
    y, x = jnp.array([4, 4, 0]), jnp.array([1, 7, 4])
    assert mars_team.rocks_between(rocks, y, x).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    params = mars_team.MarsTeamParams(radio_range=8.0, wall_loss=4.0)
    # 25 log10(8 / 6) = 3.1 dB < 4: the first two hear each other through the third only (5 cells, 5.1 dB).
    assert mars_team.connected(rocks, y[:2], x[:2], params).tolist() == [[True, False], [False, True]]
    assert mars_team.connected(rocks, y, x, params).all()


def test_houses_are_connected():
    bank = jax.vmap(lambda key: houses.build_house(key, 33))(jax.random.split(jax.random.key(0), 30))
    numbers = np.asarray(bank.num_rooms)
    assert numbers.min() == 4 and numbers.max() == 8
    for walls, rooms, number in zip(*map(np.asarray, bank[:3]), strict=True):
        found = breadth_first(~walls, 1, 1)
        assert len(found) == (~walls).sum()
        extent = rooms[:number, 2:] - rooms[:number, :2] + 1
        assert extent.min() >= 5 and (rooms[number:] == 0).all()
        inside = sum(walls[y0 : y1 + 1, x0 : x1 + 1].sum() for y0, x0, y1, x1 in rooms[:number])
        assert inside == 0 and (~walls).sum() == extent.prod(1).sum() + number - 1  # one door a wall


def test_the_thing_is_the_only_one_and_can_be_reached():
    env = SemanticHouse(23, num_levels=2)
    bank = jax.vmap(lambda key: semantic_house.furnish(key, 23))(jax.random.split(jax.random.key(0), 20))
    params = semantic_house.SemanticHouseParams(**bank)
    shortest = np.asarray(jax.jit(env.shortest_ways)(params))
    for level in range(20):
        walls, things = (np.asarray(field[level]) for field in (params.walls, params.things))
        place, start = (tuple(map(int, p[level])) for p in (params.goal_place, params.start))
        goal = int(params.goal[level])
        assert np.argwhere(things == goal).tolist() == [list(place)]
        assert breadth_first(~walls, *start)[place] == shortest[level] > 0
        rooms, types = np.asarray(params.rooms[level]), np.asarray(params.types[level])
        num_rooms = rooms.max() + 1
        assert types[0] == semantic_house.TYPES.index("hall")
        assert [(things[rooms == room] >= 0).sum() for room in range(num_rooms)] == [3] * num_rooms
        for y, x in np.argwhere(things >= 0):
            assert semantic_house.LIKELIHOOD[types[rooms[y, x]], things[y, x]] > 0
    np.testing.assert_allclose(semantic_house.LIKELIHOOD.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(semantic_house.BESIDE.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "make, named",
    [
        (lambda: MarsGrid(4), "size=4"),
        (lambda: MarsGrid(observation="pixels"), "observation='pixels'"),
        (lambda: MarsGrid(collision="bounce"), "collision='bounce'"),
        (lambda: MarsTeam(num_robots=5), "num_robots=5"),
        (lambda: MarsTeam(30), "size=30.*odd"),
        (lambda: MarsTeam(ground="sand"), "ground='sand'"),
        (lambda: SemanticHouse(32), "side=32.*odd"),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()
