"""Statistics of failed exploration, win rates and the regret's shape, against values by hand."""

import numpy as np
import pytest

from purejaxexplore.analysis import exploration, regret_shape, win_rates


def test_exploration_by_hand():
    action = np.array([[0, 1, 1, 1], [0, 1, 0, 0]])
    reward = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    regret = np.array([[0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.5]])
    stats = exploration(action, reward, regret, num_arms=3)
    np.testing.assert_array_equal(stats.suffix_failure, [False, True])
    np.testing.assert_array_equal(stats.min_fraction, [0.0, 0.0])
    # First run: the first pull counts, arm 1 is new, then it leads with 1, then with 1/2 against 0.
    # Second run: arm 1 is new, then arm 0 leads with 1 against 0, then with 1/2.
    np.testing.assert_allclose(stats.greedy_fraction, [0.75, 0.75])
    np.testing.assert_allclose(stats.best_fraction, [0.75, 0.25])
    np.testing.assert_allclose(stats.mean_reward, [0.5, 0.5])
    uniform = exploration([[0, 1, 2, 0, 1, 2]], np.zeros((1, 6)), np.ones((1, 6)), num_arms=3)
    assert uniform.min_fraction == 1.0
    # The suffix may be chosen: nothing fails if all rounds count.
    assert not exploration(action, reward, regret, num_arms=3, after=0).suffix_failure.any()


def test_ties_count_as_greedy_and_a_worse_arm_does_not():
    action = [[0, 1, 0, 1, 1]]
    reward = [[1.0, 1.0, 0.0, 0.0, 0.0]]
    stats = exploration(action, reward, np.zeros((1, 5)), num_arms=2)
    # 0 first, 1 new, tie at 1, 1 leads over 1/2, tie at 1/2.
    assert stats.greedy_fraction == 0.8


def test_win_rates():
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(2, 50))
    rates = win_rates({"good": 1 + noise, "same": 1 + noise[:, ::-1], "bad": noise})
    assert rates == {"good": 0.5, "same": 0.5, "bad": 0.0}
    assert win_rates({"always": np.ones((1, 3)), "never": np.zeros((1, 3))}) == {"always": 1.0, "never": 0.0}


def test_regret_shape_tells_a_logarithm_from_a_line():
    t = np.unique(np.geomspace(10, 2000, 30).astype(int))
    noise = np.random.default_rng(1).normal(size=(40, 1))
    logarithm = regret_shape(t, 3 * np.log(t) / 0.2 + noise, 0.2, num_resamples=40)
    assert logarithm.fraction_explained > 0.999
    assert logarithm.slope.value < 1e-3
    line = regret_shape(t, 0.05 * t + noise, 0.2, num_resamples=40)
    assert abs(line.slope.value - 0.05) < 2e-3
    assert line.slope.low <= line.slope.value <= line.slope.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exploration([[0, 3]], np.zeros((1, 2)), np.zeros((1, 2)), 3), "numbers from 0 to 2"),
        (lambda: exploration([[0, 1]], np.zeros((1, 3)), np.zeros((1, 2)), 3), r"expected \[runs, T\] all"),
        (lambda: exploration([[0, 1]], np.zeros((1, 2)), np.zeros((1, 2)), 3, after=2), "after=2: expected 0 to 1"),
        (lambda: win_rates({"one": np.zeros((1, 3))}), "at least two policies"),
        (lambda: win_rates({"a": np.zeros((1, 3)), "b": np.zeros((2, 3))}), "the same configurations"),
        (lambda: regret_shape(np.arange(1, 7), np.zeros((2, 6)), 0.2), "above 1"),
        (lambda: regret_shape(np.arange(2, 5), np.zeros((2, 3)), 0.2), r"points >= 5"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
