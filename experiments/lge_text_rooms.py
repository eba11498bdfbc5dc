"""LGE on TextRooms: short-lists of a guide against acting without one, and what a bad guide costs.

Golchha, Yerawar, Patel, Dan and Murugesan (2024), "Language guided exploration for RL agents in text environments".
The guide lists eight of the fifty or so admissible actions (there are 180 in all): the right next one, if it knows it,
and others at random. It knows the right action in a share of the 40 stages (eight tasks, five deeds), its recall, and
the same ones for the whole run of a seed, as a language model is wrong about a stage whenever it is asked. Each seed
has its own family of recipes, so what is judged is how guidance does over families, none of them a tuning one. DQN
whose actions share parameters by verb and thing, 16 environments, places remembered; half of the actions are drawn from
the list, by the softmax of the values, and targets maximise over all admissible actions. No arm ever draws another.
Scores are returns of the softmax of the values, for every arm alike, with nobody guiding: that is DRRN's policy, and
greedy episodes end in loops (recall 1 on the tuning seeds: 0.10 where the softmax had 0.28), which is why it was chosen
there. Uniform play is measured as well.

Criterion, written before the run, over 20 seeds (IQM, paired): the mean score over training with recall 0.8 exceeds
that of epsilon-greedy (the better of epsilon 0.1 and 0.3) by >= 30 % of it, the 95 % interval of the difference above
0; that of a random short-list does not exceed it (its interval reaches 0 or below); and with recall 0.5 the last score
(mean of three evaluations) is lower when all actions come from the list than when half do, the interval of that
difference below 0.

Tuned on seeds 1000 to 1002 with recall 1, eight settings of the learning rate (1e-3, 3e-3), temperature (0.015, 0.03,
0.1), discount (0.8, 0.9; the authors' 0.9 had 0.25) and updates between copies of the target (50, 200), first by the
return of the guided episodes, then by the score. All arms have the same settings; of epsilon-greedy nothing but epsilon
was chosen. Judged on seeds 0 to 19 with 12,800 steps after random play that fills the replay, the plan having 80,000.

    python experiments/lge_text_rooms.py            # six minutes of one CPU core
    python experiments/lge_text_rooms.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm, per_seed
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.blocks.episodes import first_episodes
from purejaxexplore.blocks.rollout import reset_lanes, rollout
from purejaxexplore.envs.tokens import text_rooms as rooms
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.evaluation import softmax_policy, with_evaluation
from purejaxexplore.learners.explorers import Explorer, uniform_mixture
from purejaxexplore.learners.guides import Guide, short_listed
from purejaxexplore.runner.cache import enable_compilation_cache
from purejaxexplore.runner.results import Runs

LISTED, HORIZON = 8, 60
CRITERION = (
    "mean score over training: recall 0.8 exceeds epsilon-greedy by >= 30 %, 95 % interval above 0; a random short-list"
    " does not; recall 0.5: last score with all actions from the list below that with half, interval below 0"
)
REASON = (
    "the criterion as written, with 12,800 steps a seed where the plan had 80,000 (one CPU core); scored by the softmax"
    " policy, which was decided on the tuning seeds, where greedy episodes looped; greedy scores are not judged;"
    " all arms are far from solving the rooms (a score of 1)"
)


@struct.dataclass
class Setting:
    """One arm; its numbers are traced, so that all arms are one program.

    Attributes:
        share: of the actions that are drawn from the list, by a softmax; the others are drawn by it from all.
        recall: share of the stages in which the list holds the right action; 0 with ``random``.
        random: 1 where the list does not tell the right action from others.
        epsilon: of epsilon-greedy instead; 0 for none.
        temperature: of the softmax.
        learning_rate: of DQN.
    """

    share: float = 0.5
    recall: float = 1.0
    random: float = 0.0
    epsilon: float = 0.0
    temperature: float = 0.015
    learning_rate: float = 3e-3


@struct.dataclass
class Chosen:
    """``arm``: number of an arm; what is swept."""

    arm: int = 0


ARMS: dict[str, Setting] = {
    "Recall 1": Setting(),
    "Recall 0.8": Setting(recall=0.8),
    "Recall 0.5": Setting(recall=0.5),
    "Recall 0.5, only listed": Setting(recall=0.5, share=1.0),
    "Random short-list": Setting(random=1.0),
    "Softmax": Setting(share=0.0),
    "Epsilon-greedy, 0.1": Setting(epsilon=0.1),
    "Epsilon-greedy, 0.3": Setting(epsilon=0.3),
}
CURVES = ("Recall 1", "Recall 0.8", "Random short-list", "Epsilon-greedy, 0.1")
GREEDY = ("Epsilon-greedy, 0.1", "Epsilon-greedy, 0.3")
CONFIG = DQNConfig(
    network="factored", action_factors=(rooms.NUM_VERBS, rooms.NUM_THINGS), num_envs=16, rollout_length=4,
    num_updates=12, batch_size=32, replay_capacity=8192, hidden_sizes=(64, 64), gamma=0.8, n_step=3, target_period=50.0,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Args:
    """LGE on TextRooms.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed.
        env_steps: environment steps of each seed.
        evaluations: of each seed, evenly over training.
        episodes: of an evaluation.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 12_800
    evaluations: int = 10
    episodes: int = 16
    smoke: bool = False
    results: Path = Path("experiments/results")


