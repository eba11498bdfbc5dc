"""Every registered bonus in several worlds: how many seeds solve the task, and how much of the world they see.

PPO (16 environments x 128 steps) with two value heads, the reward's and the bonus's, the same settings for all; the
baselines are the same PPO without a bonus and a uniformly random policy. Bonuses come from the table behind
``purejaxexplore list bonuses`` with their defaults, so a new one takes part by being registered. Worlds:

* RoomChain: six rooms of 4 x 4, one-hot cells, 46 moves to the only reward;
* Resampled: the same, the rows of the doors drawn anew in every episode;
* DeepSea: bsuite's, ten rows, an action map of its own for every seed (through gymnax);
* KeyRooms: four rooms, one key, one door;
* any other name of ``purejaxexplore list environments`` that numbers its states.

A seed solves a world when at least half of its last 50 episodes succeed. Criteria, written before any judged run
(tuning seeds 1000 to 1002, judging seeds 0 to 19, one ledger entry a criterion):

* every bonus except those below, in RoomChain: solved by >= 60 % of its seeds and by <= 20 % of those without bonus,
  Fisher's exact test p < 0.01;
* RIDE and NovelD, in Resampled: a higher mean success over training than RND, by the 95 % interval of the paired
  difference;
* NGU, in RoomChain and in Resampled: its share of seeds is at least that of either of its factors alone, RND and
  pseudo-counts, less 0.05;
* the error of the reward model has nothing to find where rewards do not change, and DIAYN is not meant to: both are
  shown and not judged.

    python experiments/bonuses_by_worlds.py --worlds RoomChain --bonuses rnd e3b
    python experiments/bonuses_by_worlds.py            # all: an hour on two CPU cores
    python experiments/bonuses_by_worlds.py --smoke    # seconds
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tyro

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK, PALETTE, REFERENCE
from purejaxexplore.bonuses.build import make_bonus
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.runner.cache import enable_compilation_cache
from purejaxexplore.systems import BONUSES

TUNING_SEEDS = (1000, 1001, 1002)
PPO = PPOConfig(
    num_envs=16, rollout_length=128, gamma=0.999, learning_rate=1e-3, entropy_coef=1e-3, normalise_advantages=False
)
WORLDS = {
    "RoomChain": ("RoomChain", {"num_rooms": 6, "size": 4}),
    "Resampled": ("RoomChain", {"num_rooms": 6, "size": 4, "resample": True}),
    "DeepSea": ("gymnax/DeepSea-bsuite", {"size": 10}),
    "KeyRooms": ("KeyRooms", {"num_rooms": 2, "num_keys": 1}),
}
"""Name -> (name in the table of environments, settings)."""

EPISODIC = (
    "counts", "coverage_gain", "e3b", "information_gain", "novel_d", "pseudo_counts", "ride", "sofe", "state_entropy",
)  # fmt: skip
"""Bonuses whose returns end with the episode, as their memory does."""

LOOKS = {
    "solved": ("Seeds that solve it", "o", PALETTE[0], -0.14),
    "coverage": ("States visited", "D", PALETTE[1], 0.14),
}
"""Measure -> (label, marker, colour, offset in its row)."""

NOT_JUDGED = ("diayn", "reward_model")
COMMON = "RoomChain: solved by >= 60 % of seeds and by <= 20 % of those of PPO without bonus, Fisher p < 0.01"


@dataclasses.dataclass(frozen=True)
class Args:
    """Bonuses by worlds.

    Attributes:
        seeds: seeds of each arm in each world.
        first_seed: number of the first seed; 1000 to 1002 are for tuning.
        env_steps: environment steps of each seed.
        worlds: any of RoomChain, Resampled, DeepSea, KeyRooms, or names of environments.
        bonuses: names of registered bonuses; all by default.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        out: directory of the stored runs (resumable); by default they stay in memory.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 250_000
    worlds: tuple[str, ...] = ("RoomChain", "DeepSea", "KeyRooms")
    bonuses: tuple[str, ...] = tuple(BONUSES)
    smoke: bool = False
    out: Path | None = None
    results: Path = Path("experiments/results")


def make_world(name: str) -> tuple[Any, Any]:
    """``(env, env_params)`` of a world."""
    environment, settings = WORLDS.get(name, (name, {}))
    env, env_params = pjx.make(environment, **settings)
    if not hasattr(env, "state_id"):
        raise ValueError(f"worlds={name!r}: expected an environment that numbers its states, such as RoomChain")
    return env, env_params


