"""ExploRLLM on PickPlace2D: a program that trusts a camera which is out of line supplies part of the behaviour.

Ma, Luijkx, Ajanović and Kober (2024), "ExploRLLM: guiding exploration in reinforcement learning with large language
models". Three discs belong into the bowls of their colour; the camera is off by 0.08 in a direction of each seed's own,
so that most picks miss. The program names the first disc that is not placed, then its bowl, where the camera sees them,
with noise of N(0, 0.02); the learner names an object and an offset from where the camera sees it. Its part of the steps
is the program's at first and falls to nothing over the first half of the training.

Criterion, written before the run, over 20 seeds, success (all three placed within twelve steps; IQM, paired) of greedy
episodes without the program: where it acts 20 % of the time at first, the last success (mean of three evaluations) is
>= 0.3 above that of the program alone, and the mean over training >= 1.5 times that without guidance, both intervals of
the differences above 0; and where the program always acts, the behaviour succeeds at most 0.05 more often than the
program alone.

All arms share their settings, the best of CONFIGS on seeds 1000 to 1002, by the mean over training of the guided and of
the unguided arm. Judged on seeds 0 to 19. The sheet asks for width 128 and minibatches of 128; both are 64 here. Of
60,000 steps 58,880 are taken: twenty evaluations, 46 iterations apart.

    python experiments/explorllm_pick_place.py            # seven minutes of one CPU core
    python experiments/explorllm_pick_place.py --tune     # the configurations on the tuning seeds
    python experiments/explorllm_pick_place.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import init_key, per_seed
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.blocks.episodes import first_episodes
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.learners.evaluation import with_evaluation
from purejaxexplore.learners.explorllm import ExploRLLMConfig, explorllm, likeliest_action
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
EVALUATIONS, EPISODES, HORIZON = 20, 64, 12
CONFIG = ExploRLLMConfig(
    num_envs=16, rollout_length=4, num_updates=2, batch_size=64, replay_capacity=32768, hidden_sizes=(64, 64),
    learning_rate=1e-3, entropy_coef=0.05, first_noise=0.5, last_noise=0.1, target_rate=0.01,
)  # fmt: skip
CONFIGS = (
    {},
    {"entropy_coef": 0.02},
    {"entropy_coef": 0.1},
    {"learning_rate": 3e-4},
    {"last_noise": 0.3},
    {"target_rate": 0.03},
    {"first_noise": 1.0},
)
CHOSEN = 2
SOLVED = 0.9
GUIDED, HALF, ALWAYS, NO_GUIDE = "ExploRLLM, 20 %", "ExploRLLM, 50 %", "Always guided", "No guide"
ALONE = "Program alone"
SHARES = {GUIDED: 0.2, HALF: 0.5, ALWAYS: 1.0, NO_GUIDE: 0.0}
CRITERION = (
    "20 % annealed: last success >= program alone + 0.3 and mean over training >= 1.5 x without guidance, 95 %"
    " intervals of both differences above 0; always guided: behaviour <= program alone + 0.05"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """ExploRLLM on PickPlace2D.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        tune: print how each configuration does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 60_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


@struct.dataclass
class Row:
    """``number``: which of the settings that are trained together."""

    number: int = 0


