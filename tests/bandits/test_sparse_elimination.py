"""Misspecified sparse linear bandits: the misleading family, the net, elimination by hand, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.algorithm import make_train, per_seed
from purejaxexplore.bandits.sparse_elimination import one_of, regression_action, sparse_net
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.misspecified import radius_of
from purejaxexplore.testing import check_algorithm

DIM, EPSILON = 64, 0.05
DRAW = worlds.misleading(DIM, 400, epsilon=EPSILON)
CONFIG = b.SparseEliminationConfig(EPSILON, radius_of(DIM, EPSILON))


def test_the_family_misleads_as_it_says():
    problem = jax.jit(DRAW)(jax.random.key(0))
    features, values = np.asarray(problem.features), np.asarray(problem.values)
    error = values - features @ np.asarray(problem.parameter)
    np.testing.assert_allclose(np.abs(error[:-1])[np.abs(error[:-1]) > 1e-4], EPSILON, rtol=1e-3)
    assert np.abs(error).max() <= EPSILON * (1 + 1e-3) and set(np.unique(features)) == {-1.0, 1.0}
    assert np.linalg.norm(problem.parameter) == pytest.approx(0.9 * (0.4 * 8 - 1.4) * EPSILON, rel=1e-5)
    assert np.count_nonzero(problem.parameter) == 1
    assert values[-1] == pytest.approx(
        EPSILON - radius_of(DIM, EPSILON), rel=1e-4
    )  # the worst sign, a good error
    np.testing.assert_array_equal(np.flatnonzero(~np.asarray(problem.ordinary)), [400])


def test_the_net_is_near_every_sparse_parameter():
    assert sparse_net(5, 1, 2.0, 0.1).shape == (10, 5)
    net = sparse_net(4, 2, 1.0, 0.2)
    np.testing.assert_allclose(np.linalg.norm(net, axis=1), 1, rtol=1e-6)
    assert (np.count_nonzero(np.abs(net) > 1e-6, axis=1) <= 2).all()
    assert len(np.unique(net.round(5), axis=0)) == len(net)
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = np.zeros(4)
        point[rng.choice(4, 2, replace=False)] = rng.standard_normal(2)
        assert np.linalg.norm(net - point / np.linalg.norm(point), axis=1).min() <= 0.1


def test_queries_by_hand():
    """Of (e_0, e_1, -e_0, -e_1) the second promises most, 1, with action 0, which pays nothing: it and the last go."""
    features = jnp.array([[0.0, 1.0], [0.5, 0.9], [-0.6, -0.4]])
    truth = jnp.array([-1.0, 0.0])
    problem = worlds.SparseProblem(features, features @ truth + 0.05, truth, jnp.ones(3, bool))
    algorithm = b.sparse_elimination(problem, b.SparseEliminationConfig(0.1, 1.0))
    state = algorithm.init(jax.random.key(0))
    np.testing.assert_allclose(state.best, [0.5, 1.0, 0.6, 0.4])
    state, metrics = algorithm.step(jax.random.key(1), state)
    assert int(state.answer) == 0 and not state.stopped
    np.testing.assert_array_equal(state.alive, [True, False, True, False])
    # Then -e_0 promises 0.6 with action 2, which pays 0.65: the answer.
    state, metrics = algorithm.step(jax.random.key(2), state)
    assert int(state.answer) == 2 and bool(metrics["stopped"]) and float(metrics["simple_regret"]) == 0.0
    np.testing.assert_array_equal(state.alive, [False, False, True, False])
    again, metrics = algorithm.step(jax.random.key(3), state)
    assert int(metrics["env_steps"]) == 2 and int(again.answer) == 2


def test_one_of_draws_evenly():
    chosen = jnp.array([False, True, False, True, True])
    drawn = np.asarray(jax.vmap(lambda key: one_of(key, chosen))(jax.random.split(jax.random.key(0), 600)))
    assert set(drawn) == {1, 3, 4} and min(np.bincount(drawn)[[1, 3, 4]]) > 150


@pytest.fixture(scope="module")
def outcome():
    """Last metrics of 20 seeds, and the gap in epsilons of least squares and of its thresholded form."""
    keys = jax.random.split(jax.random.key(0), 20)
    algorithm = per_seed(DRAW, lambda problem: b.sparse_elimination(problem, CONFIG))
    metrics = jax.jit(jax.vmap(make_train(algorithm, 12)))(keys)[1]

    def gaps(key):
        problem = DRAW(key)
        actions = jnp.stack([regression_action(problem), regression_action(problem, EPSILON / 2)])
        return (problem.values.max() - problem.values[actions]) / EPSILON

    return {name: np.asarray(x)[:, -1] for name, x in metrics.items()}, np.asarray(
        jax.jit(jax.vmap(gaps))(keys)
    )


def test_elimination_is_not_misled_and_least_squares_is(outcome):
    found, gaps = outcome
    assert found["stopped"].all() and (found["env_steps"] <= 2 * DIM).all() and found["alive"].min() >= 1
    assert (found["simple_regret"] <= 2.5 * EPSILON).all()
    assert gaps[:, 0].mean() > 2.5 and gaps[:, 1].mean() <= 2.0


@pytest.mark.slow
def test_contract():
    check_algorithm(
        per_seed(worlds.misleading(16, 20), lambda problem: b.sparse_elimination(problem, CONFIG)), num_steps=2
    )


def test_bad_input_is_refused():
    problem = worlds.SparseProblem(np.ones((3, 2)), np.ones(3), np.ones(2), np.ones(3, bool))
    for message, make in {
        "dim=8": lambda: worlds.misleading(8),
        "num_actions=5": lambda: worlds.misleading(16, 5),
        "epsilon=-1.0": lambda: worlds.misleading(16, epsilon=-1.0),
        "norm=0.0": lambda: b.sparse_elimination(problem, b.SparseEliminationConfig(0.1, 0.0)),
        "epsilon=0.0": lambda: b.sparse_elimination(problem, b.SparseEliminationConfig(0.0, 1.0)),
        "sparsity=0": lambda: b.sparse_elimination(problem, b.SparseEliminationConfig(0.1, 1.0, 0)),
        "sparsity=3: expected 1 or 2": lambda: b.sparse_elimination(
            problem, b.SparseEliminationConfig(0.1, 1.0, 3)
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="expected a SparseProblem"):
        b.sparse_elimination(DRAW, CONFIG)
