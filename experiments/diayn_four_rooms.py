"""DIAYN in four rooms: eight skills without any reward, told apart by where they end.

Eysenbach, Gupta, Ibarz and Levine (2019), "Diversity is all you need: learning skills without a reward function".
FourRooms without slipping, episodes of 50 steps, one skill of eight an episode, which the policy is shown and the
discriminator has to name from the cell alone. PPO with 16 environments x 128 steps, one hidden layer of 64, paid for
nothing but the discriminator's log-probability. The control's discriminator is fitted to skills shuffled among the
steps, so there is nothing to tell.

Measured on the last steps of the episodes in the last tenth of the training, by the discriminator and the policy as
they are then: the discriminator's accuracy; the mutual information of skill and cell, by the bound that the paper
maximises, E[log q(z | cell)] + log 8; and the total variation between the distributions of the last cells (whose older
rollouts are forgotten, 5 % a rollout), mean over the pairs of skills. Criterion, written before the run (IQM over
seeds): accuracy at least 0.8, information at least 1.5 nats of 2.08, total variation at least 0.8, and the control's
accuracy at most 0.2 (chance is 0.125). Settings are the module's; the entropy's weight and the discriminator's learning
rate are the best of eight for the tuning seeds 1000 to 1002 (``--tune``); judged on seeds 0 to 19. Coverage is no claim
of DIAYN and is reported.

    python experiments/diayn_four_rooms.py            # minutes on two CPU cores
    python experiments/diayn_four_rooms.py --tune     # the eight settings on the tuning seeds
    python experiments/diayn_four_rooms.py --smoke    # seconds
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
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.diayn import DIAYNConfig, diayn
from purejaxexplore.envs.wrappers import ObserveStateId, OneHot
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.nets import MLP
from purejaxexplore.runner.cache import enable_compilation_cache

SKILLS, SIDE = 8, 13
MEMORY = 0.95
PPO = PPOConfig(num_envs=16, rollout_length=128, learning_rate=1e-3, hidden_sizes=(64,))
TUNING_SEEDS = (1000, 1001, 1002)
GRID = {"entropy_coef": [0.003, 0.01, 0.03, 0.1], "learning_rate": [1e-3, 3e-3]}
CHOSEN = {"entropy_coef": 0.1, "learning_rate": 3e-3}
CRITERION = (
    "at the last steps: accuracy >= 0.8, E[log q] + log 8 >= 1.5 nats, mean total variation of final cells >= 0.8, and "
    "accuracy <= 0.2 with shuffled skills"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """DIAYN in FourRooms.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 are for tuning.
        env_steps: environment steps of each seed.
        tune: print how each setting does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 500_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


@struct.dataclass
class Setting:
    """What is tuned: PPO's weight of entropy and the discriminator's learning rate."""

    entropy_coef: float = CHOSEN["entropy_coef"]
    learning_rate: float = CHOSEN["learning_rate"]


def measured(config: DIAYNConfig, shuffled: bool) -> Bonus:
    """DIAYN that reports on the last steps of the rollout's episodes, and learns shuffled skills if asked.

    Further metrics: ``final_count``, these steps, and sums over them of whether the discriminator names the skill,
    ``final_correct``, and of its log-probability, ``final_log_q``. State: ``norm`` f32[SKILLS, num_states], how often
    each skill ended where, MEMORY of it kept from rollout to rollout.
    """
    bonus = diayn(config)
    discriminator = MLP(config.hidden_sizes, config.num_skills, "relu")

    def update(key, state, batch):
        key_shuffle, key_update = jax.random.split(key)
        cell, skill = batch.steps.aux["state_id"], batch.features.argmax(-1)
        last = batch.steps.done.astype(jnp.float32)
        log_q = jax.nn.log_softmax(discriminator.apply(state.learn.params, jax.nn.one_hot(cell, config.num_states)))
        correct = (log_q.argmax(-1) == skill) * last
        named = jnp.take_along_axis(log_q, skill[..., None], -1)[..., 0] * last
        cells = (MEMORY * state.norm).at[skill, cell].add(last)
        if shuffled:
            rows = batch.features.reshape((-1, config.num_skills))
            features = jax.random.permutation(key_shuffle, rows).reshape(batch.features.shape)
            batch = batch._replace(features=features)
        state, metrics = bonus.update(key_update, state, batch)
        sums = {"final_count": last.sum(), "final_correct": correct.sum(), "final_log_q": named.sum()}
        return state._replace(norm=cells), metrics | sums

    def init(key, steps):
        return bonus.init(key, steps)._replace(norm=jnp.zeros((config.num_skills, config.num_states)))

    return bonus._replace(init=init, update=update)


def make_arm(shuffled: bool, config: PPOConfig):
    """``setting -> algorithm``."""
    env, params = pjx.make("gymnax/FourRooms-misc", fail_prob=0.0, max_steps_in_episode=50)
    env = OneHot(ObserveStateId(env))

    def make(setting: Setting):
        skills = measured(
            DIAYNConfig(learning_rate=setting.learning_rate, num_skills=SKILLS, num_states=env.num_states), shuffled
        )
        streams = (Stream("extrinsic", coef=0.0), Stream("diayn", skills, gamma=0.99))
        return ppo(env, params, config.replace(entropy_coef=setting.entropy_coef), streams=streams)

    return make


