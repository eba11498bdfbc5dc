"""Designs against an independent optimiser, draws against simulated pulls, and both algorithms of shared designs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from purejaxexplore import bandits as b
from purejaxexplore.algorithm import make_train, per_seed
from purejaxexplore.bandits.contextual_double_design import spectral_policy, uniform_policy
from purejaxexplore.bandits.double_design import leading_basis, projector_distance, recover_basis
from purejaxexplore.blocks.designs import least_squares_draw, round_design, spectral_design, transductive_design
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_algorithm

ARMS = np.random.default_rng(0).standard_normal((7, 3))
ARMS /= np.linalg.norm(ARMS, axis=1, keepdims=True)
DRAW = worlds.linear_tasks(4, 4, 2, 8)
CONFIG = b.DoubleDesignConfig(2, design_steps=20)


def best_value(value, near):
    """The least ``value(weights)`` that SciPy's simplex method finds in float64, also from ``near``."""

    def of_logits(logits):
        weights = np.exp(logits - logits.max())
        return value(weights / weights.sum())

    starts = [np.log(near + 1e-3), *np.random.default_rng(1).standard_normal((2, len(near)))]
    options = {"maxiter": 4000, "maxfev": 4000}
    return min(minimize(of_logits, start, method="Nelder-Mead", options=options).fun for start in starts)


def inverse_of(weights):
    return np.linalg.inv((ARMS.T * weights) @ ARMS)


def test_designs_come_near_the_best_ones():
    active = np.array([True, True, False, True, False, True, False])
    pairs = ARMS[active][:, None] - ARMS[active]
    run = jax.jit(transductive_design, static_argnames=("steps", "differences"))
    found = run(jnp.array(ARMS), jnp.array(active), steps=400)
    weights = np.asarray(found.weights, float)
    exact = best_value(lambda w: np.einsum("ijk,kl,ijl->ij", pairs, inverse_of(w), pairs).max(), weights)
    assert weights.sum() == pytest.approx(1, abs=1e-4) and weights.min() >= 0
    measured = np.einsum("ijk,kl,ijl->ij", pairs, inverse_of(weights), pairs).max()
    assert float(found.value) == pytest.approx(measured, rel=1e-3)
    assert measured <= 1.05 * exact
    everywhere = run(jnp.array(ARMS), jnp.ones(7, bool), steps=400, differences=False)
    assert 3 * (1 - 1e-3) <= float(everywhere.value) <= 3 * 1.05  # Kiefer and Wolfowitz: the dimension
    spectral = jax.jit(spectral_design, static_argnums=1)(jnp.array(ARMS), 400)
    exact = best_value(lambda w: np.linalg.norm(inverse_of(w), 2), np.asarray(spectral.weights, float))
    assert float(spectral.value) <= 1.05 * exact
    assert float(spectral.value) < 0.95 * np.linalg.norm(inverse_of(np.full(7, 1 / 7)), 2)


def test_rounding_sums_and_stays_within_one():
    weights = jnp.array([0.05, 0.5, 0.0, 0.45])
    for number in (3.0, 10.0, 17.0, 1e6 + 1):
        counts = round_design(weights, jnp.float32(number))
        assert float(counts.sum()) == number
        assert np.abs(np.asarray(counts) - np.asarray(weights) * number).max() < 1.1


def test_a_draw_has_the_distribution_of_simulated_pulls():
    counts, sd = np.array([3, 2, 4, 0, 1, 5, 2]), 0.7
    means = ARMS @ np.array([0.5, -1.0, 0.3]) + 0.1 * np.arange(7)  # not linear: the bias stays
    rows = np.repeat(ARMS, counts, axis=0)
    solve = np.linalg.pinv(rows)
    rng = np.random.default_rng(0)
    theirs = (np.repeat(means, counts) + sd * rng.standard_normal((20_000, len(rows)))) @ solve.T
    draw = jax.vmap(lambda key: least_squares_draw(key, jnp.array(ARMS), jnp.array(counts, jnp.float32), means, sd))
    ours = np.asarray(jax.jit(draw)(jax.random.split(jax.random.key(0), 20_000)))
    np.testing.assert_allclose(ours.mean(0), np.repeat(means, counts) @ solve.T, atol=0.02)
    np.testing.assert_allclose(np.cov(ours.T), np.cov(theirs.T), atol=0.02)


