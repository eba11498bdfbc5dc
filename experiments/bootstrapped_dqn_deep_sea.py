"""Bootstrapped DQN with randomised priors against epsilon-greedy DQN in DeepSea of 8, 12 and 16 rows.

Osband, Aslanides and Cassirer (2018), "Randomized prior functions for deep reinforcement learning". The treasure takes
N right moves in a row, 2^-N of the episodes of an undirected walk; a head that follows its own guess of all values for
a whole episode finds it far sooner. All arms are the same DQN on tables of values (the paper has networks of 50-50
units; a table is what two CPU cores can afford, and it generalises nothing), 8 environments, and every seed has its own
action map.

A seed has solved a sea when it found the treasure in >= 90 % of its last 96 episodes; its learning time is the number
of episodes until that was first so. Epsilon-greedy acts with its noise, so its share is divided by that of the episodes
without a wrong random action, (1 - epsilon / 2)^N.

Criterion, written before the run: of N = 16 the ensemble solves >= 80 % of the seeds and epsilon-greedy <= 5 %, with
Fisher's exact test p < 0.01; log2(median learning time) of the ensemble rises by less than 0.5 a row (1 for an
undirected walk); and the same ensemble without priors solves fewer seeds of N = 16, Fisher's exact test p < 0.05.

Each arm has the best of nine settings at N = 16 on seeds 1000 to 1002 (``--tune``, by the seeds solved, then by the
treasures found): a learning rate, with the scale of the priors or with epsilon. Judged on fresh seeds, 200 to 219.

Two runs before this one stopped at N = 12, with 24 updates an iteration instead of 64, which is what kept N = 16 out of
reach: one on seeds 0 to 19, whose baseline's share was not divided as above, and one on seeds 100 to 119, which met all
but one part (ensemble 20, without priors 7, epsilon-greedy 6 of 20 seeds, slope 0.21): twelve rows are too few to keep
epsilon-greedy from them.

    python experiments/bootstrapped_dqn_deep_sea.py            # a quarter of an hour on one CPU core
    python experiments/bootstrapped_dqn_deep_sea.py --tune     # the settings of both arms on the tuning seeds
    python experiments/bootstrapped_dqn_deep_sea.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.explorers import bootstrapped, uniform_mixture
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
SIZES = (8, 12, 16)
NUM_ENVS, NUM_HEADS = 8, 10
RATES, PRIORS, EPSILONS = [0.005, 0.01, 0.02], [0.3, 1.0, 3.0], (0.01, 0.05, 0.2)
CHOSEN_RATE, CHOSEN_PRIOR = 0.01, 0.3
CHOSEN_BASELINE_RATE, CHOSEN_EPSILON = 0.005, 0.05
ENSEMBLE, NO_PRIORS, BASELINE = "Bootstrapped, priors", "Bootstrapped, no priors", "Epsilon-greedy"
CRITERION = (
    "N = 16: ensemble solves >= 80 %, epsilon-greedy <= 5 % of seeds, Fisher p < 0.01; slope of log2(median learning"
    " time) against N < 0.5; without priors fewer seeds solved, Fisher p < 0.05"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Bootstrapped DQN in DeepSea.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning, 0 to 19 and 100 to 119 for two
            runs of up to 12 rows.
        iterations: of one episode in each of the 8 environments.
        tune: print how the settings do on the tuning seeds at N = 16, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 200
    iterations: int = 150
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def settings(size: int, num_heads: int) -> DQNConfig:
    """Those of every arm, but for the learning rate, the number of heads and their priors."""
    return DQNConfig(
        network="table", num_envs=NUM_ENVS, rollout_length=size, num_warmup_steps=size, num_updates=64, batch_size=64,
        replay_capacity=NUM_ENVS * size * 128, target_period=4.0, num_heads=num_heads,
        mask_probability=0.5 if num_heads > 1 else 1.0,
    )  # fmt: skip


def successes(size: int, explorer, num_heads: int, over: dict[str, list], seeds: int, first_seed: int, iterations: int):
    """f32[*over, seeds, iterations], share of the 8 episodes of each iteration that found the treasure.

    ``over``: learning rates and prior scales.
    """
    sea, sea_params = pjx.make("gymnax/DeepSea-bsuite", size=size)
    env = ObserveStateId(sea)

    def make(config):
        return pjx.per_seed(
            lambda key: sea.sample_params(key, sea_params),
            lambda params: dqn(env, params, config, explorer=explorer),
        )

    grid = pjx.sweep(
        make, settings(size, num_heads), over, seeds, iterations, first_seed=first_seed, progress=False
    )  # fmt: skip
    return np.asarray(grid.metrics["success"])


def trailing(success: np.ndarray) -> np.ndarray:
    """Share of successes over the newest 96 episodes (12 iterations) after every iteration; 0 before there are 96."""
    sums = np.cumsum(np.pad(success, ((0, 0), (1, 0))), 1)
    share = np.zeros_like(success)
    share[:, 11:] = (sums[:, 12:] - sums[:, :-12]) / 12
    return share


def learning_time(success: np.ndarray) -> np.ndarray:
    """Episodes of each seed until 90 % of the newest 96 succeeded; infinite where it never was so."""
    good = trailing(success) >= 0.9
    return np.where(good.any(1), NUM_ENVS * (good.argmax(1) + 1), np.inf)


def figure_of(results: dict, iterations: int):
    """Left: share of episodes with the treasure at the largest sea. Right: learning times against N."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        curve, times = figure.subplots(1, 2)
        episodes = NUM_ENVS * (1 + np.arange(iterations))
        for name, look in analysis.looks(results).items():
            band = analysis.iqm_bands(trailing(results[name][SIZES[-1]]))
            curve.plot(episodes, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            curve.fill_between(episodes, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
            all_times = np.stack([learning_time(results[name][size]) for size in SIZES])
            solved = np.isfinite(np.median(all_times, 1))
            low, middle, high = np.quantile(np.where(np.isfinite(all_times), all_times, 1e9), [0.25, 0.5, 0.75], axis=1)
            at = np.asarray(SIZES)[solved]
            times.plot(at, middle[solved], color=look.color, linestyle=look.linestyle, marker=look.marker, label=name)
            top = np.minimum(high[solved], NUM_ENVS * iterations)
            times.vlines(at, low[solved], top, color=look.color, linewidth=1.2)
        uniform = np.linspace(SIZES[0], np.log2(2 * NUM_ENVS * iterations), 20)
        times.plot(uniform, 2.0**uniform, color="0.5", linestyle=":", label="Uniform walk, first treasure")
        curve.set(
            xlabel="Episodes", ylabel="Treasure in the last 96", ylim=(-0.03, 1.03), title=f"DeepSea, N = {SIZES[-1]}"
        )
        times.set(xlabel="Rows of the sea, N", ylabel="Episodes until solved", yscale="log", title="Median seed")
        times.set_xticks(SIZES)
        times.set_yticks([125, 250, 500, 1000, 2000], ["125", "250", "500", "1000", "2000"])
        times.minorticks_off()
        handles, labels = times.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def tune(iterations: int) -> None:
    """Prints the seeds solved and the mean share of successes of each setting at N = 16."""

    def tell(arm: str, success: np.ndarray) -> None:
        solved = (trailing(success)[:, -1] >= 0.9).sum()
        print(f"{arm:<36} solved {solved} of 3, mean success {success.mean():.3f}", flush=True)

    common = (len(TUNING_SEEDS), TUNING_SEEDS[0], iterations)
    grid = {"learning_rate": RATES, "prior_scale": PRIORS}
    found = successes(SIZES[-1], bootstrapped(), NUM_HEADS, grid, *common)
    for rate, rows in zip(RATES, found, strict=True):
        for scale, success in zip(PRIORS, rows, strict=True):
            tell(f"learning rate {rate}, prior scale {scale}", success)
    for epsilon in EPSILONS:
        found = successes(SIZES[-1], uniform_mixture(epsilon), 1, {"learning_rate": RATES}, *common)
        for rate, success in zip(RATES, found, strict=True):
            tell(f"learning rate {rate}, epsilon {epsilon}", success / (1.0 - epsilon / 2) ** SIZES[-1])


def main(args: Args) -> None:
    """Runs the three arms in all seas, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args.iterations)
        return
    seeds, iterations = (2, 13) if args.smoke else (args.seeds, args.iterations)
    results: dict[str, dict[int, np.ndarray]] = {ENSEMBLE: {}, NO_PRIORS: {}, BASELINE: {}}
    for size in SIZES[:1] * len(SIZES) if args.smoke else SIZES:
        common = (seeds, args.first_seed, iterations)
        over = {"learning_rate": [CHOSEN_RATE], "prior_scale": [CHOSEN_PRIOR, 0.0]}
        both = successes(size, bootstrapped(), NUM_HEADS, over, *common)[0]
        over = {"learning_rate": [CHOSEN_BASELINE_RATE]}
        single = successes(size, uniform_mixture(CHOSEN_EPSILON), 1, over, *common)[0]
        for name, success in zip(results, (*both, single / (1.0 - CHOSEN_EPSILON / 2) ** size), strict=True):
            results[name][size] = success
            solved = int((trailing(success)[:, -1] >= 0.9).sum())
            print(f"N = {size:<3} {name:<24} solved by {solved}/{seeds} seeds", flush=True)
    if args.smoke:
        results = {name: dict.fromkeys(SIZES, seas[SIZES[0]]) for name, seas in results.items()}

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(results, iterations).savefig(args.results / "bootstrapped_dqn_deep_sea.png", dpi=200)
    print("written:", args.results / "bootstrapped_dqn_deep_sea.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    a, c, b = (int((trailing(seas[SIZES[-1]])[:, -1] >= 0.9).sum()) for seas in results.values())
    medians = [float(np.median(learning_time(results[ENSEMBLE][size]))) for size in SIZES]
    slope = float(np.polyfit(SIZES, np.log2(medians), 1)[0]) if np.isfinite(medians).all() else np.inf
    p, p_priors = (float(analysis.fisher_exact(a, seeds, other, seeds)) for other in (b, c))
    enough = seeds >= 20
    holds = a >= 0.8 * seeds and b <= 0.05 * seeds and p < 0.01 and slope < 0.5 and c < a and p_priors < 0.05
    path = analysis.record(
        name="bootstrapped_dqn_deep_sea",
        claim="An ensemble with randomised priors solves DeepSea(16), which epsilon-greedy does not.",
        source="Osband, Aslanides and Cassirer (2018), Randomized prior functions for deep reinforcement learning",
        criterion=CRITERION,
        env_steps=NUM_ENVS * SIZES[-1] * (iterations + 1),
        baselines={
            BASELINE: f"the same DQN with one table, epsilon {CHOSEN_EPSILON} of {EPSILONS}, learning rate "
            f"{CHOSEN_BASELINE_RATE} of {RATES}",
            NO_PRIORS: f"the same ensemble with beta = 0 instead of {CHOSEN_PRIOR} of {PRIORS}, learning rate "
            f"{CHOSEN_RATE} of {RATES}",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=analysis.proportion_difference(a, seeds, b, seeds),
        statistic=f"difference of shares of seeds at N = 16, ensemble less epsilon-greedy; Fisher's exact test p ="
        f" {p:.2g}; solved by {ENSEMBLE} {a}, {NO_PRIORS} {c} (p = {p_priors:.2g}), {BASELINE} {b} of {seeds}; median"
        f" learning times {', '.join(f'{m:.0f}' for m in medians)} episodes at N = 8, 12, 16, slope {slope:.2f}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written, on tables instead of networks" if enough else "fewer than 20 seeds",
        command=f"python experiments/bootstrapped_dqn_deep_sea.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
