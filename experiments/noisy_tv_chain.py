"""A noisy screen with a remote control: curiosity about errors watches it, disagreement of an ensemble learns not to.

Pathak, Agrawal, Efros and Darrell (2017), "Curiosity-driven exploration by self-supervised prediction", pay the error
of a forward model (ICM), which noise never lets fall; Pathak, Gandhi and Gupta (2019), "Self-supervised exploration via
disagreement", pay the variance of five forward models, which agree on the mean of noise once they have learned it.
RoomChain(6, 4) with eight channels of Gaussian noise behind the observation, which change when the agent takes a fifth
action that does nothing else (Burda et al. 2019, "Large-scale study of curiosity-driven learning"). No reward but the
bonus; PPO with 16 environments x 128 steps and one hidden layer of 64, 250,000 steps. RND (which sees the noise) and
lifelong counts of the cells (which do not) are shown beside them.

What is measured is the share of the remote control among all actions in the last tenth of the training; of uniform
actions it is 0.2. Criterion, written before the run: ICM's share is at least 0.3, and disagreement's is below ICM's by
the 95 % interval of the paired difference (IQM over seeds). Nothing is tuned but ICM's and disagreement's scaling (both
by the standard deviation of their returns, as in their modules); judged on seeds 0 to 19.

    python experiments/noisy_tv_chain.py            # ten minutes on one CPU core
    python experiments/noisy_tv_chain.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import HALF_WIDTH, INK
from purejaxexplore.bonuses.build import make_bonus
from purejaxexplore.envs.noisy_tv import NoisyTV
from purejaxexplore.envs.wrappers import Wrapper
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

ARMS = {
    "ICM": ("icm", {}),
    "Disagreement": ("disagreement", {}),
    "RND": ("rnd", {}),
    "Counts of cells": ("counts", {"episodic": False}),
}
"""Name -> (bonus, settings)."""

UNIFORM = 0.2
CRITERION = (
    "share of the remote control in the last tenth: ICM >= 0.3 (uniform 0.2) and disagreement below ICM, paired 95 % "
    "interval below 0"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """ICM and disagreement before a noisy screen.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed.
        env_steps: environment steps of each seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 250_000
    smoke: bool = False
    results: Path = Path("experiments/results")


class Watching(Wrapper):
    """Pays 1 for the remote control and nothing else: a reward to be measured, not learned from."""

    def step_env(self, key, state, action, params):
        obs, state, _, terminated, info = super().step_env(key, state, action, params)
        return obs, state, (action == self.num_actions - 1).astype(jnp.float32), terminated, info


def figure_of(shares: dict[str, np.ndarray], steps: np.ndarray):
    """Share of the remote control against environment steps: IQMs with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(HALF_WIDTH, 2.9))
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        for name, look in analysis.looks(shares).items():
            band = analysis.iqm_bands(shares[name])
            ax.plot(steps / 1e3, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            ax.fill_between(steps / 1e3, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        ax.axhline(UNIFORM, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="Uniform actions", zorder=2)
        ax.set(xlabel="Environment steps (thousands)", ylabel="Share of the remote control", ylim=(0, None))
        ax.margins(x=0.01)
        figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
    return figure


def main(args: Args) -> None:
    """Trains all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    env = Watching(NoisyTV(pjx.make("RoomChain", num_rooms=6, size=4)[0], "action", channels=8))
    params = env.default_params
    config = PPOConfig(
        num_envs=16, rollout_length=128, learning_rate=1e-3, entropy_coef=1e-3, normalise_advantages=False,
        hidden_sizes=(64,),
    )  # fmt: skip
    seeds, env_steps = args.seeds, args.env_steps
    if args.smoke:
        seeds, config = 2, config.replace(num_envs=2, rollout_length=16, num_warmup_steps=16)
        env_steps = 3 * 2 * 16
    width = config.num_envs * config.rollout_length
    shares = {}
    for name, (bonus, settings) in ARMS.items():
        if args.smoke and name != "Disagreement":
            continue
        novelty = Stream(bonus, make_bonus(bonus, env, params, **settings), gamma=0.99, episodic=False)
        algorithm = ppo(env, params, config, streams=(Stream("watched", coef=0.0), novelty))
        run = pjx.run(algorithm, seeds, env_steps // width, first_seed=args.first_seed, name=name, progress=False)
        shares[name] = np.asarray(run.metrics["watched_reward"], np.float64)
        print(f"{name:<16} share of the remote control {shares[name][:, -1].mean():.3f}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    steps = width * np.arange(1, env_steps // width + 1)
    figure_of(shares, steps).savefig(args.results / "noisy_tv_chain.png", dpi=200)
    print("written:", args.results / "noisy_tv_chain.png")
    if args.smoke or args.first_seed + seeds > 1000:
        return

    late = {name: x[:, -(x.shape[1] // 10) :].mean(1) for name, x in shares.items()}
    effect = analysis.paired_bootstrap(late["Disagreement"], late["ICM"])
    estimates = {name: analysis.bootstrap_interval(x) for name, x in late.items()}
    met = {"ICM watches": estimates["ICM"].value >= UNIFORM + 0.1, "disagreement watches less": effect.high < 0}
    told = ", ".join(f"{name} {x.value:.3f} [{x.low:.3f}, {x.high:.3f}]" for name, x in estimates.items())
    enough = seeds >= 20 and args.env_steps >= 250_000
    path = analysis.record(
        name="noisy_tv_chain",
        claim="A noisy screen distracts ICM, and disagreement less.",
        source="Pathak, Agrawal, Efros and Darrell (2017), Curiosity-driven exploration by self-supervised prediction; "
        "Pathak, Gandhi and Gupta (2019), Self-supervised exploration via disagreement",
        criterion=CRITERION,
        env_steps=env_steps // width * width,
        baselines={name: "the same settings" for name in shares if name != "Disagreement"},
        tuning_seeds=(),
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=effect,
        statistic=f"disagreement's share of the remote control less ICM's, paired (IQM); shares {told}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=", ".join(f"{part}: {'met' if yes else 'not met'}" for part, yes in met.items())
        if enough
        else "it needs 20 seeds and 250,000 steps",
        command=f"python experiments/noisy_tv_chain.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
