"""Random network distillation against its published details and the known mistakes of public ports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch, score_rollout
from purejaxexplore.bonuses.rnd import RNDConfig, rnd, whiten

D, T, N = 3, 16, 4
CONFIG = RNDConfig(feature_dim=4, target_sizes=(8,), predictor_sizes=(8, 8), learning_rate=3e-3)


def steps_of(next_obs, done=None) -> Step:
    """A rollout whose true successors are ``next_obs f32[T, N, D]``; everything else is out of the way."""
    next_obs = jnp.asarray(next_obs, jnp.float32)
    done = jnp.zeros(next_obs.shape[:2], bool) if done is None else jnp.asarray(done)
    blank = jnp.zeros(next_obs.shape[:2])
    nowhere = jnp.full_like(next_obs, 1e3)
    return Step(nowhere, blank.astype(jnp.int32), blank, next_obs, done, jnp.zeros_like(done), nowhere, {})


def batch_of(steps: Step) -> Batch:
    return Batch(steps, jnp.zeros((*steps.reward.shape, 0)))


def normal(seed, scale=1.0, offset=0.0):
    return offset + scale * np.random.default_rng(seed).normal(size=(T, N, D)).astype(np.float32)


def forward(params, x):
    """A leaky-ReLU network written out: f32[..., d] -> f32[..., outputs]."""
    layers = [params["params"][f"Dense_{i}"] for i in range(len(params["params"]))]
    for i, layer in enumerate(layers):
        x = x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
        x = np.where(x > 0, x, 0.01 * x) if i < len(layers) - 1 else x
    return x


@pytest.fixture(scope="module")
def bonus():
    return rnd(CONFIG)


@pytest.fixture(scope="module")
def update(bonus):
    return jax.jit(bonus.update)


@pytest.fixture(scope="module")
def warm(bonus):
    """A state initialised on offset observations."""
    return bonus.init(jax.random.key(0), steps_of(normal(0, 2.0, 5.0)))


def test_the_score_is_the_mean_squared_error_on_whitened_successors(bonus, warm):
    seen, new = normal(0, 2.0, 5.0).reshape(-1, D), normal(1)
    x = np.clip((new - seen.mean(0)) / seen.std(0), -5, 5)
    error = (forward(warm.learn.predictor, x) - forward(warm.learn.target, x)) ** 2
    after, raw = score_rollout(jax.random.key(0), bonus, warm, steps_of(new))
    np.testing.assert_allclose(raw, error.mean(-1), rtol=1e-3, atol=1e-4)
    assert after is warm or jax.tree.all(jax.tree.map(lambda a, b: jnp.array_equal(a, b), after, warm))


def test_the_statistics_of_this_rollout_only_count_for_the_next(bonus, warm):
    new = steps_of(normal(1, 3.0, -20.0))
    _, raw = score_rollout(jax.random.key(0), bonus, warm, new)
    shaped, _ = bonus.shape(warm, raw, batch_of(new))
    everything = np.concatenate([normal(0, 2.0, 5.0), normal(1, 3.0, -20.0)]).reshape(-1, D)
    np.testing.assert_allclose(shaped.norm.obs.mean, everything.mean(0), rtol=1e-3)
    np.testing.assert_allclose(shaped.norm.obs.std, everything.std(0), rtol=1e-3)
    _, later = score_rollout(jax.random.key(0), bonus, shaped, new)
    assert not np.allclose(raw, later, rtol=0.05)


def test_rewards_are_divided_by_the_std_of_filtered_rewards_and_the_mean_stays(bonus, warm):
    state, all_filtered, running = warm, [], np.zeros(N)
    for seed in range(3):
        raw = np.random.default_rng(seed).exponential(3.0, (T, N)).astype(np.float32) + 50.0
        state, reward = bonus.shape(state, jnp.asarray(raw), batch_of(steps_of(normal(seed))))
        for row in raw:
            running = 0.99 * running + row
            all_filtered.append(running)
        np.testing.assert_allclose(reward, raw / np.std(all_filtered), rtol=1e-3)
        np.testing.assert_allclose(state.norm.filter, running, rtol=1e-4)
    assert state.t == 3


def test_without_normalisation_the_raw_score_is_the_reward(warm):
    plain = rnd(CONFIG.replace(normalise=False))
    raw = jnp.ones((T, N)) * 3
    np.testing.assert_array_equal(plain.shape(warm, raw, batch_of(steps_of(normal(0))))[1], raw)


def test_a_feature_that_never_changes_is_divided_by_the_floor(warm):
    constant = np.zeros((T, N, D), np.float32)
    moments = rnd(CONFIG).init(jax.random.key(0), steps_of(constant)).norm.obs
    np.testing.assert_allclose(whiten(moments, jnp.full((1, D), 0.2), 5.0, 0.1), 2.0, rtol=1e-4)
    np.testing.assert_allclose(whiten(moments, jnp.full((1, D), 9.0), 5.0, 0.1), 5.0, rtol=1e-4)


def test_the_error_falls_where_it_was_trained_and_not_elsewhere(bonus, warm, update):
    visited = normal(3, 0.3, 5.0)
    state, steps = warm, steps_of(visited)
    elsewhere = steps_of(normal(4, 0.3, 1.0))
    errors = [np.mean(score_rollout(jax.random.key(0), bonus, state, s)[1]) for s in (steps, elsewhere)]
    for i in range(60):
        state, metrics = update(jax.random.key(i), state, batch_of(steps))
    later = [np.mean(score_rollout(jax.random.key(0), bonus, state, s)[1]) for s in (steps, elsewhere)]
    assert later[0] < 0.05 * errors[0]
    assert later[1] > 5 * later[0]
    assert metrics["predictor_loss"] == pytest.approx(later[0], rel=0.5)


def test_a_terminal_successor_becomes_familiar(bonus, warm, update):
    """A widely used port scores successors but trains on the observations acted on: the goal stays new for ever."""
    goal = np.full(D, 8.0, np.float32)
    next_obs = normal(5, 0.1, 4.0)
    next_obs[7] = goal
    done = np.zeros((T, N), bool)
    done[7] = True
    steps = steps_of(next_obs, done)
    _, first = score_rollout(jax.random.key(0), bonus, warm, steps)
    state = warm
    for i in range(80):
        state, _ = update(jax.random.key(i), state, batch_of(steps))
    _, last = score_rollout(jax.random.key(0), bonus, state, steps)
    assert np.all(first[7] > 0) and np.all(last[7] < 0.1 * first[7])


def test_the_target_never_changes_and_has_no_optimiser_state(bonus, warm, update):
    state, _ = update(jax.random.key(0), warm, batch_of(steps_of(normal(1))))
    jax.tree.map(np.testing.assert_array_equal, state.learn.target, warm.learn.target)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), state.learn.predictor, warm.learn.predictor)
    assert jax.tree.all(changed)
    size = sum(leaf.size for leaf in jax.tree.leaves(warm.learn.predictor))
    assert sum(leaf.size for leaf in jax.tree.leaves(warm.learn.opt_state)) == 2 * size + 1


def test_samples_that_are_not_kept_do_not_train(warm):
    nothing = rnd(CONFIG.replace(keep_fraction=0.0))
    state, metrics = nothing.update(jax.random.key(0), warm, batch_of(steps_of(normal(1))))
    jax.tree.map(np.testing.assert_array_equal, state.learn.predictor, warm.learn.predictor)
    assert metrics["predictor_loss"] == 0.0


def test_images_are_flattened_and_integers_cast():
    image = jnp.ones((T, N, 2, 3), jnp.int32)
    steps = steps_of(normal(0))._replace(next_obs=image)
    bonus = rnd(CONFIG)
    state = bonus.init(jax.random.key(0), steps)
    assert state.norm.obs.mean.shape == (6,)
    assert score_rollout(jax.random.key(0), bonus, state, steps)[1].shape == (T, N)


@pytest.mark.parametrize("name", ["feature_dim", "num_epochs", "num_minibatches"])
def test_refuses_sizes_of_zero(name):
    with pytest.raises(ValueError, match=f"{name}=0: expected a whole number of at least 1"):
        rnd(CONFIG.replace(**{name: 0}))


def test_refuses_minibatches_that_do_not_divide_the_rollout(warm):
    with pytest.raises(ValueError, match="num_minibatches of the RND bonus=7 does not divide rollout samples=64"):
        rnd(CONFIG.replace(num_minibatches=7)).update(jax.random.key(0), warm, batch_of(steps_of(normal(1))))


@pytest.mark.parametrize("name, value", [("keep_fraction", 1.1), ("gamma", -0.1), ("std_floor", -1.0)])
def test_refuses_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: expected a number"):
        rnd(CONFIG.replace(**{name: value}))
