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

Each of the four arms has the best of eight settings (``--tune``, mean return of the whole run where nothing changes,
seeds 1000 to 1002): a learning rate with an entropy coefficient, or with the weight of the bonus. Judged on seeds 100
to 119: a judging on seeds 0 to 19 was stopped after three arms, because settings tuned on the first half of the run
alone did not keep what they had learnt. The study's other seven explorers run with ``--arms``, at the settings of RND,
and are not judged.

    python experiments/transfer_novelties.py            # about ten minutes on two CPU cores
    python experiments/transfer_novelties.py --tune     # the eight settings of each arm on the tuning seeds
    python experiments/transfer_novelties.py --smoke    # seconds
    python experiments/transfer_novelties.py --seeds 30 --env-steps 6000000 --arms PPO NoisyNets RND RE3 ICM GIRM \\
        RIDE NGU RISE REVD DIAYN --novelties LavaProof LavaNotSafe CrossingBarrier DoorKeyChange DoorNumKeys   # a GPU
"""

import dataclasses
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bonuses.build import make_bonus
from purejaxexplore.envs.grids import graph
from purejaxexplore.envs.grids.nov_grid import IDENTITY, NOVELTIES, novelty_number
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.learners.switching import switching
from purejaxexplore.runner.cache import enable_compilation_cache

NUM_ENVS, LENGTH, LIMIT, TIME_COST = 8, 128, 48, 0.9
STEPS_EACH = NUM_ENVS * LENGTH
TUNING_SEEDS = (1000, 1001, 1002)
RATES, ENTROPIES, WEIGHTS = [5e-4, 1e-3, 2e-3, 4e-3], [1e-3, 1e-2], [0.1, 0.3, 1.0, 3.0]
BONUSES = {
    "RND": "rnd", "RE3": "re3", "ICM": "icm", "GIRM": "girm", "RIDE": "ride", "NGU": "ngu", "RISE": "rise",
    "REVD": "revd", "DIAYN": "diayn",
}  # fmt: skip
EPISODIC = ("RIDE", "NGU")
"""Explorers whose bonus ends with the episode, as its memory does."""
JUDGED = ("PPO", "NoisyNets", "RND", "RE3")
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
    "NoisyNets": Settings(learning_rate=4e-3, entropy_coef=1e-3),
    "RND": Settings(learning_rate=2e-3, weight=3.0),
    "RE3": Settings(learning_rate=2e-3, weight=0.1),
}
"""What ``--tune`` chose."""


@dataclasses.dataclass(frozen=True)
class Args:
    """Transfer across novelties.

    Attributes:
        seeds: seeds of each arm and novelty.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed, half of them before the change.
        arms: of PPO, NoisyNets, RND, RE3, ICM, GIRM, RIDE, NGU, RISE, REVD, DIAYN.
        novelties: what changes; Identity is added as the control.
        tune: print how each setting does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 100
    env_steps: int = 120_832
    arms: tuple[str, ...] = JUDGED
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


def draw(curves: dict[str, dict[str, np.ndarray]], best: dict[str, float], path: Path) -> None:
    """A panel a novelty: IQM of the return against steps, the moment of the change, and both optima."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.7))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for panel, (novelty, rows) in zip(panels, curves.items(), strict=True):
            for arm, look in analysis.looks(rows).items():
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
        panels[0].set_ylabel("Return of an episode")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        figure.savefig(path, dpi=200)


def tune(args: Args) -> None:
    """Prints the eight settings of each arm."""
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
    unknown = set(args.arms) - {*JUDGED, *BONUSES}
    if unknown or set(args.novelties) - set(NOVELTIES):
        raise SystemExit(f"expected arms of {(*JUDGED, *BONUSES)} and novelties of {NOVELTIES}")
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
        returns = run_arm(arm, over, CHOSEN.get(arm, CHOSEN["RND"]), seeds, args.first_seed, iterations)
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
    draw(curves, best, args.results / "transfer_novelties.png")
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
    path = analysis.record(
        name="transfer_novelties",
        claim="An explorer of noisy weights or of state entropy finds a short cut that has opened sooner than PPO.",
        source="Balloch, Bhagat, Zollicoffer, Jia, Kim and Riedl (2024), Is exploration all you need?",
        criterion=CRITERION,
        env_steps=iterations * STEPS_EACH,
        baselines={"PPO": "the same PPO; each arm with the best of eight settings"},
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
    main(tyro.cli(Args))