def test_the_basis_is_that_of_simulated_batches():
    """Its squared error against that of NumPy's eigenvectors of simulated batches, averaged over 200 repetitions."""
    tasks = worlds.linear_tasks(6, 3, 1, 7)(jax.random.key(3))
    counts, batches, sd = jnp.full(7, 3.0), 4, 0.5
    recover = jax.vmap(lambda key: recover_basis(key, tasks, counts, jnp.float32(batches), 1, sd))
    ours = np.asarray(jax.jit(recover)(jax.random.split(jax.random.key(0), 200)))
    arms = np.repeat(np.asarray(tasks.arms, float), 3, axis=0)
    solve, rng, truth = np.linalg.pinv(arms), np.random.default_rng(0), np.asarray(tasks.parameters, float)
    errors = [[], []]
    for repetition in range(200):
        noise = sd * rng.standard_normal((6, batches, len(arms)))
        estimates = ((truth @ arms.T)[:, None] + noise) @ solve.T
        moment = np.einsum("mbi,mbj->ij", estimates, estimates) / (6 * batches) - sd**2 * solve @ solve.T
        theirs = np.linalg.eigh(moment)[1][:, -1:]
        for found, vector in zip(errors, (ours[repetition], theirs), strict=True):
            found.append(1 - float((vector[:, 0] @ np.asarray(tasks.basis)[:, 0]) ** 2))
    assert np.mean(errors[0]) == pytest.approx(np.mean(errors[1]), rel=0.35)
    assert 0 < np.mean(errors[0]) < 0.2


def test_small_pieces():
    moment = jnp.diag(jnp.array([1.0, 3.0, 2.0]))
    np.testing.assert_allclose(leading_basis(moment, 2), [[0, 0], [0, 1], [1, 0]], atol=1e-6)
    angle = 0.3
    first, second = jnp.array([[1.0], [0.0]]), jnp.array([[np.cos(angle)], [np.sin(angle)]])
    assert float(projector_distance(first, second)) == pytest.approx(np.sin(angle), rel=1e-4)
    assert float(projector_distance(first, -first)) == pytest.approx(0, abs=1e-6)


