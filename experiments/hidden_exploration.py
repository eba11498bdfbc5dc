"""Hidden exploration: what it costs to explore through agents who follow only advice that suits them.

Slivkins (2019), "Introduction to multi-armed bandits", chapter 11, after Mansour, Slivkins and Syrgkanis (2015),
"Bayesian incentive-compatible bandit exploration". Two Bernoulli arms, means drawn from Beta(1.2, 0.8) and
Beta(0.8, 1.2) in every life; 5,000 agents a life, of whom the first 20 are told arm 0. Then a share of
``E[G 1{G > 0}] / 3`` of the rounds explores by UCB1 (alpha = 1/2), hidden among rounds that exploit: the largest share
that is proved to be incentive compatible. Beside it: all see everything and play the arm of the larger posterior mean
(greedy); nobody has to be convinced (UCB1 alone); and half of the rounds explore (too much).

Criterion, written before the judged run, over 10,000 lives (100 seeds of 100):

1. at every single round and for both arms the gain of the obedient, ``E[(mu_told - mu_other) 1{told}]``, is not
   negative: lower ends of 95 % intervals, with Bonferroni's correction for all 10,000 of them;
2. where half of the rounds explore the gain of arm 1 is negative at some round, upper end with the same correction;
3. hidden exploration regrets at most half of what the greedy do.

Its regret over UCB1's, the price of incentives, is measured and not judged. Developed on seeds 1000 to 1004.

    python experiments/hidden_exploration.py            # a minute on two CPU cores
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bandits.bandit import play_round
from purejaxexplore.bandits.hidden_exploration import positive_gap
from purejaxexplore.envs.bandits import bernoulli
from purejaxexplore.runner.cache import enable_compilation_cache

PRIOR_A, PRIOR_B = (1.2, 0.8), (0.8, 1.2)  # of arms 0 and 1
WARMUP, TOO_MUCH = 20, 0.5
DEVELOPMENT_SEEDS = range(1000, 1005)
CRITERION = (
    "gain of the obedient >= 0 at each of 5,000 rounds for both arms (Bonferroni), negative at some round where half"
    " of the rounds explore, and hidden exploration regrets <= 0.5 of greedy"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Hidden exploration and its price.

    Attributes:
        seeds: seeds of each policy.
        first_seed: number of the first seed; 1000 to 1004 were used for development.
        lives: of 5,000 agents, for each seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 100
    first_seed: int = 0
    lives: int = 100
    smoke: bool = False
    results: Path = Path("experiments/results")


class Told(NamedTuple):
    """What a policy comes to.

    Attributes:
        gain, error: f64[T, 2], mean gain of the obedient at each round for each arm told, and its standard error.
        regret: f64[seeds, T], summed up, mean of the lives of a seed.
    """

    gain: np.ndarray
    error: np.ndarray
    regret: np.ndarray


def policies(spec) -> dict[str, b.Policy]:
    """Who advises."""
    ucb = b.ucb1(spec, b.UCB1Config(0.5))

    def hidden(warmup, epsilon):
        return b.hidden_exploration(spec, b.HiddenExplorationConfig(PRIOR_A, PRIOR_B, warmup, epsilon), ucb)

    return {
        "Hidden": hidden(WARMUP, None),
        "Too much": hidden(WARMUP, TOO_MUCH),
        "Greedy": hidden(0, 0.0),
        "UCB1": ucb,
    }


def advise(world, policy: b.Policy, horizon: int, lives: int, seeds: range) -> Told:
    """Plays all lives; no round of one depends on another's."""

    def live(key):
        key_world, key_policy, key_noise, key_own = jax.random.split(key, 4)
        start = world.reset(key_world)

        def pull(states, noise):
            *states, played = play_round(policy, world, *states, noise)
            return tuple(states), (played.action, played.regret)

        noise = world.noise(key_noise, horizon), policy.noise(key_own, horizon)
        _, (told, regret) = jax.lax.scan(pull, (start, policy.init(key_policy)), noise)
        mean = world.means(start)
        better = jnp.where(told == 1, mean[1] - mean[0], mean[0] - mean[1])  # of the arm told
        return (told[:, None] == jnp.arange(2)) * better[:, None], regret

    @jax.jit
    def of_seed(key):
        gain, regret = jax.vmap(live)(jax.random.split(key, lives))
        return gain.sum(0), jnp.square(gain).sum(0), regret.mean(0)

    total, squares, regret = [], [], []
    for seed in seeds:
        parts = of_seed(jax.random.fold_in(jax.random.key(0), seed))
        for store, part in zip((total, squares, regret), parts, strict=True):
            store.append(np.asarray(part, np.float64))
    n = lives * len(seeds)
    mean = np.sum(total, 0) / n
    variance = np.maximum(np.sum(squares, 0) / n - mean**2, 0.0)
    return Told(mean, np.sqrt(variance / n), np.cumsum(regret, axis=1))


