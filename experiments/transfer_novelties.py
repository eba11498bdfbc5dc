"""Which explorers adapt when the world changes under them: NovGridLite before and after a novelty.

Balloch, Bhagat, Zollicoffer, Jia, Kim and Riedl (2024), "Is exploration all you need? Effective exploration
characteristics for transfer in reinforcement learning". An agent learns to fetch a key, open a door and walk to the
goal; after half of the steps the world changes, nobody says so, nothing is reset, and learning goes on. LavaProof: the
lava is harmless from then on, a way half as long; CrossingBarrier: the wall and its door stand elsewhere; Identity:
nothing changes, the control. The goal pays as in MiniGrid, ``1 - 0.9 t / 48``: 0.775 before, 0.8875 through the lava.

Of every seed: convergence efficiency (steps until its return is 0.9 of the optimum before the change), adaptive
efficiency (the same after the change, in steps since), final adaptive performance (mean return of the last tenth) and
transfer AUC (mean return after the change over that of the last tenth before it). Steps of seeds that never get there
count with the whole phase; all figures but the AUC are given for all seeds and for those that had converged before the
change, since a measure of those alone selects its own sample.

Criterion, written before the run: (harness) with Identity the uniform player's mean return after the change equals that
before it (95 % interval of the paired difference contains 0), and so does the level of every learner's converged seeds:
transfer AUC within 0.1 of 1; (science) after LavaProof NoisyNets or RE3 adapts faster than PPO by at least 20 %: ratio
of mean steps <= 0.8 over all seeds, with the 95 % interval of the difference below 0 (bootstrap paired by seed).

All eleven explorers of the study take part, each with the best of twelve settings (``--tune``, mean return of the whole
run where nothing changes, seeds 1000 to 1002): a learning rate with an entropy coefficient, or with the weight of the
bonus. What they have in common (the authors' characteristics) is in ``KINDS``. Judged on seeds 200 to 219. Two runs
before this one: one on seeds 0 to 19 was stopped after three arms, because settings tuned on the first half of the run
alone did not keep what they had learnt; one on seeds 100 to 119 had PPO, NoisyNets, RND and RE3 alone, with eight
settings of which RND and RE3 took the edge (ratios of steps to PPO's 1.14 for NoisyNets, 1.17 and 1.20).

    python experiments/transfer_novelties.py            # an hour on one CPU core
    python experiments/transfer_novelties.py --tune     # the twelve settings of each arm on the tuning seeds
    python experiments/transfer_novelties.py --smoke    # seconds
    python experiments/transfer_novelties.py --seeds 30 --env-steps 6000000 --novelties LavaProof LavaNotSafe \\
        CrossingBarrier DoorKeyChange DoorNumKeys       # a GPU
"""

import dataclasses
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK, PALETTE
from purejaxexplore.bonuses.build import make_bonus
from purejaxexplore.checks import choice
from purejaxexplore.envs.grids import graph
from purejaxexplore.envs.grids.nov_grid import IDENTITY, NOVELTIES, novelty_number
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.learners.switching import switching
from purejaxexplore.runner.cache import enable_compilation_cache