def test_tasks_are_as_described():
    tasks = jax.jit(worlds.linear_tasks(20, 6, 2, 16, least_gap=0.1, crowded=0.5))(jax.random.key(0))
    np.testing.assert_allclose(jnp.linalg.norm(tasks.arms, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(tasks.parameters, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(tasks.parameters @ tasks.basis @ tasks.basis.T, tasks.parameters, atol=1e-5)
    means = np.sort(np.asarray(tasks.parameters @ tasks.arms.T), axis=1)
    assert ((means[:, -1] - means[:, -2]) >= 0.1 - 1e-5).mean() > 0.5
    cosines = np.asarray(tasks.arms[:8] @ tasks.arms[0])
    assert cosines.min() > 0.9


@pytest.mark.slow
def test_contract():
    check_algorithm(per_seed(DRAW, lambda tasks: b.double_design(tasks, CONFIG)), num_steps=2, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_contract_of_the_contextual_form():
    config = b.ContextualDesignConfig(2, design_steps=20)
    draw = worlds.contextual_tasks(3, 4, 2, 3, 3)
    algorithm = per_seed(draw, lambda tasks: b.contextual_double_design(tasks, config))
    check_algorithm(algorithm, num_steps=2, rtol=2e-3, atol=2e-3)


@pytest.fixture(scope="module")
def finals():
    """Metrics after nine phases, 8 seeds of 20 tasks in 8 dimensions of rank 1."""
    draw, keys = worlds.linear_tasks(20, 8, 1, 12), jax.random.split(jax.random.key(0), 8)

    def final(representation):
        config = b.DoubleDesignConfig(1, representation=representation, design_steps=60)
        train = make_train(per_seed(draw, lambda tasks: b.double_design(tasks, config)), 9)
        return {k: np.asarray(v)[:, -1] for k, v in jax.jit(jax.vmap(train))(keys)[1].items()}

    return {name: final(name) for name in ("learned", "known", "none")}


@pytest.mark.slow
def test_sharing_the_representation_saves_pulls_and_does_not_err(finals):
    for found in finals.values():
        assert found["solved"].mean() > 0.95 and found["error"].mean() <= 0.05
    pulls = {name: found["pulls_per_task"].mean() for name, found in finals.items()}
    assert pulls["known"] < pulls["learned"] < pulls["none"]
    assert (finals["known"]["feature_pulls"] == 0).all()
    assert finals["learned"]["projector_error"].mean() < 0.25


@pytest.mark.slow
def test_the_contextual_form_halves_its_error_and_learns_the_basis():
    config = b.ContextualDesignConfig(1, design_steps=40)
    draw = worlds.contextual_tasks(10, 5, 1, 4, 4)
    train = make_train(per_seed(draw, lambda tasks: b.contextual_double_design(tasks, config)), 4)
    found = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 4))[1]
    assert (np.asarray(found["worst_simple_regret"]) <= np.asarray(found["target"])).all()
    assert found["projector_error"][:, -1].mean() < 0.5 * found["projector_error"][:, 0].mean() + 0.02
    assert (np.diff(np.asarray(found["pulls_per_task"]), axis=1) > 0).all()


@pytest.mark.slow
def test_sampling_policies_are_designs_of_every_context():
    tasks = worlds.contextual_tasks(2, 3, 1, 4, 5)(jax.random.key(1))
    chances = jnp.array([0.4, 0.3, 0.3, 0.0])
    policy, value = jax.jit(uniform_policy, static_argnums=2)(tasks.features, chances, 300)
    np.testing.assert_allclose(policy.sum(1), 1, rtol=1e-3)
    x = np.asarray(tasks.features, float)
    v = np.einsum("s,sa,sad,sae->de", np.asarray(chances, float), np.asarray(policy, float), x, x)
    assert float(value) == pytest.approx(np.einsum("sad,de,sae->sa", x[:3], np.linalg.inv(v), x[:3]).max(), rel=1e-3)
    spread = jax.jit(spectral_policy, static_argnums=2)(tasks.features, chances, 300)[1]
    start = jax.jit(spectral_policy, static_argnums=2)(tasks.features, chances, 0)[1]
    assert float(spread) < float(start)


def test_bad_input_is_refused():
    tasks = worlds.LinearTasks(np.ones((8, 4)), np.ones((4, 2)), np.ones((4, 4)))
    drawn = worlds.ContextualTasks(np.ones((3, 3, 4)), np.ones(3), np.ones((4, 2)), np.ones((3, 4)))
    for message, make in {
        "rank=5: expected at most 4": lambda: b.double_design(tasks, b.DoubleDesignConfig(5)),
        "rank=0": lambda: b.double_design(tasks, b.DoubleDesignConfig(0)),
        "delta=0.0": lambda: b.double_design(tasks, b.DoubleDesignConfig(2, delta=0.0)),
        "sample_factor": lambda: b.double_design(tasks, b.DoubleDesignConfig(2, sample_factor=0.0)),
        "representation='mine'": lambda: b.double_design(tasks, b.DoubleDesignConfig(2, representation="mine")),
        "allocation='even'": lambda: b.double_design(tasks, b.DoubleDesignConfig(2, allocation="even")),
        "parameters of shape": lambda: b.double_design(tasks._replace(parameters=jnp.ones((4, 3))), CONFIG),
        "rank=9": lambda: b.contextual_double_design(drawn, b.ContextualDesignConfig(9)),
        "sd=-1.0": lambda: b.contextual_double_design(drawn, b.ContextualDesignConfig(2, sd=-1.0)),
        "chances of": lambda: b.contextual_double_design(
            drawn._replace(chances=jnp.ones(2)), b.ContextualDesignConfig(2)
        ),
        "rank=7: expected at most dim=4": lambda: worlds.linear_tasks(2, 4, 7, 8),
        "to span the space": lambda: worlds.linear_tasks(2, 4, 2, 8, crowded=0.8),
        "num_actions=1": lambda: worlds.contextual_tasks(2, 4, 2, 8, 1),
        "too few features": lambda: worlds.contextual_tasks(2, 9, 2, 2, 2),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="expected LinearTasks"):
        b.double_design(drawn, CONFIG)
    with pytest.raises(TypeError, match="expected ContextualTasks"):
        b.contextual_double_design(tasks, b.ContextualDesignConfig(2))
