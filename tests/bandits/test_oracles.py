"""The oracles against published and hand-worked values."""

import numpy as np
import pytest

from purejaxexplore.bandits import oracles


def test_constants_of_the_standard_instances():
    # C of the sheet's two calibration instances and of BanditBench's presets
    assert oracles.lai_robbins((0.75, 0.25, 0.25, 0.25, 0.25)) == pytest.approx(3.64, abs=0.005)
    assert oracles.lai_robbins((0.1, 0.05, 0.05, 0.02, 0.02)) == pytest.approx(9.11, abs=0.005)
    assert oracles.lai_robbins((0.6, *[0.4] * 4)) == pytest.approx(9.87, abs=0.005)
    assert oracles.lai_robbins((0.6, *[0.4] * 19)) == pytest.approx(46.9, abs=0.05)
    assert oracles.lai_robbins((1.0, 0.5), lambda p, q: (p - q) ** 2 / 8) == pytest.approx(2 * 4 / 0.5)
    assert oracles.ucb_slope((0.5, 0.5, 0.3), 2.0) == pytest.approx(10.0)
    assert oracles.comb_ucb1_bound(4, 2, 100) == pytest.approx(47 * 60.6971 + 8 * 4.28987, rel=1e-4)


def test_explore_first_by_hand():
    # One pull each of arms 1 apart in units of sigma sqrt(2): wrong with probability Phi(-1 / sqrt(2)).
    assert oracles.explore_first_regret(1.0, 10, 1) == pytest.approx(1 + 8 * 0.23975, rel=1e-4)
    assert oracles.explore_first_regret(1.0, 10, 5) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("successes", "failures", "discount", "index"),
    [(1, 1, 0.9, 0.7029), (1, 1, 0.5, 0.5590), (2, 1, 0.9, 0.8001), (1, 2, 0.9, 0.5001), (1, 1, 0.99, 0.8699)],
)
def test_gittins_indices_are_those_of_the_published_tables(successes, failures, discount, index):
    depth = 2000 if discount == 0.99 else 300
    assert oracles.bernoulli_gittins(successes, failures, discount, depth) == pytest.approx(index, abs=2e-4)


def test_bayes_optimal_values_of_small_problems():
    assert oracles.bayes_optimal(2, 1) == pytest.approx(0.5)
    # Two pulls: after a success play on (2/3), after a failure change (1/2).
    assert oracles.bayes_optimal(2, 2) == pytest.approx(0.5 + 0.5 * 2 / 3 + 0.5 * 0.5)
    assert oracles.bayes_optimal(1, 7) == pytest.approx(3.5)
    one, two, three = (oracles.bayes_optimal(k, 6) for k in (1, 2, 3))
    assert one < two < three < 6


def test_best_fixed_arm():
    assert oracles.best_fixed(np.array([[1, 0], [0, 0.5], [0, 1]])) == (1, 1.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: oracles.gaps((0.5,)), "at least two"),
        (lambda: oracles.gaps((0.5, np.nan)), "finite"),
        (lambda: oracles.bernoulli_gittins(0, 1, 0.9), "successes=0"),
        (lambda: oracles.bernoulli_gittins(1, 1, 1.0), "discount=1.0"),
        (lambda: oracles.bayes_optimal(5, 100), "states"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