def arms(name: str, env, env_params, bonuses: tuple[str, ...], config: PPOConfig) -> dict[str, pjx.Algorithm]:
    """Arm -> algorithm; each seed has an action map of its own in DeepSea."""

    def own_level(factory: Callable[[Any], pjx.Algorithm]) -> pjx.Algorithm:
        if name != "DeepSea":
            return factory(env_params)
        return pjx.per_seed(lambda key: env.sample_params(key, env_params), factory)

    extrinsic = Stream("extrinsic", gamma=0.999, lam=0.95, coef=2.0)
    made = {
        "none": own_level(lambda p: ppo(env, p, config, streams=(extrinsic,))),
        "random": own_level(
            lambda p: random_policy(env, p, num_envs=config.num_envs, rollout_length=config.rollout_length)
        ),
    }
    for bonus in bonuses:
        novelty = Stream(bonus, make_bonus(bonus, env, env_params), gamma=0.99, episodic=bonus in EPISODIC)
        made[bonus] = own_level(lambda p, s=(extrinsic, novelty): ppo(env, p, config, streams=s))
    return made


def solved(metrics, last: int = 50) -> np.ndarray:
    """bool[seeds], whether at least half of (about) the ``last`` episodes of a seed succeeded.

    Episodes are known by the iteration they ended in: the newest iterations that together hold ``last`` of them count.
    """
    episodes = np.asarray(metrics["episodes"])[:, ::-1]
    successes = episodes * np.nan_to_num(np.asarray(metrics["success"])[:, ::-1])
    counted = np.cumsum(episodes, 1) - episodes < last
    return (successes * counted).sum(1) >= 0.5 * np.maximum((episodes * counted).sum(1), 1)


def mean_success(metrics) -> np.ndarray:
    """f64[seeds], the share of all episodes of a seed that succeeded."""
    episodes = np.asarray(metrics["episodes"])
    return (episodes * np.nan_to_num(np.asarray(metrics["success"]))).sum(1) / np.maximum(episodes.sum(1), 1)


def scores(metrics) -> dict[str, np.ndarray]:
    """What is kept of an arm: arrays over seeds."""
    return {
        "solved": solved(metrics),
        "success": mean_success(metrics),
        "coverage": np.asarray(metrics["coverage"])[:, -1].astype(np.float64),
    }


