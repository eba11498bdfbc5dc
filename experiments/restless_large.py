"""Restless arms too many for a table: local search certified against the table, and SEQUOIA with it on 40 arms.

First 20 arms, where the exact maximum over all allowed sets can be had: 5 of 10 interventions, a schedule of 5 workers,
5 workers that pack, and round trips of 10 steps on a grid. Sets that can be packed are enumerated by how many things of
each cost they have. On every instance two random states; the values are the expected reward of a round, and SEQUOIA's
network after a short pre-training. The gap of a search is what it misses of what the best set adds to the empty one, a
stricter measure than its share of the maximum. Then SEQUOIA itself with search on 40 arms: 10 of 20 interventions, and
a schedule of 10 workers; targets bootstrap from a shorter search. Myopic and static (the highest tops, whatever the
state) are told the model and search as SEQUOIA does, with 16 chains instead of 64 for time's sake. 10 paired episodes
of 20 rounds an instance, which start with a fifth of the arms in state 1.

Criterion, written before the run, over 20 instances: (a) ``restless_search``: the mean gap is at most 1 % on each of
the four problems with each of the two values; the worst is told. (b) ``restless_large``: SEQUOIA earns at least 1.10
times what the myopic policy earns, on the interventions and on the schedule; the ratio to static is told. Speed is in
decisions a second of processor time.

    python experiments/restless_large.py            # seven minutes on one CPU core
"""

import dataclasses
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.algorithm import init_key, make_train, scan_steps
from purejaxexplore.analysis.style import HALF_WIDTH, INK, REFERENCE
from purejaxexplore.checks import choice
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.restless_oracles import fillings
from purejaxexplore.runner.cache import enable_compilation_cache

HORIZON, START, GREED, GAP = 20, 0.2, 1.10, 0.01
STATES = 2
SMALL = {
    "Interventions": lambda: worlds.restless_interventions(20, 10, 5),
    "Schedule": lambda: worlds.restless_schedule(20, 5),
    "Capacity": lambda: worlds.restless_capacity(20, 5, table=False),
    "Path": lambda: worlds.restless_path(4, 5, 5),
}
LARGE = {
    "Interventions": lambda: worlds.restless_interventions(40, 20, 10, table=False),
    "Schedule": lambda: worlds.restless_schedule(40, 10, table=False),
}
VALUES = ("Myopic", "Network")
EPISODES, JUDGED_EPISODES = 30, 10
EFFORTS = {
    "64 chains, 4 sweeps": b.SetSearchConfig(chains=64, sweeps=4),
    "16 chains, 4 sweeps": b.SetSearchConfig(chains=16, sweeps=4),
    "4 chains, 1 sweep": b.SetSearchConfig(chains=4, sweeps=1),
}
FULL, SHORT, SHORTEST = EFFORTS
CONFIG = b.SequoiaConfig(
    horizon=HORIZON, num_top=10, one_hot=True, tau=0.02, learning_rate=2e-3, lr_decay=0.97, gamma=0.9, batch_size=16,
    pretrain_states=200, pretrain_epochs=10, search=b.SetSearchConfig(chains=16, sweeps=2),
    target_search=EFFORTS[SHORTEST],
)  # fmt: skip
CRITERIA = {
    "restless_search": "mean gap to the exact maximum <= 1 % of what the best set adds to the empty one, on each of"
    " four problems, for the myopic value and a network",
    "restless_large": "mean reward >= 1.10 of myopic with the same search, on interventions and on the schedule",
}


@dataclasses.dataclass(frozen=True)
class Args:
    """Local search for the best action, and SEQUOIA with it.

    Attributes:
        seeds: instances of each problem.
        first_seed: number of the first.
        parts: restless_search (a) or restless_large (b).
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    parts: tuple[str, ...] = tuple(CRITERIA)
    smoke: bool = False
    results: Path = Path("experiments/results")


def instances(problem: worlds.RestlessProblem, args: Args):
    """``(keys, arms)`` of every seed."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), args.first_seed + jnp.arange(args.seeds))
    return keys, jax.jit(jax.vmap(problem.draw))(keys)


