"""PPO with every kind of policy, bonus and explorer, and what it refuses."""

from functools import partial

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import ppo_by_hand as by_hand
import pytest
from gymnax import make
from gymnax.environments import spaces
from gymnax.environments.classic_control.cartpole import CartPole
from toy_envs import Corridor, Recall

import purejaxexplore as pjx
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.bonuses.sofe import sofe
from purejaxexplore.learners.explorers import uniform_mixture
from purejaxexplore.learners.ppo import PPOConfig, ppo
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import ActorCritic, policy_of
from purejaxexplore.testing import check_algorithm

TINY = PPOConfig(
    num_envs=4, rollout_length=8, num_epochs=1, num_minibatches=2, num_warmup_steps=3, hidden_sizes=(8,),
    learning_rate=1e-3,
)  # fmt: skip
ONE_BATCH = TINY.replace(num_minibatches=1)
RND = RNDConfig(feature_dim=4, target_sizes=(5,), predictor_sizes=(5,), num_minibatches=2)
BOTH = [Stream("extrinsic"), Stream("rnd", rnd(RND), episodic=False), Stream("sofe", sofe(CountsConfig(6)), coef=0.5)]


def two_iterations(algorithm):
    """(states after init, one and two iterations, and the metrics of the two)."""
    step = jax.jit(algorithm.step)
    fresh = jax.jit(algorithm.init)(jax.random.key(0))
    once, first = step(jax.random.key(1), fresh)
    twice, second = step(jax.random.key(2), once)
    return (fresh, once, twice), (first, second)


def has_not_moved_yet(metrics):
    """In one epoch of one minibatch the policy is still the one that acted: the ratio is 1."""
    return abs(metrics["approx_kl"]) < 1e-6 and metrics["clip_fraction"] == 0 and abs(metrics["policy_loss"]) < 1e-5


def test_contract_plain(cartpole):
    check_algorithm(ppo(*cartpole, TINY))


@pytest.mark.slow
def test_contract_with_two_bonuses(corridor):
    check_algorithm(ppo(*corridor, TINY, streams=BOTH))


@pytest.mark.slow
def test_contract_recurrent(corridor):
    check_algorithm(ppo(*corridor, TINY.replace(gru_size=3)))


