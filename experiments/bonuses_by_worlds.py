"""Every registered bonus in several worlds: how many seeds solve the task, and how much of the world they see.

PPO (16 environments x 128 steps, one hidden layer of 64) with two value heads, the reward's and the bonus's, the same
settings for all but one coefficient a bonus, the best of five for the tuning seeds in RoomChain (``--tune``); the
baselines are the same PPO without a bonus and a uniformly random policy. Bonuses come from the table behind
``purejaxexplore list bonuses`` with their defaults and networks 64 wide, so a new one takes part by being registered.
Worlds:

* RoomChain: six rooms of 4 x 4, one-hot cells, 46 moves to the only reward;
* KeyRooms: four rooms, one key, one door; the coefficients were tuned elsewhere, and nothing is judged;
* DeepSea (bsuite's, sixteen rows, an action map of its own for every seed, through gymnax): a uniformly random policy
  takes the treasure in 2^-16 of its episodes; nothing is judged there either;
* Resampled: RoomChain with the rows of the doors drawn anew in every episode, for bonuses with a criterion there;
* Noisy: Resampled with eight channels of Gaussian noise beside the observation, fresh at every step; likewise;
* when asked for, any other name of ``purejaxexplore list environments`` that numbers its states.

A seed solves a world when at least half of its last 50 episodes succeed; its coverage is the share of the states
visited so far, averaged over the training (all of them are visited in the end where the world is small). Figure and
table, ``bonuses_by_worlds.md``, show both with 95 % intervals (of shares Wilson's, of coverage bootstrapped). The table
is where the survey is kept: a run of some worlds or bonuses puts in their cells and leaves the others as they are, and
the figure is drawn from the whole table; a run of other sizes has a table and a figure of its own. Criteria, written
before any judged run (tuning seeds 1000 to 1002, judging seeds 0 to 29, one ledger entry a criterion):

* every bonus except those below, in RoomChain: solved by >= 60 % of its seeds and by <= 20 % of those without bonus,
  Fisher's exact test p < 0.01;
* RIDE and NovelD, in Resampled: a higher mean success over training than RND, by the 95 % interval of the paired
  difference;
* the same two without their factor of the episode's visits, in Resampled: their mean success over training is at least
  20 % lower than with it, 95 % interval of the paired difference below 0 (Henaff et al. 2023, "A study of global and
  episodic bonuses for exploration in contextual MDPs");
* counts of the episode and of the lifetime: which of them succeeds more often over the training depends on whether the
  doors move, the difference (episodic less lifelong) is larger in Resampled than in RoomChain, 95 % interval above 0;
* NGU, in RoomChain and in Resampled: its share of seeds is at least that of either of its factors alone, RND and
  pseudo-counts, less 0.05;
* E3B, in Noisy: a higher coverage than pseudo-counts (neighbours in random features of the observation) and than counts
  of hashed observations, by the 95 % intervals of the paired differences;
* the error of the reward model has nothing to find where rewards do not change, and DIAYN is not meant to: both are
  shown and not judged.

    python experiments/bonuses_by_worlds.py --worlds RoomChain --bonuses rnd e3b    # names of the list, or of VARIANTS
    python experiments/bonuses_by_worlds.py --out runs/bonuses_by_worlds    # all: some hours on two CPU cores
    python experiments/bonuses_by_worlds.py --smoke    # seconds
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK, PALETTE, REFERENCE
from purejaxexplore.bonuses.build import make_bonus, widths
from purejaxexplore.checks import choice
from purejaxexplore.envs.noisy_tv import NoisyTV
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.runner.cache import enable_compilation_cache
from purejaxexplore.systems import BONUSES

TUNING_SEEDS = (1000, 1001, 1002)
PPO = PPOConfig(
    num_envs=16, rollout_length=128, gamma=0.999, learning_rate=1e-3, entropy_coef=1e-3, normalise_advantages=False,
    hidden_sizes=(64,),
)  # fmt: skip


class World(NamedTuple):
    """``environment``, ``settings``: of the table of environments; ``env_steps`` of a seed; ``bonuses`` that are of
    interest there, all if empty."""

    environment: str
    settings: dict[str, Any] = {}
    env_steps: int = 250_000
    bonuses: tuple[str, ...] = ()


MOVING = {"num_rooms": 6, "size": 4, "resample": True}
FACTORED = {"ride": "ride_no_visits", "novel_d": "novel_d_no_visits"}
"""Bonuses with a factor of the episode's visits -> the same without it."""

