"""Every environment that can be built keeps the contract, and each adapter says what its suite says."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import envs
from purejaxexplore.envs.starts import FixedLevel
from purejaxexplore.testing import check_environment

OFTEN = {
    "gymnax/CartPole-v1", "gymnax/Pendulum-v1", "gymnax/DeepSea-bsuite", "gymnax/FourRooms-misc",
    "gymnax/Breakout-MinAtar", "KeyRooms", "RoomChain", "navix/Navix-Empty-5x5-v0",
}  # fmt: skip
"""Checked by ``make test``; the others by ``make test-all``."""


def marks(name):
    if "MNIST" in name:
        return pytest.mark.skip(reason="downloads MNIST")
    return () if name in OFTEN else pytest.mark.slow


GYMNAX = [pytest.param(name, marks=marks(name)) for name in envs.list("gymnax/*")]
OTHERS = [
    ("KeyRooms", {}),
    ("RoomChain", {}),
    ("navix/Navix-Empty-5x5-v0", {}),
    ("navix/Navix-DoorKey-Random-5x5-v0", {"observation": "categorical_first_person"}),
    ("navix/Navix-KeyCorridorS3R1-v0", {"observation": "categorical"}),
    ("navix/Navix-LavaGapS5-v0", {"observation": "symbolic_first_person"}),
    ("navix/Navix-Dynamic-Obstacles-5x5-v0", {"observation": "rgb"}),
    ("navix/Navix-GoToDoor-5x5-v0", {}),
    ("xminigrid/MiniGrid-DoorKey-5x5", {}),
    ("xminigrid/MiniGrid-MemoryS8", {}),
    ("xminigrid/XLand-MiniGrid-R1-9x9", {"view_size": 3}),
    ("brax/inverted_pendulum", {"backend": "spring"}),
]


@pytest.mark.parametrize("name", GYMNAX)
def test_gymnax_keeps_the_contract(name):
    check_environment(*envs.make(name))


@pytest.mark.parametrize(
    ("name", "options"), [pytest.param(name, options, id=name, marks=marks(name)) for name, options in OTHERS]
)
def test_other_suites_keep_the_contract(name, options):
    check_environment(*envs.make(name, **options), tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brax/ant", "craftax/Craftax-Classic-Symbolic-v1", "craftax/Craftax-Symbolic-v1"])
def test_slow_suites_keep_the_contract(name):
    check_environment(*envs.make(name), tolerance=1e-3, eager=False)


@pytest.mark.parametrize("pattern", ["navix/*", pytest.param("xminigrid/*", marks=pytest.mark.slow)])
def test_every_id_can_be_built(pattern):
    names = envs.list(pattern)
    assert len(names) >= 40
    for name in names:
        _check_types(name)


@pytest.mark.slow
def test_every_robot_can_be_built():
    for name in envs.list("brax/*"):
        _check_types(name)


def _check_types(name):
    env, params = envs.make(name)
    key = jax.random.key(0)
    obs, state = jax.eval_shape(env.reset_env, key, params)
    action = jax.eval_shape(env.action_space(params).sample, key)
    next_obs, next_state, reward, terminated, _ = jax.eval_shape(env.step_env, key, state, action, params)
    space = env.observation_space(params)
    assert obs.shape == next_obs.shape == space.shape and obs.dtype == next_obs.dtype == space.dtype, name
    assert reward.dtype == jnp.float32 and terminated.dtype == bool, name
    assert jax.tree.structure(state) == jax.tree.structure(next_state), name
    types = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (state, next_state)]
    assert types[0] == types[1], name
    assert params.max_steps_in_episode > 1, name


@pytest.mark.parametrize("deterministic", [True, False])
def test_deep_sea_equals_gymnax_number_for_number(deterministic):
    ours, params = envs.make("gymnax/DeepSea-bsuite", size=5, deterministic=deterministic)
    theirs, their_params = gymnax.make("DeepSea-bsuite", size=5)
    their_params = their_params.replace(deterministic=deterministic)

    def play(env, params, key):
        key_reset, key_play = jax.random.split(key)
        obs, state = env.reset(key_reset, params)

        def step(state, key):
            key_action, key_step = jax.random.split(key)
            # mostly right, so that the treasure and both noisy ends are reached
            random = jax.random.randint(key_action, (), 0, 2)
            column = jnp.minimum(state.column, 4)
            action = jnp.where(jax.random.uniform(key_action) < 0.9, ours.action_map[state.row, column], random)
            obs, state, reward, terminated, truncated, info = env.step(key_step, state, action, params)
            return state, (obs, reward, terminated, truncated, info["final_observation"], info["discount"])

        return obs, jax.lax.scan(step, state, jax.random.split(key_play, 40))[1]

    keys = jax.random.split(jax.random.key(1), 8)
    mine = jax.jit(jax.vmap(lambda key: play(ours, params, key)))(keys)
    native = jax.jit(jax.vmap(lambda key: play(theirs, their_params, key)))(keys)
    assert np.max(native[1][1]) > 0.9  # the treasure was found
    jax.tree.map(np.testing.assert_array_equal, mine, native)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_deep_sea_reachable_states_by_brute_force(size):
    env, params = envs.make("gymnax/DeepSea-bsuite", size=size)
    frontier, seen = [env.reset_env(jax.random.key(0), params)[1]], {0}
    step = jax.jit(env.step_env)
    while frontier:
        state = frontier.pop()
        for action in (0, 1):
            _, successor, _, terminated, info = step(jax.random.key(0), state, action, params)
            if int(info["state_id"]) not in seen:
                seen.add(int(info["state_id"]))
                frontier += [] if terminated else [successor]
    assert len(seen) == env.num_reachable and max(seen) < env.num_states


def test_deep_sea_treasure_map_pack_and_picture():
    env, params = envs.make("gymnax/DeepSea-bsuite", size=4)
    maps = jax.vmap(env.sample_params, in_axes=(0, None))(jax.random.split(jax.random.key(0), 3), params).action_map
    assert maps.shape == (3, 4, 4) and not np.array_equal(maps[0], maps[1])

    params = env.sample_params(jax.random.key(2), params)
    _, state = env.reset_env(jax.random.key(0), params)
    total = 0.0
    for row in range(4):
        assert np.all(env.render(state, params)[8 * row + 4, 8 * row + 4] == 255)
        action = params.action_map[row, row]
        _, state, reward, terminated, info = env.step_env(jax.random.key(0), state, action, params)
        total += float(reward)
        assert bool(info["success"]) == (row == 3) == bool(terminated)
    assert total == pytest.approx(0.99)
    assert env.pack(state).dtype == jnp.uint8 and env.pack(state).nbytes == 2
    assert sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state)) == 12  # no map in the state
    with pytest.raises(ValueError, match="size=0"):
        type(env)(size=0)


def test_success_is_the_goal_and_not_any_end():
    env, params = envs.make("gymnax/FrozenLake-misc", is_slippery=False)
    down, right = 1, 2
    for path, reaches_goal in (([down, down, right, right, down, right], True), ([down, right], False)):
        _, state = env.reset_env(jax.random.key(0), params)
        for action in path:
            _, state, _, terminated, info = env.step_env(jax.random.key(0), state, action, params)
        assert bool(terminated) and bool(info["success"]) == reaches_goal

    env, params = envs.make("gymnax/FourRooms-misc", goal_fixed=[4, 2], fail_prob=0.0)
    _, state = env.reset_env(jax.random.key(0), params)
    _, state, reward, terminated, info = env.step_env(jax.random.key(0), state, 1, params)
    assert reward == 1 and terminated and info["success"] and info["state_id"] == 4 * 13 + 2
    assert env.num_reachable == int(env.env_map.sum())


def _play(env, params, actions):
    """Last transition of ``actions``, played with ``step``."""
    _, state = env.reset(jax.random.key(0), params)
    for action in actions:
        _, state, *result = env.step(jax.random.key(0), state, jnp.int32(action), params)
    return state, *result


def test_navix_tells_the_goal_from_the_time_limit():
    env, params = envs.make("navix/Navix-Empty-5x5-v0", max_steps_in_episode=5)
    turn_left, turn_right, forward = 0, 1, 2
    to_goal = [forward, forward, turn_right, forward, forward]
    _, reward, terminated, truncated, info = _play(env, params, to_goal)
    assert reward == 1 and terminated and truncated and info["success"]
    _, reward, terminated, truncated, info = _play(env, params, [turn_left] * 5)
    assert reward == 0 and not terminated and truncated and not info["success"]
    _, reward, terminated, truncated, info = _play(env, params.replace(max_steps_in_episode=9), to_goal)
    assert terminated and not truncated
    assert info["state_id"] == (3 * 5 + 3) * 4 + 1  # row 3, column 3, facing down


def test_navix_own_time_limit_ends_nothing():
    env, params = envs.make("navix/Navix-Empty-5x5-v0")
    own_limit = params.max_steps_in_episode
    _, state = env.reset(jax.random.key(0), params)
    late = state.replace(time=jnp.int32(own_limit - 1))
    for limit in (own_limit, own_limit + 1):
        params = params.replace(max_steps_in_episode=limit)
        _, _, _, terminated, truncated, _ = env.step(jax.random.key(0), late, jnp.int32(0), params)
        assert not terminated and bool(truncated) == (limit == own_limit)


def test_navix_numbers_the_key_and_the_door():
    env, params = envs.make("navix/Navix-DoorKey-5x5-v0")
    assert env.num_states == 5 * 5 * 4 * 2 * 2
    _, state = env.reset(jax.random.key(0), params)
    start = int(env.state_id(state, params))
    assert start == ((1 * 5 + 1) * 4 + 0) * 4
    world = state.world
    player = world.entities["player"].replace(pocket=jnp.array([3]))
    door = world.entities["door"].replace(open=jnp.array([True]))
    with_key = world.replace(entities=world.entities | {"player": player})
    opened = world.replace(entities=world.entities | {"door": door})
    assert env.state_id(state.replace(world=with_key), params) == start + 2
    assert env.state_id(state.replace(world=opened), params) == start + 1


def test_navix_state_holds_neither_key_nor_pictures():
    env, params = envs.make("navix/Navix-DoorKey-8x8-v0")
    _, state = jax.eval_shape(env.reset_env, jax.random.key(0), params)
    leaves = jax.tree.leaves(state)
    assert not any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves)
    assert sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) < 1000


def test_navix_refuses_unknown_observations():
    with pytest.raises(ValueError, match="observation='pixels'.*symbolic"):
        envs.make("navix/Navix-Empty-5x5-v0", observation="pixels")


@pytest.mark.slow
def test_xminigrid_success_time_limit_and_reward():
    env, params = envs.make("xminigrid/MiniGrid-Empty-5x5")

    def play(key, params):
        key_reset, key_play = jax.random.split(key)
        _, state = env.reset(key_reset, params)

        def step(carry, key):
            state, t = carry
            _, state, reward, terminated, truncated, info = env.step(key, state, env.action_space().sample(key), params)
            t = t + 1
            return (state, jnp.where(terminated | truncated, 0, t)), (t, reward, terminated, truncated, info["success"])

        return jax.lax.scan(step, (state, 0), jax.random.split(key_play, 60))[1]

    limits = jnp.array([20, 40])
    params = jax.vmap(lambda limit: params.replace(max_steps_in_episode=limit))(limits)
    keys = jax.random.split(jax.random.key(0), 16)
    played = jax.jit(jax.vmap(jax.vmap(play, (None, 0)), (0, None)))(keys, params)
    t, reward, terminated, truncated, success = map(np.asarray, played)
    limit = np.broadcast_to(np.array([20, 40])[None, :, None], t.shape)
    assert terminated.sum() > 0 and (truncated & ~terminated).sum() > 0
    np.testing.assert_array_equal(truncated, t == limit)
    np.testing.assert_array_equal(success, terminated)
    np.testing.assert_allclose(reward, np.where(success, 1 - 0.9 * t / limit, 0), atol=1e-6)


def test_xminigrid_sizes_and_ruleset():
    env, params = envs.make("xminigrid/XLand-MiniGrid-R1-9x9", height=7, width=7)
    _, state = jax.eval_shape(env.reset_env, jax.random.key(0), params)
    assert state.grid.shape == (7, 7, 2) and params.ruleset is not None
    with pytest.raises(ValueError, match="view_size=4"):
        envs.make("xminigrid/XLand-MiniGrid-R1-9x9", view_size=4)


def test_brax_backend():
    with pytest.raises(ValueError, match="backend='bullet'.*spring"):
        envs.make("brax/ant", backend="bullet")
    env, params = envs.make("brax/inverted_pendulum", backend="spring")
    space = env.action_space(params)
    assert env.num_actions == 1 and space.shape == (1,) and params.max_steps_in_episode == 1000


@pytest.mark.slow
def test_craftax_time_limit_truncates_and_one_level_resets_for_nothing():
    env, params = envs.make("craftax/Craftax-Classic-Symbolic-v1", max_steps_in_episode=2)
    env = FixedLevel(env)
    params = env.sample_params(jax.random.key(0), params)
    step = jax.jit(env.step)
    start_obs, state = env.reset(jax.random.key(1), params)
    for t in range(1, 5):
        obs, state, _, terminated, truncated, info = step(jax.random.key(t), state, jnp.int32(0), params)
        assert not terminated and bool(truncated) == (t % 2 == 0) and info["discount"] == 1
        if truncated:
            np.testing.assert_array_equal(obs, start_obs)
