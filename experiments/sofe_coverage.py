"""SOFE: does a policy cover more of the world in an episode if it sees what its bonus has counted?

Castanyer, Courville and Bengio (2023), "Improving intrinsic exploration by creating stationary objectives". No
reward, episodes of exactly 200 steps in three worlds of 101, 49 and 104 cells: RoomChain(6, 4), Spiral(11) and
FourRooms without slipping. Their goals are ordinary cells here, which end nothing (:class:`Tour`), and observations are
one-hot cells. PPO is paid by episodic counts and nothing else: 1 for a first visit ("salesman"), or ``1/sqrt(n)`` for
the n-th ("sqrt", an entry and a figure of its own). Four arms, whose input is the cell and a map of the world:

* Plain: the map is blank;
* SOFE: it shows the bonus's statistic, whether a cell was visited in this episode (of ``1/sqrt(n)``: ``log(1 + n)``);
* Other's map: it shows that of the next environment. Environments run in step, so this map still tells how late it is
  in the episode, as a map of one's own does, and nothing else about it;
* Memory: as Plain, with a recurrent core of 64 units, which could count for itself.

A planner that walks to the nearest cell not yet seen in the episode (breadth first) shows what is possible.

Criterion, written before the judged run, for each reward (IQM over seeds, last tenth of the training, paired
differences):

* coverage, the mean share of the cells that an episode visits, is higher with SOFE than Plain by at least 0.15, the
  95 % interval above 0, in two worlds of three;
* and higher than with the other's map by at least 0.10 in two worlds of three;
* the critic's explained variance (PPO's metric: of the lambda-returns, over a rollout) is higher with SOFE than Plain
  by at least 0.2 in two worlds of three.

Learning rate and weight of the entropy of each arm are the best of fifteen on seeds 1000 to 1002 by the coverage in
RoomChain for first visits (``--tune``); judged on seeds 100 to 119. Seeds 0 to 19 judged first visits twice before:
without the arm with memory and with six settings to choose from (0.20, 0.00 and 0.07 more than Plain), and over 150,848
steps, which met each part of the criterion in one world.

    python experiments/sofe_coverage.py            # some 25 minutes a reward on one CPU core
    python experiments/sofe_coverage.py --tune     # the settings of each arm on the tuning seeds
    python experiments/sofe_coverage.py --smoke    # seconds
"""

import dataclasses
import itertools
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.sofe import expose, log_counts
from purejaxexplore.checks import choice
from purejaxexplore.envs.wrappers import ObserveStateId, OneHot, StateId, Wrapper
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