LAYOUTS = (
    "rnd", "counts", "counts_lifelong", "pseudo_counts", "ngu", "ride", "novel_d", "e3b", *FACTORED.values()
)  # fmt: skip
WORLDS = {
    "RoomChain": World("RoomChain", {"num_rooms": 6, "size": 4}),
    "KeyRooms": World("KeyRooms", {"num_rooms": 2, "num_keys": 1}),
    "DeepSea": World("gymnax/DeepSea-bsuite", {"size": 16}, 100_000),
    "Resampled": World("RoomChain", MOVING, bonuses=LAYOUTS),
    "Noisy": World("RoomChain", MOVING, bonuses=("e3b", "pseudo_counts", "simhash")),
}
VARIANTS = {
    "counts_lifelong": ("counts", {"episodic": False}),
    **{without: (name, {"episodic": False}) for name, without in FACTORED.items()},
}
"""Further arms: name -> (bonus, settings)."""

EXTRINSIC = Stream("extrinsic", gamma=0.999, lam=0.95, coef=2.0)
RATES = (0.001, 0.01, 0.1, 0.3, 1.0)
COEFS = {
    "apt": 0.01, "byol_explore": 0.1, "categorical_surprise": 0.01, "counts": 0.01, "counts_lifelong": 0.3,
    "coverage_gain": 0.01, "disagreement": 1.0, "drnd": 1.0, "e3b": 0.01, "ellm": 1.0, "girm": 0.3, "icm": 1.0,
    "information_gain": 0.01, "ngu": 1.0, "novel_d": 0.3, "novel_d_no_visits": 0.1, "pseudo_counts": 0.001,
    "rdd": 0.3, "re3": 0.1, "revd": 0.1, "ride": 0.3, "ride_no_visits": 0.1, "rise": 0.01, "rnd": 0.3, "simhash": 0.3,
    "sofe": 0.01, "state_entropy": 0.01,
}  # fmt: skip
"""Coefficients of the bonuses, the best of RATES for the tuning seeds in RoomChain (0.001 was tried where 0.01 was
better than 0.1, and 0.01 not for BYOL-Explore, whose models are slow); 1 for others."""

EPISODIC = (
    "counts", "coverage_gain", "e3b", "information_gain", "novel_d", "pseudo_counts", "ride", "sofe", "state_entropy",
    *FACTORED.values(),
)  # fmt: skip
"""Bonuses whose returns end with the episode, as their memory does (and what is compared with them alone)."""

LOOKS = {
    "solved": ("Seeds that solve it", "o", PALETTE[0], -0.14),
    "coverage": ("Coverage, mean over the training", "D", PALETTE[1], 0.14),
}
"""Measure -> (label, marker, colour, offset in its row)."""

Table = dict[str, dict[str, dict[str, analysis.Estimate]]]
"""World -> arm -> measure -> its estimate."""

NOT_JUDGED = ("diayn", "reward_model", *FACTORED.values())
COMMON = "RoomChain: solved by >= 60 % of seeds and by <= 20 % of those of PPO without bonus, Fisher p < 0.01"


