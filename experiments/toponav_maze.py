"""TopoNav in mazes of 4 x 4 rooms: does a map of landmarks find a far reward sooner than a count bonus on every cell?

Hossain, Faridee, Roy, Freeman, Gregory and Trout (2024), "TopoNav: topological navigation for efficient exploration in
sparse reward environments", whose robot is out of scope: here its mechanism, with tables. RoomMaze, 25 x 25 cells,
another maze for every seed, one reward in the cell that is farthest from the start, episodes of 200 steps, 200,000
steps. The baselines are flat Q-learning with a count bonus on cells, and H-DQN: the same two levels with a fixed grid
of 5 x 5 sub-goals instead of a map. All learn online and from one backward replay of every 50 steps.

The criterion, written before the run (seeds 0 to 19): the median number of steps to the first reward is at most 0.8 of
flat Q-learning's, and in at least 18 of 20 seeds the map at the end connects all 16 rooms.

Each arm has the best of twelve settings (``--tune --env-steps 100000``) by the mean logarithm of the steps to the first
reward. Twelve others each were tried before, with 40,000 steps, in which flat Q-learning never found it.

Tuned on seeds 1000 to 1002, judged on seeds 0 to 19.

    python experiments/toponav_maze.py            # minutes on two CPU cores
    python experiments/toponav_maze.py --tune     # the twelve settings of each arm on the tuning seeds
    python experiments/toponav_maze.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK, PALETTE
from purejaxexplore.archives import landmarks as graph
from purejaxexplore.go_explore.topological import TopoNavConfig, topo_nav
from purejaxexplore.learners.q_learning import QLearningConfig, q_learning
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
OURS, FLAT, HDQN = "TopoNav", "Q-learning + counts", "H-DQN, 5 x 5 grid"
COLOURS = {OURS: PALETTE[0], FLAT: PALETTE[1], HDQN: PALETTE[2]}
GRIDS = {
    OURS: {"spacing": [3.0, 4.0], "bonus": [0.0, 0.01], "distance_weight": [0.0, 0.001, 0.002]},
    FLAT: {"gamma": [0.9, 0.99], "bonus": [0.01, 0.1, 1.0], "initial_value": [0.0, 10.0]},
    HDQN: {"bonus": [0.0, 0.1, 1.0], "epsilon": [0.05, 0.3], "epsilon_low": [0.05, 0.2]},
}
CHOSEN = {
    OURS: {"spacing": 3.0, "bonus": 0.0, "distance_weight": 0.001},
    FLAT: {"gamma": 0.99, "bonus": 0.01, "initial_value": 10.0},
    HDQN: {"bonus": 0.1, "epsilon": 0.3, "epsilon_low": 0.2},
}
CRITERION = (
    "median steps to the first reward <= 0.8 of flat Q-learning with a count bonus; the map connects all 16 rooms in"
    " >= 18 of 20 seeds"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """TopoNav against flat Q-learning and H-DQN.

    Attributes:
        seeds: seeds of each arm, each with a maze of its own.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        tune: print how the settings of the grids do on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 200_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def grid_chart(side: int) -> graph.Landmarks:
    """Sub-goals in the middle of 5 x 5 blocks of cells, each one step from each other: from any, any can be chosen."""
    middle = np.arange(2, side, 5.0)
    chart = graph.init((), middle.size**2, 2)
    for y in middle:
        for x in middle:
            chart, _ = graph.add(chart, jnp.bool_(True), place=jnp.array([y, x]))
    return chart._replace(cost=1.0 - jnp.eye(middle.size**2))


