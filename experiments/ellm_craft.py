"""ELLM on CraftLite: suggested goals of growing quality against novelty without reward of the task; fine-tuning.

Du, Watkins, Wang, Colas, Darrell, Abbeel, Gupta and Andreas (2023), "Guiding pretraining in reinforcement learning with
large language models". The model is replaced by suggesters whose quality is known: an oracle proposes what is feasible
now (by the observation), a noisy one leaves out and adds a fifth at every step, a uniform one draws three of the 17
goals, and the inverted oracle proposes only what cannot be done. The baselines are RND, counts of captions over the
lifetime (``1 / sqrt(n)``) and no reward at all. PPO, 16 environments x 128 steps, sees 5 x 5 cells around the agent,
all that its deeds depend on; nobody is paid for achievements, which are counted per episode of 300 steps.

Criteria, written before the run, over 20 seeds:

* ``ellm_craft``: achievements per episode in the last fifth of training, oracle less RND >= 1.5 with its 95 % interval
  above 0 (IQM, paired); oracle >= noisy >= uniform >= infeasible by Page's trend test, p < 0.01; and infeasible less
  none <= 0.5. Shown besides: the oracle without the rule that a goal pays once an episode, and counts of captions.
* ``ellm_finetune``: the policy pretrained with the oracle's goals goes on with a reward of 1 for the iron pickaxe alone
  (which ends the episode; weights are kept, the optimiser is fresh), against the same PPO from new weights: it takes
  <= 0.7 of the steps until half of the episodes of five iterations make an iron pickaxe (ratio by the mean over seeds
  of the log steps, seeds that never get there with the whole budget), and the 95 % interval of the paired log ratio is
  below 0. Shown besides: weights pretrained without reward, and the ratio with the steps of pretraining counted.
* ``ellm_finetune_stone``: the same with the stone pickaxe, four deeds earlier, in place of the iron one.

Each arm has the best of four settings (learning rate x entropy coefficient; ``--tune``, seeds 1000 to 1002) by
achievements in the last fifth, or, in fine-tuning, by the mean success. The arm without reward and the one without the
rule have the oracle's setting, and weights pretrained without reward go on with that of new weights. Judged on seeds
100 to 119: seeds 0 to 19 judged an untuned version.

On the tuning seeds no weights came to half of the episodes with an iron pickaxe: neither any setting in 51,200 steps
after 40,960 of pretraining, nor the oracle's chosen one in 204,800 after 200,704.

    python experiments/ellm_craft.py            # under twenty minutes on one free CPU core
    python experiments/ellm_craft.py --tune --env-steps 40960 --finetune-steps 51200    # the four settings of each arm
    python experiments/ellm_craft.py --smoke    # a minute or two, nearly all of it compilation
"""

import dataclasses
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import init_key, scan_steps
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bonuses.counts import CountsConfig, counting
from purejaxexplore.bonuses.ellm import ELLMConfig, ellm
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.bonuses.suggesters import inverted, noisy, uniform
from purejaxexplore.envs.grids import craft
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

NUM_ENVS, LENGTH, REACH = 16, 128, 2
STEPS_EACH = NUM_ENVS * LENGTH
SUGGESTED = 3
TUNING_SEEDS = (1000, 1001, 1002)
FINE_TUNING_ROOT = jax.random.key(1)
"""Another root than the pretraining's, which is 0: no seed meets the same draws in both."""
SETTINGS = [(1e-3, 3e-3), (1e-3, 1e-2), (3e-3, 3e-3), (3e-3, 1e-2)]
"""Learning rate and entropy coefficient."""
TREND = ("Infeasible", "Uniform", "Noisy", "ELLM oracle")
PROGRAMS = {
    "suggested": ("ELLM oracle", "Noisy", "Uniform", "Infeasible", "None"),
    "RND": ("RND",),
    "Counts": ("Counts",),
    "repeated": ("Not only once",),
}
"""Compiled program -> its arms; those of the first differ in what is suggested."""
CHOSEN = {
    "ELLM oracle": 3, "Noisy": 2, "Uniform": 2, "Infeasible": 1, "None": 3, "RND": 2, "Counts": 1, "Not only once": 3
}  # fmt: skip
"""Number of the setting of each arm in pretraining."""
STARTS = {"ELLM oracle": 3, "None": 3, "Scratch": 3}
"""Weights that fine-tuning starts from, and the number of the setting that goes on."""
WINDOW, ENOUGH = 5, 16
"""Iterations whose episodes are taken together, and how many of them are needed for a share."""
PRETRAINING = (
    "oracle - RND >= 1.5 achievements with its 95 % interval above 0; oracle >= noisy >= uniform >= infeasible by"
    " Page's trend test, p < 0.01; infeasible - none <= 0.5"
)
TARGETS = {"ellm_finetune": "make iron pickaxe", "ellm_finetune_stone": "make stone pickaxe"}
"""Entry of fine-tuning -> what it is paid for."""
FINE_TUNING = (
    "steps of fine-tuning until half of the episodes {}: oracle's weights <= 0.7 of new weights"
    " (mean of log steps), 95 % interval of the paired log ratio below 0"
)


