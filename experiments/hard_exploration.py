"""The main job: Go-Explore, PPO+RND, PPO+SOFE, PPO and a random policy on three hard-exploration worlds.

* DeepSea (bsuite, through gymnax): one right sequence of N actions, its action map drawn anew for every seed.
* DoorKey (MiniGrid, through navix): find the key, open the door, reach the goal; every seed keeps one level.
* KeyRooms (ours): nine rooms, three keys, three doors, pits; the shortest way to the treasure is 68 moves.

All five explorers may take the same number of environment steps in a world (Go-Explore executes fewer: a rollout that
dies early is not continued). "Found" is the share of seeds that ever
completed the task; the return is that of the best trajectory for Go-Explore, whose product is a trajectory, and the
average of the last episodes for the others, whose product is a policy.

The claim, written before the run: in KeyRooms Go-Explore finds the treasure in more seeds than PPO does, Fisher's exact
test p < 0.01, over at least 20 seeds that nothing was tuned on (tuning seeds 1000 to 1002, judging seeds from 0).

    python experiments/hard_exploration.py                    # minutes on two CPU cores
    python experiments/hard_exploration.py --smoke            # seconds
    python experiments/hard_exploration.py --seeds 1024       # the same on an accelerator
    python experiments/hard_exploration.py --tune             # PPO's eight settings on the tuning seeds
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.bonuses.counts import CountsConfig
from purejaxexplore.bonuses.rnd import rnd
from purejaxexplore.bonuses.sofe import sofe
from purejaxexplore.envs.starts import FixedLevel
from purejaxexplore.go_explore.explore import GoExploreConfig, go_explore
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.runner.cache import enable_compilation_cache

LANES, HORIZON = 16, 64
TUNING_SEEDS = (1000, 1001, 1002)
PPO = PPOConfig(num_envs=LANES, rollout_length=HORIZON, num_warmup_steps=HORIZON)
GRID = {"learning_rate": [2.5e-4, 1e-3], "entropy_coef": [1e-3, 1e-2], "normalise_advantages": [False, True]}
TUNED = {  # the best of the grid: goals found on the tuning seeds, then coverage
    ("DeepSea", "PPO+RND"): (1e-3, 1e-2, False),
    ("DeepSea", "PPO+SOFE"): (2.5e-4, 1e-3, True),
    ("DeepSea", "PPO"): (1e-3, 1e-3, False),
    ("DoorKey", "PPO+RND"): (1e-3, 1e-3, True),
    ("DoorKey", "PPO+SOFE"): (2.5e-4, 1e-2, False),
    ("DoorKey", "PPO"): (2.5e-4, 1e-2, False),
    ("KeyRooms", "PPO+RND"): (1e-3, 1e-2, True),
    ("KeyRooms", "PPO+SOFE"): (1e-3, 1e-2, True),
    ("KeyRooms", "PPO"): (1e-3, 1e-2, False),
}
CLAIM = "At equal environment steps Go-Explore finds the treasure of KeyRooms in more seeds than PPO."
CRITERION = "Fisher's exact test on seeds that found the treasure, p < 0.01, at least 20 seeds (0, 1, ...)"


@dataclasses.dataclass(frozen=True)
class Args:
    """Compares five explorers on three hard-exploration worlds.

    Attributes:
        seeds: seeds of each explorer in each world.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        worlds: any of DeepSea, DoorKey, KeyRooms.
        tune: print how PPO's settings do on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        out: directory of the stored runs (resumable); by default they stay in memory.
        results: directory of the figures and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    worlds: tuple[str, ...] = ("DeepSea", "DoorKey", "KeyRooms")
    tune: bool = False
    smoke: bool = False
    out: Path | None = None
    results: Path = Path("experiments/results")


@dataclasses.dataclass(frozen=True)
class World:
    """A world, the environment steps a seed may take in it, and what an archive and a count table call a state."""

    name: str
    env: Any
    params: Any
    env_steps: int
    cell: Callable | None
    groups: np.ndarray
    capacity: int


def make_world(name: str, smoke: bool) -> World:
    """Builds a world by the name it has in the table."""
    if name == "DeepSea":
        size = 6 if smoke else 14
        env, params = pjx.make("gymnax/DeepSea-bsuite", size=size)
        return World(name, env, params, 40_000, state_cell(env), np.arange(env.num_states), 512)
    if name == "DoorKey":
        inner, _ = pjx.make(f"navix/Navix-DoorKey-{'5x5' if smoke else '8x8'}-v0")
        env = FixedLevel(inner)
        groups = np.arange(env.num_states) // 16
        return World(name, env, env.default_params, 40_000, state_cell(env), groups, 2048)
    if name == "KeyRooms":
        env, params = pjx.make("KeyRooms")
        _, groups = np.unique(env.positions(), axis=0, return_inverse=True)
        return World(name, env, params, 80_000, None, groups, 2048)
    raise ValueError(f"worlds={name!r}: choose from DeepSea, DoorKey, KeyRooms")


