"""Metrics of a run as plain arrays: one row a seed, on an x axis that all seeds share.

A *run* is whatever holds metrics of shape ``[seeds, steps]`` by name: what ``purejaxexplore.run`` and
``load`` return, an ``xarray.Dataset`` with dimensions ``(seed, step)``, or a dict of arrays. What
``Algorithm.evaluate`` measured, at its rarer steps, is called ``"evaluation/NAME"``.
"""

from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

Run = Any  # .metrics (and .evaluations), or xarray.Dataset, or {metric: f64[seeds, steps]}

EVALUATION = "evaluation/"


class Curves(NamedTuple):
    """One metric of all seeds of a run.

    Attributes:
        x: f64[points], for instance environment steps.
        y: f64[seeds, points]; NaN where a seed has no value.
    """

    x: np.ndarray
    y: np.ndarray


def curves(run: Run, metric: str, x: str = "env_steps", num_points: int = 200) -> Curves:
    """The curve of every seed, averaged within at most ``num_points`` bins of the x axis.

    Where seeds differ in ``x`` (episodes end when they end) the bins end where the shortest seed does, and a
    bin without an iteration of a seed repeats that seed's previous bin. A seed whose values in a bin are all
    NaN is NaN there.

    Args:
        x: a metric of the run, or ``"step"`` for the number of the iteration.

    Raises:
        ValueError: no such metric, not ``[seeds, steps]``, or a sweep that still has other dimensions.
    """
    if num_points < 1:
        raise ValueError(f"num_points={num_points}: expected at least 1")
    y = values(run, metric)
    at = _x_values(run, metric, x, y.shape)
    num_points = min(num_points, y.shape[1])
    if np.isfinite(at).all() and (at == at[0]).all():
        if num_points == y.shape[1]:
            return Curves(at[0], y)
        bins = np.arange(y.shape[1]) * num_points // y.shape[1]
        return Curves(_bin_means(at[:1], bins, num_points)[0], _bin_means(y, bins, num_points))
    known = np.isfinite(at)
    if not known.any(1).all():
        raise ValueError(
            f"x={x!r}: a seed has no finite value, so its curve has no place on the axis; try x='step'"
        )
    edges = np.linspace(at[known].min(), np.where(known, at, -np.inf).max(1).min(), num_points + 1)
    bins = np.searchsorted(edges[1:-1], at, side="right")
    inside = known & (at <= edges[-1])
    visited = _bin_sums(inside, bins, num_points) > 0
    last_visited = np.maximum.accumulate(np.where(visited, np.arange(num_points), -1), axis=1)
    means = _bin_means(np.where(inside, y, np.nan), bins, num_points)
    carried = np.take_along_axis(means, np.maximum(last_visited, 0), axis=1)
    return Curves((edges[1:] + edges[:-1]) / 2, np.where(last_visited >= 0, carried, np.nan))


def final_scores(run: Run, metric: str) -> np.ndarray:
    """Each seed's last finite value in the last tenth of its steps, f64[seeds]; NaN where it has none."""
    y = values(run, metric)
    tail = y[:, -max(1, -(-y.shape[1] // 10)) :]
    finite = np.isfinite(tail)
    last = tail.shape[1] - 1 - np.argmax(finite[:, ::-1], axis=1)
    return np.where(finite.any(1), tail[np.arange(len(tail)), last], np.nan)


def metric_names(run: Run) -> list[str]:
    """The metrics of a run, then its evaluations as ``"evaluation/NAME"``; without coordinates."""
    names = [str(name) for name in getattr(run, "metrics", run)]
    return names + [EVALUATION + str(name) for name in getattr(run, "evaluations", ())]


def values(run: Run, metric: str) -> np.ndarray:
    """One metric, f64[seeds, steps]; a one-dimensional array of a dict counts as one seed."""
    array = _array(run, metric)
    if hasattr(array, "dims"):
        extra = [d for d in array.dims if d not in ("seed", "step")]
        if set(array.dims) != {"seed", "step"}:
            hint = f"; choose one configuration first, .sel({extra[0]}=...)" if extra else ""
            raise ValueError(
                f"metric={metric!r} has dimensions {array.dims}: expected ('seed', 'step'){hint}"
            )
        array = array.transpose("seed", "step").values
    array = np.atleast_2d(np.asarray(array, np.float64))
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"metric={metric!r} of shape {array.shape}: expected [seeds, steps], none of them 0")
    return array


def _array(run: Run, metric: str) -> Any:
    if metric not in metric_names(run):
        names = metric_names(run)
        nearest = get_close_matches(metric, names, n=1) or names[:1]
        raise ValueError(f"metric={metric!r}: not in this run, which has {names}; nearest: {nearest}")
    if metric.startswith(EVALUATION) and hasattr(run, "evaluations"):
        return run.evaluations[metric.removeprefix(EVALUATION)]
    return getattr(run, "metrics", run)[metric]


def _x_values(run: Run, metric: str, x: str, shape: tuple[int, int]) -> np.ndarray:
    """``x`` at the steps of ``metric``, f64[seeds, steps]."""
    array = _array(run, metric)
    labelled = "step" in getattr(array, "coords", ())
    steps = np.asarray(array["step"]) if labelled else np.arange(1, shape[1] + 1)
    if x == "step":
        return np.broadcast_to(steps.astype(np.float64), shape)
    at = values(run, x)
    if metric.startswith(EVALUATION) and not x.startswith(EVALUATION):
        at = at[:, np.searchsorted(np.asarray(_array(run, x)["step"]), steps)]
    if at.shape not in (shape, (1, shape[1])):
        raise ValueError(f"x={x!r} of shape {at.shape} does not fit {metric!r}, {shape}; try x='step'")
    return np.broadcast_to(at, shape)


def _bin_means(y: np.ndarray, bins: np.ndarray, num_bins: int) -> np.ndarray:
    """Means f64[seeds, num_bins] of the finite values of ``y`` f64[seeds, steps]; NaN in a bin without."""
    finite = np.isfinite(y)
    count = _bin_sums(finite, bins, num_bins)
    total = _bin_sums(np.where(finite, y, 0.0), bins, num_bins)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _bin_sums(weights: np.ndarray, bins: np.ndarray, num_bins: int) -> np.ndarray:
    flat = np.broadcast_to(bins, weights.shape) + num_bins * np.arange(len(weights))[:, None]
    sums = np.bincount(flat.reshape(-1), weights=weights.reshape(-1), minlength=len(weights) * num_bins)
    return sums.reshape(len(weights), num_bins)


def solved(metrics, last: int = 50) -> np.ndarray:
    """bool[seeds], whether at least half of (about) the ``last`` episodes of a seed succeeded.

    Episodes are known by the iteration they ended in: the newest iterations that together hold ``last`` of them count.
    A seed without an episode has not solved anything.

    Args:
        metrics: with ``episodes`` and ``success``, [seeds, iterations] each.
    """
    episodes = np.asarray(metrics["episodes"])[:, ::-1]
    successes = episodes * np.asarray(metrics["success"])[:, ::-1]
    counted = np.cumsum(episodes, 1) - episodes < last
    return (successes * counted).sum(1) >= 0.5 * np.maximum((episodes * counted).sum(1), 1)
