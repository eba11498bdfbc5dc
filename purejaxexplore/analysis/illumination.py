"""Measures of archives against the best that any run found: Mouret and Clune (2015), "Illuminating search spaces".

All of them take the final scores of every run that is compared, ``f64[runs, cells]`` with -inf for an empty cell, of
one method or of several stacked; the reference is the union over these runs, so the numbers of two reports compare
only if their unions do. Scores are measured from ``offset``, the smallest possible one.
"""

from typing import NamedTuple

import numpy as np


class Illumination(NamedTuple):
    """The four measures of the paper, each f64[runs] in [0, 1].

    Attributes:
        performance: best score of the run / best score of any run.
        reliability: mean over the cells that any run filled of the run's score / the best of any run; 0 where empty.
        precision: the same mean over the cells that the run itself filled; NaN for a run without any.
        coverage: cells that the run filled / cells that any run filled.
    """

    performance: np.ndarray
    reliability: np.ndarray
    precision: np.ndarray
    coverage: np.ndarray


def illumination(scores: np.ndarray, offset: float) -> Illumination:
    """The measures of every run against the union of all.

    A cell whose best score is the offset itself is reached as well by 0 of 0: it counts 1 where it is filled.

    Args:
        scores: f64[runs, cells].
        offset: at most the smallest finite score.

    Raises:
        ValueError: not two-dimensional, NaN or +inf, no cell filled by any run, or a score below the offset.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or np.isnan(scores).any() or (scores == np.inf).any():
        raise ValueError(f"scores of shape {scores.shape}: expected [runs, cells], finite or -inf where empty")
    filled = np.isfinite(scores)
    ever = filled.any(0)
    if not ever.any():
        raise ValueError("scores: no run filled any cell, so there is no reference")
    if scores[filled].min() < offset:
        raise ValueError(f"offset={offset}: expected at most the smallest score, {scores[filled].min()}")
    above = np.where(filled, scores - offset, 0.0)[:, ever]
    best, filled = above.max(0), filled[:, ever]
    share = np.where(filled, np.divide(above, best, out=np.ones_like(above), where=best > 0), 0.0)
    with np.errstate(invalid="ignore"):
        precision = share.sum(1) / filled.sum(1)
    highest = above.max()
    performance = above.max(1) / highest if highest > 0 else filled.any(1).astype(np.float64)
    return Illumination(performance, share.mean(1), precision, filled.mean(1))
