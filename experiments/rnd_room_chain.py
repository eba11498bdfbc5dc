"""RND against no bonus in RoomChain(6, 4): 101 cells in a row of six rooms, 46 moves to the only reward.

Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation". A uniform walk reaches the goal
in 4e-5 of its episodes. PPO, 16 environments x 128 steps, 250,000 steps, one-hot observations; both arms share every
setting (those of the paper's code: advantages not standardised, entropy 1e-3, two streams weighted 2 and 1).

The criterion, written before the run: at least half of the last 50 episodes succeed in >= 60 % of the RND seeds and in
<= 20 % of the seeds without, Fisher's exact test p < 0.01; the predictor's error falls at least threefold (median over
seeds); and early in training its error on the 20 most visited cells is below a fifth of that on the cells never
visited (median over seeds). Tuned on seeds 1000 to 1002, judged on seeds 0 to 19.

A second, stricter entry puts PPO with standardised advantages in the baseline's place: without any reward,
standardising turns the noise of the value estimates into full-size policy updates, which is a way to explore.

    python experiments/rnd_room_chain.py
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.rnd import RNDConfig, rnd, whiten
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.nets import MLP
from purejaxexplore.runner.cache import enable_compilation_cache

CRITERION = (
    "success in >= 50 % of the last 50 episodes for >= 60 % of RND seeds and <= 20 % of baseline seeds, Fisher p < 0.01"
)
MECHANISM = "; predictor error falls >= 3 x; error on the 20 most visited cells < 1/5 of that on never visited ones"


@dataclasses.dataclass(frozen=True)
class Args:
    """RND against no bonus in RoomChain.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        ablations: whether to run the arms without whitening, without reward scaling and with episodic novelty too.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 250_000
    ablations: bool = True
    smoke: bool = False
    results: Path = Path("experiments/results")


def arms(config: PPOConfig, rnd_config: RNDConfig) -> dict[str, tuple[PPOConfig, tuple[Stream, ...] | None]]:
    """Name -> PPO's settings and its streams."""
    extrinsic = Stream("extrinsic", gamma=0.999, lam=0.95, coef=2.0)

    def with_bonus(episodic=False, **changes):
        return extrinsic, Stream("rnd", rnd(rnd_config.replace(**changes)), 0.99, 0.95, episodic=episodic)

    return {
        "PPO+RND": (config, with_bonus()),
        "PPO": (config, (extrinsic,)),
        "PPO standardised": (config.replace(normalise_advantages=True, entropy_coef=0.01), None),
        "RND, no whitening": (config, with_bonus(whiten=False)),
        "RND, no scaling": (config, with_bonus(normalise=False)),
        "RND, episodic": (config, with_bonus(episodic=True)),
    }


def solved(run, last: int = 50) -> np.ndarray:
    """bool[seeds], whether at least half of (about) the ``last`` episodes of a seed succeeded.

    Episodes are known by the iteration they ended in: the newest iterations that together hold ``last`` of them count.
    """
    episodes = np.asarray(run.metrics["episodes"])[:, ::-1]
    successes = episodes * np.asarray(run.metrics["success"])[:, ::-1]
    counted = np.cumsum(episodes, 1) - episodes < last
    return (successes * counted).sum(1) >= 0.5 * np.maximum((episodes * counted).sum(1), 1)


def error_ratio(env, env_params, config: PPOConfig, rnd_config: RNDConfig, args: Args) -> np.ndarray:
    """f64[seeds], error on the 20 most visited cells over that on never visited ones, early in training."""
    visits = Stream("visits", counts(CountsConfig(env.num_states, episodic=False)), coef=0.0)
    streams = (*arms(config, rnd_config)["PPO+RND"][1], visits)
    algorithm = ppo(env, env_params, config, streams=streams)
    run = pjx.run(algorithm, args.seeds, 5, first_seed=args.first_seed, progress=False)
    novelty, table = run.state.bonuses
    target = MLP(rnd_config.target_sizes, rnd_config.feature_dim, "leaky_relu")
    predictor = MLP(rnd_config.predictor_sizes, rnd_config.feature_dim, "leaky_relu")

    def errors(learn, norm):
        x = whiten(norm.obs, jnp.eye(env.num_states), rnd_config.obs_clip, rnd_config.std_floor)
        return jnp.square(predictor.apply(learn.predictor, x) - target.apply(learn.target, x)).mean(-1)

    error = np.asarray(jax.vmap(errors)(novelty.learn, novelty.norm))
    visited = np.asarray(table.life)
    ratios = []
    for e, n in zip(error, visited, strict=True):
        if (n == 0).any():
            ratios.append(e[np.argsort(-n)[:20]].mean() / e[n == 0].mean())
    return np.asarray(ratios)


