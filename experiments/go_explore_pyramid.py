"""Go-Explore in the pyramid, with and without domain knowledge, beside PPO and PPO+RND on the same frames.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2019, 2021): with cells that are frames shrunk to 11 x 8 pixels of 8 greys
the exploration phase finds most rooms of Montezuma's Revenge, with cells from domain knowledge it solves its levels.
Here the world is our own (24 rooms, 18 actions, four frames a step), with one life an episode for everybody, because a
trajectory that dies leads nowhere.

The criterion, written before the run: Go-Explore with domain knowledge visits all 24 rooms, and its best score exceeds
10,000, each in the median of 20 seeds (0 to 19; development seeds from 1000 on). The arm without knowledge and the
learners are reported beside it. Every score is that of the best trajectory for Go-Explore, whose product is one, and
the best mean over an iteration's episodes for the learners. Coverage counts the tiles of all rooms, of which about a
third can be entered; the rest is stone and air out of reach.

    python experiments/go_explore_pyramid.py --smoke
    python experiments/go_explore_pyramid.py --seeds 3 --first-seed 1000 --frame-steps 640000 --learner-steps 0
    python experiments/go_explore_pyramid.py              # judged; hours on a CPU, meant for an accelerator
    purejaxexplore watch runs/pyramid/knowledge           # after a run with --out runs/pyramid
"""

import dataclasses
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import tyro

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.archives import cells
from purejaxexplore.bonuses.rnd import rnd
from purejaxexplore.envs.wrappers import ObservationWrapper
from purejaxexplore.go_explore import GoExploreConfig, go_explore
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

CRITERION = "Go-Explore with domain knowledge: median rooms visited 24 of 24 and median best score > 10,000, 20 seeds"
LANES, HORIZON, SHRUNK = 64, 100, 21


@dataclasses.dataclass(frozen=True)
class Args:
    """Go-Explore, PPO and PPO+RND in the pyramid.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 and later are for development.
        env_steps: steps of a seed of Go-Explore with domain knowledge, four frames each.
        frame_steps: steps of a seed of Go-Explore without it.
        learner_steps: steps of a seed of PPO and PPO+RND; 0 leaves both out.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        out: directory of the stored runs (resumable, and to be watched); by default they stay in memory.
        results: directory of the figures and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 6_400_000
    frame_steps: int = 6_400_000
    learner_steps: int = 6_400_000
    smoke: bool = False
    out: Path | None = None
    results: Path = Path("experiments/results")


class Shrunk(ObservationWrapper):
    """The grey frames averaged over squares of 4 x 4 pixels, ``f32[21, 21, 1]`` in [0, 1]: a CPU's frames."""

    def transform(self, observation, params):
        squares = observation.astype(jnp.float32).reshape(SHRUNK, 4, SHRUNK, 4, 1)
        return squares.mean((1, 3)) / 255

    def observation_space(self, params):
        box = type(super().observation_space(params))
        return box(0.0, 1.0, (SHRUNK, SHRUNK, 1), jnp.float32)


def explore(name: str, observation: str, cell, env_steps: int, args: Args):
    """One arm of Go-Explore."""
    world = {"name": "Pyramid", "observation": observation, "lives": 1}
    env, env_params = pjx.make(**world)
    iterations = 3 if args.smoke else env_steps // (LANES * HORIZON)
    settings = GoExploreConfig(
        num_lanes=LANES, horizon=HORIZON, capacity=2**12 if args.smoke else 2**17, num_iterations=iterations
    )
    algorithm = go_explore(env, env_params, settings, cell=cell)
    out = args.out and args.out / name
    config = {"world": world, "go_explore": settings}
    return pjx.run(algorithm, args.seeds, iterations, first_seed=args.first_seed, out=out, config=config, name=name)


def learn(name: str, with_rnd: bool, args: Args):
    """One arm of PPO."""
    env, env_params = pjx.make("Pyramid", observation="frame", lives=1)
    settings = PPOConfig(
        num_envs=8 if args.smoke else 32, rollout_length=16 if args.smoke else 128, gamma=0.999, entropy_coef=1e-3,
        normalise_advantages=not with_rnd, network="cnn", num_warmup_steps=16 if args.smoke else 128,
    )  # fmt: skip
    extrinsic = Stream("extrinsic", gamma=0.999, lam=0.95, coef=2.0)
    novelty = Stream("rnd", rnd(), gamma=0.99, lam=0.95, episodic=False)
    algorithm = ppo(Shrunk(env), env_params, settings, streams=(extrinsic, novelty) if with_rnd else (extrinsic,))
    iterations = 2 if args.smoke else args.learner_steps // (settings.num_envs * settings.rollout_length)
    out = args.out and args.out / name
    return pjx.run(algorithm, args.seeds, iterations, first_seed=args.first_seed, out=out, name=name)