@dataclasses.dataclass(frozen=True)
class Args:
    """Bonuses by worlds.

    Attributes:
        seeds: seeds of each arm in each world.
        first_seed: number of the first seed; 1000 to 1002 are for tuning.
        env_steps: environment steps of each seed; by default as many as the world needs.
        worlds: any of RoomChain, KeyRooms, DeepSea, Resampled, Noisy, or names of environments.
        bonuses: names of registered bonuses or of VARIANTS; by default all but BYOL-Explore, which costs as much as
            ten others.
        tune: print how each coefficient does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        out: directory of the stored runs (resumable); by default they stay in memory.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 30
    first_seed: int = 0
    env_steps: int | None = None
    worlds: tuple[str, ...] = tuple(WORLDS)
    bonuses: tuple[str, ...] = (*(name for name in BONUSES if name != "byol_explore"), *VARIANTS)
    tune: bool = False
    smoke: bool = False
    out: Path | None = None
    results: Path = Path("experiments/results")


@struct.dataclass
class Setting:
    """What is tuned."""

    coef: float = 1.0


def make_world(name: str) -> tuple[Any, Any, World]:
    """``(env, env_params, what is run there)``."""
    world = WORLDS.get(name, World(name))
    env, env_params = pjx.make(world.environment, **world.settings)
    if name == "Noisy":
        env = NoisyTV(env, "always", channels=8)
        env_params = env.default_params
    if not hasattr(env, "state_id"):
        raise ValueError(f"worlds={name!r}: expected an environment that numbers its states, such as RoomChain")
    return env, env_params, world


def with_bonus(bonus: str, env, config: PPOConfig) -> Callable[[Any, float], pjx.Algorithm]:
    """``(env_params, coefficient) -> algorithm``, whose bonus has networks of one width, 64."""
    name, settings = VARIANTS.get(bonus, (bonus, {}))

    def factory(env_params, coef):
        made = make_bonus(name, env, env_params, **widths(name, 64), **settings)
        novelty = Stream(bonus, made, gamma=0.99, episodic=bonus in EPISODIC, coef=coef)
        return ppo(env, env_params, config, streams=(EXTRINSIC, novelty))

    return factory


def arms(name: str, env, env_params, bonuses: tuple[str, ...], config: PPOConfig) -> dict[str, pjx.Algorithm]:
    """Arm -> algorithm; each seed has an action map of its own in DeepSea."""

    def own_level(factory: Callable[[Any], pjx.Algorithm]) -> pjx.Algorithm:
        if name != "DeepSea":
            return factory(env_params)
        return pjx.per_seed(lambda key: env.sample_params(key, env_params), factory)

    made = {
        "none": own_level(lambda p: ppo(env, p, config, streams=(EXTRINSIC,))),
        "random": own_level(
            lambda p: random_policy(env, p, num_envs=config.num_envs, rollout_length=config.rollout_length)
        ),
    }
    for bonus in bonuses:
        made[bonus] = own_level(functools.partial(with_bonus(bonus, env, config), coef=COEFS.get(bonus, 1.0)))
    return made


def mean_success(metrics) -> np.ndarray:
    """f64[seeds], the share of all episodes of a seed that succeeded."""
    episodes = np.asarray(metrics["episodes"])
    return (episodes * np.asarray(metrics["success"])).sum(1) / np.maximum(episodes.sum(1), 1)


def scores(metrics) -> dict[str, np.ndarray]:
    """What is kept of an arm: arrays over seeds."""
    return {
        "solved": analysis.solved(metrics),
        "success": mean_success(metrics),
        "coverage": np.asarray(metrics["coverage"], np.float64).mean(1),
    }


def tune(args: Args) -> None:
    """Prints, for every bonus and coefficient, the share of the tuning seeds' episodes that succeed in RoomChain."""
    env, env_params, about = make_world("RoomChain")
    iterations = about.env_steps // (PPO.num_envs * PPO.rollout_length)
    for bonus in args.bonuses:
        factory = with_bonus(bonus, env, PPO)
        runs = pjx.sweep(
            lambda setting, f=factory: f(env_params, setting.coef), Setting(), {"coef": list(RATES)}, len(TUNING_SEEDS),
            iterations, first_seed=TUNING_SEEDS[0], progress=False,
        )  # fmt: skip
        share = [mean_success({k: v[i] for k, v in runs.metrics.items()}).mean() for i in range(len(RATES))]
        print(f"{bonus:<22}", *(f"{coef}: {x:.3f}" for coef, x in zip(RATES, share, strict=True)), flush=True)


def read(path: Path) -> Table:
    """The table that :func:`markdown` wrote; an empty one where there is none."""
    table: Table = {}
    if not path.exists():
        return table
    heads, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in path.read_text().splitlines())
    for name, *cells in rows:
        for head, cell in zip(heads[1:], cells, strict=True):
            if cell:
                world, what = head.split(": ")
                numbers = cell.replace("[", "").replace("]", "").replace(",", "").split()
                row = table.setdefault(world, {}).setdefault(name.replace(" ", "_"), {})
                row[what] = analysis.Estimate(*map(float, numbers))
    return table


def merged(old: Table, new: Table) -> Table:
    """``old`` with the rows of ``new`` in it; known worlds and arms first, in their order."""
    together = {world: {**old.get(world, {}), **new.get(world, {})} for world in {**old, **new}}
    known = ("none", "random", *BONUSES, *VARIANTS)
    order = list(dict.fromkeys((*known, *(name for rows in together.values() for name in rows))))
    return {
        world: {name: together[world][name] for name in sorted(together[world], key=order.index)}
        for world in sorted(together, key=lambda world: [*WORLDS, *sorted(set(together) - set(WORLDS))].index(world))
    }


def names_of(table: Table) -> list[str]:
    """All arms of a table, in the order of the world that has most, then the others'."""
    rows = sorted(table.values(), key=len, reverse=True)
    return list(dict.fromkeys(name for row in rows for name in row))