NUM_ENVS, LENGTH, LIMIT, TIME_COST = 8, 128, 48, 0.9
STEPS_EACH = NUM_ENVS * LENGTH
TUNING_SEEDS = (1000, 1001, 1002)
RATES, ENTROPIES, WEIGHTS = [5e-4, 1e-3, 2e-3, 4e-3], [1e-3, 3e-3, 1e-2], [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
BONUSES = {
    "RND": "rnd", "RE3": "re3", "ICM": "icm", "GIRM": "girm", "RIDE": "ride", "NGU": "ngu", "RISE": "rise",
    "REVD": "revd", "DIAYN": "diayn",
}  # fmt: skip
EPISODIC = ("RIDE", "NGU")
"""Explorers whose bonus ends with the episode, as its memory does."""
KINDS = {
    "PPO": "entropy", "NoisyNets": "stochasticity", "ICM": "prediction error", "RND": "prediction error",
    "GIRM": "prediction error", "RIDE": "episodic", "NGU": "episodic", "RE3": "diversity", "RISE": "diversity",
    "REVD": "diversity", "DIAYN": "diversity",
}  # fmt: skip
"""All explorers -> what they explore by."""
CURVES = ("PPO", "NoisyNets", "RND", "RE3")
"""Those whose curves are drawn."""
CRITERION = (
    "Identity: mean return of the uniform player the same after the change (interval contains 0), transfer AUC of every"
    " learner's converged seeds within 0.1 of 1; LavaProof: NoisyNets or RE3 needs <= 0.8 of PPO's mean steps to 0.9 of"
    " the new optimum, 95 % interval of the difference below 0"
)


@struct.dataclass
class Settings:
    """Attributes:
    novelty: the number of what changes.
    learning_rate, entropy_coef: of PPO.
    weight: of the bonus's advantages; those of the reward have 1.
    """

    novelty: int = IDENTITY
    learning_rate: float = 1e-3
    entropy_coef: float = 1e-2
    weight: float = 0.1


CHOSEN = {
    "PPO": Settings(learning_rate=4e-3, entropy_coef=1e-2),
    "NoisyNets": Settings(learning_rate=4e-3, entropy_coef=3e-3),
    "ICM": Settings(learning_rate=2e-3, weight=0.1),
    "RND": Settings(learning_rate=2e-3, weight=3.0),
    "GIRM": Settings(learning_rate=2e-3, weight=0.1),
    "RIDE": Settings(learning_rate=2e-3, weight=0.1),
    "NGU": Settings(learning_rate=2e-3, weight=0.1),
    "RE3": Settings(learning_rate=2e-3, weight=0.1),
    "RISE": Settings(learning_rate=2e-3, weight=0.01),
    "REVD": Settings(learning_rate=1e-3, weight=0.01),
    "DIAYN": Settings(learning_rate=2e-3, weight=0.01),
}
"""What ``--tune`` chose; with REVD and DIAYN no setting learned (0.001 and less)."""


@dataclasses.dataclass(frozen=True)
class Args:
    """Transfer across novelties.

    Attributes:
        seeds: seeds of each arm and novelty.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning, 0 to 19 and 100 to 119 for two runs
            before.
        env_steps: environment steps of each seed, half of them before the change.
        arms: of PPO, NoisyNets, ICM, RND, GIRM, RIDE, NGU, RE3, RISE, REVD, DIAYN.
        novelties: what changes; Identity is added as the control.
        tune: print how each setting does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 200
    env_steps: int = 120_832
    arms: tuple[str, ...] = tuple(KINDS)
    novelties: tuple[str, ...] = ("LavaProof", "CrossingBarrier")
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def world() -> tuple:
    """``(env, params)`` with the reward of MiniGrid."""
    return pjx.make("NovGridLite", max_steps_in_episode=LIMIT, time_cost=TIME_COST)


def learner_of(arm: str, settings: Settings):
    """``env_params -> Algorithm`` of an arm; of the uniform player for "Random"."""
    env, env_params = world()
    if arm == "Random":
        return lambda params: random_policy(env, params, num_envs=NUM_ENVS, rollout_length=LENGTH)
    config = PPOConfig(
        num_envs=NUM_ENVS, rollout_length=LENGTH, hidden_sizes=(32, 32), learning_rate=settings.learning_rate,
        entropy_coef=settings.entropy_coef, noisy=arm == "NoisyNets",
    )  # fmt: skip
    streams = [Stream("extrinsic")]
    if arm in BONUSES:
        bonus = make_bonus(BONUSES[arm], env, env_params)
        streams.append(Stream("bonus", bonus, coef=settings.weight, episodic=arm in EPISODIC))
    return lambda params: ppo(env, params, config, streams=streams)


def about(arm: str) -> str:
    """What an arm was tuned by besides its learning rate."""
    return f"weight {CHOSEN[arm].weight}" if arm in BONUSES else f"entropy {CHOSEN[arm].entropy_coef}"


def run_arm(arm: str, over: dict[str, list], chosen: Settings, seeds: int, first_seed: int, iterations: int):
    """f64[*over, seeds, iterations], mean return of the episodes that ended in an iteration; half before the change."""
    before = jax.tree.map(jnp.asarray, world()[1])

    def make(settings: Settings) -> pjx.Algorithm:
        after = before.replace(novelty=jnp.asarray(settings.novelty, jnp.int32))
        return switching(learner_of(arm, settings), before, after, iterations // 2)

    run = pjx.sweep(make, chosen, over, seeds, iterations, first_seed=first_seed, progress=False)
    return np.asarray(run.metrics["episode_return"], np.float64)


def optimum(novelty: str) -> float:
    """The return of the shortest way to the goal."""
    env, params = world()
    params = params.replace(novelty=novelty_number(novelty))
    start = int(env.state_id(env.reset_env(jax.random.key(0), params)[1]))
    return 1.0 - TIME_COST * graph.steps_to_reward(graph.explore(env, params, env.states()), start) / LIMIT


def measures(returns: np.ndarray, before: float, after: float) -> dict[str, np.ndarray]:
    """The four measures of each seed, and whether it had converged, from returns [seeds, iterations]."""
    half = returns.shape[1] // 2
    old, new = returns[:, :half], returns[:, half:]
    steps = STEPS_EACH * np.arange(1.0, half + 1)
    to_old = analysis.steps_to(steps, old, 0.9 * before)
    tenth = max(half // 10, 1)
    level = old[:, -tenth:].mean(1)
    return {
        "converged": np.isfinite(to_old) & (level >= 0.9 * before),
        "convergence": np.minimum(to_old, steps[-1]),
        "adaptation": np.minimum(analysis.steps_to(steps, new, 0.9 * after), steps[-1]),
        "final": new[:, -tenth:].mean(1),
        "auc": np.divide(new.mean(1), level, out=np.full(len(level), np.nan), where=level > 0),
    }


def draw(curves: dict[str, dict[str, np.ndarray]], found: dict, best: dict[str, float], path: Path) -> None:
    """A column a novelty. Above: IQM of the return against steps, the moment of the change, and both optima. Below:
    every explorer's time to adapt and what it has in the end, means over all seeds with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    arms = [name for name in found["Identity"] if name != "Random"]
    shown = [name for name in CURVES if name in arms]
    styles = analysis.looks(shown)
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.3 + 0.24 * len(arms)))
        FigureCanvasAgg(figure)
        heights = [2.0, 0.6 + 0.24 * len(arms)]
        above, below = figure.subplots(2, len(curves), sharey="row", squeeze=False, height_ratios=heights)
        for panel, (novelty, rows) in zip(above, curves.items(), strict=True):
            for arm, look in styles.items():
                value, low, high = analysis.iqm_bands(rows[arm])
                steps = STEPS_EACH * np.arange(1, len(value) + 1)
                panel.plot(steps, value, color=look.color, linestyle=look.linestyle, label=arm)
                panel.fill_between(steps, low, high, color=look.color, alpha=0.18, linewidth=0)
            change = steps[-1] / 2
            panel.axvline(change, color=INK, linewidth=0.8, linestyle=":")
            for level, span in ((best["Identity"], (0, change)), (best[novelty], (change, steps[-1]))):
                panel.plot(span, [level, level], color=INK, linewidth=0.8, linestyle="--")
            panel.set(title=novelty, xlabel="Environment steps", ylim=(-0.03, 1.0), xlim=(0, steps[-1]))
            panel.set_xticks([0, change, steps[-1]], ["0", f"{change / 1000:.0f}k", f"{steps[-1] / 1000:.0f}k"])
        for panel, novelty in zip(below, curves, strict=True):
            measured = {
                "Steps to adapt / steps after the change": ("adaptation", change, "o", PALETTE[0], -0.14),
                "Return in the end / optimum": ("final", best[novelty], "D", PALETTE[1], 0.14),
            }
            for label, (measure, unit, marker, hue, offset) in measured.items():
                for row, arm in enumerate(arms):
                    estimate = analysis.bootstrap_interval(found[novelty][arm][measure] / unit, statistic=np.mean)
                    panel.plot([estimate.low, estimate.high], [row + offset] * 2, color=hue, linewidth=3.5, alpha=0.4)
                    point = {"color": hue, "markersize": 5, "markeredgecolor": "white", "linestyle": "none"}
                    panel.plot(estimate.value, row + offset, marker, label=label if row == 0 else None, **point)
            panel.set(xlim=(-0.04, 1.04), ylim=(len(arms) - 0.4, -0.6), xlabel="Fraction")
            panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            panel.tick_params(axis="y", length=0)
        above[0].set_ylabel("Return of an episode")
        below[0].set_yticks(range(len(arms)), [f"{arm} ({KINDS[arm]})" for arm in arms])
        handles, labels = above[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        handles, labels = below[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))
        figure.savefig(path, dpi=200)