def train(settings: list[dict[str, float]], seeds: int, first_seed: int, env_steps: int):
    """Greedy successes f64[settings, seeds, evaluations], and the metrics [settings, seeds, iterations].

    Args:
        settings: numeric fields of the configuration, the same ones for each.
        seeds, first_seed, env_steps: as in :class:`Args`.
    """
    env, env_params = pjx.make("PickPlace2D")
    every = max(env_steps // (CONFIG.num_envs * CONFIG.rollout_length * EVALUATIONS), 1)
    iterations = every * min(EVALUATIONS, env_steps // (CONFIG.num_envs * CONFIG.rollout_length))
    columns = {name: jnp.array([row[name] for row in settings], jnp.float32) for name in settings[0]}

    def make(row):
        numbers = {name: column[row.number] for name, column in columns.items()}
        config = CONFIG.replace(noise_steps=env_steps / 2.0, **numbers)

        def learner(params):
            algorithm = explorllm(env, params, lambda key, obs: env.program(obs), config)
            return with_evaluation(algorithm, env, params, likeliest_action(env, config), EPISODES, HORIZON)

        return per_seed(lambda key: env.sample_params(key, env_params), learner)

    runs = pjx.sweep(
        make, Row(), {"number": list(range(len(settings)))}, seeds, iterations, first_seed=first_seed,
        evaluate_every=every, progress=False,
    )  # fmt: skip
    return np.asarray(runs.evaluations["start_success"], np.float64), runs.metrics


def program_alone(args: Args, noise: float) -> np.ndarray:
    """Success f64[seeds] of the program in 512 episodes with each seed's camera, its offsets with ``noise``."""
    env, env_params = pjx.make("PickPlace2D")
    lanes = 16 if args.smoke else 512

    def act(key, carry, now):
        index, offset = jax.vmap(env.program)(now.obs)
        offset = offset + noise * jax.random.normal(key, offset.shape)
        return carry, jax.vmap(env.encode)(index, offset), ()

    def one(key):
        key_params, key_rest = jax.random.split(init_key(key))
        key_reset, key_play = jax.random.split(key_rest)
        params = env.sample_params(key_params, env_params)
        played = rollout(key_play, env, params, reset_lanes(key_reset, env, params, lanes), (), act, HORIZON)
        return first_episodes(played[3])["start_success"]

    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), args.first_seed + jnp.arange(args.seeds))
    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


def arm(share: float, env_steps: int) -> dict[str, float]:
    """The guide's part of a configuration: it leaves in the first half, or never where it always acts."""
    return {"guide_share": share, "guide_steps": np.inf if share == 1.0 else env_steps / 2.0}


