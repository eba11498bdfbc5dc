"""RepES: directions by hand, memory, posterior and scores against NumPy, c = 0, contract, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore.algorithm import make_train
from purejaxexplore.envs.grids import GaussGrid8
from purejaxexplore.learners.rep_rl import Memory, RepESConfig, direction, remember, rep_es
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

ENV = GaussGrid8()
PARAMS = ENV.default_params.replace(max_steps_in_episode=4)
SMALL = RepESConfig(
    sigma=0.5, learning_rate=0.3, num_pairs=3, num_candidates=5, refit_every=2, num_batches=2, batch_size=4,
    latent_size=3, encoder_sizes=(4,), hidden_sizes=(), horizon=4, capacity=10,
)  # fmt: skip


def test_directions_by_hand():
    noise = jnp.array([[1.0, 0.0], [0.0, -2.0]])
    values = jnp.array([[3.0, 1.0], [1.0, 1.0]])  # standard deviation sqrt(3) / 2
    np.testing.assert_allclose(direction(values, noise), [2 / (2 * np.sqrt(0.75)), 0], rtol=1e-6)
    np.testing.assert_array_equal(direction(jnp.ones((2, 2)), noise), [0, 0])


def test_the_memory_keeps_the_newest():
    memory = Memory(jnp.zeros((5, 1)), jnp.zeros(5), jnp.int32(0))
    for t in range(3):
        assert np.asarray(memory.filled).sum() == min(2 * t, 5)
        x = jnp.array([2.0 * t, 2 * t + 1])
        memory = remember(memory, x[:, None], 10 * x)
    assert memory.value.tolist() == [50, 10, 20, 30, 40] and int(memory.n) == 6
    np.testing.assert_array_equal(memory.theta[:, 0] * 10, memory.value)


def train(features, rule, mix):
    """The final state and metrics of three steps."""
    algorithm = rep_es(ENV, PARAMS, SMALL.replace(mix=mix), features=features, rule=rule)
    return make_train(algorithm, 3)(jax.random.key(1))


@pytest.fixture(scope="module")
def plain():
    return quick_jit(lambda: train("none", "thompson", 0.0))()


@pytest.fixture(scope="module")
def projected():
    return quick_jit(lambda: train("projection", "ucb", 0.5))()


@pytest.mark.slow
def test_without_a_share_it_is_the_plain_strategy(plain):
    """The encoder for c = 0 and 1/2 at once, with the same key."""
    state, metrics = quick_jit(jax.vmap(lambda mix: train("encoder", "thompson", mix)))(jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(plain[0].theta, state.theta[0], rtol=1e-5, atol=1e-6)
    assert np.abs(plain[0].theta - state.theta[1]).max() > 0.01
    assert (state.bandit.loss > 0).all() and metrics["stored"][0].tolist() == [10, 10, 10]


def test_steps_are_counted_and_the_best_is_kept(plain):
    state, metrics = plain
    assert metrics["env_steps"].tolist() == [2 * 6 * 4, 4 * 6 * 4, 6 * 6 * 4] and int(state.env_steps) == 144
    np.testing.assert_allclose(metrics["best_return"], np.maximum.accumulate(metrics["episode_return"]))


def test_the_posterior_is_that_of_the_memory_under_the_present_features(projected):
    state, _ = projected
    bandit = state.bandit
    z = np.asarray(bandit.memory.theta, float) @ np.asarray(bandit.params, float)
    value = np.asarray(bandit.memory.value, float)
    assert float(bandit.mean) == pytest.approx(value.mean(), abs=1e-4)
    assert float(bandit.sd) == pytest.approx(value.std(), rel=1e-4)
    v = SMALL.regularisation * np.eye(3) + z.T @ z
    coef = np.linalg.solve(v, z.T @ (value - value.mean()) / value.std())
    np.testing.assert_allclose(bandit.posterior.ridge.coef, coef, rtol=1e-3, atol=1e-4)
    assert float(bandit.posterior.a) == SMALL.prior_a + 5
    assert float(bandit.loss) == 0  # there is no encoder to be fitted


@pytest.mark.slow
@pytest.mark.parametrize("features", ["encoder", "none"])
def test_contract(features):
    check_algorithm(rep_es(ENV, PARAMS, SMALL, features=features), num_steps=2)


@pytest.mark.slow
def test_it_learns_to_walk_to_the_goal():
    config = RepESConfig(
        sigma=0.1, learning_rate=0.1, num_candidates=32, num_batches=20, hidden_sizes=(), horizon=30, capacity=320
    )
    params = ENV.default_params
    algorithm = rep_es(ENV, params, config, measured_in=params.replace(noise=0.0))
    run = pjx.run(algorithm, 4, 20, progress=False)
    assert np.asarray(run.metrics["best_return"])[:, -1].mean() > -5  # staying away from everything: at most -6.9


def test_bad_input_is_refused():
    for message, change in {
        "sigma=0.0": {"sigma": 0.0},
        "learning_rate=-1.0": {"learning_rate": -1.0},
        "mix=2.0": {"mix": 2.0},
        "width=-1.0": {"width": -1.0},
        "regularisation=0.0": {"regularisation": 0.0},
        "prior_a=0.5": {"prior_a": 0.5},
        "prior_b=0.0": {"prior_b": 0.0},
        "encoder_rate=0.0": {"encoder_rate": 0.0},
        "decoder_coef=-1.0": {"decoder_coef": -1.0},
        "num_pairs=0": {"num_pairs": 0},
        "latent_size=0": {"latent_size": 0},
        "capacity=5": {"capacity": 5},
    }.items():
        with pytest.raises(ValueError, match=message):
            rep_es(ENV, PARAMS, SMALL.replace(**change))
    with pytest.raises(ValueError, match="features='encoders'.*did you mean 'encoder'"):
        rep_es(ENV, PARAMS, SMALL, features="encoders")
    with pytest.raises(ValueError, match="rule='greedy'"):
        rep_es(ENV, PARAMS, SMALL, rule="greedy")
    with pytest.raises(TypeError, match="env="):
        rep_es("GaussGrid8", PARAMS, SMALL)