def state_cell(env) -> Callable:
    """One cell a numbered state."""
    return lambda observation, state, params: env.state_id(state, params)


def ppo_arms(world: World) -> dict[str, tuple[Stream, ...]]:
    """Name -> reward streams."""
    extrinsic = Stream("extrinsic", gamma=0.99, lam=0.95, coef=2.0)
    table = CountsConfig(num_states=int(world.groups.max()) + 1)
    return {
        "PPO+RND": (extrinsic, Stream("rnd", rnd(), gamma=0.99, lam=0.95, episodic=False)),
        "PPO+SOFE": (extrinsic, Stream("sofe", sofe(table, world.groups), gamma=0.99, lam=0.95)),
        "PPO": (extrinsic,),
    }


def in_own_level(world: World, factory: Callable[[Any], pjx.Algorithm]) -> pjx.Algorithm:
    """The algorithm, each seed in a level of its own where the world has levels."""
    if not hasattr(world.env, "sample_params"):
        return factory(world.params)
    return pjx.per_seed(lambda key: world.env.sample_params(key, world.params), factory)


def explorers(world: World) -> dict[str, tuple[pjx.Algorithm, int]]:
    """Name -> (algorithm, environment steps an iteration)."""
    archive = GoExploreConfig(
        action_repeat=0.8, num_lanes=LANES, horizon=30, capacity=world.capacity,
        num_iterations=world.env_steps // (30 * LANES),
    )  # fmt: skip
    rollout = LANES * HORIZON
    arms = {"Go-Explore": (lambda p: go_explore(world.env, p, archive, cell=world.cell), LANES * 30)}
    for name, streams in ppo_arms(world).items():
        config = PPO.replace(**dict(zip(GRID, TUNED[world.name, name], strict=True)))
        arms[name] = (lambda p, c=config, s=streams: ppo(world.env, p, c, streams=s), rollout)
    arms["Random"] = (lambda p: random_policy(world.env, p, num_envs=LANES, rollout_length=HORIZON), rollout)
    return {name: (in_own_level(world, factory), steps) for name, (factory, steps) in arms.items()}


def train(world: World, args: Args) -> dict[str, pjx.runner.Runs]:
    """Runs every explorer in a world."""
    runs = {}
    for name, (algorithm, steps_per_iteration) in explorers(world).items():
        if args.smoke and name in ("PPO", "PPO+SOFE"):  # compiling them is what takes the time
            continue
        iterations = 4 if args.smoke else world.env_steps // steps_per_iteration
        runs[name] = pjx.run(
            algorithm, args.seeds, iterations, first_seed=args.first_seed, name=f"{world.name}: {name}",
            config={"world": world.name, "explorer": name, "env_steps": world.env_steps, "smoke": args.smoke},
            out=args.out and args.out / world.name / name.replace("+", "_"),
        )  # fmt: skip
    return runs


def tune(world: World) -> None:
    """Prints how many tuning seeds each setting of the grid finds the goal in, and what it covers."""
    for name, streams in ppo_arms(world).items():

        def make(config, streams=streams):
            return in_own_level(world, lambda p: ppo(world.env, p, config, streams=streams))

        iterations = world.env_steps // (LANES * HORIZON)
        grid = pjx.sweep(make, PPO, GRID, len(TUNING_SEEDS), iterations, first_seed=TUNING_SEEDS[0], progress=False)
        wins = (np.asarray(grid.metrics["success"]) > 0).any(-1).sum(-1)
        covered = np.asarray(grid.metrics["coverage"])[..., -1].mean(-1)
        for place in np.ndindex(wins.shape):
            setting = {field: values[i] for (field, values), i in zip(GRID.items(), place, strict=True)}
            print(f"{world.name} {name}: {setting} found {wins[place]}, coverage {covered[place]:.3f}", flush=True)


def found(run) -> np.ndarray:
    """bool[seeds], whether a seed ever completed the task."""
    return (np.asarray(run.metrics["success"]) > 0).any(-1)


def summary_row(run, seconds: float) -> dict[str, Any]:
    """The numbers of one line of the table, intervals at 95 %."""
    solved = found(run)
    env_steps = float(run.metrics["env_steps"][0, -1])
    return {
        "found": analysis.binomial_interval(int(solved.sum()), len(solved)),
        "return": analysis.bootstrap_interval(analysis.final_scores(run, "episode_return")),
        "coverage": analysis.bootstrap_interval(np.asarray(run.metrics["coverage"])[:, -1]),
        "env_steps": env_steps,
        "steps_per_second": env_steps * len(solved) / run.timing["run_seconds"],
        "seconds": seconds,
    }