def draw(table: Table, path: Path) -> None:
    """A panel a world, a row an arm: share of seeds that solved it and coverage, with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = names_of(table)
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 0.95 + 0.24 * len(names)))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
        for panel, (world, rows) in zip(panels, table.items(), strict=True):
            for row, name in enumerate(names):
                if name not in rows:
                    continue
                reference = name in ("none", "random")
                for measure, (label, marker, hue, offset) in LOOKS.items():
                    estimate = rows[name][measure]
                    color = REFERENCE if reference else hue
                    interval = [estimate.low, estimate.high]
                    panel.plot(interval, [row + offset] * 2, color=color, linewidth=3.5, alpha=0.4)
                    point = {"color": color, "markersize": 5, "markeredgecolor": "white"}
                    panel.plot(estimate.value, row + offset, marker, label=None if reference else label, **point)
            panel.set(title=world, xlim=(-0.04, 1.04), ylim=(len(names) - 0.4, -0.6), xlabel="Fraction")
            panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            panel.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        handles, labels = panels[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))  # one entry a measure, not one a row
        figure.legend(unique.values(), unique.keys(), loc="outside upper left", ncols=2, labelcolor=INK)
        figure.savefig(path, dpi=200)


def markdown(table: Table) -> str:
    """The same numbers as a Markdown table: share of seeds that solved a world, and coverage."""

    def cell(row: dict[str, analysis.Estimate] | None, measure: str) -> str:
        return "{:.2f} [{:.2f}, {:.2f}]".format(*row[measure]) if row else ""

    heads = [f"{world}: {measure}" for world in table for measure in LOOKS]
    lines = [f"| Bonus | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for name in names_of(table):
        cells = [cell(rows.get(name), measure) for rows in table.values() for measure in LOOKS]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


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
            "world": "RoomChain",
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
                "world": "Resampled",
                "claim": f"Where doors move in every episode {name} succeeds more often than RND.",
                "criterion": "Resampled: paired difference of mean success over training, 95 % interval above 0",
                "effect": effect,
                "statistic": "paired difference (IQM) of the share of successful episodes, against RND",
                "holds": effect.low > 0,
            })  # fmt: skip
    for name, without in FACTORED.items():
        if {name, without} <= set(moved):
            full, rest = moved[name]["success"], moved[without]["success"]
            effect = analysis.paired_bootstrap(rest, full)
            found.append({
                "name": f"bonus_{without}",
                "world": "Resampled",
                "claim": f"Where doors move in every episode {name} needs its factor of the episode's visits.",
                "criterion": "Resampled: mean success over training without the factor <= 0.8 of that with it, 95 % "
                "interval of the paired difference below 0",
                "effect": effect,
                "statistic": "paired difference (IQM) of the share of successful episodes, without the factor less "
                f"with it; means {rest.mean():.3f} and {full.mean():.3f}",
                "holds": effect.high < 0 and rest.mean() <= 0.8 * full.mean(),
            })  # fmt: skip
    kinds = {"counts", "counts_lifelong"}
    if kinds <= set(moved) & set(chain):
        gains = [rows["counts"]["success"] - rows["counts_lifelong"]["success"] for rows in (moved, chain)]
        effect = analysis.paired_bootstrap(*gains)
        found.append({
            "name": "bonus_counts_layouts",
            "world": "Resampled",
            "claim": "Episodic counts gain on lifelong counts where the layout changes from episode to episode.",
            "criterion": "successful episodes, episodic less lifelong counts: more in Resampled than in RoomChain, "
            "95 % interval above 0",
            "effect": effect,
            "statistic": "paired difference of differences (IQM) of the share of successful episodes; episodic less "
            f"lifelong {gains[0].mean():.3f} where doors move, {gains[1].mean():.3f} where they stay (means)",
            "holds": effect.low > 0,
        })  # fmt: skip
    factors = ("rnd", "pseudo_counts")
    if {"ngu", *factors} <= set(moved) & set(chain):
        worlds = {"RoomChain": chain, "Resampled": moved}
        shares = {w: {n: int(rows[n]["solved"].sum()) for n in ("ngu", *factors)} for w, rows in worlds.items()}
        won = shares["Resampled"]
        found.append({
            "name": "bonus_ngu",
            "world": "Resampled",
            "claim": "NGU loses nothing against either of its factors, whether doors stay or move.",
            "criterion": "RoomChain and Resampled: share of seeds that solve it at least either factor's less 0.05",
            "effect": analysis.proportion_difference(won["ngu"], seeds, won["rnd"], seeds),
            "statistic": f"difference of shares of seeds in Resampled, against RND; solved by, of {seeds}: {shares}",
            "holds": all(s["ngu"] >= max(s[n] for n in factors) - 0.05 * seeds for s in shares.values()),
        })  # fmt: skip
    noisy = table.get("Noisy", {})
    rivals = ("pseudo_counts", "simhash")
    if {"e3b", *rivals} <= set(noisy):
        over = {n: analysis.paired_bootstrap(noisy["e3b"]["coverage"], noisy[n]["coverage"]) for n in rivals}
        least = min(over.values(), key=lambda difference: difference.low)
        told = ", ".join(f"{n} {x.value:.3f} [{x.low:.3f}, {x.high:.3f}]" for n, x in over.items())
        found.append({
            "name": "bonus_e3b_noise",
            "world": "Noisy",
            "claim": "Beside channels of noise E3B covers more than counts by neighbours and counts of hashes.",
            "criterion": "Noisy: paired differences of coverage to pseudo-counts and SimHash, 95 % intervals above 0",
            "effect": least,
            "statistic": f"the smaller paired difference (IQM) of coverage, mean over the training; over {told}",
            "holds": least.low > 0,
        })  # fmt: skip
    return found


def main(args: Args) -> None:
    """Trains all arms in all worlds, prints the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    for bonus in args.bonuses:
        choice("bonuses", bonus, (*BONUSES, *VARIANTS))
    if args.tune:
        tune(args)
        return
    config = PPO
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, env_steps=3 * 2 * 16, worlds=("RoomChain",), bonuses=("counts",))
        config = config.replace(num_envs=2, rollout_length=16, num_warmup_steps=16)
    same_sizes = (args.seeds, args.first_seed, args.env_steps) == (Args.seeds, Args.first_seed, Args.env_steps)
    path = args.results / ("bonuses_by_worlds.md" if same_sizes else "bonuses_by_worlds_other.md")
    read(path)  # a table that cannot be read is refused before anything runs
    table, estimates, env_steps = {}, {}, {}
    for world in args.worlds:
        env, env_params, about = make_world(world)
        bonuses = tuple(b for b in args.bonuses if not about.bonuses or b in about.bonuses)
        iterations = (args.env_steps or about.env_steps) // (config.num_envs * config.rollout_length)
        env_steps[world] = iterations * config.num_envs * config.rollout_length
        table[world], estimates[world] = {}, {}
        for name, algorithm in arms(world, env, env_params, bonuses, config).items():
            run = pjx.run(
                algorithm, args.seeds, iterations, first_seed=args.first_seed, name=f"{world}: {name}",
                config={"world": world, "bonus": name, "coef": COEFS.get(name), "env_steps": env_steps[world]},
                out=args.out and args.out / world.replace("/", "_") / name,
            )  # fmt: skip
            table[world][name] = row = scores(run.metrics)
            share = analysis.binomial_interval(int(row["solved"].sum()), args.seeds)
            seen = analysis.bootstrap_interval(row["coverage"])
            estimates[world][name] = {"solved": share, "coverage": seen}
            print(
                f"{world:<12}{name:<14} solved {share.value:.2f} [{share.low:.2f}, {share.high:.2f}]   "
                f"coverage {seen.value:.2f} [{seen.low:.2f}, {seen.high:.2f}]   "
                f"successful episodes {row['success'].mean():.3f}",
                flush=True,
            )
    args.results.mkdir(parents=True, exist_ok=True)
    survey = merged(read(path) if same_sizes else {}, estimates)
    path.write_text(markdown(survey))
    draw(survey, path.with_suffix(".png"))
    print("written:", path, "and .png")
    if args.smoke or args.first_seed + args.seeds > 1000:
        return
    enough = args.seeds >= 20
    for entry in verdicts(table, args.seeds):
        holds = entry.pop("holds")
        world = entry.pop("world")
        path = analysis.record(
            **entry,
            source="the papers named in the bonus's module",
            env_steps=env_steps[world],
            baselines={"none": f"the same PPO without bonus: {config}", "bonuses": f"coefficients {COEFS}, others 1"},
            tuning_seeds=TUNING_SEEDS,
            judging_seeds=list(range(args.first_seed, args.first_seed + args.seeds)),
            verdict=("holds" if holds else "does not hold") if enough else "not judged",
            reason="the criterion as written" if enough else "fewer than 20 seeds",
            command=f"python experiments/bonuses_by_worlds.py --seeds {args.seeds} --first-seed {args.first_seed} "
            f"--worlds {' '.join(args.worlds)}" + (f" --env-steps {args.env_steps}" if args.env_steps else ""),
            family="bonuses",
            directory=args.results,
        )
        print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