def test_bonuses_learn_and_are_measured_side_by_side(corridor):
    algorithm = ppo(*corridor, TINY, streams=BOTH)
    fresh = jax.eval_shape(algorithm.init, jax.random.key(0))
    assert fresh.params["params"]["actor_tower"]["Dense_0"]["kernel"].shape == (2 + 6, 8)
    assert fresh.params["params"]["critic_tower"]["Dense_1"]["kernel"].shape == (8, 3)
    _, metrics = jax.eval_shape(algorithm.step, jax.random.key(0), fresh)
    expected = {"env_steps", "episodes", "episode_return", "episode_length", "success", "coverage"}
    expected |= {"policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "rnd_predictor_loss"}
    expected |= {"sofe_table_load"}
    for stream in ("extrinsic", "rnd", "sofe"):
        expected |= {f"{stream}_reward", f"{stream}_explained_variance"}
    assert set(metrics) == expected


def test_sofe_pays_for_what_the_policy_was_not_shown(corridor):
    """Online scoring inside the learner: rewards of the salesman kind are one minus "was shown as visited"."""
    env, params = corridor
    shown = by_hand.recorder(8, (2,))
    stream = Stream("sofe", sofe(CountsConfig(6, reward="salesman")))
    (_, once, _), (metrics, _) = two_iterations(ppo(env, params, TINY, streams=[stream], explorer=shown))
    kept = jax.tree.map(np.asarray, once.explorer["kept"])
    paid, visited = 0, [set() for _ in range(4)]
    fresh = jax.jit(ppo(env, params, TINY, streams=[stream], explorer=shown).init)(jax.random.key(0))
    for lane in range(4):
        visited[lane] = set(np.flatnonzero(fresh.bonuses[0].mem[lane]))
    for t in range(8):
        for lane in range(4):
            position = int(kept["obs"][t, lane, 0])
            if kept["start"][t, lane] and t > 0:
                visited[lane] = {position}
            reached = int(np.clip(position + 2 * kept["action"][t, lane] - 1, 0, 5))
            paid += reached not in visited[lane]
            visited[lane].add(reached)
    assert metrics["sofe_reward"] == pytest.approx(paid / 32)


def test_continuous_actions():
    env, params = make("Pendulum-v1")
    (fresh, once, _), (first, _) = two_iterations(ppo(env, params, ONE_BATCH))
    assert has_not_moved_yet(first)
    assert first["entropy"] == pytest.approx(0.5 * np.log(2 * np.pi * np.e), rel=1e-5)  # log_std = 0
    log_std = once.params["params"]["log_std"]
    assert log_std.shape == (1,) and log_std != fresh.params["params"]["log_std"]
    assert all(np.isfinite(value) for value in first.values())


@pytest.mark.slow
def test_images_through_the_cnn():
    env, params = make("Breakout-MinAtar")
    (fresh, once, _), (first, _) = two_iterations(ppo(env, params, ONE_BATCH.replace(network="cnn")))
    assert has_not_moved_yet(first)
    trunk = [state.params["params"]["trunk"] for state in (fresh, once)]
    assert jax.tree.all(jax.tree.map(lambda a, b: not np.array_equal(a, b), *trunk))


@pytest.mark.slow
def test_learned_noise_lasts_for_a_rollout_and_its_update(corridor):
    (fresh, once, _), metrics = two_iterations(ppo(*corridor, ONE_BATCH.replace(noisy=True, noise_scale=2.0)))
    assert all(has_not_moved_yet(one) for one in metrics)  # the update sees the draw that acted
    scales = [state.params["params"]["actor_tower"]["scale_1"] for state in (fresh, once)]
    np.testing.assert_allclose(scales[0], 2.0 * 8**-0.5, rtol=1e-6)
    assert np.abs(scales[1] - scales[0]).min() > 0
    network = ActorCritic(2, 1, 1, (8,), noise_scale=2.0)
    x, keys = jnp.ones((3, 2)), jax.random.split(jax.random.key(0), 2)
    mean, *noisy = (policy_of(network, once.params, x, key).logits for key in (None, *keys))
    assert np.abs(noisy[0] - noisy[1]).max() > 0.1 and np.abs(noisy[0] - mean).max() > 0.1
    np.testing.assert_array_equal(noisy[0][0], noisy[0][2])  # one draw for the whole batch


@pytest.fixture(scope="module")
def recurrent(corridor):
    config = ONE_BATCH.replace(gru_size=3)
    return config, two_iterations(ppo(*corridor, config, explorer=by_hand.recorder(8)))


def test_a_recurrent_policy_is_replayed_as_it_acted(recurrent):
    _, (_, metrics) = recurrent
    for one in metrics:  # five steps an episode: both rollouts cross the ends of episodes
        assert has_not_moved_yet(one) and one["episodes"] > 0


def test_the_recurrent_state_starts_afresh_with_every_episode(recurrent):
    config, ((fresh, once, twice), (_, metrics)) = recurrent
    net = ActorCritic(2, 1, 1, config.hidden_sizes, gru_size=3)
    kept, none = jax.tree.map(np.asarray, twice.explorer["kept"]), np.zeros((4, 0))

    def read(hidden, obs, keep):
        carry = jnp.where(keep[:, None], hidden, 0.0)
        return net.apply(once.params, carry, obs, none, np.zeros(4, bool), method="encode")[0]

    hidden, after, values = once.hidden, [], []
    for t in range(8):
        hidden = read(hidden, kept["obs"][t], ~kept["start"][t])
        after.append(hidden)
        values.append(np.asarray(net.apply(once.params, hidden, method="critic"))[:, 0])
    np.testing.assert_allclose(twice.hidden, hidden, atol=1e-6)

    # The value loss of the only minibatch is half the mean squared advantage: checks the bootstrap through truncation,
    # which continues the recurrent state of the episode that ends.
    position, time = kept["obs"][..., 0], kept["obs"][..., 1] / 10
    reached = np.clip(position + 2 * kept["action"] - 1, 0, 5)
    successors = np.stack([reached, 10 * (time + 1)], -1).astype(np.float32)
    terminated, done = reached == 5, (reached == 5) | (time + 1 >= 5)
    reached_next = [read(after[t], successors[t], np.ones(4, bool)) for t in range(8)]
    following = [net.apply(once.params, hidden, method="critic") for hidden in reached_next]
    next_values, values = np.asarray(following)[..., 0], np.stack(values)
    advantages = by_hand.advantages_of(terminated.astype(float), values, next_values, terminated, done, 0.99, 0.95)
    assert metrics["value_loss"] == pytest.approx(0.5 * np.mean(advantages**2), rel=1e-4)


@pytest.mark.slow
def test_a_recurrent_policy_learns_to_remember():
    env = Recall()
    config = PPOConfig(
        num_envs=16, rollout_length=24, num_epochs=4, num_minibatches=2, hidden_sizes=(16,), gru_size=16,
        learning_rate=1e-2, gamma=0.9,
    )  # fmt: skip
    train = pjx.make_train(ppo(env, env.default_params, config), 30)
    _, metrics = jax.jit(train)(jax.random.key(0))
    assert metrics["episode_return"][-5:].mean() > 0.9  # 0.5 is all that a guess earns


def test_log_probabilities_are_those_of_the_mixture(corridor):
    env, params = corridor
    explorer = by_hand.recorder(8, (2,), uniform_mixture(0.4))
    (fresh, once, _), (metrics, _) = two_iterations(ppo(env, params, ONE_BATCH, explorer=explorer))
    kept = jax.tree.map(np.asarray, once.explorer["kept"])
    logits = by_hand.tower(fresh.params, "actor_tower", kept["obs"])
    probs = np.exp(by_hand.log_softmax(logits))
    taken = np.take_along_axis(probs, kept["action"][..., None], -1)[..., 0]
    np.testing.assert_allclose(kept["log_prob"], np.log(0.6 * taken + 0.4 / 2), rtol=1e-4)
    log_ratio = np.log(taken) - kept["log_prob"]
    assert metrics["approx_kl"] == pytest.approx(np.mean(np.exp(log_ratio) - 1 - log_ratio), abs=1e-6)


def test_the_mixture_draws_from_the_mixture():
    policy = distrax.Categorical(logits=jnp.broadcast_to(jnp.asarray([3.0, 0.0, -9.0]), (20_000, 3)))
    action, log_prob, _ = uniform_mixture(0.3).act(jax.random.key(0), (), policy, None)
    expected = 0.7 * policy.probs[0] + 0.1
    np.testing.assert_allclose(np.bincount(action, minlength=3) / 20_000, expected, atol=0.015)
    np.testing.assert_allclose(log_prob, np.log(expected)[action], rtol=1e-5)


class SparselyNumbered(Corridor):
    """Numbers its six cells 1, 3, 5, ..., 11: as many ids are never used."""

    def __init__(self):
        super().__init__(6)
        self.num_states, self.num_reachable = 12, 6

    def state_id(self, state, params):
        return 2 * state.position + 1

    def step_env(self, key, state, action, params):
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated, info | {"state_id": self.state_id(state, params)}


def test_coverage_counts_every_reachable_state_whatever_its_number():
    env = SparselyNumbered()
    params = env.default_params.replace(max_steps_in_episode=1000)
    algorithm = ppo(env, params, ONE_BATCH.replace(rollout_length=64))
    _, metrics = jax.jit(algorithm.step)(jax.random.key(2), jax.jit(algorithm.init)(jax.random.key(0)))
    assert metrics["coverage"] == 1.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_minibatches": 5}, "num_minibatches=5 does not divide num_envs . rollout_length=32: choose one of"),
        ({"num_minibatches": 8, "gru_size": 2}, r"num_minibatches=8 does not divide num_envs \(recurrent policy\)=4"),
        ({"network": "transformer"}, "network='transformer': expected one of mlp, cnn"),
        ({"network": "cnn"}, "network='cnn' needs.*\\(4,\\).*'mlp'"),
        ({"activation": "sine"}, "activation='sine': expected one of"),
        ({"gru_size": -1}, "gru_size=-1"),
        ({"noisy": True, "noise_scale": -0.5}, "noise_scale=-0.5"),
        ({"gamma": 1.5}, r"gamma=1.5: expected a number in \[0, 1\]"),
        ({"entropy_coef": -0.1}, "entropy_coef=-0.1: expected a number of at least 0"),
        *(({name: 0}, f"{name}=0: expected a whole number of at least 1") for name in (
            "num_envs", "rollout_length", "num_epochs", "num_minibatches", "num_warmup_steps",
        )),
    ],
)  # fmt: skip
def test_refuses_a_bad_config(cartpole, change, message):
    with pytest.raises(ValueError, match=message):
        ppo(*cartpole, TINY.replace(**change))