def draw(table: dict[str, dict[str, dict]], path: Path) -> None:
    """A panel a world, a row an arm: share of seeds that solved it and coverage, with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(next(iter(table.values())))
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 0.95 + 0.24 * len(names)))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
        for panel, (world, rows) in zip(panels, table.items(), strict=True):
            for row, name in enumerate(names):
                reference = name in ("none", "random")
                for measure, (label, marker, hue, offset) in LOOKS.items():
                    estimate = rows[name][f"{measure} estimate"]
                    color = REFERENCE if reference else hue
                    interval = [estimate.low, estimate.high]
                    panel.plot(interval, [row + offset] * 2, color=color, linewidth=3.5, alpha=0.4)
                    point = {"color": color, "markersize": 5, "markeredgecolor": "white"}
                    panel.plot(estimate.value, row + offset, marker, label=None if reference else label, **point)
            panel.set(title=world, xlim=(-0.04, 1.04), ylim=(len(names) - 0.4, -0.6), xlabel="Fraction")
            panel.set_xticks([0, 0.5, 1])
            panel.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        handles, labels = panels[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))  # one entry a measure, not one a row
        figure.legend(unique.values(), unique.keys(), loc="outside upper left", ncols=2, labelcolor=INK)
        figure.savefig(path, dpi=200)


def verdicts(table: dict[str, dict[str, dict]], seeds: int) -> list[dict[str, Any]]:
    """One record a criterion whose worlds and arms were run."""
    found = []
    chain, moved = table.get("RoomChain", {}), table.get("Resampled", {})
    for name in chain:
        if name in ("none", "random", "ride", "novel_d", "ngu", *NOT_JUDGED):
            continue
        a, b = int(chain[name]["solved"].sum()), int(chain["none"]["solved"].sum())
        p = float(analysis.fisher_exact(a, seeds, b, seeds))
        found.append({
            "name": f"bonus_{name}",
            "claim": f"PPO with the bonus {name} solves RoomChain(6, 4), which PPO without bonus does not.",
            "criterion": COMMON,
            "effect": analysis.proportion_difference(a, seeds, b, seeds),
            "statistic": f"difference of shares of seeds, {a} and {b} of {seeds}; Fisher's exact test p = {p:.2g}",
            "holds": a >= 0.6 * seeds and b <= 0.2 * seeds and p < 0.01,
        })  # fmt: skip
    for name in ("ride", "novel_d"):
        if {name, "rnd"} <= set(moved):
            effect = analysis.paired_bootstrap(moved[name]["success"], moved["rnd"]["success"])
            found.append({
                "name": f"bonus_{name}",
                "claim": f"Where doors move in every episode {name} succeeds more often than RND.",
                "criterion": "Resampled: paired difference of mean success over training, 95 % interval above 0",
                "effect": effect,
                "statistic": "paired difference (IQM) of the share of successful episodes, against RND",
                "holds": effect.low > 0,
            })  # fmt: skip
    factors = ("rnd", "pseudo_counts")
    if {"ngu", *factors} <= set(moved) & set(chain):
        worlds = {"RoomChain": chain, "Resampled": moved}
        shares = {w: {n: int(rows[n]["solved"].sum()) for n in ("ngu", *factors)} for w, rows in worlds.items()}
        won = shares["Resampled"]
        found.append({
            "name": "bonus_ngu",
            "claim": "NGU loses nothing against either of its factors, whether doors stay or move.",
            "criterion": "RoomChain and Resampled: share of seeds that solve it at least either factor's less 0.05",
            "effect": analysis.proportion_difference(won["ngu"], seeds, won["rnd"], seeds),
            "statistic": f"difference of shares of seeds in Resampled, against RND; solved by, of {seeds}: {shares}",
            "holds": all(s["ngu"] >= max(s[n] for n in factors) - 0.05 * seeds for s in shares.values()),
        })  # fmt: skip
    return found


def main(args: Args) -> None:
    """Trains all arms in all worlds, prints the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    config = PPO
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, env_steps=3 * 2 * 16, worlds=("RoomChain",), bonuses=("counts",))
        config = config.replace(num_envs=2, rollout_length=16, num_warmup_steps=16)
    iterations = args.env_steps // (config.num_envs * config.rollout_length)
    table = {}
    for world in args.worlds:
        env, env_params = make_world(world)
        table[world] = {}
        for name, algorithm in arms(world, env, env_params, args.bonuses, config).items():
            run = pjx.run(
                algorithm, args.seeds, iterations, first_seed=args.first_seed, name=f"{world}: {name}",
                config={"world": world, "bonus": name, "env_steps": args.env_steps},
                out=args.out and args.out / world.replace("/", "_") / name,
            )  # fmt: skip
            row = scores(run.metrics)
            row["solved estimate"] = analysis.binomial_interval(int(row["solved"].sum()), args.seeds)
            row["coverage estimate"] = analysis.bootstrap_interval(row["coverage"])
            table[world][name] = row
            share, seen = row["solved estimate"], row["coverage estimate"]
            print(
                f"{world:<12}{name:<14} solved {share.value:.2f} [{share.low:.2f}, {share.high:.2f}]   "
                f"coverage {seen.value:.2f} [{seen.low:.2f}, {seen.high:.2f}]   "
                f"successful episodes {row['success'].mean():.3f}",
                flush=True,
            )
    args.results.mkdir(parents=True, exist_ok=True)
    draw(table, args.results / "bonuses_by_worlds.png")
    print("written:", args.results / "bonuses_by_worlds.png")
    if args.smoke or args.first_seed + args.seeds > 1000:
        return
    enough = args.seeds >= 20
    for entry in verdicts(table, args.seeds):
        holds = entry.pop("holds")
        path = analysis.record(
            **entry,
            source="the papers named in the bonus's module",
            env_steps=iterations * config.num_envs * config.rollout_length,
            baselines={"none": f"the same PPO without bonus: {config}"},
            tuning_seeds=TUNING_SEEDS,
            judging_seeds=list(range(args.first_seed, args.first_seed + args.seeds)),
            verdict=("holds" if holds else "does not hold") if enough else "not judged",
            reason="the criterion as written" if enough else "fewer than 20 seeds",
            command=f"python experiments/bonuses_by_worlds.py --seeds {args.seeds} --first-seed {args.first_seed} "
            f"--env-steps {args.env_steps} --worlds {' '.join(args.worlds)}",
            family="bonuses",
            directory=args.results,
        )
        print("written:", path)


if __name__ == "__main__":
    main(tyro.cli(Args))