def arms(env, params) -> dict:
    """Name -> (factory of an algorithm from its settings, the settings before tuning)."""
    chart = grid_chart(env.side)

    def in_own_maze(factory):
        return lambda config: pjx.per_seed(
            lambda key: env.sample_params(key, params), lambda maze: factory(maze, config)
        )

    no_map = TopoNavConfig(reach=np.inf, novelty_weight=0.0, distance_weight=0.0)
    return {
        OURS: (in_own_maze(lambda maze, config: topo_nav(env, maze, config)), TopoNavConfig(capacity=80)),
        FLAT: (in_own_maze(lambda maze, config: q_learning(env, maze, config)), QLearningConfig(learning_rate=1.0)),
        HDQN: (in_own_maze(lambda maze, config: topo_nav(env, maze, config, chart=chart)), no_map),
    }


def first_rewards(run, env_steps: int) -> np.ndarray:
    """f64[...], steps to the first reward; the budget where there was none."""
    first = np.asarray(run.metrics["first_success"])[..., -1].astype(float)
    return np.where(first < 0, env_steps, first)


def connected(env, run) -> np.ndarray:
    """i64[seeds], rooms in which a landmark stands that is connected with the first one."""
    chart = run.state[1].mind.map
    ways = np.asarray(jax.vmap(graph.shortest)(chart.cost))[:, 0]
    rooms = np.asarray(env.room(*np.moveaxis(np.asarray(chart.nodes.desc), -1, 0)))
    filled = np.asarray(chart.filled)
    return np.array([len(set(rooms[i][filled[i] & np.isfinite(ways[i])])) for i in range(len(rooms))])


def tune(env, params, iterations: int) -> None:
    """Prints the mean logarithm of the steps to the first reward with every setting of the grids."""
    for name, (factory, config) in arms(env, params).items():
        runs = pjx.sweep(
            factory, config, GRIDS[name], len(TUNING_SEEDS), iterations, first_seed=TUNING_SEEDS[0], name=name
        )
        first = np.log10(first_rewards(runs, iterations * config.rollout_length))
        for place in np.ndindex(first.shape[:-1]):
            setting = {field: values[i] for (field, values), i in zip(GRIDS[name].items(), place, strict=True)}
            print(f"{name:<20} {first[place].mean():.3f} {np.round(10 ** first[place])} {setting}", flush=True)


def draw(env, runs: dict, env_steps: int):
    """Share of seeds that have found the reward against steps, and the map of the first seed in its maze."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0))
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        for name, color in COLOURS.items():
            first = np.sort(np.asarray(runs[name].metrics["first_success"])[:, -1])
            found = first[first > 0]
            # From the first find to the last: before and after, nothing changes.
            steps = np.concatenate([found[:1], found, [env_steps]])
            count = np.concatenate([[0], np.arange(1, len(found) + 1), [len(found)]])[-len(steps) :]
            share = np.array([analysis.binomial_interval(int(n), len(first)) for n in count])
            left.step(steps, share[:, 0], where="post", zorder=3, color=color, label=name)
            shade = {"color": color, "alpha": 0.15, "linewidth": 0}
            left.fill_between(steps[:-1], share[:-1, 1], share[:-1, 2], step="post", **shade)
        left.set(
            xscale="log", xlabel="Environment steps", ylabel="Share of seeds that found the reward", ylim=(-0.03, 1.03),
            title="First reward",
        )  # fmt: skip
        figure.legend(loc="outside lower left", ncols=3, columnspacing=1.4)

        maze, state = jax.tree.map(lambda x: x[0], runs[OURS].state)
        chart = jax.tree.map(np.asarray, state.mind.map)
        right.imshow(np.asarray(env.map_background(maze)), interpolation="nearest", extent=(0, env.side, env.side, 0))
        y, x = chart.nodes.desc.T + 0.5
        for a, b in np.argwhere(np.triu(chart.walks) > 0):
            right.plot(x[[a, b]], y[[a, b]], color=PALETTE[0], linewidth=0.9, alpha=0.75, zorder=2)
        on = chart.filled
        right.scatter(x[on], y[on], s=22, color=PALETTE[1], edgecolor="white", linewidth=0.6, zorder=3)
        right.scatter(*np.array(env.start[::-1]) + 0.5, s=60, facecolor="none", edgecolor=INK, linewidth=1.2, zorder=4)
        right.set_title(f"Map of one seed: {int(on.sum())} landmarks")
        right.set_axis_off()
    return figure


def main(args: Args) -> None:
    """Runs the arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    env, params = pjx.make("RoomMaze")
    iterations = (1000 if args.smoke else args.env_steps) // TopoNavConfig().rollout_length
    if args.tune:
        tune(env, params, iterations)
        return
    seeds = 2 if args.smoke else args.seeds
    runs = {}
    for name, (factory, config) in arms(env, params).items():
        algorithm = factory(config.replace(**CHOSEN[name]))
        runs[name] = pjx.run(algorithm, seeds, iterations, first_seed=args.first_seed, name=name)
        first, last = first_rewards(runs[name], args.env_steps), runs[name].metrics
        print(
            f"{name:<20} median steps to the first reward {np.median(first):.0f}, found by"
            f" {(np.asarray(last['first_success'])[:, -1] > 0).sum()}/{seeds}, coverage"
            f" {np.asarray(last['coverage'])[:, -1].mean():.3f}, success at the end"
            f" {np.asarray(last['success'])[:, -1].mean():.2f}",
            flush=True,
        )
    rooms = connected(env, runs[OURS])
    print(f"rooms connected by the map: {rooms.tolist()} of {env.num_rooms**2}")

    args.results.mkdir(parents=True, exist_ok=True)
    path = args.results / "toponav_maze.png"
    draw(env, runs, args.env_steps).savefig(path, dpi=200)
    print("written:", path)
    if not args.smoke and args.first_seed + seeds <= TUNING_SEEDS[0]:
        print("written:", judge(env, runs, rooms, args))


