"""Transfer areas and times worked by hand."""

import numpy as np
import pytest

from purejaxexplore.analysis import restricted_mean, steps_to, transfer

STEPS = np.array([10.0, 20.0, 40.0, 50.0, 70.0])
SCORES = np.array([[0.0, 4.0, 2.0, 2.0, 6.0], [1.0, 1.0, 0.0, 0.5, 0.5]])


def test_areas_on_both_sides_of_the_switch_and_the_time_to_recover():
    got = transfer(STEPS, SCORES, switch=30)
    # Run 0 before: 10..20 from 0 to 4 is 20, 20..30 at 4 is 40, over 20 steps; after: 30..50 at 2 is 40, 50..70 is 80.
    np.testing.assert_allclose(got.before, [60 / 20, 1.0])
    np.testing.assert_allclose(got.after, [(40 + 80) / 40, (0 + 2.5 + 10) / 40])
    assert got.recovery.tolist() == [40.0, np.inf]
    assert transfer(STEPS, SCORES, switch=30, share=0.5).recovery.tolist() == [10.0, 20.0]


def test_a_measurement_at_the_switch_belongs_to_the_old_task():
    got = transfer(STEPS, SCORES, switch=20)
    np.testing.assert_allclose(got.before, [2.0, 1.0])
    np.testing.assert_allclose(got.after, [(40 + 20 + 80) / 50, (0 + 2.5 + 10) / 50])


def test_steps_to_a_level():
    assert steps_to(STEPS, SCORES, 1.0).tolist() == [20.0, 10.0]
    assert steps_to(STEPS, SCORES, [6.0, 2.0]).tolist() == [70.0, np.inf]


def test_restricted_mean():
    assert restricted_mean([10.0, np.inf, 40.0], 30) == pytest.approx(70 / 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((STEPS[::-1], SCORES, 30), "increasing"),
        ((STEPS, SCORES[0], 30), r"scores of shape \(5,\): expected finite ones \[runs, points=5\]"),
        ((STEPS, SCORES * np.nan, 30), "expected finite ones"),
        ((STEPS, SCORES, 5), "switch=5: expected steps after 10.0 and before 70.0"),
        ((STEPS, SCORES, 70), "switch=70"),
        ((STEPS, SCORES, 10), "switch=10"),
        ((STEPS, SCORES, 30, 0.0), "share=0.0"),
        ((STEPS, SCORES - 3, 30, 0.5), "share=0.5: expected 1 where scores are negative"),
    ],
)
def test_refuses_bad_curves(arguments, message):
    with pytest.raises(ValueError, match=message):
        transfer(*arguments)


def test_refuses_bad_times():
    for times in ([], [np.nan], [-1.0]):
        with pytest.raises(ValueError, match="times of shape"):
            restricted_mean(times, 3)
    with pytest.raises(ValueError, match="horizon=inf"):
        restricted_mean([1.0], np.inf)