def allowed_sets(problem: worlds.RestlessProblem, arms: worlds.RestlessArms) -> np.ndarray:
    """bool[F, N], of one instance; without a table those that can be packed."""
    if problem.actions is not None:
        return problem.actions[np.asarray(arms.allowed)]
    costs, room = (np.asarray(x) for x in arms.rules)
    kinds = np.unique(costs)
    packed = {(0,) * kinds.size}
    for space in room:
        more = fillings(kinds, int(space))
        packed = {tuple(row) for have in packed for row in (more + have).tolist()}
    radix = len(costs) + 1
    wanted = np.zeros(radix**kinds.size, bool)
    wanted[np.array(list(packed)) @ radix ** np.arange(kinds.size)] = True
    code = np.zeros(1, int)
    for cost in costs:
        code = np.concatenate([code, code + radix ** np.searchsorted(kinds, cost)])
    return np.flatnonzero(wanted[code])[:, None] >> np.arange(len(costs)) & 1 > 0


def certify(title: str, args: Args) -> tuple[dict[str, np.ndarray], float]:
    """Gaps by effort f64[seeds, STATES, 2], the last axis that of ``VALUES``, and the decisions a second."""
    problem = worlds.restless_schedule(6, 2) if args.smoke else SMALL[title]()
    keys, arms = instances(problem, args)
    (J, N), S = arms.links.shape[1:], arms.rewards.shape[2]
    config = CONFIG.replace(num_top=2, pretrain_states=4, pretrain_epochs=1) if args.smoke else CONFIG
    config = config.replace(num_top=min(5, J), pretrain_states=config.pretrain_states // 2)

    def pretrained(arms, key):
        return b.sequoia(arms, None, config, feasible=problem.feasible).init(key).params

    params = jax.jit(jax.vmap(pretrained))(arms, keys)
    states = jax.random.randint(jax.random.key(1), (args.seeds, STATES, J), 0, S)

    def value_of(number, arms, params, states):
        myopic, network = b.myopic_value(arms, states), b.network_value(arms, params, states, one_hot=True)
        return lambda action: jnp.where(number == 0, myopic(action), network(action))

    @partial(jax.jit, static_argnums=4)
    @partial(jax.vmap, in_axes=(0, 0, 0, 0, None))
    def search(arms, params, states, key, effort):
        """f32[STATES, 2]."""

        def decide(key, states, number):
            value = value_of(number, arms, params, states)
            return b.set_search(key, value, partial(problem.feasible, arms), N, EFFORTS[effort]).value

        keys = jax.random.split(key, (STATES, 2))
        return jax.vmap(jax.vmap(decide, in_axes=(0, None, 0)), in_axes=(0, 0, None))(keys, states, jnp.arange(2))

    @jax.jit
    def exact(arms, params, states, rows, real):
        """``(best, of the empty set)`` f32[STATES, 2]; the first row is empty."""

        def decide(states):
            found = jnp.stack([value_of(number, arms, params, states)(rows) for number in range(2)])
            return jnp.where(real, found, -jnp.inf).max(1), found[:, 0]

        return jax.lax.map(decide, states)

    found = {effort: np.asarray(search(arms, params, states, keys, effort), np.float64) for effort in EFFORTS}
    begun = time.process_time()
    search(arms, params, states, keys, FULL).block_until_ready()
    speed = found[FULL].size / (time.process_time() - begun)
    best, empty = [], []
    each = [jax.tree.map(lambda x, i=i: x[i], (arms, params, states)) for i in range(args.seeds)]
    sets = [allowed_sets(problem, one[0]) for one in each]
    sizes = [len(rows) for rows in sets]
    for one, rows in zip(each, sets, strict=True):
        padded = np.concatenate([rows, np.zeros((max(sizes) - len(rows), N), bool)])
        top, bottom = exact(*one, padded, np.arange(max(sizes)) < len(rows))
        best.append(np.asarray(top, np.float64))
        empty.append(np.asarray(bottom, np.float64))
    room = np.maximum(np.subtract(best, empty), 1e-9)
    gaps = {effort: np.maximum(best - x, 0) / room for effort, x in found.items()}
    for effort, gap in gaps.items():
        for name, part in zip(VALUES, np.moveaxis(gap, -1, 0), strict=True):
            print(
                f"{title:<14} {effort}, {name:<8}: gap {100 * part.mean():.3f} %, worst {100 * part.max():.2f} %,"
                f" of {np.mean(sizes):.0f} sets",
                flush=True,
            )
    print(f"{title:<14} {speed:.0f} decisions a second")
    return gaps, speed


def rewards_of(title: str, args: Args) -> tuple[dict[str, np.ndarray], float]:
    """Mean reward of a round by every policy, name -> f64[seeds], and SEQUOIA's decisions a second."""
    problem = worlds.restless_schedule(6, 2, table=False) if args.smoke else LARGE[title]()
    keys, arms = instances(problem, args)
    config = CONFIG.replace(num_top=2, pretrain_states=4, pretrain_epochs=1) if args.smoke else CONFIG
    training, episodes = (2, 2) if args.smoke else (EPISODES, JUDGED_EPISODES)

    @jax.jit
    @jax.vmap
    def train(arms, key):
        algorithm = b.sequoia(arms, None, config, feasible=problem.feasible)
        return scan_steps(algorithm, key, algorithm.init(init_key(key)), 0, training)[0].params

    begun = time.process_time()
    params = jax.block_until_ready(train(arms, keys))
    print(f"{title:<14} trained in {time.process_time() - begun:.0f} s of processor time", flush=True)
    values = {
        "Myopic": lambda arms, params, states: b.myopic_value(arms, states),
        "Static": lambda arms, params, states: b.static_value(arms, states),
        "SEQUOIA": partial(b.network_value, one_hot=True),
    }
    found = {}
    for name, value in values.items():

        @jax.jit
        @jax.vmap
        def reward(arms, params, key, value=value):
            world = worlds.restless(arms, None, num_chosen=problem.num_chosen, horizon=HORIZON, start=START)
            of_states = partial(value, arms, params)
            policy = b.searched(world.spec, arms, problem.feasible, of_states, EFFORTS[SHORT])
            algorithm = b.bandit(policy, world, pulls=HORIZON * episodes)
            return make_train(algorithm, 1)(key)[1]["reward"][0]

        compiled = reward.lower(arms, params, keys).compile()
        begun = time.process_time()
        found[name] = np.asarray(compiled(arms, params, keys), np.float64)
        speed = args.seeds * HORIZON * episodes / (time.process_time() - begun)
        print(f"{title:<14} {name:<8} {found[name].mean():6.3f} a round, {speed:.0f} decisions a second", flush=True)
    return found, speed


def points(ax, runs: np.ndarray, place: float, look, label: str | None) -> None:
    """Every run, and their mean with its 95 % interval."""
    spread = np.random.default_rng(0).uniform(-0.1, 0.1, runs.size)
    ax.plot(runs, place + spread, ".", color=look.color, alpha=0.35, markersize=4, markeredgewidth=0)
    estimate = analysis.bootstrap_interval(runs, statistic=np.mean)
    error = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
    ax.errorbar(
        estimate.value, place, xerr=error, color=INK, marker=look.marker, markersize=4.5, capsize=2.5,
        markerfacecolor=look.color, linestyle="none", elinewidth=1, zorder=3, label=label,
    )  # fmt: skip


def draw(found: dict[str, dict[str, np.ndarray]], names: tuple[str, ...], limit: float, **labels):
    """One row a problem, with the runs of all names; a dashed line at the criterion."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(HALF_WIDTH, 2.9))
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        looks = analysis.looks(names)
        for place, by_name in enumerate(found.values()):
            for side, name in zip(np.linspace(0.24, -0.24, len(names)), names, strict=True):
                points(ax, by_name[name], place + side, looks[name], None if place else name)
        ax.axvline(limit, color=REFERENCE, linewidth=1, linestyle="--", label="Criterion")
        ax.set(**labels)
        ax.set_yticks(range(len(found)), found)
        ax.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=2, columnspacing=1.0, handletextpad=0.4)
    return figure


def main(args: Args) -> None:
    """Certifies the search, trains and evaluates, draws the figures and writes the ledger."""
    enable_compilation_cache()
    for part in args.parts:
        choice("parts", part, tuple(CRITERIA))
    if args.smoke:
        args = dataclasses.replace(args, seeds=2)
    args.results.mkdir(parents=True, exist_ok=True)
    for part in args.parts:
        measure, titles = (certify, SMALL) if part == "restless_search" else (rewards_of, LARGE)
        both = {title: measure(title, args) for title in (("Schedule",) if args.smoke else titles)}
        found = {title: found for title, (found, _) in both.items()}
        if part == "restless_search":
            shown = {title: {name: 100 * gap.mean((1, 2)) for name, gap in x.items()} for title, x in found.items()}
            labels = {"title": "20 arms", "xlabel": "Gap to the exact maximum (%)"}
            figure = draw(shown, tuple(EFFORTS), 100 * GAP, **labels)
        else:
            names = ("SEQUOIA", "Static")
            shown = {title: {name: x[name] / x["Myopic"] for name in names} for title, x in found.items()}
            labels = {"title": "40 arms", "xlabel": "Reward over that of myopic"}
            figure = draw(shown, names, GREED, **labels)
        figure.savefig(args.results / f"{part}.png", dpi=200)
        print("written:", args.results / f"{part}.png")
        if args.smoke or args.first_seed + args.seeds > 1000:
            continue
        speed = ", ".join(f"{speed:.0f} ({title})" for title, (_, speed) in both.items())
        print("written:", (judge_search if part == "restless_search" else judge_large)(found, speed, args))


def judge_search(gaps: dict[str, dict[str, np.ndarray]], speed: str, args: Args) -> Path:
    """Writes the ledger entry of the search."""
    means = {
        (title, name): found[FULL][..., i].mean() for title, found in gaps.items() for i, name in enumerate(VALUES)
    }
    title, name = max(means, key=means.get)
    told = ", ".join(f"{100 * mean:.3f} {title} {name}" for (title, name), mean in means.items())
    worst = max(found[FULL].max() for found in gaps.values())
    quick = "; ".join(
        f"{effort} " + ", ".join(f"{100 * found[effort].mean():.2f} {title}" for title, found in gaps.items())
        for effort in (SHORT, SHORTEST)
    )
    failed = [f"{title}, {name}: {100 * mean:.2f} %" for (title, name), mean in means.items() if mean > GAP]
    return entry(
        "restless_search",
        "Local search with an oracle finds nearly the exact maximum over allowed sets.",
        env_steps=0,
        baselines={"Exact": "the maximum over all allowed sets, of 20 arms"},
        effect=analysis.bootstrap_interval(100 * gaps[title][FULL][..., VALUES.index(name)].mean(1), statistic=np.mean),
        statistic=f"mean gap in % by {FULL}, the largest: {title} with the value {name}; all: {told}; worst decision"
        f" {100 * worst:.2f}; mean by {quick}; decisions a second of processor time by {FULL}: {speed}",
        failed=failed,
        args=args,
    )


def judge_large(rewards: dict[str, dict[str, np.ndarray]], speed: str, args: Args) -> Path:
    """Writes the ledger entry of SEQUOIA on many arms."""
    ratios = {
        rival: {title: float(found["SEQUOIA"].mean() / found[rival].mean()) for title, found in rewards.items()}
        for rival in ("Myopic", "Static")
    }
    least = min(ratios["Myopic"], key=ratios["Myopic"].get)
    told = "; ".join(
        f"over {rival} " + ", ".join(f"{x:.3f} ({title})" for title, x in found.items())
        for rival, found in ratios.items()
    )
    return entry(
        "restless_large",
        "SEQUOIA with local search plans for 40 coupled restless arms.",
        env_steps=EPISODES * HORIZON,
        baselines={
            "Myopic": "the expected reward of a round, by the same search",
            "Static": "lifts the highest tops, by the same search",
        },
        effect=analysis.paired_bootstrap(rewards[least]["SEQUOIA"], rewards[least]["Myopic"], statistic=np.mean),
        statistic=f"{least}: reward a round less that of myopic; {told}; decisions a second of processor time: {speed}",
        failed=[f"{title}: {x:.3f} of myopic" for title, x in ratios["Myopic"].items() if x < GREED],
        args=args,
    )


def entry(name, claim, *, failed, args: Args, **fields) -> Path:
    """Writes one entry."""
    return analysis.record(
        name=name,
        claim=claim,
        source="Xu, Wilder, Khalil and Tambe (2025), Reinforcement learning with combinatorial actions for coupled"
        " restless bandits",
        criterion=CRITERIA[name],
        tuning_seeds=range(1000, 1003),
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        verdict=("does not hold" if failed else "holds") if args.seeds >= 20 else "not judged",
        reason=("; ".join(failed) or "the criterion as written") if args.seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/restless_large.py --seeds {args.seeds} --first-seed {args.first_seed}"
        f" --parts {name}",
        family="bandits",
        directory=args.results,
        **fields,
    )  # fmt: skip


if __name__ == "__main__":
    main(analysis.arguments(Args))