def judge(env, runs: dict, rooms: np.ndarray, args: Args) -> Path:
    """Writes the ledger entry."""
    first = {name: first_rewards(run, args.env_steps) for name, run in runs.items()}
    median = {name: float(np.median(steps)) for name, steps in first.items()}
    draws = np.random.default_rng(0).integers(0, args.seeds, (10_000, args.seeds))
    ratios = np.median(first[OURS][draws], 1) / np.median(first[FLAT][draws], 1)
    ratio, (low, high) = median[OURS] / median[FLAT], np.quantile(ratios, [0.025, 0.975])
    whole = int((rooms == env.num_rooms**2).sum())
    numbers = ", ".join(f"{name} {steps:.0f}" for name, steps in median.items())
    found = ", ".join(f"{name} {int((steps < args.env_steps).sum())}" for name, steps in first.items())
    enough = args.seeds == 20 and args.env_steps == 200_000
    holds = ratio <= 0.8 and whole >= 18
    return analysis.record(
        name="toponav_maze",
        claim="A growing map of landmarks finds a far reward in a maze of rooms sooner than a count bonus on cells.",
        source="Hossain, Faridee, Roy, Freeman, Gregory and Trout (2024), TopoNav: topological navigation for efficient"
        " exploration in sparse reward environments",
        criterion=CRITERION,
        env_steps=args.env_steps,
        baselines={
            FLAT: f"tabular, bonus / sqrt(n) on cells, backward replay; best of {GRIDS[FLAT]}: {CHOSEN[FLAT]}",
            HDQN: f"the same two levels, sub-goals fixed; best of {GRIDS[HDQN]}: {CHOSEN[HDQN]}",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=analysis.Estimate(ratio, float(low), float(high)),
        statistic="ratio of median steps to the first reward, TopoNav to flat Q-learning, bootstrap paired by maze;"
        f" medians: {numbers}; found within the budget: {found} of {args.seeds}; all rooms connected in {whole} of"
        f" {args.seeds} seeds; TopoNav has the best of {GRIDS[OURS]}: {CHOSEN[OURS]}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "it needs 20 seeds and 200,000 steps",
        command=f"python experiments/toponav_maze.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="go_explore",
        directory=args.results,
    )  # fmt: skip


if __name__ == "__main__":
    main(analysis.arguments(Args))
