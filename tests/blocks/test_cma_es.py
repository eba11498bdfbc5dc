"""CMA-ES against an independent one in NumPy, in float64 and with explicit loops over ranks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks import cma_es
from purejaxexplore.quality_diversity.rankers import ranks

N, L = 4, 9


class ByHand:
    """Hansen (2016), line by line; ``diagonal`` as in Ros and Hansen (2008)."""

    def __init__(self, mean, sigma, diagonal=False):
        n = len(mean)
        self.n, self.m, self.s, self.diagonal = n, np.array(mean, float), sigma, diagonal
        self.C, self.ps, self.pc, self.g = np.eye(n), np.zeros(n), np.zeros(n), 0

    def root(self, power):
        values, basis = np.linalg.eigh(self.C)
        return basis @ np.diag(values**power) @ basis.T

    def tell(self, x, order, mu):
        n = self.n
        w = np.array([np.log(mu + 0.5) - np.log(r) for r in range(1, mu + 1)])
        w /= w.sum()
        mueff = 1 / (w**2).sum()
        cs = (mueff + 2) / (n + mueff + 5)
        ds = 1 + 2 * max(0, np.sqrt((mueff - 1) / (n + 1)) - 1) + cs
        cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
        c1 = 2 / ((n + 1.3) ** 2 + mueff)
        cmu = min(1 - c1, 2 * (mueff - 2 + 1 / mueff) / ((n + 2) ** 2 + mueff))
        if self.diagonal:
            c1 = min(1, c1 * (n + 2) / 3)
            cmu = min(1 - c1, cmu * (n + 2) / 3)
        y = [(x[order[r]] - self.m) / self.s for r in range(mu)]
        yw = sum(w[r] * y[r] for r in range(mu))
        self.ps = (1 - cs) * self.ps + np.sqrt(cs * (2 - cs) * mueff) * self.root(-0.5) @ yw
        self.g += 1
        norm = np.linalg.norm(self.ps)
        hs = norm / np.sqrt(1 - (1 - cs) ** (2 * self.g)) < np.sqrt(n) * np.sqrt(2 + 4 / (n + 1))
        self.pc = (1 - cc) * self.pc + hs * np.sqrt(cc * (2 - cc) * mueff) * yw
        self.C = (1 - c1 - cmu + (1 - hs) * c1 * cc * (2 - cc)) * self.C + c1 * np.outer(self.pc, self.pc)
        self.C = self.C + cmu * sum(w[r] * np.outer(y[r], y[r]) for r in range(mu))
        if self.diagonal:
            self.C = np.diag(np.diag(self.C))
        self.m = self.m + self.s * yw
        chi = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
        self.s *= np.exp(min(1, cs / ds * (norm / chi - 1)))


def ellipsoid(x):
    return -(10.0 ** np.arange(N) * np.square(np.asarray(x, float) - 0.3)).sum(-1)


@pytest.fixture(scope="module")
def generation():
    @jax.jit
    def run(state, z, score, num_parents):
        samples = cma_es.ask(state, z)
        return cma_es.decompose(cma_es.tell(state, samples, ranks((score,)), num_parents))

    return run, jax.jit(cma_es.ask)


@pytest.mark.parametrize("form", cma_es.FORMS)
def test_generations_equal_those_by_hand(form, generation):
    run, ask = generation
    rng = np.random.default_rng(0)
    state, hand = cma_es.init(jnp.ones(N), 0.5, form), ByHand(np.ones(N), 0.5, form == "diagonal")
    # Enough generations that the path stalls h_s at times, with as many parents as a filter would leave.
    for mu in [4, 4, 1, 9, 3, 4, 2, 4, 4, 4]:
        z = rng.standard_normal((L, N)).astype(np.float32)
        x = np.asarray(ask(state, z), float)
        score = ellipsoid(x)
        state = run(state, z, jnp.float32(score), jnp.int32(mu))
        hand.tell(x, np.argsort(-score), mu)
        cov = np.diag(state.cov) if form == "diagonal" else state.cov
        for mine, theirs in ((state.mean, hand.m), (state.sigma, hand.s), (cov, hand.C), (state.path_sigma, hand.ps),
                             (state.path_cov, hand.pc)):  # fmt: skip
            np.testing.assert_allclose(mine, theirs, rtol=5e-3, atol=5e-4)
        assert state.generation == hand.g


def test_the_first_update_lets_the_path_of_c_grow():
    """With 2 g in place of 2 (g + 1) the correction is 1 / 0 at g = 0, h_s is 0 and the path does not start."""
    state = cma_es.init(jnp.zeros(N), 1.0)
    samples = jnp.eye(N)[jnp.array([0, 1, 2, 3, 0, 1, 2, 3, 0])]
    told = cma_es.tell(state, samples, jnp.arange(L), 4)
    assert np.isfinite(np.asarray(told.cov)).all()
    assert float(jnp.abs(told.path_cov).sum()) > 0.1


def test_weights_go_to_the_ranks_and_not_to_the_inverse_permutation():
    order = np.array([2, 0, 3, 1])  # sample 2 is the best; this permutation is not its own inverse
    samples = jnp.array([[1.0], [10.0], [100.0], [1000.0]])
    rank = jnp.zeros(4, jnp.int32).at[order].set(jnp.arange(4))
    told = cma_es.tell(cma_es.init(jnp.zeros(1), 1.0), samples, rank, 2)
    w = np.log(2.5) - np.log([1, 2])
    assert float(told.mean[0]) == pytest.approx((w / w.sum()) @ [100.0, 1.0], rel=1e-5)


def test_samples_have_the_covariance_that_was_decomposed():
    root = np.array([[2.0, 0.0, 0.0], [1.5, 0.5, 0.0], [0.3, -1.0, 0.4]])
    state = cma_es.init(jnp.array([1.0, -1.0, 0.0]), 3.0)._replace(cov=jnp.float32(root @ root.T))
    state = cma_es.decompose(state)
    z = np.random.default_rng(0).standard_normal((100_000, 3)).astype(np.float32)
    x = np.asarray(cma_es.ask(state, z))
    np.testing.assert_allclose(np.cov(x.T), 9 * root @ root.T, rtol=0.03, atol=0.2)
    np.testing.assert_allclose(x.mean(0), [1, -1, 0], atol=0.06)


def test_no_parents_change_nothing_but_the_generation():
    state = cma_es.init(jnp.ones(N), 0.5)
    told = cma_es.tell(state, jnp.full((L, N), 7.0), jnp.arange(L), jnp.int32(0))
    jax.tree.map(np.testing.assert_array_equal, told, state._replace(generation=jnp.int32(1)))


def test_spent_distributions_are_found():
    state = cma_es.init(jnp.zeros(2), 1.0)
    one, two = jnp.ones(1), jnp.zeros(1)
    assert not cma_es.has_stopped(state, one, two)
    assert cma_es.has_stopped(state, one, one)
    assert cma_es.has_stopped(state._replace(sigma=jnp.float32(1e-12)), one, two)
    assert cma_es.has_stopped(state._replace(scale=jnp.array([1.0, 1e-4])), one, two)
    assert cma_es.has_stopped(state._replace(mean=jnp.array([jnp.nan, 0.0])), one, two)


def test_lazy_gap_grows_with_the_dimension():
    assert cma_es.lazy_gap(4, 9) == 1 and cma_es.lazy_gap(100, 36) == 2 and cma_es.lazy_gap(1000, 36) > 10
    with pytest.raises(ValueError, match="n=0"):
        cma_es.lazy_gap(0, 9)
    with pytest.raises(ValueError, match="form='diag'.*diagonal"):
        cma_es.init(jnp.zeros(2), 1.0, "diag")
