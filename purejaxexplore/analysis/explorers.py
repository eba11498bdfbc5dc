"""How a bandit run explores, beyond its regret: failures, win rates, and the shape of the regret.

A low mean regret does not show that a learner explores: with many close arms a greedy one can have less regret than
UCB while half of its runs never find the best arm. The statistics of failure are those of Krishnamurthy, Harris,
Foster, Zhang and Slivkins (2024), "Can large language models explore in-context?", section 3; win rates and the fit of
the regret are those of Nie et al. (2024), "EVOLvE: Evaluating and optimizing LLMs for exploration", section 3.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from purejaxexplore.analysis.statistics import Estimate


class Exploration(NamedTuple):
    """Of each run, arrays [runs]:

    Attributes:
        suffix_failure: bool, the best arm is not pulled in the rounds from ``after`` on.
        min_fraction: K times the share of pulls of the least pulled arm; 1 for uniform play.
        greedy_fraction: share of pulls of an arm of the largest mean so far (ties count); an arm never pulled has none,
            and the first pull counts.
        best_fraction: share of pulls without regret.
        mean_reward: per pull.
    """

    suffix_failure: np.ndarray
    min_fraction: np.ndarray
    greedy_fraction: np.ndarray
    best_fraction: np.ndarray
    mean_reward: np.ndarray


def exploration(action: Any, reward: Any, regret: Any, num_arms: int, after: int | None = None) -> Exploration:
    """The statistics of recorded play.

    Args:
        action: i32[runs, T].
        reward: f32[runs, T].
        regret: f32[runs, T], exactly 0 where a best arm was pulled.
        num_arms: K.
        after: pulls before the suffix; half of T by default.

    Raises:
        ValueError: shapes differ, an action is no arm, or the suffix is empty.
    """
    action, reward, regret = np.asarray(action), np.asarray(reward, np.float64), np.asarray(regret)
    if action.ndim != 2 or action.shape != reward.shape or action.shape != regret.shape:
        raise ValueError(f"action {action.shape}, reward {reward.shape}, regret {regret.shape}: expected [runs, T] all")
    if action.size == 0 or action.min() < 0 or action.max() >= num_arms:
        raise ValueError(f"action: expected numbers from 0 to {num_arms - 1}")
    pulls = action.shape[1]
    after = pulls // 2 if after is None else after
    if not 0 <= after < pulls:
        raise ValueError(f"after={after}: expected 0 to {pulls - 1}")
    right = regret <= 0
    counts = (action[..., None] == np.arange(num_arms)).sum(1)
    return Exploration(
        suffix_failure=~right[:, after:].any(1),
        min_fraction=num_arms * counts.min(1) / pulls,
        greedy_fraction=_greedy(action, reward, num_arms).mean(1),
        best_fraction=right.mean(1),
        mean_reward=reward.mean(1),
    )


def _greedy(action: np.ndarray, reward: np.ndarray, num_arms: int) -> np.ndarray:
    """bool[runs, T], the arm pulled has the largest mean of those pulled before."""
    runs, pulls = action.shape
    rows = np.arange(runs)
    counts, totals = np.zeros((runs, num_arms)), np.zeros((runs, num_arms))
    greedy = np.empty(action.shape, bool)
    for t in range(pulls):
        arm = action[:, t]
        means = np.where(counts > 0, totals / np.maximum(counts, 1), -np.inf)
        greedy[:, t] = (t == 0) | ((counts[rows, arm] > 0) & (means[rows, arm] >= means.max(1)))
        counts[rows, arm] += 1
        totals[rows, arm] += reward[:, t]
    return greedy


def win_rates(mean_rewards: Mapping[str, Any], level: float = 0.05) -> dict[str, float]:
    """Share of its comparisons that each policy wins: a comparison is an opponent in a configuration, and it is won
    where Welch's t-test finds the larger mean with ``p < level``.

    Args:
        mean_rewards: policy -> f64[configurations, runs], the mean reward of each run.

    Raises:
        ValueError: fewer than two policies or runs, or policies with other configurations.
    """
    from scipy.stats import ttest_ind

    runs = {name: np.atleast_2d(np.asarray(rewards, np.float64)) for name, rewards in mean_rewards.items()}
    configurations = {rewards.shape[0] for rewards in runs.values()}
    if len(runs) < 2 or len(configurations) != 1 or min(rewards.shape[1] for rewards in runs.values()) < 2:
        raise ValueError("mean_rewards: expected at least two policies, with the same configurations and two runs each")

    def won(ours, theirs):
        with np.errstate(divide="ignore", invalid="ignore"):
            p = ttest_ind(ours, theirs, axis=1, equal_var=False).pvalue
        ahead = ours.mean(1) > theirs.mean(1)
        certain = (ours.std(1) == 0) & (theirs.std(1) == 0)  # no spread: the test is undefined, the order is plain
        return (ahead & (certain | (p < level))).mean()

    return {
        name: float(np.mean([won(ours, theirs) for other, theirs in runs.items() if other != name]))
        for name, ours in runs.items()
    }


class RegretShape(NamedTuple):
    """``f(t) = scale (ln t)^power / gap + slope t + offset`` fitted to a mean regret.

    Attributes:
        scale, power, offset: of the fit; scale and power are nearly collinear, so read them together.
        slope: regret a pull that does not fade, with its bootstrap interval over runs: near 0 for a learner that
            finds the best arm.
        fraction_explained: R^2 of the fit.
    """

    scale: float
    power: float
    slope: Estimate
    offset: float
    fraction_explained: float


def regret_shape(
    pulls: Any, regret: Any, gap: float, num_resamples: int = 200, seed: int = 0, level: float = 0.95
) -> RegretShape:
    """Fits the shape of the regret by bounded least squares (scipy) from three starts.

    Args:
        pulls: f64[points], above 1.
        regret: f64[runs, points], of each run after so many pulls.
        gap: smallest gap between the best arm and another.

    Raises:
        ValueError: fewer than five points or two runs, pulls of at most 1, a gap that is not positive.
    """
    from scipy.optimize import least_squares

    t, runs = np.asarray(pulls, np.float64), np.asarray(regret, np.float64)
    if runs.ndim != 2 or t.shape != runs.shape[1:] or len(t) < 5 or len(runs) < 2:
        raise ValueError(f"pulls {t.shape}, regret {runs.shape}: expected [points >= 5] and [runs >= 2, points]")
    if t.min() <= 1 or gap <= 0:
        raise ValueError(f"pulls from {t.min():g}, gap={gap!r}: expected pulls above 1 and a gap above 0")
    log_t, unit = np.log(t), t / t[-1]

    def curve(x):
        return x[0] * log_t ** x[1] / gap + x[2] * unit + x[3]

    def fit(mean, starts):
        bounds = [0, 0, 0, -np.inf], [np.inf, 10, np.inf, np.inf]
        fits = [least_squares(lambda x: curve(x) - mean, start, bounds=bounds) for start in starts]
        return min(fits, key=lambda found: found.cost).x

    mean = runs.mean(0)
    size = max(mean[-1], 1e-3)
    starts = [[0.1 * gap, 1.0, share * size, 0.0] for share in (0.01, 0.5, 1.0)]
    best = fit(mean, starts)
    draws = np.random.default_rng(seed).integers(0, len(runs), (num_resamples, len(runs)))
    slopes = [fit(runs[rows].mean(0), [best])[2] / t[-1] for rows in draws]
    low, high = np.quantile(slopes, [(1 - level) / 2, (1 + level) / 2])
    residual = ((curve(best) - mean) ** 2).sum() / max(((mean - mean.mean()) ** 2).sum(), 1e-300)
    slope = Estimate(float(best[2] / t[-1]), float(low), float(high))
    return RegretShape(float(best[0]), float(best[1]), slope, float(best[3]), float(1 - residual))