def summary(env, run) -> dict[str, np.ndarray]:
    """Of each seed: rooms visited, best score (of a trajectory of Go-Explore, of an iteration's mean of a learner)."""
    rooms = env.rooms_visited(np.asarray(run.state.visited)).sum(-1)
    best = np.nanmax(np.asarray(run.metrics["episode_return"], np.float64), axis=-1)
    return {"rooms": rooms, "score": best, "env_steps": np.asarray(run.metrics["env_steps"])[:, -1]}


def draw(env, env_params, runs: dict, args: Args) -> list[Path]:
    """The curves of the share of tiles visited, and where the seeds have been."""
    args.results.mkdir(parents=True, exist_ok=True)
    figure = analysis.learning_curves(runs, "coverage", title="Pyramid, 24 rooms")
    paths = [args.results / "go_explore_pyramid.png"]
    figure.savefig(paths[0], dpi=200)
    shares = {name: np.asarray(run.state.visited).mean(0) for name, run in runs.items()}
    # The pyramid is wide: two of it fill a row.
    for part, names in (("archives", [*runs][:2]), ("learners", [*runs][2:])):
        if names:
            maps = {name: np.asarray(env.position_map(shares[name])) for name in names}
            figure = analysis.coverage_maps(maps, env.map_background(env_params), label="Share of seeds that visited")
            paths.append(args.results / f"go_explore_pyramid_maps_{part}.png")
            figure.savefig(paths[-1], dpi=200)
    return paths


def judge(table: dict, args: Args) -> Path:
    """Writes the ledger entry."""
    ours, enough = table["Go-Explore, knowledge"], args.seeds >= 20
    rooms, score = float(np.median(ours["rooms"])), float(np.median(ours["score"]))
    numbers = "; ".join(
        f"{name}: rooms {np.median(row['rooms']):g}, score {np.median(row['score']):,.0f} after"
        f" {np.median(row['env_steps']):,.0f} steps"
        for name, row in table.items()
    )
    return analysis.record(
        name="go_explore_pyramid",
        claim="Go-Explore with domain knowledge visits all rooms of the pyramid and scores above 10,000.",
        source="Ecoffet, Huizinga, Lehman, Stanley and Clune (2019), Go-Explore: a new approach for hard-exploration"
        " problems; (2021) First return, then explore",
        criterion=CRITERION,
        env_steps=args.env_steps,
        baselines={name: "see the statistic for its steps" for name in table if name != "Go-Explore, knowledge"},
        tuning_seeds=[1000, 1001, 1002],
        judging_seeds=list(range(args.first_seed, args.first_seed + args.seeds)),
        effect=analysis.bootstrap_interval(ours["score"], np.median),
        statistic=f"median best score, bootstrap interval; medians over seeds: {numbers}",
        verdict=("holds" if rooms == 24 and score > 10_000 else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "fewer than 20 seeds",
        command=f"python experiments/go_explore_pyramid.py --seeds {args.seeds} --first-seed {args.first_seed}"
        f" --env-steps {args.env_steps} --frame-steps {args.frame_steps} --learner-steps {args.learner_steps}",
        family="go_explore",
        directory=args.results,
    )  # fmt: skip


def main(args: Args) -> None:
    """Runs the arms, prints the table, draws the figures and writes the ledger."""
    enable_compilation_cache()
    if args.smoke:
        args = dataclasses.replace(args, seeds=2)
    shrunk = cells.downscaled(8, 11, 8)
    arms = {
        "Go-Explore, knowledge": lambda: explore("knowledge", "symbolic", None, args.env_steps, args),
        "Go-Explore, frames": lambda: explore("frames", "frame", shrunk, args.frame_steps, args),
    }
    if args.learner_steps:
        arms["PPO+RND"] = lambda: learn("ppo_rnd", True, args)
        arms["PPO"] = lambda: learn("ppo", False, args)
    env, env_params = pjx.make("Pyramid", lives=1)
    runs, table = {}, {}
    for name, arm in arms.items():
        started = time.perf_counter()
        runs[name] = arm()
        table[name] = row = summary(env, runs[name])
        print(
            f"{name:<24} rooms {np.median(row['rooms']):4.1f}  score {np.median(row['score']):9,.0f}"
            f"  steps {np.median(row['env_steps']):12,.0f}  {time.perf_counter() - started:6.0f} s",
            flush=True,
        )
    paths = draw(env, env_params, runs, args)
    if not args.smoke and args.first_seed + args.seeds <= 1000:
        paths.append(judge(table, args))
    print("written:", *(str(path) for path in paths), sep="\n  ")


if __name__ == "__main__":
    main(tyro.cli(Args))