def main(args: Args) -> None:
    """Trains all arms, draws the curves and writes the ledger."""
    enable_compilation_cache()
    env, env_params = pjx.make("RoomChain", num_rooms=6, size=4)
    config = PPOConfig(
        num_envs=16, rollout_length=128, gamma=0.999, entropy_coef=1e-3, normalise_advantages=False
    )
    rnd_config = RNDConfig()
    iterations = 3 if args.smoke else args.env_steps // (config.num_envs * config.rollout_length)
    seeds = 2 if args.smoke else args.seeds
    runs = {}
    for name, (settings, streams) in arms(config, rnd_config).items():
        if name.startswith("RND,") and not args.ablations:
            continue
        algorithm = ppo(env, env_params, settings, streams=streams)
        runs[name] = pjx.run(algorithm, seeds, iterations, first_seed=args.first_seed, name=name)
        wins = int(solved(runs[name]).sum())
        found = int((np.asarray(runs[name].metrics["success"]) > 0).any(1).sum())
        print(f"{name:<20} solved by {wins}/{seeds} seeds, found by {found}/{seeds}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    shown = {name: runs[name] for name in ("PPO+RND", "PPO", "PPO standardised")}
    figure = analysis.learning_curves(shown, "success", title="RoomChain, six rooms")
    figure.savefig(args.results / "rnd_room_chain.png", dpi=200)
    print("written:", args.results / "rnd_room_chain.png")
    if args.smoke or args.first_seed + seeds > 1000:
        return

    loss = np.asarray(runs["PPO+RND"].metrics["rnd_predictor_loss"])
    fall = float(np.median(loss[:, 0] / loss[:, -1]))
    ratio = float(np.median(error_ratio(env, env_params, config, rnd_config, args)))
    counted = {name: int(solved(run).sum()) for name, run in runs.items()}
    numbers = ", ".join(f"{name} {wins}" for name, wins in counted.items())
    entries = (("rnd_room_chain", "PPO", True), ("rnd_standardised", "PPO standardised", False))
    for entry, baseline, mechanism in entries:
        a, b = counted["PPO+RND"], counted[baseline]
        p = float(analysis.fisher_exact(a, seeds, b, seeds))
        holds = a >= 0.6 * seeds and b <= 0.2 * seeds and p < 0.01
        holds = holds and (not mechanism or (fall >= 3 and ratio < 0.2))
        enough = seeds >= 20
        path = analysis.record(
            name=entry,
            claim=f"PPO with RND solves RoomChain(6, 4), which {baseline} does not.",
            source="Burda, Edwards, Storkey and Klimov (2018), Exploration by random network distillation",
            criterion=CRITERION + (MECHANISM if mechanism else ""),
            env_steps=args.env_steps,
            baselines={baseline: "the same settings without the bonus" if mechanism else "advantages standardised, "
                       "entropy 0.01, one stream with gamma 0.999"},
            tuning_seeds=[1000, 1001, 1002],
            judging_seeds=list(range(args.first_seed, args.first_seed + seeds)),
            effect=analysis.proportion_difference(a, seeds, b, seeds),
            statistic=f"difference of shares of seeds; Fisher's exact test p = {p:.2g}; solved by {numbers} of {seeds}"
            f" seeds; median predictor error fell {fall:.1f} x; median error ratio, most to never visited, {ratio:.3f}",
            verdict=("holds" if holds else "does not hold") if enough else "not judged",
            reason="the criterion as written" if enough else "fewer than 20 seeds",
            command=f"python experiments/rnd_room_chain.py --seeds {seeds} --first-seed {args.first_seed}",
            family="bonuses",
            directory=args.results,
        )  # fmt: skip
        print("written:", path)
    print(f"predictor error fell {fall:.1f} x; most visited over never visited {ratio:.3f}")


if __name__ == "__main__":
    main(tyro.cli(Args))
