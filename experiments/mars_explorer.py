"""MarsExplorer: PPO against frontier policies and a random walk in mapping unknown, rocky ground.

Koutras, Kapoutsis, Amanatiadis and Kosmatopoulos (2021), "MarsExplorer: exploration of unknown terrains via deep
reinforcement learning and procedurally generated environments". Ground of 15 x 15 cells with four rocks, 64 levels for
each seed, a range finder of six cells. PPO sees the 11 x 11 cells of its map around it, remembers nothing else, and is
trained for 150,000 steps, with a bonus of 20 instead of 400 at the end: rewards are not rescaled here. "Utility" and
"cost" are the paper's frontier policies, which ignore rocks; BFS walks the shortest known way to the nearest frontier.
All then map the same 64 new grounds a seed, for 337 steps, whether or not enough is known before.

Criterion, written before the run, over 20 seeds (IQM, paired): PPO knows 95 % of what can be seen after fewer steps
than a random walk (who never does counts with the limit, 337), the 95 % interval of the difference above 0, and after
225 steps, one a cell, it knows at least 0.9 of the share that BFS knows.

Nothing is tuned. Judged on seeds 0 to 19.

    python experiments/mars_explorer.py            # some minutes on two CPU cores
    python experiments/mars_explorer.py --smoke    # seconds
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import per_seed
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.envs.grids import mapping, tiles
from purejaxexplore.envs.grids.mars import ground_sprites
from purejaxexplore.learners.ppo import PPOConfig, ppo
from purejaxexplore.learners.ppo_config import actor_critic
from purejaxexplore.nets import memoryless, policy_of
from purejaxexplore.runner.cache import enable_compilation_cache

LIMIT, CELLS = 337, 225
SCRIPTED = {
    "BFS": mapping.nearest_frontier_action,
    "Cost": mapping.cost_action,
    "Utility": mapping.utility_action,
}
CONFIG = PPOConfig(learning_rate=1e-3, gamma=0.9, clip_values=False)
CRITERION = (
    "PPO knows 95 % after fewer steps than a random walk, 95 % interval of the difference above 0; after 225 steps it"
    " knows >= 0.9 of the share that BFS knows"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """MarsExplorer on small ground.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed.
        env_steps: environment steps that PPO is trained for.
        episodes: grounds that each policy maps afterwards, a seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figures and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 150_000
    episodes: int = 64
    smoke: bool = False
    results: Path = Path("experiments/results")


class Mapped(NamedTuple):
    """What a policy did on new ground.

    Attributes:
        share: f32[seeds, 337, episodes], known of what can be seen, after each step.
        path: i32[seeds, 337, 2], where the robot was in each seed's first episode.
        rocks: bool[seeds, 15, 15], the ground of that episode.
    """

    share: np.ndarray
    path: np.ndarray
    rocks: np.ndarray


def train(env, env_params, args: Args):
    """The parameters of each seed's policy, leaves [seeds, ...]."""
    iterations = max(1, args.env_steps // (CONFIG.num_envs * CONFIG.rollout_length))
    algorithm = per_seed(
        lambda key: env.sample_params(key, env_params.replace(bonus=20.0)), lambda params: ppo(env, params, CONFIG)
    )
    return pjx.run(algorithm, args.seeds, iterations, first_seed=args.first_seed, name="PPO").state[1].params


def explore(name: str, env, env_params, learned, args: Args) -> Mapped:
    """One policy on each seed's new ground; ``learned`` as from :func:`train`."""

    def follow(weights, params) -> Callable:
        """``(key, observation, state) -> action`` of the policy."""
        if name == "PPO":
            network = actor_critic(env, params, CONFIG, 1)
            return lambda key, obs, _: policy_of(network, weights, memoryless(network, weights, obs)).sample(seed=key)
        if name == "Random":
            return lambda key, obs, state: jax.random.randint(key, (), 0, env.num_actions)

        def plan(key, obs, state):
            known = mapping.inside(state.known)
            return SCRIPTED[name](known, known & params.rocks[state.level], state.y, state.x)

        return plan

    def one(key, weights):
        key_ground, key_reset, key_steps = jax.random.split(key, 3)
        params = env.sample_params(key_ground, env_params)
        act = jax.vmap(follow(weights, params))
        obs, state = jax.vmap(env.reset_env, (0, None))(jax.random.split(key_reset, args.episodes), params)

        def advance(carry, keys):
            obs, state = carry
            action = act(keys[0], obs, state)
            obs, state, *_ = jax.vmap(env.step_env, (0, 0, 0, None))(keys[1], state, action, params)
            share = jax.vmap(env.known_share, (0, None))(state, params)
            return (obs, state), (share, jnp.stack([state.y[0], state.x[0]]))

        steps = jax.random.split(key_steps, (LIMIT, 2, args.episodes))
        (_, state), (share, path) = jax.lax.scan(advance, (obs, state), steps)
        return Mapped(share, path, params.rocks[state.level[0]])

    # Another root than the training's: levels and episodes that no policy has seen, the same for all policies.
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(1), args.first_seed + jnp.arange(args.seeds))
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys, learned))


