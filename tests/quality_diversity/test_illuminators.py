"""The quality-diversity algorithms: their archive against a sequential model, the contract, and what they are for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.envs.domains import LinearProjection, PlanarArm
from purejaxexplore.quality_diversity import (
    CMAMAEConfig,
    CMAMEConfig,
    CMAMEGAConfig,
    MAPElitesConfig,
    cma_mae,
    cma_me,
    cma_mega,
    map_elites,
    variation,
)
from purejaxexplore.quality_diversity import repertoire as elites
from purejaxexplore.quality_diversity.cma_mega import branch, directions
from purejaxexplore.testing import check_algorithm

ARM, PLANE = PlanarArm(3), LinearProjection(4)
MAP = MAPElitesConfig(offset=-0.5, bins=(4, 5), batch_size=8)
ME = CMAMEConfig(bins=(4, 5), num_emitters=2, num_samples=6, generations=2)
MAE = CMAMAEConfig(bins=(4, 5), num_emitters=2, num_samples=6, generations=2)
MEGA = CMAMEGAConfig(bins=(4, 5), num_emitters=2, num_samples=6)


@dataclasses.dataclass(frozen=True)
class Mirror:
    """Shows its genes: the first is the fitness, the others are the descriptor."""

    num_genes: int = 3
    low = (0.0, 0.0)
    high = (2.0, 1.0)
    solution_low = -np.inf
    solution_high = np.inf

    def evaluate(self, x):
        return x[:, 0], x[:, 1:]

    def sample(self, key, num):
        return jax.random.normal(key, (num, 3))


def test_offers_equal_a_sequential_archive_with_ties_nan_and_outliers():
    bins, best = (3, 2), {}
    repertoire = elites.empty(Mirror(), bins)
    offer = jax.jit(lambda r, x: elites.offer(r, Mirror(), bins, x))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        score, second = rng.choice([0.0, 1.0, 2.0, np.nan], 10), rng.choice([-0.5, 0.2, 0.7, np.nan], 10)
        x = np.stack([score, rng.uniform(-1, 3, 10), second], 1).astype(np.float32)
        repertoire, offered = offer(repertoire, x)
        for row in x:
            if not np.isnan(row).any():
                cell = [int(np.clip(np.floor(row[1] / 2 * 3 + 1e-6), 0, 2)), int(np.clip(np.floor(row[2] * 2), 0, 1))]
                slot = cell[0] * 2 + cell[1]
                if slot not in best or row[0] > best[slot][0]:
                    best[slot] = row
        assert np.flatnonzero(repertoire.archive.filled).tolist() == sorted(best)
        for slot, row in best.items():
            np.testing.assert_array_equal(repertoire.archive.payload[slot], row)
            np.testing.assert_array_equal(repertoire.archive.desc[slot], row[1:])
        assert sorted(repertoire.filled.slots[: int(repertoire.filled.count)].tolist()) == sorted(best)
        assert np.isfinite(offered.info.value).tolist() == (~np.isnan(x).any(1)).tolist()


def test_contract_of_map_elites():
    check_algorithm(map_elites(Mirror(), MAP), num_steps=2)


@pytest.mark.slow
def test_contract_of_cma_me():
    check_algorithm(cma_me(Mirror(), ME), num_steps=2, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_contract_of_cma_mae_in_the_diagonal_form():
    check_algorithm(cma_mae(Mirror(), MAE.replace(form="diagonal")), num_steps=2, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_contract_of_cma_mega():
    check_algorithm(cma_mega(Mirror(), MEGA), num_steps=2, rtol=2e-3, atol=2e-3)


def final(algorithm, num_steps, key=0):
    state, metrics = jax.jit(make_train(algorithm, num_steps))(jax.random.key(key))
    return state, {name: np.asarray(value) for name, value in metrics.items()}


def test_map_elites_counts_evaluations_and_stays_in_the_box():
    state, metrics = final(map_elites(ARM, MAP, variation=variation.gaussian(5.0)), 5)
    assert metrics["env_steps"].tolist() == [16, 24, 32, 40, 48]
    payload = np.asarray(state.repertoire.archive.payload)
    assert payload.min() >= 0 and payload.max() <= 1
    scores = np.asarray(state.repertoire.archive.score)
    filled = np.isfinite(scores)
    assert metrics["cells"][-1] == filled.sum() and metrics["coverage"][-1] == np.float32(filled.sum() / 20)
    np.testing.assert_allclose(metrics["qd_score"][-1], (scores[filled] + 0.5).sum(), rtol=1e-5)
    fitness, descriptor = map(np.asarray, ARM.evaluate(state.repertoire.archive.payload))
    np.testing.assert_allclose(fitness[filled], scores[filled], atol=1e-6)
    np.testing.assert_allclose(descriptor[filled], np.asarray(state.repertoire.archive.desc)[filled], atol=1e-6)
    assert (np.diff(metrics["qd_score"]) >= -1e-4).all()


class Bowl(Mirror):
    """The best solution is known, and every other is worse by its distance."""

    best = (9.0, 0.5, 0.5)

    def evaluate(self, x):
        return -jnp.square(x - jnp.array(self.best)).sum(-1), x[:, 1:]


def test_emitters_that_improve_nothing_restart_at_an_elite():
    start = jnp.array([Bowl.best, (8.0, 0.4, 0.4)])
    state, metrics = final(cma_me(Bowl(), ME.replace(bins=(1, 1), sigma=1e-3), initial=lambda key, num: start), 2)
    assert metrics["restarts"].tolist() == [2 * 2, 2 * 4]
    np.testing.assert_array_equal(state.emitters.mean, jnp.stack([start[0]] * 2))
    assert (state.emitters.generation == 0).all() and (state.emitters.sigma == jnp.float32(1e-3)).all()


def test_cma_mae_with_alpha_zero_is_an_optimiser():
    config = MAE.replace(alpha=0.0, threshold=-1000.0, num_samples=12, generations=5)
    state, metrics = final(cma_mae(PLANE, config), 30)
    assert metrics["max_score"][-1] > 99.9
    assert (state.thr == -1000.0).all()


def test_cma_mae_anneals_the_thresholds_of_filled_cells_only():
    state, _ = final(cma_mae(PLANE, MAE.replace(alpha=0.5)), 5)
    score, thr = np.asarray(state.repertoire.archive.score), np.asarray(state.thr)
    assert (thr[~np.isfinite(score) | (score <= 0)] == 0).all()
    assert (thr <= np.maximum(score, 0) + 1e-4).all() and (thr > 0).any()


def test_directions_are_unit_gradients_and_branches_add_them():
    theta = jnp.array([[0.3, -6.0, 5.4, -1.0]])
    direction = directions(PLANE.evaluate, theta)
    assert direction.shape == (1, 3, 4)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1.0, rtol=1e-5)
    toward = (5.12 * 0.4 - theta[0]) / np.linalg.norm(5.12 * 0.4 - theta[0])
    np.testing.assert_allclose(direction[0, 0], toward, rtol=1e-5)
    np.testing.assert_allclose(direction[0, 2, :2], 0.0)
    coefficients = jnp.array([[[-2.0, 0.5, -1.0]]])
    expected = theta[0] + 2.0 * direction[0, 0] + 0.5 * direction[0, 1] - direction[0, 2]
    np.testing.assert_allclose(branch(theta, direction, coefficients)[0, 0], expected, rtol=1e-5)


def test_gradients_cover_what_blind_search_cannot():
    """LinearProjection(100) on 20 x 20 cells, 7,400 evaluations each."""
    domain = LinearProjection(100)
    _, mega = final(cma_mega(domain, CMAMEGAConfig(bins=(20, 20))), 200)
    config = MAPElitesConfig(bins=(20, 20), batch_size=37)
    _, blind = final(map_elites(domain, config, variation=variation.iso_line(0.5, 0.2)), 200)
    assert mega["env_steps"][-1] == 7400 and mega["coverage"][-1] > 2 * blind["coverage"][-1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: map_elites("arm", MAP), TypeError, "domain='arm'"),
        (lambda: map_elites(ARM, MAP.replace(bins=(4,))), ValueError, "bins=.4,."),
        (lambda: map_elites(ARM, MAP.replace(bins=(4, 0))), ValueError, "bins.1.=0"),
        (lambda: map_elites(ARM, MAP.replace(batch_size=0)), ValueError, "batch_size=0"),
        (lambda: cma_me(PLANE, ME.replace(sigma=0.0)), ValueError, "sigma=0"),
        (lambda: cma_me(PLANE, ME.replace(num_samples=1)), ValueError, "num_samples=1"),
        (lambda: cma_me(PLANE, ME.replace(generations=0)), ValueError, "generations=0"),
        (lambda: cma_me(PLANE, ME.replace(form="fulll")), ValueError, "did you mean 'full'"),
        (lambda: cma_mae(PLANE, MAE.replace(alpha=1.5)), ValueError, "alpha=1.5"),
        (lambda: cma_mae(PLANE, MAE.replace(threshold=-np.inf)), ValueError, "threshold=-inf: expected a finite"),
        (lambda: cma_mega(PLANE, MEGA.replace(learning_rate=0.0)), ValueError, "learning_rate=0"),
        (lambda: cma_mega(PLANE, MEGA.replace(num_emitters=0)), ValueError, "num_emitters=0"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
