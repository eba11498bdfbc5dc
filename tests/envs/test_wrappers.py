"""Wrapped environments keep the contract, copy and pickle, and change what they say they change."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore import envs
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.envs.starts import FixedLevel, StartPool
from purejaxexplore.envs.wrappers import EpisodeStatistics, Flatten, OneHot, Scale, StateId, Wrapper
from purejaxexplore.testing import check_environment
from purejaxexplore.testing.trees import quick_jit


@struct.dataclass
class KeyedState(environment.EnvState):
    key: jax.Array
    position: jax.Array


class Keyed(environment.Environment[KeyedState, environment.EnvParams]):
    """A walk whose steps are drawn from a key that lives in the state."""

    num_actions = 2

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=6)

    def reset_env(self, key, params):
        return jnp.zeros(1), KeyedState(time=0, key=key, position=jnp.float32(0))

    def step_env(self, key, state, action, params):
        key, key_move = jax.random.split(state.key)
        position = state.position + action * jax.random.uniform(key_move)
        state = KeyedState(time=state.time + 1, key=key, position=position)
        return position[None], state, position, position > 3, {}

    def action_space(self, params=None):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(0, 10, (1,))


WRAPPED = {
    "Wrapper": lambda: Wrapper(envs.make("gymnax/CartPole-v1")[0]),
    "EpisodeStatistics": lambda: EpisodeStatistics(envs.make("gymnax/DeepSea-bsuite", size=4)[0]),
    "Flatten": lambda: Flatten(envs.make("gymnax/DeepSea-bsuite", size=4)[0]),
    "OneHot": lambda: OneHot(envs.make("gymnax/FrozenLake-misc")[0]),
    "Scale": lambda: Scale(envs.make("gymnax/MountainCar-v0")[0], -1, 1),
    "StateId": lambda: StateId(
        envs.make("gymnax/MountainCar-v0")[0], lambda state, params: (state.position * 0 + 3).astype(int), 4, 2
    ),
    "FixedLevel": lambda: FixedLevel(envs.make("gymnax/DeepSea-bsuite", size=4)[0]),
    "FixedLevel of keys": lambda: FixedLevel(Keyed()),
    "StartPool": lambda: StartPool(envs.make("gymnax/DeepSea-bsuite", size=4)[0], 2),
    "keys": Keyed,
    "nested": lambda: Flatten(OneHot(EpisodeStatistics(FixedLevel(envs.make("gymnax/FourRooms-misc")[0])))),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_environments_keep_the_contract(name):
    env = WRAPPED[name]()
    check_environment(env, env.default_params)


@pytest.mark.parametrize("name", [name for name in WRAPPED if name not in ("keys", "StateId")])
def test_wrappers_survive_deepcopy_and_pickle(name):
    env = WRAPPED[name]()
    params = env.default_params
    for other in (copy.deepcopy(env), copy.copy(env), pickle.loads(pickle.dumps(env))):
        assert type(other) is type(env) and other.name == env.name
        first, second = (e.reset(jax.random.key(0), params)[0] for e in (env, other))
        np.testing.assert_array_equal(first, second)


def test_attributes_pass_through_and_missing_ones_are_missing():
    sea = Flatten(EpisodeStatistics(envs.make("gymnax/DeepSea-bsuite", size=4)[0]))
    assert sea.size == 4 and sea.num_states == 20 and sea.num_reachable == 14
    extras = ("state_id", "pack", "unpack", "render", "sample_params")
    assert all(hasattr(sea, name) for name in extras)
    pole = Flatten(EpisodeStatistics(envs.make("gymnax/CartPole-v1")[0]))
    assert not any(hasattr(pole, name) for name in (*extras, "num_states", "__deepcopy__", "nonsense"))
    with pytest.raises(AttributeError):
        getattr(Wrapper.__new__(Wrapper), "anything")  # noqa: B009  (before __init__, as in unpickling)
    with pytest.raises(TypeError, match="gymnax Environment"):
        Flatten("gymnax/CartPole-v1")
    pendulum = Flatten(envs.make("gymnax/Pendulum-v1")[0])
    assert pendulum.with_transition_gradients().transition_gradients_enabled
    assert not pendulum.transition_gradients_enabled


def test_episode_statistics_by_hand():
    sea, params = envs.make("gymnax/DeepSea-bsuite", size=3)
    env = EpisodeStatistics(sea)
    _, state = env.reset(jax.random.key(0), params)
    expected = [(False, 0, 0, False), (False, 0, 0, False), (True, 0.99, 3, True)] * 2
    for t, (done, total, length, success) in enumerate(expected):
        action = params.action_map[t % 3, t % 3]
        _, state, _, _, _, info = env.step(jax.random.key(t), state, action, params)
        assert bool(info["returned_episode"]) == done
        assert float(info["returned_episode_return"]) == pytest.approx(total)
        assert int(info["returned_episode_length"]) == length
        assert bool(info["returned_episode_success"]) == success
    assert state.episode_length == 0 and state.episode_return == 0


def test_observation_wrappers_by_hand():
    sea, params = envs.make("gymnax/DeepSea-bsuite", size=2)
    flat = Flatten(sea)
    obs, state = flat.reset(jax.random.key(0), params)
    np.testing.assert_array_equal(obs, [1, 0, 0, 0])
    *_, info = flat.step(jax.random.key(0), state, params.action_map[0, 0], params)
    np.testing.assert_array_equal(info["final_observation"], [0, 0, 0, 1])
    assert flat.observation_space(params).shape == (4,)

    lake, params = envs.make("gymnax/FrozenLake-misc", is_slippery=False)
    obs, state = OneHot(lake).reset(jax.random.key(0), params)
    np.testing.assert_array_equal(obs, np.eye(16)[0])
    *_, info = OneHot(lake).step(jax.random.key(0), state, jnp.int32(1), params)
    np.testing.assert_array_equal(info["final_observation"], np.eye(16)[4])

    rooms, params = envs.make("gymnax/FourRooms-misc")
    obs, _ = OneHot(rooms).reset(jax.random.key(0), params)
    np.testing.assert_array_equal(obs, np.eye(13)[[4, 1, 8, 9]])

    car, params = envs.make("gymnax/MountainCar-v0")
    scaled = Scale(car, -1, 1)
    np.testing.assert_allclose(scaled.transform(jnp.array([-1.2, 0.07]), params), [-1, 1], atol=1e-6)
    space = scaled.observation_space(params)
    assert (space.low, space.high, space.shape) == (-1, 1, (2,))


def test_wrappers_refuse_what_they_cannot_show():
    lake, pole = envs.make("gymnax/FrozenLake-misc")[0], envs.make("gymnax/CartPole-v1")[0]
    with pytest.raises(TypeError, match="use OneHot"):
        Flatten(lake)
    with pytest.raises(TypeError, match="whole numbers"):
        OneHot(pole)
    with pytest.raises(ValueError, match="finite bounds"):
        Scale(pole)
    with pytest.raises(ValueError, match="low < high"):
        Scale(pole, 1, 0)
    with pytest.raises(ValueError, match="num_reachable"):
        StateId(pole, lambda state, params: 0, num_states=3, num_reachable=4)


def test_state_id_is_of_the_true_successor():
    env = StateId(Keyed(), lambda state, params: state.time, num_states=7)
    params = env.default_params
    _, state = env.reset(jax.random.key(0), params)
    ids = []
    for t in range(7):
        _, state, *_, info = env.step(jax.random.key(t), state, jnp.int32(0), params)
        ids.append(int(info["state_id"]))
    assert ids == [1, 2, 3, 4, 5, 6, 1]  # 6 is the successor that auto-reset hides


def test_fixed_level_draws_once_and_starts_there_again():
    env = FixedLevel(envs.make("gymnax/FourRooms-misc", resample_init_pos=True)[0])
    inner = envs.make("gymnax/FourRooms-misc", resample_init_pos=True)[1]
    levels = [env.sample_params(jax.random.key(seed), inner) for seed in range(4)]
    starts = [[tuple(env.reset(jax.random.key(k), level)[1].pos.tolist()) for k in range(5)] for level in levels]
    assert all(len(set(start)) == 1 for start in starts)
    assert len({start[0] for start in starts}) > 1

    sea = FixedLevel(envs.make("gymnax/DeepSea-bsuite", size=4)[0])
    level = sea.sample_params(jax.random.key(3), sea.default_params)
    assert not np.array_equal(level.params.action_map, sea.default_params.params.action_map)
    _, state = sea.reset(jax.random.key(0), level)
    assert sea.state_id(state, level) == 0 and sea.render(state, level).shape == (32, 32, 3)


def test_fixed_level_redraws_keys():
    env = FixedLevel(Keyed())
    params = env.default_params
    states = [env.reset(jax.random.key(seed), params)[1] for seed in (0, 0, 1)]
    same, again, other = (jax.random.key_data(state.key).tolist() for state in states)
    assert same == again != other


@pytest.fixture(scope="module")
def pooled():
    """``(play, pool)`` of a world whose states number the resets that made them; an episode lasts three steps."""

    class Numbered(Keyed):
        """The position is a number drawn by the reset, and stays."""

        def reset_env(self, key, params):
            key_state, key_number = jax.random.split(key)
            number = jax.random.uniform(key_number)
            return number[None], KeyedState(time=0, key=key_state, position=number)

        def step_env(self, key, state, action, params):
            state = state.replace(time=state.time + 1)
            return state.position[None], state, state.position, state.time < 0, {}

    inner = Numbered()
    env = EpisodeStatistics(StartPool(inner, 3))
    params = env.default_params.replace(params=inner.default_params.replace(max_steps_in_episode=3))

    def act(key, carry, lanes):
        return carry, jnp.zeros(8, jnp.int32), ()

    @jax.jit
    def play(key, lanes):
        return rollout(key, env, params, lanes, (), act, 10)

    def pool(key):
        return env.draw_starts(jax.random.split(key)[1], params).observations[:, 0]

    return quick_jit(play), quick_jit(pool), reset_lanes(jax.random.key(9), env, params, 8)


def test_episodes_start_in_the_pool_of_their_rollout(pooled):
    """Eight lanes of ten steps: three episodes each begin during the rollout, all in one of the three states."""
    play, pool, lanes = pooled
    assert len(np.unique(lanes.obs)) == 8  # before the first rollout each reset makes a world
    seen = []
    for seed in (0, 1):
        key = jax.random.key(seed)
        lanes_before, (lanes, _, steps, *_) = lanes, play(key, lanes)
        obs = np.asarray(steps.obs)[..., 0]
        np.testing.assert_array_equal(obs[0], lanes_before.obs[:, 0])
        done = np.asarray(steps.done)
        starts = np.asarray(steps.reset_obs)[..., 0][done]
        assert starts.size == 24
        np.testing.assert_array_equal(np.unique(starts), np.sort(pool(key)))
        np.testing.assert_array_equal(np.asarray(steps.next_obs)[..., 0], obs)  # the true successors, never a start
        seen.append(starts)
        again = play(key, lanes_before)[2]
        np.testing.assert_array_equal(again.obs, steps.obs)
    assert not np.intersect1d(*seen).size


def test_start_pool_redraws_keys_and_keeps_levels():
    env = StartPool(Keyed(), 1)
    level = env.draw_starts(jax.random.key(0), env.default_params)
    states = [env.reset(jax.random.key(seed), level)[1] for seed in (0, 0, 1)]
    same, again, other = (jax.random.key_data(state.key).tolist() for state in states)
    assert same == again != other
    sea = StartPool(envs.make("gymnax/DeepSea-bsuite", size=4)[0], 2)
    drawn = sea.sample_params(jax.random.key(3), sea.default_params)
    assert drawn.states is None and not np.array_equal(drawn.params.action_map, sea.default_params.params.action_map)
    assert not hasattr(StartPool(envs.make("gymnax/CartPole-v1")[0], 2), "sample_params")
    with pytest.raises(ValueError, match="num_starts=0"):
        StartPool(Keyed(), 0)
    outside = FixedLevel(env)
    with pytest.raises(TypeError, match="StartPool: FixedLevelParams: put wrappers .* inside"):
        outside.draw_starts(jax.random.key(0), outside.default_params)
