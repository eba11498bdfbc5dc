"""What is known exactly about bandits: lower bounds, bounds of policies, and optimal values of small problems.

Everything here is computed once on the host, in float64.

``C ln T`` with the constant of Lai and Robbins is no lower bound at a given ``T``: the regret of a good policy has a
negative term of lower order, and on 20 arms 1,000 pulls ``C ln T`` exceeds the regret of uniform play. Compare slopes,
``(R(T) - R(T / 10)) / ln 10``, instead.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from purejaxexplore.checks import require_at_least, require_between

Means = Sequence[float] | np.ndarray


def bernoulli_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(q), elementwise, infinite where it is."""
    p, q = np.asarray(p, float), np.asarray(q, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(p > 0, p * np.log(p / q), 0.0)
        second = np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0.0)
    return first + second


def gaps(means: Means) -> np.ndarray:
    """The largest mean minus each.

    Raises:
        ValueError: fewer than two means, or one that is not finite.
    """
    means = np.asarray(means, float)
    if means.ndim != 1 or means.size < 2 or not np.isfinite(means).all():
        raise ValueError(f"means={means!r}: expected at least two finite numbers")
    return means.max() - means


def lai_robbins(means: Means, divergence: Callable = bernoulli_divergence) -> float:
    """``C = sum gap_a / divergence(mean_a, max mean)`` over the arms that are not best.

    No uniformly good policy has a regret of smaller slope in ``ln T`` than C, in the limit. Lai and Robbins (1985),
    "Asymptotically efficient adaptive allocation rules". For Gaussian rewards pass
    ``lambda p, q: (p - q)**2 / (2 * sigma**2)``.
    """
    gap, means = gaps(means), np.asarray(means, float)
    worse = gap > 0
    return float((gap[worse] / divergence(means[worse], means.max())).sum())


def ucb_slope(means: Means, alpha: float) -> float:
    """``alpha sum 1 / gap_a``, the slope in ``ln T`` that the regret of UCB(alpha) tends to."""
    gap = gaps(means)
    return float(alpha * (1 / gap[gap > 0]).sum())


def ucb1_bound(means: Means, horizon: int) -> float:
    """``8 sum ln T / gap_a + (1 + pi^2 / 3) sum gap_a``, a bound on UCB1's mean regret for rewards in [0, 1]."""
    gap = gaps(means)
    return ucb_slope(means, 8.0) * math.log(horizon) + (1 + math.pi**2 / 3) * float(gap.sum())


def comb_ucb1_bound(num_arms: int, num_chosen: int, horizon: int) -> float:
    """``47 sqrt(m K T ln T) + (1 + pi^2 / 3) m K``, a bound on CombUCB1's mean regret on sets of at most m of K arms.

    Kveton, Wen, Ashkan and Szepesvari (2015), "Tight regret bounds for stochastic combinatorial semi-bandits", the
    theorem without gaps. It says something only where it is below ``m T``: for horizons above some ``2209 K ln T / m``.
    """
    size = num_arms * num_chosen
    return 47 * math.sqrt(size * horizon * math.log(horizon)) + (1 + math.pi**2 / 3) * size


def minimax_gaussian(num_arms: int, horizon: int) -> float:
    """``sqrt((K - 1) T) / 27``: every policy regrets as much on some instance with unit Gaussian rewards."""
    return math.sqrt((num_arms - 1) * horizon) / 27


def minimax_adversarial(num_arms: int, horizon: int) -> float:
    """``min(sqrt(K T), T) / 20``: every policy regrets as much on some instance with rewards in [0, 1]."""
    return min(math.sqrt(num_arms * horizon), horizon) / 20


def moss_bound(num_arms: int, horizon: int) -> float:
    """``49 sqrt(K T)``, for rewards in [0, 1]."""
    return 49 * math.sqrt(num_arms * horizon)


def hedge_bound(num_arms: int, horizon: int) -> float:
    """``sqrt(T ln K / 2)``, for losses in [0, 1] at the tuned rate."""
    return math.sqrt(horizon * math.log(num_arms) / 2)


def exp3_bound(num_arms: int, horizon: int) -> float:
    """``sqrt(2 T K ln K)``, for losses in [0, 1] at the tuned rate."""
    return math.sqrt(2 * horizon * num_arms * math.log(num_arms))