def visited(run) -> np.ndarray:
    """bool[seeds, states], read off the final states."""
    state = run.state[1] if isinstance(run.state, tuple) and len(run.state) == 2 else run.state
    return np.asarray(state.visited)


def show(table: dict[str, dict[str, dict]]) -> None:
    """Prints the table."""
    print(f"\n{'world':<10}{'explorer':<12}{'found':>20}{'return (IQM)':>25}{'coverage (IQM)':>22}{'steps/s':>10}")
    for world, rows in table.items():
        for name, row in rows.items():
            estimates = (row["found"], row["return"], row["coverage"])
            cells = [f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for e in estimates]
            print(f"{world:<10}{name:<12}{cells[0]:>20}{cells[1]:>25}{cells[2]:>22}{row['steps_per_second']:>10,.0f}")


def draw(all_runs: dict[str, dict[str, Any]], args: Args) -> list[Path]:
    """Curves of every world and, for KeyRooms, the coverage maps."""
    args.results.mkdir(parents=True, exist_ok=True)
    paths = []
    for world_name, runs in all_runs.items():
        figure = analysis.learning_curves(runs, "coverage", title=world_name)
        paths.append(args.results / f"hard_exploration_{world_name}.png")
        figure.savefig(paths[-1], dpi=200)
    if "KeyRooms" in all_runs:
        env, params = pjx.make("KeyRooms")
        maps = {}
        for name, run in all_runs["KeyRooms"].items():
            seen = visited(run).astype(np.float32)
            maps[name] = np.mean([np.asarray(env.position_map(s)) > 0 for s in seen], 0)
        background = np.asarray(env.map_background(params))
        figure = analysis.coverage_maps(maps, background, label="Share of seeds that visited")
        paths.append(args.results / "hard_exploration_maps.png")
        figure.savefig(paths[-1], dpi=200)
    return paths


def judge(all_runs: dict[str, dict[str, Any]], table: dict, args: Args) -> Path:
    """Writes the ledger entry of the claim."""
    solved = {name: found(run) for name, run in all_runs["KeyRooms"].items()}
    n = args.seeds
    a, b = int(solved["Go-Explore"].sum()), int(solved["PPO"].sum())
    p = analysis.fisher_exact(a, n, b, n)
    enough = n >= 20
    numbers = ", ".join(f"{name} {int(v.sum())}" for name, v in solved.items())
    return analysis.record(
        name="hard_exploration",
        claim=CLAIM,
        source="Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), First return, then explore",
        criterion=CRITERION,
        env_steps=int(table["KeyRooms"]["Go-Explore"]["env_steps"]),
        baselines={"PPO": f"16 environments x 64 steps; {TUNED['KeyRooms', 'PPO']}, best of {GRID} on tuning seeds"},
        tuning_seeds=list(TUNING_SEEDS),
        judging_seeds=list(range(args.first_seed, args.first_seed + n)),
        effect=analysis.proportion_difference(a, n, b, n),
        statistic=f"difference of shares of seeds; Fisher's exact test p = {p:.2g}; found by {numbers} of {n} seeds",
        verdict=("holds" if p < 0.01 and a > b else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "fewer than 20 seeds",
        command=f"python experiments/hard_exploration.py --seeds {n} --first-seed {args.first_seed} "
        f"--worlds {' '.join(args.worlds)}",
        family="go_explore",
        directory=args.results,
    )


def main(args: Args) -> None:
    """Runs the comparison, prints the table, writes the figures and says where they are."""
    enable_compilation_cache()
    all_runs, table = {}, {}
    for world_name in args.worlds:
        world = make_world(world_name, args.smoke)
        if args.tune:
            tune(world)
            continue
        started = time.perf_counter()
        all_runs[world_name] = train(world, args)
        seconds = time.perf_counter() - started
        table[world_name] = {name: summary_row(run, seconds) for name, run in all_runs[world_name].items()}
    if args.tune:
        return
    show(table)
    paths = draw(all_runs, args)
    if "KeyRooms" in all_runs and not args.smoke and args.first_seed + args.seeds <= 1000:
        paths.append(judge(all_runs, table, args))
    print("\nwritten:", *(str(path) for path in paths), sep="\n  ")
    print(f"device: {jax.devices()[0].device_kind}")


if __name__ == "__main__":
    main(analysis.arguments(Args))