@struct.dataclass
class Settings:
    """Attributes:
    arm: its number in the program.
    setting: number of a pair of SETTINGS.
    """

    arm: int = 0
    setting: int = 0


@dataclasses.dataclass(frozen=True)
class Args:
    """ELLM on CraftLite.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of pretraining of each seed.
        finetune_steps: environment steps of fine-tuning of each seed.
        tune: print how each setting does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 100
    env_steps: int = 200_704
    finetune_steps: int = 204_800
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def stream_of(program: str, arm: int | jax.Array, env) -> Stream:
    """The only reward stream of an arm."""

    def oracle(key, obs):
        return env.feasible(env.perceived(obs))

    def number(action, obs):
        goal = action - 4
        return jnp.where((goal >= 0) & oracle(None, obs)[goal], goal, craft.NOTHING)

    def caption(step):
        return jax.nn.one_hot(number(step.action, step.obs), craft.NUM_GOALS)

    def numbers(learn, step):
        visited = jnp.vectorize(number, signature="(),(d)->()")(step.action, step.obs)
        return visited, jnp.full_like(visited, craft.NOTHING)

    def suggested(key, obs):
        suggesters = (oracle, noisy(oracle, 0.2, 0.2), uniform(craft.NUM_GOALS, SUGGESTED), inverted(oracle))
        return jnp.stack([suggest(key, obs) for suggest in (*suggesters, oracle)])[arm]

    rules = ELLMConfig(craft.NUM_GOALS, threshold=0.99)
    if program == "suggested":
        paid = jnp.asarray(arm) != PROGRAMS[program].index("None")
        return Stream("goals", ellm(rules, suggested, caption), coef=paid.astype(jnp.float32))
    if program == "repeated":
        return Stream("goals", ellm(rules.replace(once=False), oracle, caption))
    if program == "Counts":
        table = CountsConfig(num_states=craft.NUM_GOALS + 1, episodic=False)
        return Stream("counts", counting(table, lambda key, steps: (), numbers), episodic=False)
    return Stream("rnd", rnd(RNDConfig(target_sizes=(64,), predictor_sizes=(64, 64, 64))), episodic=False)


def learner(env, env_params, setting: int | jax.Array, stream: Stream) -> pjx.Algorithm:
    """The PPO of all arms."""
    rate, entropy = jnp.array(SETTINGS)[setting]
    config = PPOConfig(
        num_envs=NUM_ENVS, rollout_length=LENGTH, hidden_sizes=(32,), learning_rate=rate, entropy_coef=entropy
    )
    return ppo(env, env_params, config, streams=[stream])


def pretrain(program: str, args: Args) -> dict[str, tuple]:
    """Arm -> its achievements f64[seeds, iterations] and its final weights, with the settings of CHOSEN."""
    env, env_params = pjx.make("CraftLite", reward="achievements", reach=REACH)
    names = PROGRAMS[program]
    settings = jnp.array([CHOSEN[name] for name in names])

    def make(chosen: Settings) -> pjx.Algorithm:
        return learner(env, env_params, settings[chosen.arm], stream_of(program, chosen.arm, env))

    run = pjx.sweep(
        make, Settings(), {"arm": list(range(len(names)))}, args.seeds, args.env_steps // STEPS_EACH,
        first_seed=args.first_seed, progress=False,
    )  # fmt: skip
    achieved = np.asarray(run.metrics["episode_return"], np.float64)
    return {name: (achieved[i], jax.tree.map(lambda x, i=i: x[i], run.state.params)) for i, name in enumerate(names)}


def fine_tune(target: str, seeds: np.ndarray, settings: np.ndarray, iterations: int, weights=None) -> np.ndarray:
    """Share of episodes that reach ``target``, f64[lanes, iterations], for a seed and a setting a lane.

    ``weights`` (leading axis [lanes]) are where training starts, new ones without. As in :func:`window_share`.
    """
    env, env_params = pjx.make("CraftLite", reward=target, reach=REACH)
    extrinsic = Stream("extrinsic")
    keys = jax.vmap(jax.random.fold_in, (None, 0))(FINE_TUNING_ROOT, jnp.asarray(seeds))

    def train(key, setting, weights):
        algorithm = learner(env, env_params, setting, extrinsic)
        state = algorithm.init(init_key(key))._replace(params=weights)
        metrics = scan_steps(algorithm, key, state, 0, iterations)[1]
        return metrics["episodes"], metrics["success"]

    if weights is None:
        weights = jax.jit(jax.vmap(lambda key: learner(env, env_params, 0, extrinsic).init(init_key(key)).params))(keys)
    return window_share(*jax.jit(jax.vmap(train))(keys, jnp.asarray(settings), weights))


def window_share(episodes, success) -> np.ndarray:
    """f64[lanes, iterations], the share of the episodes of the last WINDOW iterations that succeeded.

    It is 0 before there are as many iterations, since a window that starts with the run holds the short episodes, the
    successes, alone; and where fewer than ENOUGH episodes ended.
    """
    episodes = np.asarray(episodes, np.float64)
    ended, succeeded = (np.cumsum(x, 1) for x in (episodes, episodes * np.asarray(success, np.float64)))
    ended[:, WINDOW:], succeeded[:, WINDOW:] = (x[:, WINDOW:] - x[:, :-WINDOW] for x in (ended, succeeded))
    share = np.where(ended >= ENOUGH, succeeded / np.maximum(ended, 1), 0.0)
    share[:, : WINDOW - 1] = 0.0
    return share


def last_fifth(values: np.ndarray) -> np.ndarray:
    """Means f64[..., seeds] of the last fifth of the iterations ``f[..., seeds, iterations]``."""
    return np.asarray(values, np.float64)[..., -max(1, values.shape[-1] // 5) :].mean(-1)


def steps_to_half(share: np.ndarray) -> np.ndarray:
    """f64[seeds], steps of fine-tuning until half of the episodes succeed; all of them where that is never so."""
    steps = STEPS_EACH * np.arange(1.0, share.shape[1] + 1)
    return np.minimum(analysis.steps_to(steps, share, 0.5), steps[-1])


def draw(achieved: dict[str, np.ndarray], shares: dict[str, dict[str, np.ndarray]]):
    """Achievements while pretraining and at its end, and successes while fine-tuning."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 5.4), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplot_mosaic([["curves", "bars"], list(TARGETS)])
        looks = analysis.looks([*achieved, "Scratch"])
        for name in achieved:
            started = (achieved[name] > 0).any(0)  # nothing is known before the first episodes end
            curve(panels["curves"], achieved[name][:, started], looks[name], np.flatnonzero(started) + 1)
        panels["curves"].set(
            xlabel="Environment steps (thousands)", ylabel="Achievements per episode", title="Without reward"
        )
        for entry, arms in shares.items():
            panel, known = panels[entry], slice(WINDOW - 1, None)
            for name, share in arms.items():
                iterations = np.arange(1, share.shape[1] + 1)[known]
                curve(panel, share[:, known], looks[name], iterations, np.mean, name)
            panel.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
            panel.set(xlabel="Steps of fine-tuning (thousands)", title=f"Paid to {TARGETS[entry]}", ylim=(-0.03, 1.03))
        panels["ellm_finetune"].set_ylabel("Episodes that succeed")
        panels["ellm_finetune"].legend(loc="upper left", title="Weights")
        final = {name: last_fifth(values) for name, values in achieved.items()}
        analysis.score_bars(final, label="Achievements, last fifth (IQM)", ax=panels["bars"])
    return figure