def steps_to_map(share: np.ndarray) -> np.ndarray:
    """Mean steps f64[seeds] until 95 % are known; the limit where they never are."""
    there = share >= 0.95
    return np.where(there.any(1), there.argmax(1) + 1.0, LIMIT).mean(1)


def known_after(share: np.ndarray) -> np.ndarray:
    """Mean share f64[seeds] that is known after as many steps as there are cells."""
    return share[:, CELLS - 1].mean(1, dtype=np.float64)


def draw(shares: dict[str, np.ndarray]):
    """What is known after each step, and the steps to 95 %."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.8), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for name, look in analysis.looks(shares).items():
            band = analysis.iqm_bands(shares[name].mean(2, dtype=np.float64))
            steps = 1 + np.arange(LIMIT)
            left.plot(steps, band.value, color=look.color, linestyle=look.linestyle, zorder=3)
            left.fill_between(steps, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        left.axhline(0.95, color="#888888", linewidth=0.8, linestyle=":")
        left.set(xlabel="Steps of the episode", ylabel="Known share of the ground", title="MarsGrid, 15 x 15 cells")
        left.margins(x=0.01)
        times = {name: steps_to_map(share) for name, share in shares.items()}
        analysis.score_bars(times, label="Steps until 95 % are known (IQM)", ax=right)
    return figure


def draw_paths(runs: dict[str, Mapped]):
    """How the first seed's first ground was mapped: until 95 % were known, or for 60 steps."""
    paths = {}
    for name in ("PPO", "BFS", "Random"):
        share = runs[name].share[0, :60, 0]
        last = (share >= 0.95).argmax() + 1 if (share >= 0.95).any() else len(share)
        title = f"{name}: {100 * share[last - 1]:.0f} % in {last} steps"
        paths[title] = [np.concatenate([[(0, 0)], runs[name].path[0, :last]])]
    rocks = runs["PPO"].rocks[0]
    ground = np.asarray(tiles.compose(ground_sprites(), rocks.astype(np.int32)))
    return analysis.path_maps(paths, ground, rocks.shape)


def main(args: Args) -> None:
    """Trains PPO, lets all policies map, draws the figures and writes the ledger."""
    enable_compilation_cache()
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, env_steps=1, episodes=2)
    env, env_params = pjx.make("MarsGrid", num_levels=4 if args.smoke else 64)
    learned = train(env, env_params, args)
    runs = {}
    for name in ("PPO", "BFS", "Random") if args.smoke else ("PPO", *SCRIPTED, "Random"):
        runs[name] = explore(name, env, env_params, learned, args)
        times, known = (analysis.iqm(measure(runs[name].share)) for measure in (steps_to_map, known_after))
        print(f"{name:<8} {times:6.1f} steps to 95 %, known after {CELLS} steps: {known:.3f}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    shares = {name: run.share for name, run in runs.items()}
    for file, figure in {"mars_explorer": draw(shares), "mars_explorer_paths": draw_paths(runs)}.items():
        figure.savefig(args.results / f"{file}.png", dpi=200)
        print("written:", args.results / f"{file}.png")
    if not args.smoke:
        judge(args, shares)


def judge(args: Args, shares: dict[str, np.ndarray]) -> None:
    """Writes the entry of the ledger."""
    times = {name: steps_to_map(share) for name, share in shares.items()}
    known = {name: float(analysis.iqm(known_after(share))) for name, share in shares.items()}
    effect = analysis.paired_bootstrap(times["Random"], times["PPO"])
    ratio = known["PPO"] / known["BFS"]
    enough = args.seeds >= 20 and args.env_steps >= 150_000
    holds = effect.low > 0 and ratio >= 0.9
    numbers = ", ".join(f"{name} {analysis.iqm(value):.1f}" for name, value in times.items())
    after = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
    path = analysis.record(
        name="mars_explorer",
        claim="PPO learns to map new ground faster than a random walk and nearly as fully as a frontier search.",
        source="Koutras, Kapoutsis, Amanatiadis and Kosmatopoulos (2021), MarsExplorer: exploration of unknown terrains"
        " via deep reinforcement learning and procedurally generated environments",
        criterion=CRITERION,
        env_steps=args.env_steps,
        baselines={
            "Random": "uniform moves",
            "BFS": "a shortest known way to the nearest frontier",
            "Cost": "towards the frontier that is nearest in a straight line",
            "Utility": "the move with the smallest summed distance to all frontiers",
        },
        tuning_seeds=(),
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"steps until 95 % are known, random walk less PPO (IQM); by policy: {numbers}; share known after"
        f" {CELLS} steps, PPO over BFS: {ratio:.3f}; by policy: {after}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "it needs 20 seeds and 150,000 steps",
        command=f"python experiments/mars_explorer.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
