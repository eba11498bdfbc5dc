"""ExploRLLM: an iteration against NumPy and finite differences, who acts when, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.replay import sample_windows
from purejaxexplore.envs.control.pick_place import PickPlace2D
from purejaxexplore.learners.explorllm import (
    ExploRLLMConfig,
    beside,
    expected_value,
    explorllm,
    guide_share,
    likeliest_action,
    object_policy,
)
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit, require_same_types

ENV = PickPlace2D(1)
PARAMS = ENV.default_params.replace(bias=jnp.zeros(2))
TINY = ExploRLLMConfig(
    num_envs=2, rollout_length=4, num_updates=1, batch_size=8, replay_capacity=16, hidden_sizes=(5,), activation="tanh",
    target_rate=0.25, learning_rate=0.01, entropy_coef=0.1, first_noise=0.4, last_noise=0.4, noise_clip=0.3,
    guide_steps=1e9,
)  # fmt: skip


def program(key, obs):
    return ENV.program(obs)


@pytest.fixture(scope="module")
def iterate():
    """``share -> (states before and after each of two iterations, their metrics)``, compiled once."""

    def algorithm(share):
        return explorllm(ENV, PARAMS, program, TINY.replace(guide_share=share))

    init = quick_jit(lambda key: algorithm(0.5).init(key))
    step = quick_jit(lambda key, state, share: algorithm(share).step(key, state))

    def run(share):
        states, metrics = [init(jax.random.key(0))], []
        for t in (1, 2):
            state, told = step(jax.random.key(t), states[-1], share)
            states.append(state)
            metrics.append(told)
        return jax.tree.map(np.asarray, states), metrics

    return run


def test_the_program_acts_in_its_share_of_the_steps(iterate):
    states, metrics = iterate(1.0)
    stored = jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), states[2].replay.data)
    assert stored.from_guide.all() and metrics[1]["from_guide"] == 1
    np.testing.assert_array_equal(stored.index, jax.vmap(ENV.program)(stored.obs)[0])
    assert 0 < np.abs(stored.offset).max() <= 1 and np.abs(stored.offset).mean() < 0.35  # 0.02 / 0.1 of either sign
    states, metrics = iterate(0.0)
    stored = jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), states[2].replay.data)
    assert not stored.from_guide.any() and metrics[1]["from_guide"] == 0
    assert len(set(stored.index.tolist())) == 2
    caught = (stored.obs[:, 7] == 0) & (stored.next_obs[:, 7] == 1) & (stored.index == 0)
    assert caught.any() and int(states[2].replay.size) == 8
    np.testing.assert_allclose(stored.next_obs[caught, 8:], -stored.offset[caught], atol=1e-5)  # how it hangs


def plain(params, head=None):
    """``[kernel, bias, kernel, bias]`` of an MLP with one hidden layer, in float64."""
    layers = [params["params"][f"Dense_{i}"][name] for i in (0, 1) for name in ("kernel", "bias")]
    return [np.float64(x if head is None else x[head]) for x in layers]


def network(weights, x):
    return np.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3]


def gradient(loss, weights):
    """By central differences."""
    found = [np.zeros_like(x) for x in weights]
    for leaf, into in zip(weights, found, strict=True):
        for at in np.ndindex(leaf.shape):
            old = leaf[at]
            leaf[at] = old + 1e-6
            above = loss()
            leaf[at] = old - 1e-6
            into[at] = (above - loss()) / 2e-6
            leaf[at] = old
    return found


def test_the_update_is_that_of_the_equations(iterate):
    (before, after, _), (metrics, _) = iterate(0.9)
    actor, twins = plain(before.params.actor), [plain(before.params.critics, head) for head in (0, 1)]
    key_draw, *keys = jax.random.split(jax.random.split(jax.random.split(jax.random.key(1))[1], 1)[0], 3)
    noises = [np.clip(0.4 * np.asarray(jax.random.normal(key, (8, 2, 2))), -0.3, 0.3) for key in keys]
    rows, lanes = sample_windows(key_draw, jax.tree.map(jnp.asarray, after.replay), 8, 1)
    batch = jax.tree.map(lambda x: np.float64(x[rows[:, 0], lanes]), after.replay.data)

    assert batch.reward.any() and 0 < batch.terminated.mean() < 1

    def features(obs):
        elements, rest = (np.float64(x) for x in ENV.elements(jnp.asarray(obs)))
        return np.concatenate([elements, np.repeat(rest[:, None], 2, 1)], -1)

    def imagined(obs, noise, shift=None):
        """Probabilities, their logarithms, the least values, and what clipping and noise add to the means."""
        scores = network(actor, features(obs))
        log_pi = scores[..., 0] - np.log(np.exp(scores[..., 0]).sum(-1, keepdims=True))
        means = np.tanh(scores[..., 1:])
        shift = np.clip(means + noise, -1, 1) - means if shift is None else shift
        x = np.concatenate([features(obs), means + shift], -1)
        return log_pi, np.min([network(twin, x)[..., 0] for twin in twins], 0), shift

    log_pi, values, _ = imagined(batch.next_obs, noises[0])
    y = batch.reward + 0.9 * (1 - batch.terminated) * (np.exp(log_pi) * values).sum(-1)
    taken = features(batch.obs)[np.arange(8), batch.index.astype(int)]
    x = np.concatenate([taken, batch.offset], -1)

    def critic_loss():
        return sum(((network(twin, x)[:, 0] - y) ** 2).mean() for twin in twins)

    assert metrics["value_loss"] == pytest.approx(critic_loss(), rel=1e-4)
    moments = after.opt_state.critics[0].mu  # of Adam, whose first is a tenth of the gradient
    for head, twin in enumerate(twins):
        for mine, theirs in zip(plain(moments, head), gradient(critic_loss, twin), strict=True):
            np.testing.assert_allclose(mine / 0.1, theirs, atol=1e-4)
    learned = [plain(after.params.critics, head) for head in (0, 1)]
    for head, pair in enumerate(zip(twins, learned, strict=True)):
        for slow, old, new in zip(plain(after.target, head), *pair, strict=True):
            np.testing.assert_allclose(slow, 0.75 * old + 0.25 * new, atol=1e-6)
            assert np.abs(new - old).max() == pytest.approx(0.01, rel=0.01)
    twins[:] = learned
    log_pi, values, shift = imagined(batch.obs, noises[1])
    assert metrics["action_value"] == pytest.approx((np.exp(log_pi) * values).sum(-1).mean(), rel=1e-3)
    assert metrics["entropy"] == pytest.approx(-(np.exp(log_pi) * log_pi).sum(-1).mean(), rel=1e-4)

    def actor_loss():
        log_pi, values, _ = imagined(batch.obs, None, shift)
        return -(np.exp(log_pi) * (values - 0.1 * log_pi)).sum(-1).mean()

    for mine, theirs in zip(plain(after.opt_state.actor[0].mu), gradient(actor_loss, actor), strict=True):
        np.testing.assert_allclose(mine / 0.1, theirs, atol=1e-4)


def test_expectations_by_hand():
    probs, values = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]), np.array([[1.0, 2.0, 4.0], [3.0, 0.0, -1.0]])
    np.testing.assert_allclose(expected_value(jnp.log(probs), values), [2.0, -0.4], rtol=1e-5)
    entropy = -(probs * np.log(probs)).sum(-1)
    np.testing.assert_allclose(expected_value(jnp.log(probs), values, 0.3), [2, -0.4] + 0.3 * entropy, rtol=1e-5)
    joined = beside(jnp.array([[1.0], [2.0]]), jnp.array([5.0, 6.0]))
    np.testing.assert_array_equal(joined, [[1, 5, 6], [2, 5, 6]])


def test_the_guide_leaves():
    config = ExploRLLMConfig(guide_share=0.4, guide_steps=100.0)
    np.testing.assert_allclose([guide_share(config, jnp.int32(t)) for t in (0, 50, 100, 200)], [0.4, 0.2, 0, 0])
    assert guide_share(config.replace(guide_steps=np.inf), jnp.int32(10**6)) == pytest.approx(0.4)


def test_the_greedy_action_is_the_likeliest_object_at_its_offset(iterate):
    state = iterate(0.5)[0][2]
    obs = state.lanes.obs
    logits, means = object_policy(ENV, TINY)[1](state.params.actor, obs)
    actions = likeliest_action(ENV, TINY)(None, state, obs)
    for n, best in enumerate(np.asarray(logits).argmax(-1)):
        index, offset = ENV.decode(actions[n])
        assert index == best
        np.testing.assert_allclose(offset, 0.1 * means[n, best], atol=1e-6)


def test_keeps_its_types():
    algorithm = explorllm(ENV, PARAMS, program, TINY)
    fresh = jax.eval_shape(algorithm.init, jax.random.key(0))
    after, _ = jax.eval_shape(algorithm.step, jax.random.key(0), fresh)
    require_same_types("the state after step, against that after init", after, fresh)


@pytest.mark.slow
def test_contract():
    # The gradient of the bias that all logits share is rounding alone, of which Adam would else make a whole step.
    check_algorithm(explorllm(ENV, PARAMS, program, TINY.replace(adam_eps=1e-3)), num_steps=2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"guide_share": 1.1}, r"guide_share=1.1: expected a number in \[0, 1\]"),
        ({"guide_steps": 0.0}, "guide_steps=0.0: expected a number of at least 1"),
        ({"entropy_coef": -1.0}, "entropy_coef=-1.0: expected a number of at least 0"),
        ({"num_updates": 0}, "num_updates=0: expected a whole number of at least 1"),
        ({"replay_capacity": 17}, "replay_capacity=17: expected a multiple of num_envs=2"),
        ({"activation": "sine"}, "activation='sine'"),
    ],
)
def test_refuses_a_bad_config(change, message):
    with pytest.raises(ValueError, match=message):
        explorllm(ENV, PARAMS, program, TINY.replace(**change))


def test_refuses_other_worlds_and_programs(cartpole):
    with pytest.raises(TypeError, match="expected a world of objects, such as make"):
        explorllm(*cartpole, program, TINY)
    with pytest.raises(ValueError, match="program: gives .*expected an object i32"):
        explorllm(ENV, PARAMS, lambda key, obs: jnp.int32(0), TINY)
