"""Statistics against values worked by hand, slow loops, scipy, and their own promise of coverage."""

import numpy as np
import pytest
from scipy import stats

from purejaxexplore import analysis
from purejaxexplore.analysis import statistics as st

RNG = np.random.default_rng(7)


def test_iqm_by_hand():
    assert st.iqm([9.0, 1, 2, 100, 4, 3, 5, -50]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert st.iqm([1.0, 2, 6]) == pytest.approx(3)  # floor(3 / 4) = 0 values cut
    x = RNG.normal(size=(10, 3))
    np.testing.assert_allclose(st.iqm(x, axis=0), stats.trim_mean(x, 0.25, axis=0))
    np.testing.assert_allclose(st.iqm(x), stats.trim_mean(x, 0.25, axis=None))


@pytest.mark.parametrize(
    "bad", [[], [1.0, np.nan], [[]], {}, {"a": []}, {"a": [[1.0, 2.0]]}, [1.0], [[1.0, 2.0]], [1.0, np.inf]]
)
def test_bad_scores_are_refused(bad):
    for call in (
        lambda: st.bootstrap_interval(bad),
        lambda: st.paired_bootstrap(bad, bad),
        lambda: st.probability_of_improvement(bad, bad),
    ):
        with pytest.raises(ValueError):
            call()


def test_bad_arguments_are_refused():
    good = [1.0, 2.0, 3.0]
    for call in (
        lambda: st.bootstrap_interval(good, level=95),
        lambda: st.bootstrap_interval(good, num_resamples=0),
        lambda: st.paired_bootstrap(good, good[:2]),
        lambda: st.paired_bootstrap({"a": good}, {"b": good}),
        lambda: st.probability_of_improvement({"a": good}, good),
        lambda: st.iqm([]),
        lambda: st.iqm([np.nan]),
        lambda: st.iqm_bands(np.zeros(3)),
        lambda: st.binomial_interval(3, 2),
        lambda: st.binomial_interval(0, 0),
        lambda: st.fisher_exact(1, 2, 3, 2),
        lambda: st.fisher_exact(1, 2, 1, 2, alternative="more"),
    ):
        with pytest.raises(ValueError, match="expected|needs"):
            call()


def test_bootstrap_equals_a_slow_stratified_loop():
    scores = {"easy": RNG.normal(5, 1, size=9), "hard": RNG.normal(0, 3, size=5)}
    fast = st.bootstrap_interval(scores, num_resamples=20_000)
    loop = []
    rng = np.random.default_rng(1)
    for _ in range(4_000):
        pooled = [x[rng.integers(len(x))] for x in scores.values() for _ in range(len(x))]
        loop.append(stats.trim_mean(pooled, 0.25))
    assert fast.value == pytest.approx(stats.trim_mean(np.concatenate(list(scores.values())), 0.25))
    np.testing.assert_allclose(fast[1:], np.quantile(loop, [0.025, 0.975]), atol=0.12)


def test_strata_keep_tasks_equally_represented():
    constant = np.tile([0.0, 10.0], (4, 1))  # all variation is between the tasks
    assert st.bootstrap_interval(constant, statistic=np.mean) == (5.0, 5.0, 5.0)


def test_blocks_of_resamples_change_nothing(monkeypatch):
    scores = RNG.normal(size=(6, 2))
    whole = st.probability_of_improvement(scores, scores + 0.3, num_resamples=300)
    monkeypatch.setattr(st, "_BLOCK", 24)
    assert st.probability_of_improvement(scores, scores + 0.3, num_resamples=300).value == whole.value
    small = st.bootstrap_interval(scores, num_resamples=3000)
    assert small.low < small.value < small.high
    assert sum(len(b) for b in st._resamples([scores[:, 0]], 301, 0)) == 301


def test_interval_covers_about_as_often_as_it_says():
    """Criterion, written before the run: of 400 normal samples of 20, between 89 % and 97 % are covered."""
    rng = np.random.default_rng(0)
    covered = []
    for trial in range(400):
        _, low, high = st.bootstrap_interval(rng.normal(size=20), num_resamples=400, seed=trial)
        covered.append(low <= 0 <= high)
    assert 0.89 <= np.mean(covered) <= 0.97


def test_improvement_by_hand_and_with_ties():
    # pairs: 3>1 3>3(tie) 3>2 | 1=1 1<3 1<2 -> wins 2, ties 2 of 6
    assert st.probability_of_improvement([3.0, 1.0], [1.0, 3.0, 2.0]).value == pytest.approx((2 + 2 / 2) / 6)
    assert st.probability_of_improvement([2.0, 2.0], [2.0, 2.0]) == (0.5, 0.5, 0.5)
    assert st.probability_of_improvement([5.0, 6.0], [1.0, 2.0]) == (1.0, 1.0, 1.0)


def test_improvement_equals_mann_whitney_and_a_slow_bootstrap():
    a, b = RNG.integers(0, 6, size=12).astype(float), RNG.integers(0, 5, size=9).astype(float)
    fast = st.probability_of_improvement(a, b, num_resamples=20_000)
    assert fast.value == pytest.approx(stats.mannwhitneyu(a, b).statistic / (12 * 9))
    rng = np.random.default_rng(2)
    loop = []
    for _ in range(4_000):
        x, y = rng.choice(a, 12)[:, None], rng.choice(b, 9)[None]
        loop.append(np.mean((x > y) + 0.5 * (x == y)))
    np.testing.assert_allclose(fast[1:], np.quantile(loop, [0.025, 0.975]), atol=0.02)


def test_improvement_averages_tasks_by_name():
    a = {"x": [2.0, 3.0], "y": [0.0, 0.0]}
    b = {"y": [1.0, 1.0, 1.0], "x": [1.0, 1.0]}
    assert st.probability_of_improvement(a, b).value == pytest.approx((1 + 0) / 2)


def test_pairing_cancels_the_luck_of_the_seed():
    luck = RNG.normal(0, 100, size=24)
    estimate = st.paired_bootstrap(luck + 1.0, luck, statistic=np.mean)
    np.testing.assert_allclose(estimate, (1.0, 1.0, 1.0), atol=1e-9)
    unpaired = st.bootstrap_interval(luck, statistic=np.mean)
    assert unpaired.high - unpaired.low > 10


def test_paired_bootstrap_of_the_mean_is_the_bootstrap_of_the_differences():
    a, b = RNG.normal(size=15), RNG.normal(size=15)
    paired = st.paired_bootstrap(a, b, statistic=np.mean)
    np.testing.assert_allclose(paired, st.bootstrap_interval(a - b, statistic=np.mean), atol=1e-12)


def test_iqm_weights_give_the_iqm_of_the_resample():
    for n in (2, 5, 8, 21):
        ordered = np.sort(RNG.normal(size=n))
        counts = RNG.multinomial(n, np.full(n, 1 / n), size=30)
        slow = [stats.trim_mean(np.repeat(ordered, row), 0.25) for row in counts]
        np.testing.assert_allclose(st._iqm_weights(counts) @ ordered, slow)


def test_bands_leave_out_what_is_missing():
    y = RNG.normal(size=(12, 5))
    y[3:, 1] = np.nan
    y[1:, 2] = np.nan
    y[:, 3] = np.inf
    band = st.iqm_bands(y, num_resamples=4000)
    np.testing.assert_allclose(band.value[:2], [st.iqm(y[:, 0]), st.iqm(y[:3, 1])])
    assert band.value[2] == y[0, 2] and np.isnan([band.low[2], band.value[3], band.high[3]]).all()
    slow = st.bootstrap_interval(y[:, 0], num_resamples=20_000)
    np.testing.assert_allclose([band.low[0], band.high[0]], slow[1:], atol=0.06)


def test_equal_seeds_give_equal_intervals():
    x = RNG.normal(size=10)
    assert st.bootstrap_interval(x, seed=3) == st.bootstrap_interval(x, seed=3)
    assert st.bootstrap_interval(x, seed=3) != st.bootstrap_interval(x, seed=4)


@pytest.mark.parametrize("successes", [0, 1, 13, 20])
def test_binomial_interval_is_wilsons(successes):
    exact = stats.binomtest(successes, 20).proportion_ci(method="wilson")
    np.testing.assert_allclose(
        st.binomial_interval(successes, 20), (successes / 20, exact.low, exact.high), atol=1e-12
    )
    assert st.binomial_interval(0, 20).low == 0 and st.binomial_interval(20, 20).high == 1


def test_proportion_difference_of_newcombes_table():
    # Newcombe (1998), table II, method 10: 56/70 - 48/80 = 0.2, interval 0.0524 to 0.3339.
    np.testing.assert_allclose(st.proportion_difference(56, 70, 48, 80), (0.2, 0.0524, 0.3339), atol=5e-5)


def test_fisher_tasting_tea():
    # Fisher (1935): 3 of 4 cups right; one-sided p = 17/70.
    assert st.fisher_exact(3, 4, 1, 4, alternative="greater") == pytest.approx(17 / 70)
    assert st.fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)


def test_a_seed_has_solved_what_half_of_its_last_episodes_did():
    episodes = [[40, 0, 30, 30]] * 3 + [[0, 0, 0, 0]]
    success = [[0, 0, 0.5, 0.5], [1, 1, 0.4, 0.5], [0, 0, 0.2, 0.8], [0, 0, 0, 0]]  # of the newest 60, and no more
    metrics = {"episodes": np.array(episodes), "success": np.array(success)}
    assert analysis.solved(metrics).tolist() == [True, False, True, False]
    assert analysis.solved(metrics, last=10).tolist() == [True, True, True, False]