class ScalarAction(CartPole):
    """A world whose action is a number without an axis."""

    name = "ScalarAction"

    def action_space(self, params=None):
        return spaces.Box(-1.0, 1.0, (), jnp.float32)


def test_refuses_parts_that_do_not_fit(cartpole):
    with pytest.raises(ValueError, match=r"stream 'novelty' needs numbered states, which CartPole.*StateId\(env, fn"):
        ppo(*cartpole, TINY, streams=[Stream("novelty", counts(CountsConfig(5)))])
    with pytest.raises(ValueError, match="explorer is for discrete actions.*use on_policy"):
        ppo(*make("Pendulum-v1"), TINY, explorer=uniform_mixture(0.1))
    with pytest.raises(ValueError, match="lam of stream 'extrinsic'=-1.0: expected a number in"):
        ppo(*cartpole, TINY, streams=[Stream("extrinsic", lam=-1.0)])
    with pytest.raises(ValueError, match="coef of stream 'extrinsic'=-0.5: expected a number of at least 0"):
        ppo(*cartpole, TINY, streams=[Stream("extrinsic", coef=-0.5)])
    with pytest.raises(ValueError, match="actions of ScalarAction: expected a Discrete space or a Box of one axis"):
        ppo(ScalarAction(), cartpole[1], TINY)
    with pytest.raises(ValueError, match="epsilon=1.5: expected a number in"):
        uniform_mixture(1.5)
    with pytest.raises(ValueError, match="streams=.*a name of its own"):
        ppo(*cartpole, TINY, streams=[Stream("extrinsic"), Stream("extrinsic")])
    with pytest.raises(ValueError, match="streams="):
        ppo(*cartpole, TINY, streams=[])


@pytest.mark.parametrize("not_an_env", [make, "CartPole-v1", None])
def test_refuses_what_is_no_environment(cartpole, not_an_env):
    with pytest.raises(TypeError, match="env=.*expected a gymnax environment"):
        ppo(not_an_env, cartpole[1], TINY)


def test_make_train_refuses_the_factory_itself(cartpole):
    with pytest.raises(TypeError, match="call the factory first"):
        pjx.make_train(partial(ppo, *cartpole), 3)


def test_learning_rates_may_be_traced(corridor):
    def losses(rate):
        algorithm = ppo(*corridor, ONE_BATCH.replace(learning_rate=rate, anneal_iterations=rate * 1000))
        state = algorithm.init(jax.random.key(0))
        state, _ = algorithm.step(jax.random.key(1), state)
        return state.params["params"]["actor_tower"]["Dense_0"]["bias"]

    slow, fast = jax.jit(jax.vmap(losses))(jnp.asarray([1e-4, 1e-2]))
    np.testing.assert_allclose(fast, 100 * slow, rtol=1e-2, atol=1e-5)
