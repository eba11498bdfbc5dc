"""ELLM on CraftLite: suggested goals of growing quality against novelty, without any reward of the task.

Du, Watkins, Wang, Colas, Darrell, Abbeel, Gupta and Andreas (2023), "Guiding pretraining in reinforcement learning with
large language models". The model is replaced by suggesters whose quality is known: an oracle proposes what is feasible
now (by the observation), a noisy one leaves out and adds a fifth at every step, a uniform one draws three of the 17
goals, and the inverted oracle proposes only what cannot be done. PPO, 16 environments x 128 steps; nobody is paid for
achievements, which are counted per episode of 300 steps.

Criterion, written before the run, over 20 seeds: achievements per episode in the last fifth of training, oracle less
RND >= 1.5 with its 95 % interval above 0 (IQM, paired); oracle >= noisy >= uniform >= infeasible by Page's trend test,
p < 0.01; and infeasible less none <= 0.5. Shown besides: the oracle without the rule that a goal pays once an episode.
All arms have the same settings, and nothing is tuned. Judged on seeds 0 to 19.

    python experiments/ellm_craft.py            # some minutes on two CPU cores
    python experiments/ellm_craft.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.ellm import ELLMConfig, ellm
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.bonuses.suggesters import inverted, noisy, uniform
from purejaxexplore.envs.grids import craft
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

SUGGESTED = 3
TREND = ("Infeasible", "Uniform", "Noisy", "ELLM oracle")
CRITERION = (
    "oracle - RND >= 1.5 achievements with its 95 % interval above 0; oracle >= noisy >= uniform >= infeasible by"
    " Page's trend test, p < 0.01; infeasible - none <= 0.5"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """ELLM on CraftLite.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed.
        env_steps: environment steps of each seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 30_720
    smoke: bool = False
    results: Path = Path("experiments/results")


def arms(env) -> dict[str, Stream]:
    """Name -> its only reward stream."""

    def oracle(key, obs):
        return env.feasible(env.perceived(obs))

    def caption(step):
        goal = step.action - 4
        done = (goal >= 0) & oracle(None, step.obs)[goal]
        return jax.nn.one_hot(jnp.where(done, goal, craft.NOTHING), craft.NUM_GOALS)

    def guided(suggest, **rules):
        return Stream("ellm", ellm(ELLMConfig(craft.NUM_GOALS, threshold=0.99, **rules), suggest, caption))

    return {
        "ELLM oracle": guided(oracle),
        "RND": Stream("rnd", rnd(RNDConfig()), episodic=False),
        "None": Stream("extrinsic", coef=0.0),
        "Noisy": guided(noisy(oracle, 0.2, 0.2)),
        "Uniform": guided(uniform(craft.NUM_GOALS, SUGGESTED)),
        "Infeasible": guided(inverted(oracle)),
        "Not only once": guided(oracle, once=False),
    }


def last_fifth(values: np.ndarray) -> np.ndarray:
    """Means f64[seeds] of the last fifth of the iterations ``f[seeds, iterations]``."""
    return np.asarray(values, np.float64)[:, -max(1, values.shape[1] // 5) :].mean(1)


def draw(runs: dict):
    """Achievements while learning, and at the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for name, look in analysis.looks(runs).items():
            started = (runs[name]["episode_return"] > 0).any(0)  # nothing is known before the first episodes end
            values = runs[name]["episode_return"][:, started]
            steps = runs[name]["env_steps"][0, started] / 1e3
            band = analysis.iqm_bands(values)
            left.plot(steps, band.value, color=look.color, linestyle=look.linestyle, zorder=3)
            left.fill_between(steps, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        left.set(
            xlabel="Environment steps (thousands)", ylabel="Achievements per episode", title="CraftLite, no reward"
        )
        left.margins(x=0.01)
        final = {name: last_fifth(run["episode_return"]) for name, run in runs.items()}
        analysis.score_bars(final, label="Achievements, last fifth (IQM)", ax=right)
    return figure


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    env, env_params = pjx.make("CraftLite")
    config = PPOConfig(learning_rate=1.5e-3, entropy_coef=3e-3, hidden_sizes=(32,))
    iterations = 4 if args.smoke else args.env_steps // (config.num_envs * config.rollout_length)
    seeds = 2 if args.smoke else args.seeds
    runs = {}
    for name, stream in arms(env).items():
        if args.smoke and name not in ("ELLM oracle", "RND"):
            continue
        run = pjx.run(ppo(env, env_params, config, streams=[stream]), seeds, iterations, first_seed=args.first_seed)
        runs[name] = {field: np.asarray(run.metrics[field], np.float64) for field in ("episode_return", "env_steps")}
        print(f"{name:<14} {analysis.iqm(last_fifth(runs[name]['episode_return'])):.2f} achievements", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    draw(runs).savefig(args.results / "ellm_craft.png", dpi=200)
    print("written:", args.results / "ellm_craft.png")
    if not args.smoke:
        judge(args, {name: last_fifth(run["episode_return"]) for name, run in runs.items()})


def judge(args: Args, scores: dict[str, np.ndarray]) -> None:
    """Writes the entry of the ledger."""
    from scipy.stats import page_trend_test

    effect = analysis.paired_bootstrap(scores["ELLM oracle"], scores["RND"])
    p = float(page_trend_test(np.stack([scores[name] for name in TREND], 1)).pvalue)
    above_none = float(analysis.iqm(scores["Infeasible"]) - analysis.iqm(scores["None"]))
    holds = effect.value >= 1.5 and effect.low > 0 and p < 0.01 and above_none <= 0.5
    numbers = ", ".join(f"{name} {analysis.iqm(score):.2f}" for name, score in scores.items())
    enough = args.seeds >= 20 and args.env_steps >= 30_720
    path = analysis.record(
        name="ellm_craft",
        claim="Goals suggested for the present state lead to more achievements in CraftLite than novelty does.",
        source="Du, Watkins, Wang, Colas, Darrell, Abbeel, Gupta and Andreas (2023), Guiding pretraining in"
        " reinforcement learning with large language models",
        criterion=CRITERION,
        env_steps=args.env_steps,
        baselines={
            "RND": "the same PPO, by the bonus's defaults",
            "None": "no reward at all",
            "Noisy": "the oracle with a fifth left out and a fifth of the others added",
            "Uniform": f"{SUGGESTED} of {craft.NUM_GOALS} goals drawn at every step",
            "Infeasible": "what the oracle does not suggest",
            "Not only once": "the oracle's goals pay again and again",
        },
        tuning_seeds=(),
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"achievements per episode, oracle less RND (IQM); Page's trend test p = {p:.2g}; infeasible less"
        f" none {above_none:.2f}; IQM by arm: {numbers}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason=f"the criterion as written; {args.env_steps:,} steps a seed where the plan had 200,000, and the plan's"
        " fine-tuning and counts of captions are left out"
        if enough
        else "it needs 20 seeds and 30,720 steps",
        command=f"python experiments/ellm_craft.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(tyro.cli(Args))
