"""LESSON's rules against hand-worked numbers, its losses against NumPy, and its contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax import make

from purejaxexplore.blocks.replay import sample_windows
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.sofe import sofe
from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.learners.lesson import (
    OPTIONS,
    LessonConfig,
    lesson,
    option_probabilities,
    option_target,
    termination_loss,
)
from purejaxexplore.testing import check_algorithm

TINY = LessonConfig(
    num_envs=3, rollout_length=4, num_updates=1, batch_size=16, replay_capacity=48, num_warmup_steps=5, network="table",
    learning_rate=0.05, adam_eps=1e-3, target_period=2.0, intrinsic_coef=0.5, sharpness=1.0,
)  # fmt: skip
BONUS = counts(CountsConfig(6, episodic=False))


@pytest.fixture(scope="module")
def numbered(corridor):
    env, params = corridor
    return ObserveStateId(env), params


@pytest.mark.slow
def test_contract(numbered):
    check_algorithm(lesson(*numbered, TINY, bonus=BONUS))


def test_probabilities_are_clipped_and_sum_to_one():
    values = jnp.asarray([[0.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0], [4.0, 2.0, 0.0, 0.0]])
    p = np.asarray(option_probabilities(values, 50.0, 0.05))
    np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(p[0], 0.25)
    # exp(5) against 1: 0.980 and 0.0066, clipped to 0.95 and 0.05, over 1.1; large values are divided by their maximum.
    np.testing.assert_allclose(p[1:], np.tile(np.array([0.95, 0.05, 0.05, 0.05]) / 1.1, (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(option_probabilities(values, 0.0, 0.05), 0.25)


def test_an_options_target_goes_on_or_chooses_anew():
    assert option_target(1.0, 0.9, 0.25, 2.0, 4.0) == pytest.approx(1.0 + 0.9 * (0.75 * 2.0 + 0.25 * 4.0))


def test_termination_grows_where_the_option_is_worse_than_usual():
    termination, advantage = jnp.asarray([0.5, 0.5, 0.5]), jnp.asarray([-3.0, 0.0, -3.0])
    going_on = jnp.asarray([1.0, 1.0, 0.0])
    gradient = jax.grad(termination_loss)(termination, advantage, going_on)
    np.testing.assert_allclose(gradient, np.array([-1.0, 2.0, 0.0]) / 3)  # the mean advantage is -2
    assert not jax.grad(termination_loss, argnums=1)(termination, advantage, going_on).any()


@pytest.fixture(scope="module")
def iteration(numbered):
    """States before and after the third iteration, its key, its metrics."""
    algorithm = lesson(*numbered, TINY, bonus=BONUS)
    step, state = jax.jit(algorithm.step), jax.jit(algorithm.init)(jax.random.key(3))
    for t in range(2):
        state, _ = step(jax.random.key(t), state)
    after, metrics = step(jax.random.key(7), state)
    return jax.tree.map(np.asarray, state), jax.tree.map(np.asarray, after), jax.random.key(7), metrics


def test_the_losses_are_those_of_the_equations(iteration):
    before, after, key, metrics = iteration
    rows, lanes = sample_windows(
        jax.random.split(jax.random.split(key, 3)[1], 1)[0], jax.tree.map(jnp.asarray, after.replay), 16, 1
    )
    batch = jax.tree.map(lambda x: x[np.asarray(rows)[:, 0], np.asarray(lanes)], after.replay.data)

    def tables(params):
        actions, options = (tree["params"]["table"].reshape(6, -1, 2) for tree in (params.actions, params.options))
        return actions, options[..., 0], 1 / (1 + np.exp(-options[..., 1]))

    (actions, options, endings), (old_actions, old_options, _) = tables(before.params), tables(before.target)
    values, option_errors, terms = [], [], []
    advantage = options[batch.obs, batch.option] - options[batch.obs].max(-1)
    for i in range(16):
        s, a, following, w = batch.obs[i], batch.action[i], batch.next_obs[i], batch.option[i]
        discount = 0.99 * (not batch.terminated[i])
        for k in range(2):
            values.append(batch.rewards[i, k] + discount * old_actions[following, :, k].max() - actions[s, a, k])
        b = np.clip(endings[following, w], 0.1, 0.9)
        target = (1 - b) * old_options[following, w] + b * old_options[following].max()
        reward = batch.rewards[i, 0] + 0.5 * batch.rewards[i, 1]
        option_errors.append(reward + discount * target - options[s, w])
        terms.append(endings[s, w] * (advantage[i] - advantage.mean()) * (not batch.terminated[i]))
    assert metrics["value_loss"] == pytest.approx(0.5 * np.square(values).sum() / 16, rel=1e-4)
    assert metrics["option_loss"] == pytest.approx(0.5 * np.square(option_errors).mean(), rel=1e-4)
    assert metrics["termination_loss"] == pytest.approx(np.mean(terms), rel=1e-3, abs=1e-6)
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), after.params, before.params)
    assert jax.tree.all(changed)


def test_rewards_are_scaled_and_options_are_those_that_acted(iteration):
    before, after, _, metrics = iteration
    stored = after.replay.data
    np.testing.assert_array_equal(stored.rewards[..., 0], 10.0 * stored.terminated)
    newest = (int(after.replay.head) - 4 + np.arange(4)) % 16
    options, actions = stored.option[newest], stored.action[newest]
    shares = [metrics[f"option_{name}"] for name in OPTIONS]
    np.testing.assert_allclose(shares, [np.mean(options == i) for i in range(4)], atol=1e-6)
    np.testing.assert_array_equal(after.option, options[-1])
    repeating = (options[-1] == 1) & (after.option == 1)
    np.testing.assert_array_equal(actions[-1][repeating], after.held[repeating])
    best = before.params.actions["params"]["table"].reshape(6, 2, 2)[stored.obs[newest]]
    for option, k in ((2, 1), (3, 0)):
        chosen = np.take_along_axis(best[..., k], actions[..., None], -1)[..., 0]
        assert (chosen == best[..., k].max(-1))[options == option].all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"least_probability": 0.3}, r"least_probability=0.3: expected a number in \[0, 0.25\]"),
        ({"least_termination": 0.6}, r"least_termination=0.6: expected a number in \[0, 0.5\]"),
        ({"replay_capacity": 12, "batch_size": 32}, "replay_capacity=12: expected at least batch_size=32"),
        ({"sharpness": -1.0}, "sharpness=-1.0"),
        ({"num_updates": 0}, "num_updates=0"),
    ],
)
def test_refuses_a_bad_config(numbered, change, message):
    with pytest.raises(ValueError, match=message):
        lesson(*numbered, TINY.replace(**change), bonus=BONUS)


def test_refuses_parts_that_do_not_fit(corridor):
    with pytest.raises(ValueError, match="bonus: expected one that shows nothing"):
        lesson(*corridor, TINY.replace(network="mlp"), bonus=sofe(CountsConfig(6)))
    with pytest.raises(ValueError, match="actions of Pendulum-v1: expected a Discrete space"):
        lesson(*make("Pendulum-v1"), TINY.replace(network="mlp"))
    with pytest.raises(TypeError, match="env=None: expected a gymnax environment"):
        lesson(None, None)
