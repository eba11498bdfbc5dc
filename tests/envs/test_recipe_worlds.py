"""CraftLite, FormFill, TextRooms and PickPlace2D: solved by scripts, and as hard for a uniform player as stated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.control.pick_place import PickPlace2D
from purejaxexplore.envs.grids import craft, squares
from purejaxexplore.envs.tokens.form_fill import FormFill
from purejaxexplore.envs.tokens.text_rooms import ACTIONS, VERBS
from purejaxexplore.testing import check_environment


@pytest.mark.parametrize(
    ("name", "options"),
    [("CraftLite", {"reach": 2}), ("FormFill", {}), ("TextRooms", {"memory": True}), ("PickPlace2D", {})],
)
def test_contract(name, options):
    check_environment(*envs.make(name, **options), eager=False)


@pytest.fixture(scope="module")
def crafting():
    env, params = envs.make("CraftLite", num_levels=8)
    step = jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, action, params))
    away = jax.jit(squares.distances)

    def walk(state, kind):
        """To a cell beside the nearest thing of a kind."""
        chart = np.asarray(state.chart).reshape(9, 9)
        free = np.isin(chart, (craft.GRASS, craft.TABLE, craft.FURNACE))
        distance = np.asarray(away(jnp.asarray(free), jnp.asarray(chart == kind)))
        while distance[int(state.y), int(state.x)] > 1:
            y, x = int(state.y), int(state.x)
            moves = [(y + d, x + r) for d, r in squares.DOWN_RIGHT]
            scores = [distance[c] if 0 <= min(c) and max(c) < 9 and free[c] else 99 for c in moves]
            state = step(state, int(np.argmin(scores)))[1]
        return state

    return env, params, step, walk


PLAN = (
    [("chop tree", craft.TREE)] * 4
    + [("build table", None), ("make wood pickaxe", None), ("mine stone", craft.STONE), ("mine stone", craft.STONE)]
    + [("make stone pickaxe", craft.TABLE), ("mine coal", craft.COAL), ("mine iron", craft.IRON)]
    + [("go", craft.TABLE), ("build furnace", None), ("make iron pickaxe", None)]
    + [("drink water", craft.WATER), ("eat cow", craft.COW), ("sleep", None)]
)


@pytest.mark.parametrize("seed", [0, 1])
def test_everything_can_be_crafted(crafting, seed):
    env, params, step, walk = crafting
    _, state = env.reset_env(jax.random.key(seed), params)
    total, done = 0.0, []
    for deed, kind in PLAN:
        state = state if kind is None else walk(state, kind)
        if deed == "go":
            continue
        goal = craft.GOALS.index(deed)
        assert env.feasible(state)[goal], deed
        _, state, reward, terminated, info = step(state, 4 + goal)
        total, done = total + float(reward), [*done, int(info["caption"])]
        assert info["caption"] == goal and bool(info["success"]) == (deed == "make iron pickaxe") and not terminated
    assert total == 12 == info["num_achieved"] and info["state_id"] == 2**12 - 1 and state.time < 300
    assert state.inventory.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_one_achievement_alone_may_be_rewarded_and_ends_the_episode():
    env, params = envs.make("CraftLite", reward="sleep", num_levels=2)
    _, state = env.reset_env(jax.random.key(0), params)
    _, _, reward, terminated, info = env.step_env(jax.random.key(0), state, 4 + craft.SLEEP, params)
    assert reward == 1 and terminated and info["success"]
    _, _, reward, terminated, info = env.step_env(jax.random.key(0), state, 0, params)
    assert reward == 0 and not terminated and not info["success"]


def test_what_is_not_feasible_does_nothing(crafting):
    env, params, step, _ = crafting
    _, state = env.reset_env(jax.random.key(0), params)
    able = np.asarray(env.feasible(state))
    assert np.flatnonzero(able).tolist() == [craft.SLEEP]  # the start has no thing beside it
    for goal in range(17):
        _, after, reward, _, info = step(state, 4 + goal)
        if goal != craft.SLEEP:
            assert info["caption"] == craft.NOTHING and reward == 0
            assert all(map(np.array_equal, after[:5], state[:5]))
    _, again, *_ = step(state, 4 + craft.SLEEP)
    assert step(again, 4 + craft.SLEEP)[2] == 0  # paid once an episode


def test_levels_are_shuffles(crafting):
    _, params, *_ = crafting
    charts = np.asarray(params.charts)
    assert (np.sort(charts, 1) == np.sort(charts[0])).all() and len(np.unique(charts, axis=0)) == 8
    assert (np.bincount(charts[0], minlength=7) == [65, 5, 5, 1, 1, 2, 2]).all()


@pytest.fixture(scope="module")
def form():
    env, params = envs.make("FormFill")
    return env, jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, action, params))


def test_the_expert_fills_the_form_in(form):
    env, step = form
    expert = jax.jit(env.right_actions)
    for seed in range(5):
        _, state = env.reset_env(jax.random.key(seed), None)
        assert len(set(np.asarray(state.cells).tolist())) == 10 and sorted(state.order.tolist()) == list(range(10))
        for number in range(5):
            right = np.flatnonzero(expert(state))
            assert len(right) == (4 - number if number < 4 else 1)
            _, state, reward, terminated, info = step(state, int(right[seed % len(right)]))
            assert bool(terminated) == bool(info["success"]) == (number == 4)
        assert reward == 1


def test_a_wrong_form_is_refused(form):
    env, step = form
    _, state = env.reset_env(jax.random.key(0), None)
    place = np.argsort(state.order)
    _, after, reward, terminated, info = step(state, int(place[4]) * 4)
    assert (float(reward), bool(terminated), bool(info["success"])) == (-1, True, False)
    _, after, *_ = step(state, int(place[1]) * 4 + 3)  # the third field into the second input
    assert after.typed.tolist() == [-1, 2, -1] and not env.is_right(after)
    assert np.flatnonzero(env.right_actions(after)).tolist() == np.flatnonzero(env.right_actions(state)).tolist()
    _, after, *_ = step(after, int(place[3]) * 4)
    assert after.ticked.tolist() == [True]
    assert step(after, int(place[3]) * 4)[1].ticked.tolist() == [False]


def test_chance_of_a_uniform_player():
    """The stated numbers, and the chain against the count of orders where no step may be wasted."""
    assert FormFill(10, 1).uniform_success() == pytest.approx(8.5e-6, rel=0.01)
    assert FormFill(10, 2).uniform_success() == pytest.approx(5.8e-7, rel=0.01)
    # Four steps: the three inputs in any order, then submit.
    assert FormFill(8, 0).uniform_success(4) == pytest.approx(6 / 32**4, rel=1e-9)
    assert FormFill(8, 1).uniform_success(5) == pytest.approx(24 / 32**5, rel=1e-9)


@pytest.fixture(scope="module")
def rooms():
    env, params = envs.make("TextRooms")
    return env, params, jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, action, params))


def test_recipes_are_followed_in_the_fewest_steps(rooms):
    env, params, step = rooms
    fewest = jax.jit(env.fewest_steps)
    for seed in range(6):
        _, state = env.reset_env(jax.random.key(seed), params)
        needed, steps, total = int(fewest(state, params)), 0, 0.0
        for action in np.asarray(params.recipes[state.task]):
            verb, thing = ACTIONS[action]
            at = {6: 1, 7: 2, 10: 4}.get(verb, thing - 10 if thing >= 10 else int(state.place[thing]))
            while int(state.room) != at:
                _, state, reward, terminated, info = step(state, 10 + at)  # go to the fixture of that room
                assert info["admissible"] and reward == 0
                steps += 1
            _, state, reward, terminated, info = step(state, int(action))
            steps, total = steps + 1, total + float(reward)
            assert info["admissible"] and reward == pytest.approx(0.2)
        assert steps == needed <= 60 and terminated and info["success"] and total == pytest.approx(1.0)


def test_a_uniform_player_seldom_gets_to_the_third_deed(rooms):
    env, params, _ = rooms

    def episode(key):
        key_reset, key_steps = jax.random.split(key)

        def step(state, key):
            able = env.admissible(state)
            action = jax.random.categorical(key, jnp.where(able, 0.0, -jnp.inf))
            return env.step_env(key, state, action, params)[1], able.sum()

        start = env.reset_env(key_reset, params)[1]
        end, count = jax.lax.scan(step, start, jax.random.split(key_steps, 60))
        return end.progress, count

    progress, count = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(0), 3000))
    assert (np.asarray(progress) >= 3).mean() < 0.01 < 0.05 < (np.asarray(progress) >= 1).mean()
    assert 47 <= np.asarray(count).min() and 50 <= np.asarray(count).mean() <= 60


def allowed(state, verb, thing):
    """The rules, thing by thing."""
    item, room = thing < 10, int(state.room)
    place = int(state.place[thing]) if item else thing - 10
    here, held, opened = place == room, place == 5, bool(not item and state.opened[thing - 10])
    rules = {
        "go": not here and not held, "look": True, "point": True, "read": here or held, "push": here,
        "take": item and here, "drop": held, "give": held and room == 4, "heat": held and room == 1,
        "wash": held and room == 2, "open": not item and here and not opened, "close": here and opened,
    }  # fmt: skip
    return rules[VERBS[verb]]


def test_what_is_seen_tells_what_is_admissible_and_memory_where_things_are(rooms):
    _, params, _ = rooms
    env, _ = envs.make("TextRooms", memory=True)
    advance = jax.jit(lambda state, action: env.step_env(jax.random.key(0), state, action, params)[:2])
    tell = jax.jit(env.admissible_actions)
    obs, state = env.reset_env(jax.random.key(5), params)
    rng, seen, held = np.random.default_rng(0), set(), 0
    for t in range(80):
        able = np.asarray(tell(obs))
        np.testing.assert_array_equal(able, [allowed(state, *map(int, pair)) for pair in ACTIONS])
        place = np.asarray(state.place)
        seen |= set(np.flatnonzero(place == int(state.room)))
        expected = [[item in seen and place[item] == room for room in range(5)] for item in range(10)]
        np.testing.assert_array_equal(np.asarray(obs[44:]).reshape(10, 5), expected)
        held = max(held, int((place == 5).sum()))
        wanted = np.array([10 + t // 16, 15, *range(30, 40)]) if t % 2 else np.arange(180)  # see all and take much
        obs, state = advance(state, int(rng.choice(np.intersect1d(wanted, np.flatnonzero(able)))))
    assert len(seen) == 10 and held > 1
    assert np.asarray(env.reset_env(jax.random.key(6), params)[0])[44:].sum() < 10


def test_families_differ(rooms):
    env, params, _ = rooms
    things = np.asarray(params.recipes) % 15
    assert len(set(things[:, 0])) == 8 and (things[:, 0] == things[:, 1]).all() and (things[:, 0] == things[:, 4]).all()
    assert (things[:, 2] >= 10).all() and (things[:, 3] < 10).all() and (things[:, 3] != things[:, 0]).all()
    other = env.sample_params(jax.random.key(1), params)
    assert (other.recipes != params.recipes).any()


def test_out_of_line_cameras_can_be_corrected():
    """Trusting the camera seldom places all discs; its bias taken off, nearly always, and without noise always."""
    env = PickPlace2D()

    def episode(key, corrected, noise):
        key_params, key_reset, key_steps = jax.random.split(key, 3)
        params = env.sample_params(key_params, env.default_params).replace(noise=noise)

        def step(before, key):
            obs, state, placed = before
            key_policy, key_step = jax.random.split(key)
            index, offset = env.program(obs)
            offset = offset - corrected * params.bias + (1 - corrected) * 0.02 * jax.random.normal(key_policy, (2,))
            obs, state, reward, *_ = env.step_env(key_step, state, env.encode(index, offset), params)
            return (obs, state, placed + reward), None

        start = (*env.reset_env(key_reset, params), 0.0)
        return jax.lax.scan(step, start, jax.random.split(key_steps, 12))[0][2] == 3

    play = jax.jit(jax.vmap(episode, (0, None, None)))
    keys = jax.random.split(jax.random.key(0), 1000)
    given = ((0, 0.01), (1, 0.01), (1, 0.0))
    trusting, corrected, exact = (np.asarray(play(keys, *numbers)).mean() for numbers in given)
    assert trusting == pytest.approx(0.35, abs=0.05) and corrected > 0.99 and exact == 1


def test_picks_and_places_by_hand():
    env = PickPlace2D(2)
    params = env.default_params.replace(bias=jnp.zeros(2), noise=0.0)
    _, state = env.reset_env(jax.random.key(0), params)
    index, offset = env.decode(env.encode(jnp.int32(3), jnp.array([0.05, -0.02])))
    assert index == 3 and np.allclose(offset, [0.05, -0.02])

    def step(state, index, offset):
        action = env.encode(jnp.int32(index), jnp.array(offset))
        return env.step_env(jax.random.key(0), state, action, params)[1:3]

    missed, nothing = step(state, 0, [0.08, 0.0])
    assert missed.held == -1 and nothing == 0 and not missed.grasp.any() and not missed.hang.any()
    after, _ = step(missed, 0, [0.06, 0.0])  # a miss is tried again at once
    assert after.held == 0 and np.allclose(after.grasp, [-0.06, 0], atol=1e-6)
    own = 2 + int(np.argmax(np.asarray(state.colours) == 0))
    placed, reward = step(after, own, [0.06, 0.04])
    assert reward == 1 and placed.placed.tolist() == [True, False]
    assert np.allclose(placed.discs[0], state.bowls[own - 2] + jnp.array([0.0, 0.04]), atol=1e-6)
    other, reward = step(after, 5 - own, [0.06, 0.0])
    assert reward == 0 and not other.placed.any()


def test_an_observation_names_what_is_held_and_how_it_hangs():
    env = PickPlace2D(2)
    params = env.default_params.replace(bias=jnp.array([0.05, 0.0]), noise=0.0)
    obs, state = env.reset_env(jax.random.key(0), params)
    elements, rest = env.elements(obs)
    np.testing.assert_allclose(elements[:, :2], state.report, atol=1e-6)
    colours = [0, 1, *state.colours.tolist()]
    np.testing.assert_array_equal(elements[:, 2:], [[1 - c, c, i >= 2, 0, 0] for i, c in enumerate(colours)])
    assert not rest.any() and env.program(obs)[0] == 0
    obs, state, *_ = env.step_env(jax.random.key(0), state, env.encode(jnp.int32(1), jnp.array([0.0, 0.02])), params)
    elements, rest = env.elements(jnp.stack([obs, obs]))
    assert elements.shape == (2, 4, 7) and elements[0, :, -1].tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(rest[1], [0, 0, 0, 1, 0, -0.2], atol=1e-6)
    np.testing.assert_allclose(state.grasp, [-0.05, -0.02], atol=1e-6)
    own = 2 + colours[2:].index(1)
    assert env.program(obs)[0] == own
    obs, *_ = env.step_env(jax.random.key(0), state, env.encode(jnp.int32(own), jnp.array([0.0, 0.02])), params)
    elements, rest = env.elements(obs)
    assert elements[:, -2].tolist() == [0, 1, 0, 0] and rest.tolist() == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "make, named",
    [
        (lambda: envs.make("CraftLite", reward="all"), "reward='all'"),
        (lambda: envs.make("CraftLite", reach=5), "reach=5"),
        (lambda: FormFill(7), "num_elements=7"),
        (lambda: FormFill(10, 3), "num_boxes=3"),
        (lambda: PickPlace2D(11), "num_objects=11"),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()