def right_action(state: rooms.TextRoomsState, params: rooms.TextRoomsParams) -> jax.Array:
    """The next action, i32, of a shortest way to the deed whose turn it is."""
    deed = params.recipes[state.task, jnp.minimum(state.progress, rooms.NUM_SUBGOALS - 1)]
    verb, thing = deed // rooms.NUM_THINGS, deed % rooms.NUM_THINGS
    place = jnp.concatenate([state.place, np.arange(rooms.NUM_FIXTURES)])[thing]
    opened = (jnp.arange(rooms.NUM_FIXTURES) == thing - rooms.NUM_ITEMS) & state.opened
    needs_held = (verb == rooms.HEAT) | (verb == rooms.WASH) | (verb == rooms.GIVE)
    lost = needs_held & (place != rooms.HELD)
    verb = jnp.where(lost, rooms.TAKE, jnp.where((verb == rooms.OPEN) & opened.any(), rooms.CLOSE, verb))
    work = [verb == rooms.HEAT, verb == rooms.WASH, verb == rooms.GIVE]
    at = jnp.select(work, [rooms.STOVE, rooms.SINK, rooms.PERSON], place)
    here = (at == state.room) | (at == rooms.HELD)
    go = rooms.GO * rooms.NUM_THINGS + rooms.NUM_ITEMS + at
    return jnp.where(here, verb * rooms.NUM_THINGS + thing, go).astype(jnp.int32)


def guide_of(env, params: rooms.TextRoomsParams, known: jax.Array, random: jax.Array) -> Guide:
    """Random preferences among admissible actions, the right one above all where ``known: bool[8, 5]``, else excluded.

    One that is ``random`` does not tell the right action from others.
    """

    def advise(key, obs, state):
        logits = jnp.where(env.admissible(state), jax.random.uniform(key, (env.num_actions,)), -jnp.inf)
        right = jnp.arange(env.num_actions) == right_action(state, params)
        told = known[state.task, jnp.minimum(state.progress, rooms.NUM_SUBGOALS - 1)]
        return jnp.where(right & (random < 0.5), jnp.where(told, 2.0, -jnp.inf), logits)

    return advise


def either(listing: Explorer, greedy: Explorer, is_greedy: jax.Array) -> Explorer:
    """The one explorer or the other, chosen by a traced number."""

    def act(key, es, policy, lanes):
        pairs = zip(greedy.act(key, (), policy, lanes)[:2], listing.act(key, (), policy, lanes)[:2], strict=True)
        action, log_prob = (jnp.where(is_greedy, *pair) for pair in pairs)
        return action, log_prob, es

    return listing._replace(act=act)


def learner(setting: Setting, config: DQNConfig, episodes: int) -> Algorithm:
    """An arm; each seed draws its family of tasks and what the guide knows of it."""
    env, env_params = pjx.make("TextRooms", memory=True)
    config = config.replace(learning_rate=setting.learning_rate)

    def sample(key):
        key_family, key_known = jax.random.split(key)
        known = jax.random.uniform(key_known, (rooms.NUM_TASKS, rooms.NUM_SUBGOALS)) < setting.recall
        return env.sample_params(key_family, env_params), known

    def make(drawn):
        params, known = drawn
        guide = guide_of(env, params, known, setting.random)
        listing = short_listed(guide, env, params, setting.share, LISTED, setting.temperature)
        explorer = either(listing, uniform_mixture(setting.epsilon), setting.epsilon > 0)
        algorithm = dqn(env, params, config, explorer=explorer)
        policy = softmax_policy(env, params, config, setting.temperature)
        return with_evaluation(algorithm, env, params, policy, episodes, HORIZON)

    return per_seed(sample, make)


