"""DQN's contract, one iteration against NumPy, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax import make

import purejaxexplore as pjx
from purejaxexplore.blocks.replay import sample_windows
from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.combine import with_reward
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.bonuses.sofe import sofe
from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.learners.dqn import DQNConfig, bootstrap, dqn, ensemble_loss
from purejaxexplore.learners.explorers import bootstrapped, parameter_noise, uniform_mixture
from purejaxexplore.learners.plasticity import adaptive_replay_ratio
from purejaxexplore.learners.ppo import PPOConfig, ppo
from purejaxexplore.learners.streams import Stream
from purejaxexplore.testing import check_algorithm

TINY = DQNConfig(
    num_envs=2, rollout_length=4, num_updates=2, batch_size=8, replay_capacity=32, num_warmup_steps=6, n_step=2,
    hidden_sizes=(5,),
)  # fmt: skip
RND = RNDConfig(feature_dim=4, target_sizes=(5,), predictor_sizes=(5,), num_minibatches=2)


@pytest.fixture(scope="module")
def numbered(corridor):
    env, params = corridor
    return ObserveStateId(env), params


@pytest.mark.slow
def test_contract_with_every_kind_of_stream(corridor):
    streams = [Stream("extrinsic"), Stream("rnd", rnd(RND), episodic=False), Stream("sofe", sofe(CountsConfig(6)))]
    config = TINY.replace(num_heads=2, prior_scale=1.0, mask_probability=0.5, shared_argmax=False)
    check_algorithm(dqn(*corridor, config, streams=streams, explorer=bootstrapped()))


@pytest.mark.slow
def test_contract_with_noise_in_the_weights(cartpole):
    check_algorithm(dqn(*cartpole, TINY.replace(noisy=True, double=False)))
    check_algorithm(dqn(*cartpole, TINY.replace(layer_norm=True), explorer=parameter_noise()))


@pytest.mark.parametrize(
    "change, explorer",
    [
        ({"noisy": True, "double": False}, None),
        ({"layer_norm": True}, parameter_noise()),
        ({"num_heads": 3}, None),
        ({"network": "factored", "action_factors": (2, 1)}, None),
    ],
)
def test_every_kind_of_network_keeps_its_types(cartpole, change, explorer):
    algorithm = dqn(*cartpole, TINY.replace(**change), explorer=explorer)
    fresh = jax.eval_shape(algorithm.init, jax.random.key(0))
    after, _ = jax.eval_shape(algorithm.step, jax.random.key(0), fresh)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), fresh)
    assert set(fresh.params) == {"params"}


def test_metrics_of_streams_stand_side_by_side(corridor):
    algorithm = dqn(*corridor, TINY, streams=[Stream("extrinsic"), Stream("rnd", rnd(RND))])
    fresh = jax.eval_shape(algorithm.init, jax.random.key(0))
    _, metrics = jax.eval_shape(algorithm.step, jax.random.key(0), fresh)
    expected = {"env_steps", "episodes", "episode_return", "episode_length", "success", "coverage", "value_loss"}
    assert set(metrics) == expected | {"action_value", "extrinsic_reward", "rnd_reward", "rnd_predictor_loss"}
    assert fresh.replay.data.rewards.shape == (16, 2, 2)


# ---- One iteration of an ensemble of tables, written out in NumPy.

TABLE = TINY.replace(
    network="table", num_heads=2, prior_scale=0.5, mask_probability=0.5, n_step=3, learning_rate=0.1, huber_delta=0.7,
    target_period=1.0, target_rate=0.25, max_grad_norm=0.3,
)  # fmt: skip
STREAMS = [
    Stream("extrinsic", gamma=0.9),
    Stream("visits", counts(CountsConfig(6, episodic=False)), gamma=0.8, coef=0.5, episodic=False),
]
GAMMAS, COEFS = (0.9, 0.8), np.array([1.0, 0.5])


@pytest.fixture(scope="module")
def iteration(numbered):
    """States before and after the third iteration, its key and its metrics."""
    algorithm = dqn(*numbered, TABLE, streams=STREAMS)
    step, state = jax.jit(algorithm.step), jax.jit(algorithm.init)(jax.random.key(3))
    for t in range(2):
        state, _ = step(jax.random.key(t), state)
    key = jax.random.key(7)
    after, metrics = step(key, state)
    return jax.tree.map(np.asarray, state), jax.tree.map(np.asarray, after), key, metrics


def test_contract(numbered):
    check_algorithm(dqn(*numbered, TABLE, streams=STREAMS))


def test_stores_the_true_successors_in_the_order_of_time(iteration):
    _, after, *_ = iteration
    stored, order = after.replay.data, (int(after.replay.head) + np.arange(16)) % 16
    obs, action, next_obs = (x[order] for x in (stored.obs, stored.action, stored.next_obs))
    np.testing.assert_array_equal(next_obs, np.clip(obs + 2 * action - 1, 0, 5))
    terminated, truncated = stored.terminated[order], stored.truncated[order]
    np.testing.assert_array_equal(terminated, next_obs == 5)
    np.testing.assert_array_equal(stored.reward[order], terminated)
    np.testing.assert_array_equal(stored.rewards[order][..., 0], terminated)
    done = terminated | truncated
    assert done[:-1].any() and (obs[1:][done[:-1]] <= 1).all()  # episodes start in cell 0 or 1
    np.testing.assert_array_equal(obs[1:][~done[:-1]], next_obs[:-1][~done[:-1]])
    np.testing.assert_array_equal(after.lanes.obs[~done[-1]], next_obs[-1][~done[-1]])


def test_the_updates_are_those_of_the_equations(iteration):
    before, after, key, metrics = iteration
    tables = {
        name: np.asarray(tree["params"]["table"], np.float64).reshape(2, 6, 2, 2)
        for name, tree in (("params", before.params), ("target", before.target), ("prior", before.prior))
    }
    adam = before.opt_state[1]
    first, second = (np.asarray(tree["params"]["table"], np.float64).reshape(2, 6, 2, 2) for tree in (adam.mu, adam.nu))
    stored, losses = after.replay.data, []
    for update, key_update in enumerate(jax.random.split(jax.random.split(key, 5)[2], 2)):
        key_rows = jax.random.split(jax.random.split(key_update, 3)[0])[0]
        rows, lanes = sample_windows(key_rows, jax.tree.map(jnp.asarray, after.replay), 8, 4)
        gradient, loss = np.zeros((2, 6, 2, 2)), 0.0
        online, target = (tables[name] + 0.5 * tables["prior"] for name in ("params", "target"))
        for window, lane in zip(np.asarray(rows), np.asarray(lanes), strict=True):
            at = stored.obs[window[0], lane], stored.action[window[0], lane]
            for head in range(2):
                if not stored.mask[window[0], lane, head]:
                    continue
                for k, gamma in enumerate(GAMMAS):
                    returned, weight, end = 0.0, 1.0, stored.obs[window[3], lane]
                    for row in window[:3]:
                        returned += weight * stored.rewards[row, lane, k]
                        weight *= gamma
                        if k == 0 and (stored.terminated[row, lane] or stored.truncated[row, lane]):
                            weight *= not stored.terminated[row, lane]
                            end = stored.next_obs[row, lane]
                            break
                    best = (online[head, end] @ COEFS).argmax()
                    error = online[head][at][k] - returned - weight * target[head, end, best, k]
                    gradient[head][at][k] += np.clip(error, -0.7, 0.7) / 8
                    loss += (0.5 * error**2 if abs(error) <= 0.7 else 0.7 * (abs(error) - 0.35)) / 8
        losses.append(loss)
        for head in range(2):
            gradient[head] *= min(1.0, 0.3 / max(np.linalg.norm(gradient[head]), 1e-12))
        count = 4 + update + 1
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = (first / (1 - 0.9**count)) / (np.sqrt(second / (1 - 0.999**count)) + 1e-8)
        tables["params"] = tables["params"] - 0.1 * step
        tables["target"] = 0.25 * tables["params"] + 0.75 * tables["target"]
    for name, tree in (("params", after.params), ("target", after.target), ("prior", after.prior)):
        np.testing.assert_allclose(tree["params"]["table"].reshape(2, 6, 2, 2), tables[name], atol=1e-4, err_msg=name)
    np.testing.assert_allclose(metrics["value_loss"], np.mean(losses), rtol=1e-4)
    assert np.abs(after.prior["params"]["table"]).min() > 0 and after.replay.data.mask.any((0, 1)).all()


def test_bootstrap_takes_the_shared_or_each_streams_best():
    values = jnp.asarray([[1.0, 10.0], [2.0, 20.0]])  # [A, K]
    chooser = jnp.asarray([[3.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(bootstrap(values, chooser, jnp.asarray([1.0, 1.0]), True), [1.0, 10.0])
    np.testing.assert_array_equal(bootstrap(values, chooser, jnp.asarray([0.0, 1.0]), True), [2.0, 20.0])
    np.testing.assert_array_equal(bootstrap(values, chooser, jnp.asarray([1.0, 1.0]), False), [1.0, 20.0])


def test_the_loss_of_a_head_is_over_its_own_transitions():
    chosen, targets = jnp.zeros((2, 3, 1)), jnp.asarray([1.0, 2.0, 3.0])[None, :, None] * jnp.ones((2, 1, 1))
    assert ensemble_loss(chosen, targets, jnp.zeros((3, 0)), 1e6) == pytest.approx(2 * 14 / 6)
    mask = jnp.asarray([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert ensemble_loss(chosen, targets, mask, 1e6) == pytest.approx((1 + 9) / 6)


def test_replayed_steps_are_paid_what_the_bonus_would_pay_now(numbered):
    """With gamma 0 and a fresh table the loss is half the squared reward."""
    bonus = counts(CountsConfig(6))._replace(rescore=lambda key, state, steps: 3.0 + 0.0 * steps.next_obs)
    bonus = with_reward(bonus, 2.0)
    config = TINY.replace(network="table", num_updates=1, n_step=1, huber_delta=1e6)
    algorithm = dqn(*numbered, config, streams=[Stream("bonus", bonus, gamma=0.0)])
    state, metrics = jax.jit(algorithm.step)(jax.random.key(1), jax.jit(algorithm.init)(jax.random.key(0)))
    key_rows = jax.random.split(jax.random.split(jax.random.split(jax.random.key(1), 5)[2], 1)[0], 3)[0]
    rows, lanes = sample_windows(jax.random.split(key_rows)[0], state.replay, 8, 2)
    paid = 3.0 + 2.0 * state.replay.data.reward[rows[:, 0], lanes]
    assert metrics["value_loss"] == pytest.approx(float(0.5 * jnp.square(paid).mean()), rel=1e-5)


def test_rnd_would_pay_now_what_it_pays():
    obs, flags = jnp.arange(16.0).reshape(4, 2, 2), jnp.zeros((4, 2), bool)
    bonus, steps = rnd(RND), Step(obs, flags, flags * 1.0, obs + 1.0, flags, flags, obs, {})
    state = bonus.init(jax.random.key(1), steps)
    moments = state.norm.reward
    state = state._replace(norm=state.norm._replace(reward=moments._replace(m2=4.0 * moments.count)))
    step = jax.tree.map(lambda x: x[0], steps)
    paid = bonus.rescore(jax.random.key(0), state, step)
    np.testing.assert_allclose(paid, bonus.score(jax.random.key(0), state, step)[1] / 2.0, rtol=1e-4)


@pytest.mark.slow
def test_learns_the_way_to_the_end_of_a_corridor(numbered):
    env, params = numbered
    params = params.replace(max_steps_in_episode=20)
    config = TINY.replace(network="table", num_updates=4, learning_rate=0.03, replay_capacity=256, target_period=20.0)
    train = pjx.make_train(dqn(env, params, config, explorer=uniform_mixture(0.2)), 200)
    _, metrics = jax.jit(train)(jax.random.key(0))
    assert metrics["extrinsic_reward"][-100:].mean() > 0.13  # a uniform walk earns 0.05 a step


@pytest.mark.parametrize(
    "change, message",
    [
        ({"replay_capacity": 33}, "replay_capacity=33: expected a multiple of num_envs=2"),
        ({"replay_capacity": 6, "batch_size": 8}, "replay_capacity=6: expected at least batch_size=8"),
        ({"replay_capacity": 8, "n_step": 5}, "replay_capacity=8: expected at least 12"),
        ({"num_warmup_steps": 2}, "num_warmup_steps=2: expected at least n_step . 1=3"),
        ({"num_warmup_steps": 20}, "replay_capacity=32: expected at least 40"),
        ({"num_heads": 0}, "num_heads=0: expected a whole number of at least 1"),
        ({"gamma": 1.5}, r"gamma=1.5: expected a number in \[0, 1\]"),
        ({"target_period": 0.0}, "target_period=0.0: expected a number of at least 1"),
        ({"mask_probability": 2.0}, "mask_probability=2.0"),
        ({"prior_scale": -1.0}, "prior_scale=-1.0"),
        ({"network": "table"}, "network='table' needs numbered observations"),
        ({"network": "cnn"}, "network='cnn' needs"),
        ({"activation": "sine"}, "activation='sine'"),
        ({"network": "factored"}, r"action_factors=\(\).*whose product is the 2 actions of"),
        ({"network": "factored", "action_factors": (2,), "hidden_sizes": ()}, "hidden_sizes=.*and a hidden layer"),
        ({"action_factors": (2,)}, r"action_factors=\(2,\): expected \(\) with network='mlp'"),
    ],
)
def test_refuses_a_bad_config(cartpole, change, message):
    with pytest.raises(ValueError, match=message):
        dqn(*cartpole, TINY.replace(**change))


def test_refuses_parts_that_do_not_fit(cartpole, numbered):
    with pytest.raises(ValueError, match="num_heads=1: expected at least 2 for an explorer that chooses"):
        dqn(*cartpole, TINY, explorer=bootstrapped())
    with pytest.raises(ValueError, match="layer_norm=False: expected True"):
        dqn(*cartpole, TINY, explorer=parameter_noise())
    with pytest.raises(ValueError, match="network='table': expected noisy=False"):
        dqn(*numbered, TABLE.replace(noisy=True))
    with pytest.raises(ValueError, match="network='table': expected no plasticity"):
        dqn(*numbered, TABLE, plasticity=adaptive_replay_ratio(1, 1))
    with pytest.raises(ValueError, match="actions of Pendulum-v1: expected a Discrete space"):
        dqn(*make("Pendulum-v1"), TINY, explorer=uniform_mixture(0.0)._replace(discrete_only=False))
    with pytest.raises(ValueError, match="explorer is for learners of action values"):
        ppo(*cartpole, PPOConfig(), explorer=bootstrapped())
    with pytest.raises(TypeError, match="env=.*expected a gymnax environment"):
        dqn(None, None)