def exp3_ix_bound(num_arms: int, horizon: int, delta: float) -> float:
    """Of EXP3-IX with probability 1 - delta (Neu 2015, theorem 1)."""
    K, T = num_arms, horizon
    deviation = (math.sqrt(2 * K * T / math.log(K)) + 1) * math.log(2 / delta)
    return 2 * math.sqrt(2 * K * T * math.log(K)) + deviation


def tsallis_inf_bound(num_arms: int, horizon: int) -> float:
    """``4 sqrt(K T) + 1``, for losses in [0, 1]."""
    return 4 * math.sqrt(num_arms * horizon) + 1


def thompson_bayes_bound(num_arms: int, horizon: int) -> float:
    """``sqrt(K T ln K / 2)``, on the regret averaged over the prior, for rewards in [0, 1]."""
    return math.sqrt(num_arms * horizon * math.log(num_arms) / 2)


def explore_first_regret(gap: float, horizon: int, pulls_each: int, sigma: float = 1.0) -> float:
    """Exact mean regret of explore-first on two Gaussian arms, with m pulls of each.

    ``m gap + (T - 2 m) gap Phi(-gap sqrt(m / 2) / sigma)``.
    """
    m = pulls_each
    wrong = 0.5 * math.erfc(gap * math.sqrt(m / 2) / sigma / math.sqrt(2))
    return m * gap + (horizon - 2 * m) * gap * wrong


def best_fixed(values: np.ndarray) -> tuple[int, float]:
    """The arm that is best in hindsight and its total, of the values ``[T, K]`` of all arms."""
    totals = np.asarray(values, float).sum(0)
    return int(totals.argmax()), float(totals.max())


def bernoulli_gittins(successes: int, failures: int, discount: float, depth: int = 600) -> float:
    """Gittins index of a Bernoulli arm with posterior Beta(successes, failures), discounted.

    The index is the sure payment per round at which playing on and retiring are worth the same (Gittins 1979, "Bandit
    processes and dynamic allocation indices"). It is bisected to 1e-6; the arm's mean is taken as known after ``depth``
    further pulls, which errs by less than ``discount**depth``.

    Raises:
        ValueError: a count is not positive, or the discount is outside [0, 1).
    """
    require_at_least(1, successes=successes, failures=failures, depth=depth)
    require_between(0.0, 1 - 1e-9, discount=discount)
    low, high = successes / (successes + failures), 1.0
    while high - low > 1e-6:
        sure = (low + high) / 2
        retired = sure / (1 - discount)
        wins = np.arange(depth + 1)
        value = np.maximum((successes + wins) / (successes + failures + depth) / (1 - discount), retired)
        for n in range(depth - 1, -1, -1):
            wins = np.arange(n + 1)
            mean = (successes + wins) / (successes + failures + n)
            value = mean * (1 + discount * value[1:]) + (1 - mean) * discount * value[:-1]
            if n:
                value = np.maximum(value, retired)
        low, high = (sure, high) if value[0] > retired else (low, sure)
    return (low + high) / 2


def bayes_optimal(num_arms: int, horizon: int, prior: tuple[float, float] = (1.0, 1.0)) -> float:
    """Expected total reward of the best possible policy on Bernoulli arms with independent Beta priors.

    Backward induction over the successes and failures of all arms; the number of states grows like
    ``horizon ** (2 num_arms)``, so it is for two or three arms and some ten pulls.

    Raises:
        ValueError: a size is not positive, or the problem has more than ten million states.
    """
    require_at_least(1, num_arms=num_arms, horizon=horizon)
    if (states := math.comb(horizon - 1 + 2 * num_arms, 2 * num_arms)) > 1e7:
        raise ValueError(f"num_arms={num_arms}, horizon={horizon}: {states:.1e} states, expected at most 1e7")
    a, b = prior
    counted: dict[tuple[int, ...], float] = {}

    def value(state: tuple[int, ...], left: int) -> float:
        if not left:
            return 0.0
        if state not in counted:
            options = []
            for arm in range(0, 2 * num_arms, 2):
                won, lost = list(state), list(state)
                won[arm] += 1
                lost[arm + 1] += 1
                chance = (a + state[arm]) / (a + b + state[arm] + state[arm + 1])
                after_win, after_loss = value(tuple(won), left - 1), value(tuple(lost), left - 1)
                options.append(chance * (1 + after_win) + (1 - chance) * after_loss)
            counted[state] = max(options)
        return counted[state]

    return value((0,) * (2 * num_arms), horizon)