def train(arms: dict[str, Setting], args: Args) -> Runs:
    """All arms at once, dimensions (arm, seed, ...)."""
    every = max(1, args.env_steps // (CONFIG.num_envs * CONFIG.rollout_length * args.evaluations))
    stacked = jax.tree.map(lambda *values: jnp.asarray(values), *arms.values())
    return pjx.sweep(
        lambda chosen: learner(jax.tree.map(lambda x: x[chosen.arm], stacked), CONFIG, args.episodes), Chosen(),
        {"arm": list(range(len(arms)))}, args.seeds, every * args.evaluations, first_seed=args.first_seed,
        name="lge_text_rooms", evaluate_every=every,
    )  # fmt: skip


def uniform_scores(args: Args) -> np.ndarray:
    """Returns f64[seeds] of admissible actions at random, each seed in a family of its own."""
    env, env_params = pjx.make("TextRooms")

    def act(key, carry, lanes):
        able = jax.vmap(env.admissible_actions)(lanes.obs)
        return carry, jax.random.categorical(key, jnp.where(able, 0.0, -jnp.inf)), ()

    def score(key):
        key_family, key_reset, key_play = jax.random.split(key, 3)
        params = env.sample_params(key_family, env_params)
        lanes = reset_lanes(key_reset, env, params, args.episodes)
        return first_episodes(rollout(key_play, env, params, lanes, (), act, HORIZON)[3])["start_return"]

    return np.asarray(jax.jit(jax.vmap(score))(jax.random.split(jax.random.key(args.first_seed), args.seeds)), float)


def draw(scores: dict[str, np.ndarray], steps: np.ndarray, uniform: float):
    """Scores f64[seeds, evaluations] of some arms while learning, and the means over training of all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.1), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1))
        shown = {name: look for name, look in analysis.looks(scores).items() if name in CURVES}
        for name, look in shown.items():
            band = analysis.iqm_bands(scores[name])
            left.plot(steps / 1e3, band.value, color=look.color, marker=look.marker, markersize=5, zorder=3)
            left.fill_between(steps / 1e3, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        left.axhline(uniform, color="0.4", linewidth=0.8, linestyle=":")
        left.annotate("uniform play", (0.99, uniform), xycoords=("axes fraction", "data"), xytext=(0, 2),
                      textcoords="offset points", ha="right", va="bottom", color="0.4")  # fmt: skip
        left.set_ylim(0.0)
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.set(xlabel="Environment steps (thousands)", ylabel="Return, nobody guiding", title="TextRooms")
        left.margins(x=0.03)
        means = {name: score.mean(1) for name, score in scores.items()}
        analysis.score_bars(means, label="Mean over training (IQM)", ax=right)
    return figure


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, env_steps=128, evaluations=2, episodes=2)
    run = train({name: ARMS[name] for name in ("Recall 0.8", GREEDY[0])} if args.smoke else ARMS, args)
    names = list(ARMS) if not args.smoke else ["Recall 0.8", GREEDY[0]]
    scores = dict(zip(names, np.asarray(run.evaluations["start_return"], np.float64), strict=True))
    env_steps = np.asarray(run.metrics["env_steps"])[0, 0]
    steps = env_steps.reshape(args.evaluations, -1)[:, -1]
    uniform = uniform_scores(args)
    for name, score in scores.items():
        print(f"{name:<24} mean {analysis.iqm(score.mean(1)):.3f}, last {analysis.iqm(score[:, -3:].mean(1)):.3f}")

    args.results.mkdir(parents=True, exist_ok=True)
    draw(scores, steps, uniform.mean()).savefig(args.results / "lge_text_rooms.png", dpi=200)
    print("written:", args.results / "lge_text_rooms.png")
    if args.smoke:
        return

    means = {name: score.mean(1) for name, score in scores.items()}
    last = {name: score[:, -3:].mean(1) for name, score in scores.items()}
    rival = max(GREEDY, key=lambda name: analysis.iqm(means[name]))
    base = float(analysis.iqm(means[rival]))
    effect = analysis.paired_bootstrap(means["Recall 0.8"], means[rival])
    useless = analysis.paired_bootstrap(means["Random short-list"], means[rival])
    trusting = analysis.paired_bootstrap(last["Recall 0.5, only listed"], last["Recall 0.5"])
    better = int((means["Recall 0.8"] > means[rival]).sum())
    holds = effect.value >= 0.3 * base and effect.low > 0 and useless.low <= 0 and trusting.high < 0
    enough = args.seeds >= 20 and args.env_steps >= 12_800
    pairs = {name: (analysis.iqm(means[name]), analysis.iqm(last[name])) for name in ARMS}
    numbers = ", ".join(f"{name} {mean:.3f} (last {end:.3f})" for name, (mean, end) in pairs.items())
    path = analysis.record(
        name="lge_text_rooms",
        claim="Short-lists of a guide that knows most right actions teach TextRooms faster than acting without.",
        source="Golchha, Yerawar, Patel, Dan and Murugesan (2024), Language guided exploration for RL agents in text"
        " environments",
        criterion=CRITERION,
        env_steps=int(steps[-1]),
        baselines={
            "Epsilon-greedy": f"the better of epsilon 0.1 and 0.3 on the judging seeds, {rival}; admissible actions",
            "Softmax": f"of the values without a list, temperature {ARMS['Softmax'].temperature}",
            "Random short-list": f"{LISTED} admissible actions at random, half of the time",
            "Recall 0.5, only listed": "all actions from the list",
        },
        tuning_seeds=range(1000, 1003),
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"mean return over training, nobody guiding, recall 0.8 less {rival} (IQM), {effect.value:.4f};"
        f" where 30 % of that arm's {base:.3f} is {0.3 * base:.4f};"
        f" above it in {better} of {args.seeds} families, each seed's own and none a tuning one; random short-list"
        f" less {rival} {useless.value:.3f} [{useless.low:.3f}, {useless.high:.3f}]; last three evaluations with"
        f" recall 0.5, only listed less half, {trusting.value:.3f} [{trusting.low:.3f}, {trusting.high:.3f}]; by arm:"
        f" {numbers}; uniform admissible play {uniform.mean():.3f}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason=REASON if enough else "it needs 20 seeds and 12,800 steps",
        command=f"python experiments/lge_text_rooms.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