def draw(found: dict[str, Told]):
    """The gain of those who are told arm 1, and what is lost."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.7))
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        looks = analysis.looks(found)
        for name, told in found.items():
            look = looks[name]
            rounds = np.arange(1, len(told.gain) + 1)
            if name in ("Hidden", "Too much"):
                gain, error = told.gain[:, 1], 1.96 * told.error[:, 1]
                left.plot(rounds, gain, color=look.color, linestyle=look.linestyle, label=name, linewidth=1)
                left.fill_between(rounds, gain - error, gain + error, color=look.color, alpha=0.25, linewidth=0)
            mean = told.regret.mean(0)
            error = 1.96 * told.regret.std(0) / np.sqrt(len(told.regret))
            right.plot(rounds / 1000, mean, color=look.color, linestyle=look.linestyle, label=name)
            right.fill_between(rounds / 1000, mean - error, mean + error, color=look.color, alpha=0.25, linewidth=0)
        left.axhline(0, color=INK, linewidth=0.8)
        left.set(xscale="log", title="Worth of being told arm 1", xlabel="Agent", ylabel="Gain of the obedient")
        left.set_xlim(WARMUP + 1, len(rounds))
        left.legend(loc="lower right")
        right.set(title="Price", xlabel="Agent (thousands)", ylabel="Regret", xlim=(0, None), ylim=(0, None))
        right.legend(loc="upper left")
    return figure


def main(args: Args) -> None:
    """Runs the policies, draws the figure and writes the ledger."""
    enable_compilation_cache()
    horizon, lives, seeds = (60, 8, 3) if args.smoke else (5_000, args.lives, args.seeds)
    world = bernoulli(lambda key: jax.random.beta(key, jnp.array(PRIOR_A), jnp.array(PRIOR_B)))
    numbers = range(args.first_seed, args.first_seed + seeds)
    found = {}
    for name, policy in policies(world.spec).items():
        if args.smoke and name in ("Too much", "UCB1"):
            continue
        found[name] = advise(world, policy, horizon, lives, numbers)
        last = found[name].regret[:, -1]
        print(f"{name:<9} regret {last.mean():7.2f} +- {1.96 * last.std() / np.sqrt(seeds):.2f}", flush=True)
    args.results.mkdir(parents=True, exist_ok=True)
    draw(found).savefig(args.results / "hidden_exploration.png", dpi=200)
    print("written:", args.results / "hidden_exploration.png")
    if args.smoke:
        return
    margin = norm.isf(0.05 / 2 / (2 * horizon))
    worst = (found["Hidden"].gain - margin * found["Hidden"].error)[WARMUP:].min(0)
    spoilt = (found["Too much"].gain + margin * found["Too much"].error)[WARMUP:, 1].min()
    hidden, greedy, free = (found[name].regret[:, -1] for name in ("Hidden", "Greedy", "UCB1"))
    saved = analysis.paired_bootstrap(hidden, 0.5 * greedy, statistic=np.mean)
    epsilon = positive_gap(PRIOR_A, PRIOR_B, WARMUP) / 3
    smallest = found["Hidden"].gain[WARMUP:, 1].min()
    told = (
        f"smallest gain of those told arm 1 {smallest:.4f}, lower ends of the gains at least {worst[0]:.4f} (arm 0) and"
        f" {worst[1]:.4f} (arm 1); with half of the rounds exploring, down to {found['Too much'].gain[:, 1].min():.4f},"
        f" upper end {spoilt:.4f}; epsilon {epsilon:.4f}; regret of 5,000 agents: "
        + ", ".join(f"{name} {told.regret[:, -1].mean():.1f}" for name, told in found.items())
        + f"; price over UCB1 {hidden.mean() - free.mean():.1f}"
    )
    print(told)
    if numbers.stop > DEVELOPMENT_SEEDS.start:
        return
    holds = worst.min() >= 0 and spoilt < 0 and saved.high <= 0
    path = analysis.record(
        name="hidden_exploration",
        claim="Hidden exploration gives advice that is worth following at every round, and regrets at most half of what"
        " agents do who see everything.",
        source="Mansour, Slivkins and Syrgkanis (2015), Bayesian incentive-compatible bandit exploration; Slivkins"
        " (2019), Introduction to multi-armed bandits, chapter 11",
        criterion=CRITERION,
        env_steps=horizon * lives,
        baselines={
            "Greedy": "all data, larger posterior mean",
            "UCB1": "alpha = 1/2, nobody to convince",
            "Too much": f"epsilon = {TOO_MUCH}",
        },
        tuning_seeds=DEVELOPMENT_SEEDS,
        judging_seeds=numbers,
        effect=analysis.paired_bootstrap(hidden, greedy, statistic=np.mean),
        statistic=f"regret of hidden exploration less that of greedy, mean of a seed's lives; {told}",
        verdict=("holds" if holds else "does not hold") if seeds >= 20 else "not judged",
        reason="the criterion as written" if seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/hidden_exploration.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bandits",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
