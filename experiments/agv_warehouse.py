"""RND for a vehicle that looks for one place in a hall: PPO with and without it.

Yin, Lin, Yan et al. (2023), "Random network distillation based deep reinforcement learning for AGV path planning": PPO
with RND reaches the target sooner and more steadily than PPO in four scenes, simple or complex, static or dynamic; no
numbers are given in what could be read. Here the hall is ``Warehouse2D``, where the goal is seen only within 8 m of it,
and the bonus is that of Burda et al. (2018), with a stream and a value head of its own (in the paper one reward, the
sum). An action is held for four steps of 0.1 s, and each seed has 100,000 such decisions, where the paper has a million
steps: sizes for a CPU. Of 1,024 episodes with a fresh random action at every step none succeeds.

Criterion, written before the run, for each scene: at least half of the last 50 episodes succeed in >= 60 % of the RND
seeds and in <= 20 % of the seeds without, Fisher's exact test p < 0.01. Reported beside it: the decisions until the
first success, and how steady a seed is, its mean success rate from then on.

Tuned on seeds 1000 to 1002. PPO: four settings in the complex static scene (``--tune``: learning rate, entropy), none
of which finds the goal once, so that it shares RND's. RND: six, four of them in the simple static scene, of how long an
action is held (1, 4, 8 steps), the weight of the reward's stream (1, 2, 5, 10), entropy and the size of the nets; the
last solves the complex static scene for all three seeds. Judged on seeds 0 to 19 with the same settings in all scenes,
which were not tuned for the other three.

    python experiments/agv_warehouse.py            # some minutes on two CPU cores
    python experiments/agv_warehouse.py --tune     # the four settings on the tuning seeds
    python experiments/agv_warehouse.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.envs.control.warehouse import START
from purejaxexplore.envs.wrappers import Wrapper
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.learners.ppo_config import actor_critic
from purejaxexplore.nets import memoryless, policy_of
from purejaxexplore.runner.cache import enable_compilation_cache

SCENES = {
    "simple_static": "Simple, static", "simple_dynamic": "Simple, dynamic",
    "complex_static": "Complex, static", "complex_dynamic": "Complex, dynamic",
}  # fmt: skip
TUNING_SEEDS = (1000, 1001, 1002)
GRID = {"learning_rate": [3e-4, 1e-3], "entropy_coef": [0.0, 1e-2]}
TUNED = {
    "PPO+RND": {"learning_rate": 1e-3, "entropy_coef": 1e-2},
    "PPO": {"learning_rate": 1e-3, "entropy_coef": 1e-2},
}
CONFIG = PPOConfig(num_envs=16, rollout_length=128, clip_values=False)
RND = RNDConfig(predictor_sizes=(128, 128))
EXTRINSIC = Stream("extrinsic", gamma=0.999, lam=0.95)
ARMS = {"PPO+RND": (EXTRINSIC, Stream("rnd", rnd(RND), gamma=0.99, lam=0.95, episodic=False)), "PPO": (EXTRINSIC,)}
CRITERION = (
    "success in >= 50 % of the last 50 episodes for >= 60 % of RND seeds and <= 20 % of baseline seeds, Fisher p < 0.01"
)
HELD = 4  # steps of 0.1 s
HORIZON = 400 // HELD


@dataclasses.dataclass(frozen=True)
class Args:
    """RND for a vehicle in a hall.

    Attributes:
        seeds: seeds of each arm in each scene.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        decisions: of each seed, four environment steps each.
        scenes: of simple_static, simple_dynamic, complex_static and complex_dynamic.
        tune: print how the settings of the grid do on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    decisions: int = 100_000
    scenes: tuple[str, ...] = ("complex_static", "simple_static", "simple_dynamic", "complex_dynamic")
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


class Trained(NamedTuple):
    """An arm in a scene.

    Attributes:
        metrics: of the run, [seeds, iterations] each.
        path: f32[seeds, 101, 2], x and y in metres of one episode of each seed's last policy; NaN after its end.
        arrived: bool[seeds], whether it ended at the goal.
    """

    metrics: Any
    path: np.ndarray
    arrived: np.ndarray


class HeldActions(Wrapper):
    """Each action lasts ``HELD`` steps, or until the episode ends; their rewards add up."""

    def step_env(self, key, state, action, params):
        def again(carry, key):
            state, reward, over, success = carry
            _, after, gain, terminated, info = super(HeldActions, self).step_env(key, state, action, params)
            state = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)
            reward, success = reward + jnp.where(over, 0.0, gain), success | (~over & info["success"])
            return (state, reward, over | terminated, success), None

        start = (state, jnp.float32(0), jnp.bool_(False), jnp.bool_(False))
        (state, reward, over, success), _ = jax.lax.scan(again, start, jax.random.split(key, HELD))
        info = {"success": success, "state_id": self.state_id(state, params)}
        return self.get_obs(state, params), state, reward, over, info


