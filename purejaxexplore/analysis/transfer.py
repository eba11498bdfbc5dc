"""What a method loses and regains when the task changes under it, from its learning curve.

The measures of Balloch, Bhagat, Zollicoffer, Jia, Kim and Riedl (2024), "Is exploration all you need? Effective
exploration characteristics for transfer in reinforcement learning": train on task A, switch to task B at a known step,
and look at the area under the curve before and after the switch, and at the steps until it has recovered.
"""

from typing import NamedTuple

import numpy as np


class Transfer(NamedTuple):
    """One number a run, f64[runs].

    Attributes:
        before: area under the curve up to the switch over its length in steps, that is the mean score on task A.
        after: the same from the switch on, on task B.
        recovery: steps from the switch until the score is back at ``share`` of what it was at the switch; inf for a
            run that never is (report the median, or :func:`restricted_mean`).
    """

    before: np.ndarray
    after: np.ndarray
    recovery: np.ndarray


def transfer(steps: np.ndarray, scores: np.ndarray, switch: float, share: float = 1.0) -> Transfer:
    """Areas before and after a switch of tasks, and the time to recover.

    Between two measurements the curve is a straight line, except over the switch: the last measurement before it holds
    up to the switch, and the first after it from the switch on. The score to recover is the last before the switch.

    Args:
        steps: f64[points], environment steps of the measurements, increasing; at the switch itself counts as before.
        scores: f64[runs, points], finite and at least 0 where ``share`` is not 1.
        switch: environment steps at which the task changed; at least one measurement on each side.
        share: of the score before the switch that counts as recovered, (0, 1].

    Raises:
        ValueError: steps that do not increase, scores of another shape or not finite, a switch outside the
            measurements, or a share out of range.
    """
    steps, scores = np.asarray(steps, np.float64), np.asarray(scores, np.float64)
    _require_curve(steps, scores)
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: expected a share in (0, 1]")
    if share < 1 and scores.min() < 0:
        raise ValueError(f"share={share}: expected 1 where scores are negative, such as {scores.min()}")
    old = steps <= switch
    if old.all() or not old.any() or steps[0] == switch:
        raise ValueError(f"switch={switch}: expected steps after {steps[0]} and before {steps[-1]}")
    last = old.sum() - 1
    on_a = np.append(steps[old], switch), np.concatenate([scores[:, old], scores[:, [last]]], 1)
    on_b = np.append(switch, steps[~old]), np.concatenate([scores[:, [last + 1]], scores[:, ~old]], 1)
    before, after = (np.trapezoid(y, x, axis=1) / (x[-1] - x[0]) for x, y in (on_a, on_b))
    recovery = steps_to(steps[~old] - switch, scores[:, ~old], share * scores[:, last])
    return Transfer(before, after, recovery)


def steps_to(steps: np.ndarray, scores: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """f64[runs], steps of the first measurement of at least ``level`` (a number, or one a run); inf where none is.

    Args:
        steps: f64[points], increasing.
        scores: f64[runs, points].

    Raises:
        ValueError: steps that do not increase, or scores of another shape or not finite.
    """
    steps, scores = np.asarray(steps, np.float64), np.asarray(scores, np.float64)
    _require_curve(steps, scores)
    there = scores >= np.broadcast_to(np.asarray(level, np.float64), len(scores))[:, None]
    return np.where(there.any(1), steps[there.argmax(1)], np.inf)


def restricted_mean(times: np.ndarray, horizon: float) -> float:
    """Mean of ``min(time, horizon)``: of times of which some are only known to exceed the horizon (inf).

    As in Royston and Parmar (2013), "Restricted mean survival time". Compare it between methods at one horizon.

    Raises:
        ValueError: no time, NaN, a negative time, or a horizon that is not positive and finite.
    """
    times = np.asarray(times, np.float64)
    if times.size == 0 or np.isnan(times).any() or times.min() < 0:
        raise ValueError(f"times of shape {times.shape}: expected at least one, each at least 0 and not NaN")
    if not 0 < horizon < np.inf:
        raise ValueError(f"horizon={horizon}: expected a positive, finite number of steps")
    return float(np.minimum(times, horizon).mean())


def _require_curve(steps: np.ndarray, scores: np.ndarray) -> None:
    if steps.ndim != 1 or steps.size == 0 or (np.diff(steps) <= 0).any():
        raise ValueError(f"steps of shape {steps.shape}: expected increasing steps [points]")
    if scores.ndim != 2 or scores.shape[1] != steps.size or not np.isfinite(scores).all():
        raise ValueError(f"scores of shape {scores.shape}: expected finite ones [runs, points={steps.size}]")
