"""NovGridLite, JellyLite and DarkNoisyRooms: what changes, when, and what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.grids import DarkNoisyRooms, JellyLite, NovGridLite, graph, jelly, nov_grid
from purejaxexplore.testing import check_environment


@pytest.mark.parametrize("name", ["NovGridLite", "JellyLite", "DarkNoisyRooms"])
def test_contract(name):
    check_environment(*envs.make(name), eager=False)


@pytest.fixture(scope="module")
def nov_tables():
    """For each novelty the shortest way to the goal, its table, and which lava is deadly, by one compiled program."""
    env = NovGridLite()
    params, states = env.default_params, env.states()

    @jax.jit
    def table(novelty, harmful):
        level = params.replace(novelty=novelty, lava_harmful=harmful)

        def step(state, action):
            _, _, reward, terminated, info = env.step_env(jax.random.key(0), state, action, level)
            return info["state_id"], reward, terminated

        return jax.vmap(jax.vmap(step, (None, 0)), (0, None))(states, jnp.arange(5))

    def shortest(novelty, harmful=True):
        found = graph.Graph(*map(np.asarray, table(nov_grid.novelty_number(novelty), harmful)))
        start = int(env.state_id(env.reset_env(jax.random.key(0), params)[1]))
        return graph.steps_to_reward(found, start), found

    return env, shortest


@pytest.mark.parametrize(
    "novelty, harmful, shortest",
    [
        ("Identity", True, 12),
        ("Identity", False, 6),
        ("DoorKeyChange", True, 10),  # key B lies a cell nearer: two moves fewer
        ("LavaNotSafe", False, 12),
        ("LavaProof", True, 6),
        ("CrossingBarrier", True, 12),
        ("GoalLocationChange", True, 11),
        ("DoorNumKeys", True, 13),
    ],
)
def test_shortest_ways(nov_tables, novelty, harmful, shortest):
    assert nov_tables[1](novelty, harmful)[0] == shortest


def test_time_may_cost_as_in_minigrid(nov_tables):
    env, _ = nov_tables
    params = env.default_params.replace(time_cost=0.9)
    last = env.size - 2
    beside = env.reset_env(jax.random.key(0), params)[1]._replace(y=jnp.int32(last - 1), x=jnp.int32(last))
    _, _, reward, terminated, _ = env.step_env(jax.random.key(0), beside._replace(time=jnp.int32(11)), 2, params)
    assert terminated and reward == pytest.approx(1 - 0.9 * 12 / 144)


def test_a_uniform_player_rarely_succeeds(nov_tables):
    env, shortest = nov_tables
    start = int(env.state_id(env.reset_env(jax.random.key(0), env.default_params)[1]))
    familiar, shortcut = (graph.uniform_success(shortest(name)[1], start, 144) for name in ("Identity", "LavaProof"))
    assert familiar == pytest.approx(0.0429, rel=2e-3) and shortcut > 3 * familiar


def test_repeated_and_long_moves():
    env = NovGridLite(8)
    params = env.default_params
    step = jax.jit(lambda state, action, params: env.step_env(jax.random.key(0), state, action, params)[1])

    def play(novelty, actions):
        level = params.replace(novelty=nov_grid.novelty_number(novelty))
        state = jax.tree.map(jnp.asarray, env.reset_env(jax.random.key(0), params)[1])
        for action in actions:
            state = step(state, action, level)
        return tuple(map(int, state[:5]))

    assert play("ForwardMovementSpeed", [1, 2]) == (3, 3, 0, 0, -1)
    assert play("ForwardMovementSpeed", [2, 2]) == (5, 1, 0, 0, -1)
    assert play("ForwardMovementSpeed", [2, 2, 2]) == (6, 1, 0, 0, -1)  # one cell was left
    assert play("ActionRepetition", [2, 2, 2, 1, 1]) == (2, 2, 0, 0, -1)
    assert play("ActionRepetition", [2, 1, 2, 1]) == (1, 1, 0, 0, 1)
    assert play("Identity", [2] * 4 + [4] + [2, 4]) == (6, 1, 3, 0, -1)


def test_lava_kills_only_where_it_is_harmful():
    env = NovGridLite()
    burn = env.reset_env(jax.random.key(0), env.default_params)[1]._replace(y=jnp.int32(4), x=jnp.int32(2))
    for novelty, deadly in ((0, True), (nov_grid.LAVA_PROOF, False)):
        level = env.default_params.replace(novelty=novelty)
        _, after, reward, terminated, info = env.step_env(jax.random.key(0), burn, 1, level)
        assert (int(after.x), bool(terminated), float(reward), bool(info["success"])) == (3, deadly, 0, False)
    with pytest.raises(ValueError, match="LavaProof"):
        nov_grid.novelty_number("Lavaproof")


def jelly_state(heading=0, time=0, **things):
    grid = np.zeros((32, 32), np.int8)
    for kind, places in things.items():
        for place in places:
            grid[place] = getattr(jelly, kind)
    return jelly.JellyState(
        jnp.int32(10), jnp.int32(31), jnp.int32(heading), jnp.array(grid.ravel()), jnp.int32(time)
    )


@pytest.mark.parametrize("shift", jelly.SHIFTS)
def test_jelly_pays_and_looks_by_its_clock(shift):
    env = JellyLite(shift)
    params = env.default_params.replace(shift_every=10)
    step = jax.jit(env.step_env)
    values, views = [], []
    for time in (0, 5, 10, 15, 20):
        state = jelly_state(1, time, A=[(10, 0)], B=[(9, 31)])  # ahead over the edge, and on the left
        observation, after, reward, *_ = step(jax.random.key(0), state, 0, params)
        assert int(after.x) == 0 and (np.asarray(after.things) == 1).sum() == 1 and after.things[320] == 0
        values.append(float(reward))
        views.append(np.argwhere(np.asarray(env.get_obs(state, params))).tolist())
    wanted = {"sign_flip": [1, 1, -1, -1, 1], "gradual": [1, 0, -1, 0, 1]}.get(shift, [1] * 5)
    assert values == pytest.approx(wanted)
    before = [[4, 5, 0], [5, 4, 1]]
    later = {"colour_swap": [[4, 5, 1], [5, 4, 0]], "rotation": [[5, 4, 0], [6, 5, 1]]}.get(shift, before)
    assert views[0] == before and views[2] == later


def test_jelly_is_never_exhausted():
    env = JellyLite()

    def step(state, key):
        key_action, key_step = jax.random.split(key)
        action = jnp.maximum(jax.random.randint(key_action, (), -9, 3), 0)  # mostly ahead
        _, state, reward, *_ = env.step_env(key_step, state, action, env.default_params)
        return state, reward

    _, start = env.reset_env(jax.random.key(0), env.default_params)
    end, rewards = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(1), 2000)))(start)
    count = [np.bincount(np.asarray(s.things), minlength=3).tolist() for s in (start, end)]
    assert count[0] == count[1] == [922, 51, 51] and (np.asarray(rewards) != 0).sum() > 50


def test_rooms_are_dark_or_noisy_until_pressed():
    env = DarkNoisyRooms()
    params = env.default_params
    look = jax.jit(jax.vmap(lambda key, s: env.get_obs(s, params, key).argmax(-1), (0, None)))
    keys = jax.random.split(jax.random.key(0), 300)
    _, start = env.reset_env(jax.random.key(0), params)
    assert set(np.unique(look(keys, start))) <= {0, 1}
    noisy = start._replace(y=jnp.int32(3), x=jnp.int32(8))  # on the switch of the second room
    seen = np.asarray(look(keys, noisy))
    assert (seen[:, 2, 2] == 3).all() and np.bincount(seen[:, 2, 1], minlength=6).min() == 0
    np.testing.assert_allclose(np.bincount(seen[:, 2, 1], minlength=6)[[2, 4, 5]], 100, atol=30)
    step = jax.jit(lambda s, a: env.step_env(jax.random.key(1), s, a, params))
    *_, info = step(noisy, 1)
    assert info["in_noise"] and info["room"] == 1 and info["num_pressed"] == 0
    _, pressed, reward, terminated, info = step(noisy, 4)
    assert not info["in_noise"] and info["num_pressed"] == 1 and (reward, terminated) == (0, False)
    assert pressed.pressed.tolist() == [False, True, False, False] and pressed.time == 1
    assert len(np.unique(look(keys, pressed), axis=0)) == 1
    *_, info = step(start._replace(y=jnp.int32(3), x=jnp.int32(3)), 4)  # the middle of a dark room
    assert info["num_pressed"] == 0
    packed = env.unpack(env.pack(pressed))
    assert all(map(np.array_equal, jax.tree.leaves(packed), jax.tree.leaves(pressed)))


@pytest.mark.parametrize(
    "make, named", [(lambda: NovGridLite(5), "size=5"), (lambda: JellyLite("flip"), "shift='flip'.*sign_flip")]
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()