def hall(scene: str) -> tuple[HeldActions, Any]:
    """The environment and its parameters."""
    env, env_params = pjx.make("Warehouse2D", scene=scene)
    return HeldActions(env), env_params


def first_success(metrics) -> np.ndarray:
    """Decisions f64[seeds] until an iteration in which an episode succeeded; all of them where none did."""
    success, steps = np.asarray(metrics["success"]), np.asarray(metrics["env_steps"], np.float64)
    first = np.where((success > 0).any(1), (success > 0).argmax(1), success.shape[1] - 1)
    return steps[np.arange(len(steps)), first]


def steadiness(metrics) -> np.ndarray:
    """Mean success rate f64[seeds] from the first success on; 0 where there was none."""
    success = np.asarray(metrics["success"], np.float64)
    since = np.maximum.accumulate(success > 0, axis=1)
    return (success * since).sum(1) / np.maximum(since.sum(1), 1)


def drive(env, env_params, config: PPOConfig, num_values: int, learned, first_seed: int):
    """``path`` and ``arrived`` of :class:`Trained` for parameters with leaves [seeds, ...]."""
    network = actor_critic(env, env_params, config, num_values)

    def one(key, weights):
        def advance(carry, key):
            obs, state, over, success = carry
            place = jnp.where(over, jnp.nan, jnp.stack([state.x, state.y]))
            key_act, key_step = jax.random.split(key)
            action = policy_of(network, weights, memoryless(network, weights, obs)).sample(seed=key_act)
            obs, state, _, terminated, info = env.step_env(key_step, state, action, env_params)
            return (obs, state, over | terminated, success | (info["success"] & ~over)), place

        key_reset, key_steps = jax.random.split(key)
        start = (*env.reset_env(key_reset, env_params), jnp.bool_(False), jnp.bool_(False))
        (*_, success), path = jax.lax.scan(advance, start, jax.random.split(key_steps, HORIZON + 1))
        return path, success

    seeds = first_seed + jnp.arange(len(jax.tree.leaves(learned)[0]))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(1), seeds)
    path, arrived = jax.jit(jax.vmap(one))(keys, learned)
    return np.asarray(path), np.asarray(arrived)


def train(scene: str, name: str, iterations: int, seeds: int, first_seed: int) -> Trained:
    """One arm in one scene with its tuned settings."""
    env, env_params = hall(scene)
    config = CONFIG.replace(**TUNED[name])
    run = pjx.run(
        ppo(env, env_params, config, streams=ARMS[name]), seeds, iterations, first_seed=first_seed,
        name=f"{scene} {name}",
    )  # fmt: skip
    path, arrived = drive(env, env_params, config, len(ARMS[name]), run.state.params, first_seed)
    return Trained(run.metrics, path, arrived)


def tune(scenes: tuple[str, ...], iterations: int) -> None:
    """Prints the tuning seeds that each setting of the grid solves, and the success averaged over training."""
    for scene in scenes:
        env, env_params = hall(scene)
        for name, streams in ARMS.items():
            grid = pjx.sweep(
                lambda settings, env=env, env_params=env_params, streams=streams: ppo(
                    env, env_params, settings, streams=streams
                ),
                CONFIG, GRID, len(TUNING_SEEDS), iterations, first_seed=TUNING_SEEDS[0], name=name,
            )  # fmt: skip
            metrics = {key: np.asarray(grid.metrics[key]) for key in ("episodes", "success")}
            for place in np.ndindex(metrics["success"].shape[: len(GRID)]):
                setting = {field: values[i] for (field, values), i in zip(GRID.items(), place, strict=True)}
                seeds = {key: values[place] for key, values in metrics.items()}
                wins, success = analysis.solved(seeds).sum(), seeds["success"].mean()
                print(f"{scene:<16} {name:<8} {setting}: solved {wins}, mean success {success:.3f}", flush=True)