HORIZON = 200
WORLDS = ("RoomChain", "Spiral", "FourRooms")
REWARDS = {"salesman": "first visits", "sqrt": "$1/\\sqrt{n}$"}
ENTRIES = {"salesman": "sofe_coverage", "sqrt": "sofe_coverage_sqrt"}
FEATURES = {"salesman": lambda state: (state.mem > 0).astype(jnp.float32), "sqrt": log_counts}
PPO = PPOConfig(num_envs=16, rollout_length=100, hidden_sizes=(64,))
TUNING_SEEDS = (1000, 1001, 1002)
GRID = {"learning_rate": [1e-3, 3e-3, 6e-3], "entropy_coef": [0.001, 0.003, 0.01, 0.03, 0.1]}
OTHER, MEMORY = "Other's map", "Memory"
SHOWN = {"Plain": 0.0, "SOFE": 1.0, OTHER: 2.0, MEMORY: 0.0}
GRU_SIZES = {MEMORY: 64}
CHOSEN = {
    "Plain": {"learning_rate": 3e-3, "entropy_coef": 0.03},
    "SOFE": {"learning_rate": 3e-3, "entropy_coef": 0.003},
    OTHER: {"learning_rate": 3e-3, "entropy_coef": 0.001},
    MEMORY: {"learning_rate": 3e-3, "entropy_coef": 0.03},
}
CRITERION = (
    "last tenth of the training, each in two worlds of three: coverage of an episode, SOFE less Plain"
    " >= 0.15 (95 % interval above 0), SOFE less Other's map >= 0.10, critic's explained variance, SOFE less Plain"
    " >= 0.2"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """SOFE's coverage without reward.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning, 0 to 19 for two runs before.
        env_steps: environment steps of each seed.
        rewards: salesman, sqrt or both.
        tune: print how each setting does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 100
    env_steps: int = 200_000
    rewards: tuple[str, ...] = tuple(REWARDS)
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


@struct.dataclass
class Lane:
    """``row``: number of the :class:`Setting` that a lane of the sweep has."""

    row: int = 0


class Setting(NamedTuple):
    """``shown``: of SHOWN, what the map shows; the rest is PPO's."""

    shown: float
    learning_rate: float
    entropy_coef: float


class TourState(NamedTuple):
    """``env_state``: of the wrapped world; ``seen``: bool[num_states], cells visited in this episode."""

    env_state: Any
    seen: jax.Array


class Tour(Wrapper):
    """A world that only its time limit ends; its reward, 1 for the first visit of a cell, is measured and not paid."""

    def inner_state(self, state: TourState) -> Any:
        return state.env_state

    def reset_env(self, key, params):
        obs, env_state = super().reset_env(key, params)
        return obs, TourState(env_state, jnp.arange(self.num_states) == self._env.state_id(env_state, params))

    def step_env(self, key, state, action, params):
        obs, env_state, _, _, info = super().step_env(key, state, action, params)
        here = jnp.arange(self.num_states) == info["state_id"]
        first = (here & ~state.seen).any().astype(jnp.float32)
        return obs, TourState(env_state, state.seen | here), first, jnp.bool_(False), {"state_id": info["state_id"]}

    def is_terminated(self, state, params):
        return jnp.bool_(False)


def make_world(name: str) -> tuple[Any, Any]:
    """The world without ends, seen as one-hot cells, and its parameters."""
    if name == "FourRooms":
        env, env_params = pjx.make("gymnax/FourRooms-misc", fail_prob=0.0, max_steps_in_episode=HORIZON)
        number = jnp.cumsum(env.env_map.reshape(-1)).reshape(env.env_map.shape) - 1  # of the open cells alone
        env = StateId(env, lambda state, params: number[state.pos[0], state.pos[1]], env.num_reachable)
        return OneHot(ObserveStateId(Tour(env))), env_params
    settings = {"RoomChain": {"num_rooms": 6, "size": 4}, "Spiral": {"size": 11}}[name]
    env, env_params = pjx.make(name, **settings, max_steps_in_episode=HORIZON)
    return Tour(env), env_params


def plan_of(name: str) -> tuple[np.ndarray, tuple[int, int]]:
    """The open cells, bool[H, W], and where an episode starts."""
    env, _ = make_world(name)
    if name == "FourRooms":
        return np.asarray(env.env_map, bool), tuple(map(int, env.pos_fixed))
    start = env.start if name == "RoomChain" else tuple(map(int, env.cells[0]))
    return np.asarray(env.position_map(np.ones(env.num_states))) > 0, start


def way_to_unseen(free: np.ndarray, at: tuple[int, int], seen: set) -> list[tuple[int, int]]:
    """The cells after ``at`` on a shortest way to a cell not seen; none where all that can be reached is seen."""
    ways = {at: []}
    queue = deque([at])
    while queue:
        here = queue.popleft()
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            there = (here[0] + down, here[1] + right)
            if not free[there] or there in ways:
                continue
            ways[there] = [*ways[here], there]
            if there not in seen:
                return ways[there]
            queue.append(there)
    return []


def planned_coverage(free: np.ndarray, start: tuple[int, int], moves: int) -> float:
    """Share of the open cells seen by a walk to the nearest unseen cell, and from there to the next."""
    at, seen = start, {start}
    while moves and (way := way_to_unseen(free, at, seen)[:moves]):
        at, moves = way[-1], moves - len(way)
        seen.update(way)
    return len(seen) / free.sum()


def train(world: str, reward: str, config: PPOConfig, rows: list[Setting], args: Args):
    """Coverage and explained variance f64[rows, seeds, iterations], and environment steps i64[iterations], of rows
    with the same network."""
    env, env_params = make_world(world)
    features = FEATURES[reward]

    def make(lane: Lane):
        setting = Setting(*jnp.asarray(rows)[lane.row])

        def show(state):
            shown = features(state)
            return (setting.shown == 1.0) * shown + (setting.shown == 2.0) * jnp.roll(shown, 1, axis=0)

        bonus = expose(counts(CountsConfig(env.num_states, reward=reward)), show)
        settings = config.replace(learning_rate=setting.learning_rate, entropy_coef=setting.entropy_coef)
        return ppo(env, env_params, settings, streams=(Stream("counts", bonus),))

    iterations = args.env_steps // (config.num_envs * config.rollout_length)
    metrics = pjx.sweep(
        make, Lane(), {"row": list(range(len(rows)))}, args.seeds, iterations, first_seed=args.first_seed,
        progress=False,
    ).metrics  # fmt: skip
    covered = (1.0 + np.asarray(metrics["episode_return"], np.float64)) / env.num_reachable
    explained = np.asarray(metrics["counts_explained_variance"], np.float64)
    return covered, explained, np.asarray(metrics["env_steps"])[0, 0]


def train_all(world: str, reward: str, config: PPOConfig, arms: list[tuple[str, dict[str, float]]], args: Args):
    """What :func:`train` returns, of arms ``(name, settings)`` whose networks may differ."""
    covered, explained, steps = {}, {}, None
    for size in dict.fromkeys(GRU_SIZES.get(name, 0) for name, _ in arms):
        which = [i for i, (name, _) in enumerate(arms) if GRU_SIZES.get(name, 0) == size]
        rows = [Setting(SHOWN[arms[i][0]], **arms[i][1]) for i in which]
        *found, steps = train(world, reward, config.replace(gru_size=size), rows, args)
        for curves, new in zip((covered, explained), found, strict=True):
            curves |= dict(zip(which, new, strict=True))
    return [covered[i] for i in range(len(arms))], [explained[i] for i in range(len(arms))], steps


def last_tenth(curve: np.ndarray) -> np.ndarray:
    return curve[..., -max(curve.shape[-1] // 10, 1) :].mean(-1)


def tune(args: Args) -> None:
    """Prints the coverage of each setting of each arm on the tuning seeds."""
    args = dataclasses.replace(args, seeds=len(TUNING_SEEDS), first_seed=TUNING_SEEDS[0])
    settings = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    arms = list(itertools.product(SHOWN, settings))
    covered, explained, _ = train_all("RoomChain", "salesman", PPO, arms, args)
    for (name, setting), score, known in zip(arms, covered, explained, strict=True):
        told = ", ".join(f"{field} {value}" for field, value in setting.items())
        score, known = last_tenth(score).mean(), last_tenth(known).mean()
        print(f"{name:<12} {told}: coverage {score:.3f}, explained variance {known:.3f}", flush=True)


def figure_of(reward: str, curves: dict[str, dict[str, np.ndarray]], steps: np.ndarray, planned: dict[str, float]):
    """Coverage of an episode against environment steps, a panel a world: IQM with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.45))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for ax, (world, arms) in zip(panels, curves.items(), strict=True):
            for name, look in analysis.looks(arms).items():
                band = analysis.iqm_bands(100.0 * arms[name])
                ax.plot(steps / 1e3, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
                ax.fill_between(steps / 1e3, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
            ax.axhline(100.0 * planned[world], color=INK, linewidth=1.0, linestyle="--", label="Planner")
            ax.set(title=world, xlabel="Environment steps\n(thousands)", ylim=(0, 104))
            ax.margins(x=0.01)
        panels[0].set_ylabel(f"Paid {REWARDS[reward]}:\ncells seen (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return figure


def second_best(differences: list[analysis.Estimate]) -> analysis.Estimate:
    """What two of three worlds reach."""
    return sorted(differences)[-2]


def interval(estimate: analysis.Estimate) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*estimate)


def judge(args: Args, reward: str, env_steps: int, curves: dict, explained: dict, planned: dict[str, float]) -> None:
    """Writes the ledger's entry of a reward."""
    scores = {world: {name: last_tenth(curve) for name, curve in arms.items()} for world, arms in curves.items()}
    gain, over_other, over_memory, sight = (
        [analysis.paired_bootstrap(table[world]["SOFE"], table[world][name]) for world in WORLDS]
        for table, name in ((scores, "Plain"), (scores, OTHER), (scores, MEMORY), (explained, "Plain"))
    )
    met = {
        "SOFE less Plain": sum(e.value >= 0.15 and e.low > 0 for e in gain) >= 2,
        "SOFE less other's map": sum(e.value >= 0.1 for e in over_other) >= 2,
        "explained variance": sum(e.value >= 0.2 for e in sight) >= 2,
    }
    told = []
    for i, world in enumerate(WORLDS):
        arms = ", ".join(f"{name} {analysis.iqm(score):.3f}" for name, score in scores[world].items())
        told.append(
            f"{world}: {arms}, planner {planned[world]:.3f}, SOFE less Plain {interval(gain[i])}, less other's map "
            f"{interval(over_other[i])}, less Memory {interval(over_memory[i])}, explained variance "
            f"{interval(sight[i])}"
        )
    enough = args.seeds >= 20 and args.env_steps >= 200_000
    path = analysis.record(
        name=ENTRIES[reward],
        claim="A policy that sees what its episodic count bonus has counted covers more of a world in an episode"
        f" ({reward}).",
        source="Castanyer, Courville and Bengio (2023), Improving intrinsic exploration by creating stationary "
        "objectives",
        criterion=CRITERION,
        env_steps=env_steps,
        baselines={
            "Plain": f"the same with a blank map; {CHOSEN['Plain']}",
            "Other's map": f"the same with another environment's map; {CHOSEN[OTHER]}",
            "Memory": f"Plain with a recurrent core of {GRU_SIZES[MEMORY]} units; {CHOSEN[MEMORY]}",
            "Planner": "a walk to the nearest cell not yet seen, again and again",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=second_best(gain),
        statistic=f"coverage of an episode, SOFE less Plain, second largest of three worlds (IQM); {'; '.join(told)}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=", ".join(f"{part} {'met' if yes else 'not met'}" for part, yes in met.items())
        if enough
        else "it needs 20 seeds and 200,000 steps",
        command=f"python experiments/sofe_coverage.py --seeds {args.seeds} --first-seed {args.first_seed}"
        f" --rewards {reward} --env-steps {args.env_steps}",
        family="bonuses",
        directory=args.results,
    )
    print("written:", path)


def main(args: Args) -> None:
    """Trains all arms, draws the curves and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    for reward in args.rewards:
        choice("rewards", reward, sorted(REWARDS))
    config, worlds = PPO, WORLDS
    if args.smoke:
        config = PPO.replace(num_envs=4, rollout_length=20, num_warmup_steps=20, num_epochs=1)
        args = dataclasses.replace(args, seeds=2, env_steps=800, rewards=args.rewards[:1])
        worlds = WORLDS[:1]
    planned = {world: planned_coverage(*plan_of(world), HORIZON) for world in worlds}
    print("planner:", ", ".join(f"{world} {share:.3f}" for world, share in planned.items()))
    args.results.mkdir(parents=True, exist_ok=True)
    for reward in args.rewards:
        curves, explained = {}, {}
        for world in worlds:
            covered, known, steps = train_all(world, reward, config, list(CHOSEN.items()), args)
            curves[world] = dict(zip(CHOSEN, covered, strict=True))
            explained[world] = {name: last_tenth(curve) for name, curve in zip(CHOSEN, known, strict=True)}
            for name, curve in curves[world].items():
                score, known = last_tenth(curve).mean(), explained[world][name].mean()
                print(f"{world:<10} {reward:<9} {name:<12} {score:.3f}, explained variance {known:.3f}", flush=True)
        path = args.results / f"{ENTRIES[reward]}.png"
        figure_of(reward, curves, steps, planned).savefig(path, dpi=200)
        print("written:", path)
        if not args.smoke and args.first_seed + args.seeds <= TUNING_SEEDS[0]:
            judge(args, reward, int(steps[-1]), curves, explained, planned)


if __name__ == "__main__":
    main(analysis.arguments(Args))
