"""Measures of archives against their union, worked by hand."""

import numpy as np
import pytest

from purejaxexplore.analysis import illumination

E = -np.inf


def test_two_runs_by_hand():
    scores = np.array([[1.0, 3.0, E, E], [E, 1.0, 0.0, E]])
    result = illumination(scores, offset=-1.0)
    # Best above the offset: 2, 4, 1; the fourth cell was never filled.
    np.testing.assert_allclose(result.performance, [1.0, 0.5])
    np.testing.assert_allclose(result.reliability, [(1 + 1 + 0) / 3, (0 + 0.5 + 1) / 3])
    np.testing.assert_allclose(result.precision, [1.0, 0.75])
    np.testing.assert_allclose(result.coverage, [2 / 3, 2 / 3])


def test_an_empty_run_and_scores_at_the_offset():
    result = illumination(np.array([[E, E], [0.0, E]]), offset=0.0)
    np.testing.assert_allclose(result.reliability, [0, 1])
    np.testing.assert_allclose(result.coverage, [0, 1])
    assert np.isnan(result.precision[0]) and result.precision[1] == 1


@pytest.mark.parametrize(
    ("scores", "message"),
    [(np.zeros(3), "shape"), ([[np.nan]], "shape"), ([[E, E]], "no run"), ([[-2.0]], "offset=-1")],
)
def test_bad_scores_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        illumination(scores, offset=-1.0)