def tune(args: Args) -> None:
    """Prints the twelve settings of each arm."""
    iterations = args.env_steps // STEPS_EACH
    for arm in args.arms:
        other = {"weight": WEIGHTS} if arm in BONUSES else {"entropy_coef": ENTROPIES}
        over = {"learning_rate": RATES[1:3] if arm in BONUSES else RATES, **other}
        returns = run_arm(arm, over, Settings(), len(TUNING_SEEDS), TUNING_SEEDS[0], iterations)
        for i, setting in enumerate(itertools.product(*over.values())):
            score = returns.reshape((-1, *returns.shape[-2:]))[i]
            print(f"{arm:<10} {dict(zip(over, setting, strict=True))}: {score.mean():.3f}", flush=True)


def main(args: Args) -> None:
    """Trains all arms, prints the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    for arm in args.arms:
        choice("arms", arm, tuple(KINDS))
    for novelty in args.novelties:
        choice("novelties", novelty, tuple(NOVELTIES))
    if args.tune:
        tune(args)
        return
    seeds, iterations = (2, 4) if args.smoke else (args.seeds, 2 * (args.env_steps // 2 // STEPS_EACH))
    arms = ("PPO", "NoisyNets") if args.smoke else args.arms
    novelties = tuple(dict.fromkeys((*args.novelties, "Identity")))
    best = {novelty: optimum(novelty) for novelty in {*novelties, "Identity"}}
    curves, found = {novelty: {} for novelty in novelties}, {novelty: {} for novelty in novelties}
    for arm in (*arms, "Random"):
        over = {"novelty": [novelty_number(novelty) for novelty in novelties]}
        returns = run_arm(arm, over, CHOSEN[arm] if arm in CHOSEN else Settings(), seeds, args.first_seed, iterations)
        for novelty, rows in zip(novelties, returns, strict=True):
            curves[novelty][arm] = rows
            found[novelty][arm] = row = measures(rows, best["Identity"], best[novelty])
            there = row["converged"]
            line = ", ".join(
                f"{name} {row[name].mean():,.3g} ({row[name][there].mean() if there.any() else np.nan:,.3g})"
                for name in ("convergence", "adaptation", "final")
            )
            auc = row["auc"][there].mean() if there.any() else np.nan
            print(
                f"{novelty:<16}{arm:<10} converged {there.sum():>2}/{seeds}; all (converged): {line}, AUC ({auc:.2f})",
                flush=True,
            )

    args.results.mkdir(parents=True, exist_ok=True)
    draw(curves, found, best, args.results / "transfer_novelties.png")
    print("written:", args.results / "transfer_novelties.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return
    if not {"PPO", "NoisyNets", "RE3"} <= set(arms) or "LavaProof" not in novelties:
        print("not judged: it needs PPO, NoisyNets, RE3 and LavaProof")
        return

    half = iterations // 2
    chance = curves["Identity"]["Random"]
    flat = analysis.paired_bootstrap(chance[:, half:].mean(1), chance[:, :half].mean(1), statistic=np.mean)
    kept = {arm: found["Identity"][arm] for arm in arms}
    areas = {arm: float(row["auc"][row["converged"]].mean()) for arm, row in kept.items() if row["converged"].any()}
    harness = flat.low <= 0 <= flat.high and all(abs(area - 1) <= 0.1 for area in areas.values())
    steps = {arm: found["LavaProof"][arm]["adaptation"] for arm in arms}
    against = {a: analysis.paired_bootstrap(steps[a], steps["PPO"], statistic=np.mean) for a in ("NoisyNets", "RE3")}
    ratios = {arm: float(steps[arm].mean() / steps["PPO"].mean()) for arm in arms}
    faster = [arm for arm, effect in against.items() if ratios[arm] <= 0.8 and effect.high < 0]
    shown = min(against, key=lambda arm: ratios[arm])
    enough = seeds >= 20
    converged = {arm: int(found["LavaProof"][arm]["converged"].sum()) for arm in arms}
    tuned = {arm: f"learning rate {CHOSEN[arm].learning_rate}, {about(arm)}" for arm in arms}
    path = analysis.record(
        name="transfer_novelties",
        claim="An explorer of noisy weights or of state entropy finds a short cut that has opened sooner than PPO.",
        source="Balloch, Bhagat, Zollicoffer, Jia, Kim and Riedl (2024), Is exploration all you need?",
        criterion=CRITERION,
        env_steps=iterations * STEPS_EACH,
        baselines={"PPO": f"the same PPO; each arm with the best of twelve settings: {tuned}"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=against[shown],
        statistic=f"difference of mean steps to 0.9 of the new optimum, {shown} less PPO; mean steps over PPO's "
        + ", ".join(f"{arm} {ratio:.2f}" for arm, ratio in ratios.items())
        + "; converged before the change, of all: "
        + ", ".join(f"{arm} {count}" for arm, count in converged.items())
        + "; transfer AUC of converged seeds with Identity: "
        + ", ".join(f"{arm} {area:.2f}" for arm, area in areas.items())
        + f"; uniform player after less before {flat.value:.2g} [{flat.low:.2g}, {flat.high:.2g}]",
        verdict=("holds" if harness and faster else "does not hold") if enough else "not judged",
        reason=f"the criterion as written: harness {'met' if harness else 'not met'}, science "
        f"{'met by ' + ' and '.join(faster) if faster else 'not met'}" if enough else "fewer than 20 seeds",
        command=f"python experiments/transfer_novelties.py --seeds {seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