def scores(runs, last: int) -> dict[str, np.ndarray]:
    """Accuracy, information in nats and total variation, f64[..., seeds], and f64[..., seeds, SKILLS, num_states]."""
    count, correct, log_q = (
        np.asarray(runs.metrics[f"diayn_final_{name}"], np.float64)[..., -last:].sum(-1)
        for name in ("count", "correct", "log_q")
    )
    cells = np.asarray(runs.state.bonuses[0].norm, np.float64)
    where = cells / np.maximum(cells.sum(-1, keepdims=True), 1e-9)
    pairs = [
        0.5 * np.abs(where[..., a, :] - where[..., b, :]).sum(-1) for a, b in itertools.combinations(range(SKILLS), 2)
    ]
    return {
        "accuracy": correct / count,
        "information": log_q / count + np.log(SKILLS),
        "variation": np.mean(pairs, 0),
        "cells": where,
    }


def figure_of(cells: np.ndarray):
    """Where each skill of one seed ends: f64[SKILLS, num_states], a panel a skill."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    env, _ = pjx.make("gymnax/FourRooms-misc")
    walls = ~np.asarray(env.env_map, bool)
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.9))
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, SKILLS // 2)
        for skill, panel in enumerate(panels.flat):
            shown = np.ma.masked_array(cells[skill].reshape(SIDE, SIDE), walls)
            image = panel.imshow(shown, cmap="Blues", vmin=0, vmax=1)
            panel.set_facecolor("#555555")
            panel.grid(visible=False)
            panel.set(xticks=[], yticks=[], title=f"Skill {skill + 1}")
        figure.colorbar(image, ax=panels, shrink=0.8, label="Share of episodes that end here")
    return figure


def tune() -> None:
    """Prints accuracy, information and total variation of every setting."""
    iterations = Args().env_steps // (PPO.num_envs * PPO.rollout_length)
    runs = pjx.sweep(
        make_arm(False, PPO), Setting(), GRID, len(TUNING_SEEDS), iterations, first_seed=TUNING_SEEDS[0],
        progress=False,
    )  # fmt: skip
    found = scores(runs, iterations // 10)
    for (i, entropy), (j, rate) in itertools.product(*(enumerate(values) for values in GRID.values())):
        told = ", ".join(f"{name} {found[name][i, j].mean():.3f}" for name in ("accuracy", "information", "variation"))
        print(f"entropy {entropy}, learning rate {rate}: {told}", flush=True)


def main(args: Args) -> None:
    """Trains both arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune()
        return
    seeds, env_steps, config = args.seeds, args.env_steps, PPO
    if args.smoke:
        seeds, config = 2, PPO.replace(num_envs=4, rollout_length=64, num_warmup_steps=16)
        env_steps = 2 * 4 * 64
    iterations = env_steps // (config.num_envs * config.rollout_length)
    found, covered = {}, {}
    for name, shuffled in (("DIAYN", False), ("Shuffled skills", True)):
        if args.smoke and shuffled:
            continue
        run = pjx.run(
            make_arm(shuffled, config)(Setting()), seeds, iterations, first_seed=args.first_seed, name=name,
            progress=False,
        )  # fmt: skip
        found[name] = scores(run, max(iterations // 10, 1))
        covered[name] = np.asarray(run.metrics["coverage"])[:, -1]
        told = ", ".join(f"{key} {found[name][key].mean():.3f}" for key in ("accuracy", "information", "variation"))
        print(f"{name:<16} {told}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(found["DIAYN"]["cells"][0]).savefig(args.results / "diayn_four_rooms.png", dpi=200)
    print("written:", args.results / "diayn_four_rooms.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    skills, control = found["DIAYN"], found["Shuffled skills"]
    effect = analysis.bootstrap_interval(skills["information"])
    accuracy, variation = (analysis.bootstrap_interval(skills[name]) for name in ("accuracy", "variation"))
    chance = analysis.bootstrap_interval(control["accuracy"])
    met = {
        "accuracy": accuracy.value >= 0.8,
        "information": effect.value >= 1.5,
        "total variation": variation.value >= 0.8,
        "control at chance": chance.value <= 0.2,
    }
    enough = seeds >= 20 and args.env_steps >= 500_000
    numbers = ", ".join(
        "{} {:.3f} [{:.3f}, {:.3f}]".format(name, *x)
        for name, x in (("accuracy", accuracy), ("total variation", variation), ("control's accuracy", chance))
    )
    path = analysis.record(
        name="diayn_four_rooms",
        claim="DIAYN's skills end in different places, and a discriminator names them from the place.",
        source="Eysenbach, Gupta, Ibarz and Levine (2019), Diversity is all you need: learning skills without a reward "
        "function",
        criterion=CRITERION,
        env_steps=iterations * config.num_envs * config.rollout_length,
        baselines={"Shuffled skills": "the same with the discriminator fitted to shuffled skills"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=effect,
        statistic=f"information of skill and last cell in nats (IQM); {numbers}; cells visited in the training "
        + ", ".join(f"{name} {x.mean():.2f}" for name, x in covered.items()),
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=", ".join(f"{part}: {'met' if yes else 'not met'}" for part, yes in met.items())
        if enough
        else "it needs 20 seeds and 500,000 steps",
        command=f"python experiments/diayn_four_rooms.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