def curve(panel, values: np.ndarray, look, iterations: np.ndarray, statistic=None, label: str | None = None) -> None:
    """The statistic over seeds (IQM by default) with its 95 % interval against steps."""
    if statistic is None:
        value, low, high = analysis.iqm_bands(values)
    else:
        value, low, high = np.transpose([analysis.bootstrap_interval(column, statistic) for column in values.T])
    steps = STEPS_EACH * iterations / 1e3
    panel.plot(steps, value, color=look.color, linestyle=look.linestyle, label=label, zorder=3)
    panel.fill_between(steps, low, high, color=look.color, alpha=0.18, linewidth=0)
    panel.margins(x=0.01)


def tune(args: Args) -> None:
    """Prints the four settings of every arm of pretraining, and then of fine-tuning from the oracle's best weights."""
    env, env_params = pjx.make("CraftLite", reward="achievements", reach=REACH)
    numbers = list(range(len(SETTINGS)))
    weights = None
    for program in ("suggested", "RND", "Counts"):
        names = [name for name in PROGRAMS[program] if name != "None"]

        def make(chosen: Settings, program=program) -> pjx.Algorithm:
            return learner(env, env_params, chosen.setting, stream_of(program, chosen.arm, env))

        run = pjx.sweep(
            make, Settings(), {"arm": list(range(len(names))), "setting": numbers}, len(TUNING_SEEDS),
            args.env_steps // STEPS_EACH, first_seed=TUNING_SEEDS[0], progress=False,
        )  # fmt: skip
        scores = last_fifth(np.asarray(run.metrics["episode_return"])).mean(-1)
        for name, row in zip(names, scores, strict=True):
            report(name, row)
        if program == "suggested":
            best = int(scores[0].argmax())
            weights = jax.tree.map(lambda x, best=best: x[0, best], run.state.params)
    lanes = np.repeat(numbers, len(TUNING_SEEDS))
    repeated = jax.tree.map(lambda x: jnp.tile(x, (len(SETTINGS), *[1] * (x.ndim - 1))), weights)
    for name, start in (("ELLM oracle", repeated), ("Scratch", None)):
        seeds = np.tile(TUNING_SEEDS, len(SETTINGS))
        share = fine_tune(TARGETS["ellm_finetune"], seeds, lanes, args.finetune_steps // STEPS_EACH, start)
        report(f"fine-tuning, {name}", share.mean(1).reshape(len(SETTINGS), -1).mean(1))
        times = np.log(steps_to_half(share)).reshape(len(SETTINGS), -1).mean(1)
        print("    steps to half:", *(f"{x:,.0f}" for x in np.exp(times)), flush=True)


def report(name: str, scores: np.ndarray) -> None:
    """Prints the score of every setting."""
    pairs = zip(SETTINGS, scores, strict=True)
    print(f"{name:<26}", *(f"{rate:g}, {entropy:g}: {score:.3f};" for (rate, entropy), score in pairs), flush=True)


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes both entries of the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, env_steps=4 * STEPS_EACH, finetune_steps=6 * STEPS_EACH)
    achieved, weights = {}, {}
    for program in PROGRAMS:
        if args.smoke and program in ("RND", "repeated"):
            continue
        for name, (values, final) in pretrain(program, args).items():
            achieved[name], weights[name] = values, final
            print(f"{name:<14} {analysis.iqm(last_fifth(values)):.2f} achievements", flush=True)
    seeds = np.arange(args.first_seed, args.first_seed + args.seeds)
    shares = {entry: {} for entry in TARGETS}
    for (entry, target), (name, setting) in itertools.product(TARGETS.items(), STARTS.items()):
        settings = np.full(args.seeds, setting)
        share = fine_tune(target, seeds, settings, args.finetune_steps // STEPS_EACH, weights.get(name))
        shares[entry][name] = share
        there = int((share >= 0.5).any(1).sum())
        half = np.exp(np.log(steps_to_half(share)).mean())
        print(f"{target}: {name:<14} half after {half:,.0f} steps, {there} seeds", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    draw(achieved, shares).savefig(args.results / "ellm_craft.png", dpi=200)
    print("written:", args.results / "ellm_craft.png")
    if not args.smoke and args.first_seed + args.seeds <= TUNING_SEEDS[0]:
        judge_pretraining(args, {name: last_fifth(values) for name, values in achieved.items()})
        for entry in TARGETS:
            judge_fine_tuning(args, entry, shares[entry])


def judge_pretraining(args: Args, scores: dict[str, np.ndarray]) -> None:
    """Writes the entry of pretraining."""
    from scipy.stats import page_trend_test

    effect = analysis.paired_bootstrap(scores["ELLM oracle"], scores["RND"])
    p = float(page_trend_test(np.stack([scores[name] for name in TREND], 1)).pvalue)
    above_none = float(analysis.iqm(scores["Infeasible"]) - analysis.iqm(scores["None"]))
    holds = effect.value >= 1.5 and effect.low > 0 and p < 0.01 and above_none <= 0.5
    numbers = ", ".join(f"{name} {analysis.iqm(score):.2f}" for name, score in scores.items())
    enough = args.seeds >= 20 and args.env_steps >= Args.env_steps
    path = analysis.record(
        name="ellm_craft",
        claim="Goals suggested for the present state lead to more achievements in CraftLite than novelty does.",
        source="Du, Watkins, Wang, Colas, Darrell, Abbeel, Gupta and Andreas (2023), Guiding pretraining in"
        " reinforcement learning with large language models",
        criterion=PRETRAINING,
        env_steps=args.env_steps,
        baselines={
            "RND": "the same PPO, all networks of the bonus 64 wide; each arm with the best of four settings",
            "Counts": "1 / sqrt(n) of the caption, over the lifetime",
            "None": "no reward at all",
            "Noisy": "the oracle with a fifth left out and a fifth of the others added",
            "Uniform": f"{SUGGESTED} of {craft.NUM_GOALS} goals drawn at every step",
            "Infeasible": "what the oracle does not suggest",
            "Not only once": "the oracle's goals pay again and again",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"achievements per episode, oracle less RND (IQM); Page's trend test p = {p:.2g}; infeasible less"
        f" none {above_none:.2f}; IQM by arm: {numbers}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written"
        if enough
        else f"it needs 20 seeds and {Args.env_steps:,} steps",
        command=command(args),
        family="bonuses",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


def judge_fine_tuning(args: Args, entry: str, shares: dict[str, np.ndarray]) -> None:
    """Writes an entry of fine-tuning."""
    times = {name: steps_to_half(share) for name, share in shares.items()}
    reached = {name: int((share >= 0.5).any(1).sum()) for name, share in shares.items()}
    means = {name: float(np.exp(np.log(row).mean())) for name, row in times.items()}
    scratch = np.log(times["Scratch"])
    effect = analysis.paired_bootstrap(np.log(times["ELLM oracle"]), scratch, statistic=np.mean)
    in_all = np.exp((np.log(times["ELLM oracle"] + args.env_steps) - scratch).mean())
    ratio = np.exp(effect.value)
    enough = args.seeds >= 20 and args.env_steps >= Args.env_steps and args.finetune_steps >= Args.finetune_steps
    found = ", ".join(f"{name} {means[name]:,.0f} ({reached[name]} of {args.seeds} seeds)" for name in times)
    path = analysis.record(
        name=entry,
        claim=f"Weights pretrained with suggested goals learn to {TARGETS[entry]} sooner than new weights.",
        source="Du, Watkins, Wang, Colas, Darrell, Abbeel, Gupta and Andreas (2023), Guiding pretraining in"
        " reinforcement learning with large language models",
        criterion=FINE_TUNING.format(TARGETS[entry]),
        env_steps=args.finetune_steps,
        baselines={
            "Scratch": "the same PPO from new weights, the best of four settings",
            "None": "weights pretrained as long without reward, at the setting of new weights",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"mean log ratio of the steps, oracle's weights over new ones (ratio {ratio:.2f}; with the steps of"
        f" pretraining {in_all:.2f}); steps by weights, and seeds that got there: {found}",
        verdict=("holds" if ratio <= 0.7 and effect.high < 0 else "does not hold") if enough else "not judged",
        reason=f"the criterion as written; at most {args.finetune_steps:,} steps, of which a share is known after"
        f" {WINDOW * STEPS_EACH:,}"
        if enough
        else f"it needs 20 seeds, {Args.env_steps:,} steps of pretraining and {Args.finetune_steps:,} of fine-tuning",
        command=command(args),
        family="bonuses",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


def command(args: Args) -> str:
    """What to type to run this again."""
    return f"python experiments/ellm_craft.py --seeds {args.seeds} --first-seed {args.first_seed}"


if __name__ == "__main__":
    main(analysis.arguments(Args))