def acted(metrics) -> np.ndarray:
    """Success f64[settings, seeds] of the behaviour's episodes in the last tenth of the training."""
    tenth = max(1, metrics["success"].shape[-1] // 10)
    success, episodes = (np.asarray(metrics[name], np.float64)[..., -tenth:] for name in ("success", "episodes"))
    return (success * episodes).sum(-1) / np.maximum(episodes.sum(-1), 1.0)


def steps_needed(success: np.ndarray, steps: np.ndarray) -> float:
    """Median over seeds of the environment steps at the first evaluation of f64[seeds, evaluations] above SOLVED."""
    solved = success >= SOLVED
    return float(np.median(np.where(solved.any(1), steps[solved.argmax(1)], np.inf)))


def tune(args: Args) -> None:
    """Prints the success with each configuration, guided and not."""
    base = {name: getattr(CONFIG, name) for change in CONFIGS for name in change}
    pairs = [base | change | arm(share, args.env_steps) for change in CONFIGS for share in (0.2, 0.0)]
    success, _ = train(pairs, len(TUNING_SEEDS), TUNING_SEEDS[0], args.env_steps)
    for change, guided, alone in zip(CONFIGS, success[::2], success[1::2], strict=True):
        means = ", ".join(f"{x.mean():.3f} (last {x[:, -3:].mean():.3f})" for x in (guided, alone))
        print(f"{change}: mean over training, guided and not: {means}; of both {(guided + alone).mean() / 2:.3f}")


def draw(success: dict[str, np.ndarray], steps: np.ndarray, alone: np.ndarray):
    """A table as the camera sees it; success of greedy episodes while learning, the program alone as a dashed line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    env, env_params = pjx.make("PickPlace2D")
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.3), layout="constrained")
        FigureCanvasAgg(figure)
        table, curves = figure.subplots(1, 2, width_ratios=(1, 1.6))
        table.imshow(env.render(env.reset_env(jax.random.key(0), env_params)[1]))
        table.set(xticks=[], yticks=[], title="Small dots: where\nthe camera sees them")
        table.spines[:].set_visible(False)
        for name, look in analysis.looks(success).items():
            band = analysis.iqm_bands(success[name])
            curves.plot(steps / 1e3, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            curves.fill_between(steps / 1e3, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        curves.axhline(analysis.iqm(alone), color="#767676", linestyle=":", linewidth=1.4, label=ALONE)
        curves.set(xlabel="Environment steps (thousands)", ylabel="Success of greedy episodes", ylim=(-0.03, 1.03))
        curves.set_title("Episodes without the program")
        curves.margins(x=0.01)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, env_steps=128)
    noise = CONFIG.guide_noise
    alone, exact = program_alone(args, noise), program_alone(args, 0.0)
    print(f"{ALONE:<16} success {analysis.iqm(alone):.3f}, without noise {analysis.iqm(exact):.3f}", flush=True)
    settings = [CONFIGS[CHOSEN] | arm(share, args.env_steps) for share in SHARES.values()]
    found, metrics = train(settings, args.seeds, args.first_seed, args.env_steps)
    steps = np.asarray(metrics["env_steps"])[0, 0]
    steps = steps[len(steps) // found.shape[-1] - 1 :: len(steps) // found.shape[-1]]
    success = dict(zip(SHARES, found, strict=True))
    last = {name: values[:, -3:].mean(1) for name, values in success.items()}
    means = {name: values.mean(1) for name, values in success.items()}
    behaviour = dict(zip(SHARES, acted(metrics), strict=True))
    for name in SHARES:
        told = (analysis.iqm(scores[name]) for scores in (means, last, behaviour))
        print("{:<16} mean {:.3f}, last {:.3f}, behaviour at the end {:.3f}".format(name, *told))

    args.results.mkdir(parents=True, exist_ok=True)
    draw(success, steps, alone).savefig(args.results / "explorllm_pick_place.png", dpi=200)
    print("written:", args.results / "explorllm_pick_place.png")
    if args.smoke or args.first_seed + args.seeds > TUNING_SEEDS[0]:
        return

    effect = analysis.paired_bootstrap(last[GUIDED], alone)
    faster = analysis.paired_bootstrap(means[GUIDED], means[NO_GUIDE])
    times = float(analysis.iqm(means[GUIDED]) / max(analysis.iqm(means[NO_GUIDE]), 1e-9))
    above = float(analysis.iqm(behaviour[ALWAYS]) - analysis.iqm(alone))
    met = {
        "above the program": effect.value >= 0.3 and effect.low > 0,
        "sooner than without guidance": times >= 1.5 and faster.low > 0,
        "the program's behaviour stays as it is": above <= 0.05,
    }
    enough = args.seeds >= 20 and args.env_steps >= 60_000
    lasts = ", ".join(f"{name} {analysis.iqm(values):.3f}" for name, values in last.items())
    averages = ", ".join(f"{name} {analysis.iqm(values):.3f}" for name, values in means.items())
    needed = ", ".join(f"{name} {steps_needed(values, steps):,.0f}" for name, values in success.items())
    parts = ", ".join(f"{part}: {'met' if yes else 'not met'}" for part, yes in met.items())
    path = analysis.record(
        name="explorllm_pick_place",
        claim="A program that places few discs, acting some of the time at first, teaches to place nearly all, sooner.",
        source="Ma, Luijkx, Ajanović and Kober (2024), ExploRLLM: guiding exploration in reinforcement learning with"
        " large language models",
        criterion=CRITERION,
        env_steps=int(steps[-1]),
        baselines={
            NO_GUIDE: "the same learner with the same settings",
            ALONE: f"success {analysis.iqm(alone):.3f}, and {analysis.iqm(exact):.3f} without its noise of {noise}",
            ALWAYS: "the program acts always, the learner learns from that",
            HALF: "falling from there",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"last success of greedy episodes, guided less program alone (IQM); mean over training {times:.2f}"
        f" times that without guidance, difference {faster.value:.3f} [{faster.low:.3f}, {faster.high:.3f}]; behaviour"
        f" when always guided less program alone {above:+.3f}; last by arm: {lasts}; means: {averages};"
        f" steps to a success of {SOLVED} (median): {needed}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=f"{parts}; width and minibatches 64, not 128" if enough else "it needs 20 seeds and 60,000 steps",
        command=f"python experiments/explorllm_pick_place.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