def draw(scenes: tuple[str, ...], trained: dict[tuple[str, str], Trained]):
    """A row for each scene: success while learning, and a way of each seed's last policy (a cross: in vain)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.35 * len(scenes) + 0.3), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subplots(len(scenes), 3, width_ratios=(1.35, 1, 1), squeeze=False)
        for scene, (curve, *maps) in zip(scenes, rows, strict=True):
            arms = {name: trained[scene, name] for name in ARMS}
            analysis.learning_curves({name: arm.metrics for name, arm in arms.items()}, "success", ax=curve)
            curve.set(title=SCENES[scene], xlabel="Decisions (of 0.4 s)", ylim=(-0.03, 1.03))
            env, env_params = hall(scene)
            for ax, (name, look) in zip(maps, analysis.looks(arms).items(), strict=True):
                ax.imshow(np.asarray(env.map_background(env_params)), extent=(0, 20, 20, 0))
                for x0, y0, x1, y1 in np.asarray(env_params.rounds):
                    ax.plot([x0, x1], [y0, y1], color="#767676", linestyle=":", linewidth=1.4)
                for path, arrived in zip(arms[name].path, arms[name].arrived, strict=True):
                    ax.plot(*path.T, color=look.color, linewidth=0.9, alpha=0.75)
                    if not arrived:
                        end = path[np.isfinite(path[:, 0])][-1]
                        ax.plot(*end, marker="x", markersize=4, color=look.color, markeredgewidth=1.1)
                ax.plot(*START, marker="o", markersize=4.5, color="black", markeredgecolor="white", zorder=4)
                ax.set(xlim=(0, 20), ylim=(20, 0), xticks=[], yticks=[])
                arrive = f"{arms[name].arrived.sum()} of {len(arms[name].arrived)} arrive"
                ax.set_title(f"{name}: {arrive}", fontweight="normal")
                for spine in ax.spines.values():
                    spine.set_visible(False)
    return figure


def main(args: Args) -> None:
    """Trains both arms in all scenes, draws the figure and writes a ledger entry for each scene."""
    enable_compilation_cache()
    scenes = args.scenes[:1] if args.smoke else args.scenes
    iterations = 2 if args.smoke else args.decisions // (CONFIG.num_envs * CONFIG.rollout_length)
    seeds = 2 if args.smoke else args.seeds
    if args.tune:
        tune(scenes, iterations)
        return
    trained = {}
    for scene in scenes:
        for name in ARMS:
            trained[scene, name] = train(scene, name, iterations, seeds, args.first_seed)
            metrics = trained[scene, name].metrics
            steps, steady = analysis.iqm(first_success(metrics)), analysis.iqm(steadiness(metrics))
            times = f"first success after {steps:.0f} decisions, steadiness {steady:.2f}"
            wins = analysis.solved(metrics).sum()
            print(f"{scene:<16} {name:<8} solved by {wins}/{seeds} seeds, {times}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    draw(scenes, trained).savefig(args.results / "agv_warehouse.png", dpi=200)
    print("written:", args.results / "agv_warehouse.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return
    for scene in scenes:
        print("written:", judge(scene, {name: trained[scene, name].metrics for name in ARMS}, seeds, args))


def judge(scene: str, metrics: dict[str, Any], seeds: int, args: Args) -> Path:
    """The ledger entry of a scene."""
    a, b = (int(analysis.solved(metrics[name]).sum()) for name in ARMS)
    p = float(analysis.fisher_exact(a, seeds, b, seeds))
    sooner = analysis.paired_bootstrap(*(np.log(first_success(metrics[name])) for name in ("PPO", "PPO+RND")))
    steadier = analysis.paired_bootstrap(*(steadiness(metrics[name]) for name in ("PPO+RND", "PPO")))
    holds, enough = a >= 0.6 * seeds and b <= 0.2 * seeds and p < 0.01, seeds >= 20
    ratio = np.exp([sooner.value, sooner.low, sooner.high])
    return analysis.record(
        name=f"agv_warehouse_{scene}",
        claim=f"PPO+RND finds its way in the {SCENES[scene].lower()} hall, where PPO does not.",
        source="Yin, Lin, Yan et al. (2023), Random network distillation based deep reinforcement learning for AGV path"
        " planning",
        criterion=CRITERION,
        env_steps=HELD * int(np.asarray(metrics["PPO"]["env_steps"])[0, -1]),
        baselines={"PPO": f"best of {GRID}; chosen {TUNED['PPO']}", "PPO+RND": f"chosen {TUNED['PPO+RND']}"},
        tuning_seeds=list(TUNING_SEEDS),
        judging_seeds=list(range(args.first_seed, args.first_seed + seeds)),
        effect=analysis.proportion_difference(a, seeds, b, seeds),
        statistic=f"difference of shares of seeds; Fisher's exact test p = {p:.2g}; solved by PPO+RND {a}, PPO {b} of"
        f" {seeds} seeds; first success {ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}] times sooner with RND; success"
        f" rate from the first success on (0 where there was none), difference {steadier.value:+.2f}"
        f" [{steadier.low:+.2f}, {steadier.high:+.2f}]",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason=f"the criterion as written; a CPU size, {args.decisions} decisions of {HELD} steps each"
        if enough
        else "fewer than 20 seeds",
        command=f"python experiments/agv_warehouse.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )  # fmt: skip


if __name__ == "__main__":
    main(analysis.arguments(Args))
