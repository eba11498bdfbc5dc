"""Intelligent Go-Explore on the Game of 24: how good must a judge be, and where does its judgement matter?

Lu, Hu and Clune (2024), "Intelligent Go-Explore". The foundation model is replaced by judges whose quality is known: an
exact one that is wrong about a share eps of all states, always about the same ones, and a network that learned on other
puzzles. The paper's 100 hard puzzles, at most 700 operations each; a trial without a solution counts as 700. Baselines:
depth-first and breadth-first search and random restarts, written here once more in plain Python with the published
rules. Intervals are 95 % bootstrap intervals over the 100 puzzles, of each puzzle's mean over the seeds.

Criteria, written before the run (they are those of the project's specification):

* ``ige_noisy_judge``: at eps = 0.2 the mean is at most 50 operations, and at least 98 % of the trials are solved.
* ``ige_pure_noise``: a negative control. At eps = 0.5 the labels say nothing, and the mean is at least 120 operations:
  no better than depth-first search, which needs no judge.
* ``ige_action_choice``: at eps = 0.1 uniform choice of actions at least doubles the mean number of operations.
* ``ige_learned_judge``: a network trained on 800 other puzzles lowers the mean number of operations of depth-first
  search by at least 50 %, and the Wilcoxon signed-rank test over the puzzles gives p < 0.001.

The specification trains on the 800 puzzles that people find easiest; here they are 800 drawn at random from the 1,246
solvable puzzles that are not among the hard ones, and 100 more of those served, with seeds 1000 to 1002, to choose the
learned judge's threshold and the temperatures (``--tune``). Nothing else was tuned. Judged on seeds 0 to 19. Puzzles
share states with few numbers, so a second learned judge never saw a state of a hard puzzle, final ones left aside.

    python experiments/intelligent_go_explore.py            # some minutes on two CPU cores
    python experiments/intelligent_go_explore.py --tune     # the learned judge on 100 other puzzles
"""

import dataclasses
import random
import time
from functools import cache
from itertools import combinations, product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import wilcoxon

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import init_key, scan_steps
from purejaxexplore.envs.tokens import HARD_PUZZLES, Game24State, solvable_puzzles
from purejaxexplore.go_explore import IntelligentGoExploreConfig, intelligent_go_explore, judges
from purejaxexplore.runner.cache import enable_compilation_cache

EPS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
JUDGEMENTS = ("score_actions", "keep", "score_states")
FLOOR = 1e-4  # of the learned probabilities; 1/1152 is the smallest that a solvable puzzle has
VALUE = judges.ValueConfig(hidden_sizes=(128, 128), num_updates=6000)
LEARNED = {"threshold": -7.5, "state_temperature": 2.0, "action_temperature": 0.5}
GRID = {"threshold": (-8.5, -7.5, -6.5), "state_temperature": (0.5, 2.0), "action_temperature": (0.5,)}
SOURCE = "Lu, Hu and Clune (2024), Intelligent Go-Explore: Standing on the Shoulders of Giant Foundation Models"


@dataclasses.dataclass(frozen=True)
class Args:
    """Judges of known quality on the Game of 24.

    Attributes:
        seeds: seeds of each arm and puzzle.
        first_seed: number of the first seed; 1000 to 1004 were used before.
        operations: budget of a trial.
        lanes: trials that run at the same time.
        tune: print how settings of the learned judge do on 100 other puzzles, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    operations: int = 700
    lanes: int = 256
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def trials(make, settings, puzzles, args: Args) -> np.ndarray:
    """Operations to the first 24, i64[seeds, puzzles]; the budget where there was none.

    A lane whose trial is over takes the next one, so that easy trials do not wait for hard ones.

    Args:
        make: ``(setting, salt) -> (config, judge)``.
        settings: pytree of [seeds, puzzles], the setting of each trial.
        puzzles: i32[puzzles, 4].
    """
    env, env_params = pjx.make("Game24")
    shape = args.seeds, len(puzzles)
    seed, puzzle = (grid.ravel() for grid in np.indices(shape))
    settings = jax.tree.map(np.ravel, settings)
    chunk = 10

    def setup(trial):
        seed_key = jax.random.fold_in(jax.random.key(0), args.first_seed + trial["seed"])
        seed_key = jax.random.fold_in(seed_key, trial["puzzle"])
        salt = jax.random.bits(jax.random.fold_in(seed_key, args.operations), (), jnp.uint32)  # no step's key
        config, judge = make(trial["setting"], salt)
        params = env_params.replace(puzzle=jnp.asarray(puzzles, jnp.int32)[trial["puzzle"]])
        return intelligent_go_explore(env, params, config.replace(num_operations=args.operations), judge), seed_key

    @jax.jit
    @jax.vmap
    def advance(trial, over, state):
        algorithm, seed_key = setup(trial)
        fresh = algorithm.init(init_key(seed_key))
        state = jax.tree.map(lambda new, old: jnp.where(over, new, old), fresh, state)
        return scan_steps(algorithm, seed_key, state, state.t, chunk)[0]

    def describe(numbers):
        setting = jax.tree.map(lambda x: x[numbers], settings)
        return {"seed": seed[numbers], "puzzle": puzzle[numbers], "setting": setting}

    result = np.full(len(seed), -1)
    running = np.arange(min(args.lanes, len(seed)))
    following, over = len(running), np.ones(len(running), bool)
    blank = jax.eval_shape(jax.vmap(lambda trial: setup(trial)[0].init(jax.random.key(0))), describe(running))
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), blank)
    while (result < 0).any():
        state = advance(describe(running), over, state)
        solved_at, t = np.asarray(state.solved_at), np.asarray(state.t)
        over = (solved_at > 0) | (t >= args.operations)
        result[running[over]] = np.where(solved_at > 0, np.minimum(solved_at, args.operations), args.operations)[over]
        for lane in np.flatnonzero(over)[: len(seed) - following]:
            running[lane], following = following, following + 1
    return result.reshape(shape)


def noisy_arms(env, puzzles, args: Args) -> dict[str, np.ndarray]:
    """Judges with a share of wrong labels, at 0.1 also without one of the three judgements; and no judgement at all."""
    blind = judges.uniform(env)

    def run(without=(), levels=(0.1,)):
        def make(eps, salt):
            lacking = {name: getattr(blind, name) for name in without}
            return IntelligentGoExploreConfig(), judges.noisy(env, eps, salt)._replace(**lacking)

        eps = np.repeat(np.array(levels, np.float32), len(puzzles))[None].repeat(args.seeds, 0)
        return np.split(trials(make, eps, np.tile(puzzles, (len(levels), 1)), args), len(levels), axis=1)

    arms = {f"judge, {eps:.0%} wrong": result for eps, result in zip(EPS, run(levels=EPS), strict=True)}
    for name in JUDGEMENTS:
        arms[f"10% wrong, uniform {name.removeprefix('score_')}"] = run([name])[0]
    arms["no judgement"] = run(JUDGEMENTS)[0]
    return arms


def states_of(env, puzzles) -> Game24State:
    """All states that can be reached from the puzzles."""
    starts = Game24State(jnp.asarray(puzzles), jnp.zeros(len(puzzles), jnp.int32))
    return judges.reachable(env, env.default_params, starts)


def learned_judge(env, states: Game24State, args: Args):
    """``make`` for :func:`trials`: a judge by a network that learned the odds of uniform play from these states."""
    batch = jax.tree.map(jnp.asarray, states)
    chances = jax.jit(lambda s: jax.lax.map(env.success_probability, s, batch_size=256))(batch)
    targets = jnp.log(jnp.maximum(chances, FLOOR))
    inputs = jax.jit(jax.vmap(env.get_obs))(batch)
    value = VALUE.replace(num_updates=50) if args.smoke else VALUE
    params, losses = jax.jit(lambda key: judges.train_value(key, value, inputs, targets))(jax.random.key(0))
    print(f"trained on {len(targets)} states, mean squared error {float(losses[-100:].mean()):.2f}", flush=True)

    def make(setting, salt):
        config = IntelligentGoExploreConfig(setting["state_temperature"], setting["action_temperature"])
        return config, judges.learned(env, value, params, setting["threshold"])

    return make


def learned_arms(env, puzzles, args: Args) -> tuple[dict[str, np.ndarray], float]:
    """The learned judges, and the share of the puzzles' unfinished states that the first of them saw in training."""
    trained = states_of(env, other_puzzles()[: 40 if args.smoke else 800])
    tested = {tuple(n) for n in states_of(env, np.array(HARD_PUZZLES)).numbers.tolist() if sum(x >= 0 for x in n) > 1}
    shared = np.array([tuple(n) in tested for n in trained.numbers.tolist()])
    strict = jax.tree.map(lambda x: x[~shared], trained)
    shape = args.seeds, len(puzzles)
    setting = {name: np.full(shape, value, np.float32) for name, value in LEARNED.items()}
    arms = {
        name: trials(learned_judge(env, states, args), setting, puzzles, args)
        for name, states in (("learned judge", trained), ("learned, no shared state", strict))
    }
    return arms, shared.sum() / len(tested)


def other_puzzles() -> np.ndarray:
    """The solvable puzzles that are not among the hard ones, shuffled, i32[1246, 4]."""
    others = [p for p in solvable_puzzles().tolist() if tuple(p) not in HARD_PUZZLES]
    return np.random.default_rng(0).permutation(np.array(others, np.int32))


def operations(numbers):
    """Pairs of positions and an operation, in the published order."""
    return [(i, j, sign) for i, j in combinations(range(len(numbers)), 2) for sign in "+-*/"]


@cache
def transition(numbers, operation):
    """The published rules: the sorted tuple that is left, or None."""
    i, j, sign = operation
    small, large = numbers[i], numbers[j]
    if sign == "/" and (small == 0 or large % small):
        return None
    result = {"+": large + small, "-": large - small, "*": large * small, "/": small and large // small}[sign]
    return tuple(sorted([n for k, n in enumerate(numbers) if k not in (i, j)] + [result]))


def graph_search(puzzle, depth_first: bool, budget: int) -> int:
    """Operations of the published depth-first or breadth-first search, or the budget."""
    storage, left, count = [puzzle], {puzzle: operations(puzzle)}, 0
    while count < budget:
        open_states = [state for state in storage if left[state]]
        state = open_states[-1 if depth_first else 0]
        while True:
            count += 1
            state = transition(state, left[state].pop(0))
            if state is None or len(state) == 1:
                break
            if state not in left:
                storage.append(state)
                left[state] = operations(state)
            if not depth_first or not left[state]:
                break
        if state == (24,):
            return min(count, budget)
    return budget


def random_restarts(puzzle, seed: int, budget: int) -> int:
    """Operations of uniform play that starts again after every end, or the budget."""
    choose = random.Random(f"{puzzle} {seed}").choice
    state = puzzle
    for count in range(1, budget + 1):
        state = transition(state, choose(operations(state)))
        if state == (24,):
            return count
        if state is None or len(state) == 1:
            state = puzzle
    return budget


def searches(puzzles, args: Args) -> dict[str, np.ndarray]:
    """The baselines, i64[seeds, puzzles]; searches without randomness have one seed."""
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    return {
        "depth-first": np.array([[graph_search(p, True, args.operations) for p in puzzles]]),
        "breadth-first": np.array([[graph_search(p, False, args.operations) for p in puzzles]]),
        "random restarts": np.array([[random_restarts(p, seed, args.operations) for p in puzzles] for seed in seeds]),
    }


def mean_interval(result: np.ndarray) -> analysis.Estimate:
    """Mean operations, with an interval over puzzles."""
    return analysis.bootstrap_interval(result.mean(0), np.mean)


def ratio(a: np.ndarray, b: np.ndarray) -> analysis.Estimate:
    """Mean operations of ``a`` over those of ``b``, paired by puzzle."""

    def log_mean(x, axis):
        return np.log(np.mean(x, axis=axis))

    return analysis.Estimate(*np.exp(analysis.paired_bootstrap(a.mean(0), b.mean(0), log_mean)))


def draw(arms: dict[str, np.ndarray], args: Args) -> Path:
    """Share solved against operations; the mean of every arm, in whose labels stand the colours of the curves."""
    import matplotlib.pyplot as plt

    judged = ("judge, 0% wrong", "judge, 20% wrong", "judge, 50% wrong", "learned judge", "learned, no shared state")
    searched = ("depth-first", "random restarts")
    marks = np.arange(1, args.operations)
    rows = np.random.default_rng(0).integers(arms["depth-first"].shape[1], size=(500, arms["depth-first"].shape[1]))
    with analysis.style():
        colours = {name: look.color for name, look in analysis.looks(judged + searched).items()}
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.7))
        for name in judged + searched:
            share = (arms[name][..., None] <= marks).mean(0)  # [puzzles, marks]
            low, high = np.quantile([share[r].mean(0) for r in rows], [0.025, 0.975], axis=0)
            line = "--" if name in searched else "-"
            left.step(marks, share.mean(0), line, where="post", color=colours[name], linewidth=1.6)
            left.fill_between(marks, low, high, step="post", color=colours[name], alpha=0.14, linewidth=0)
        left.set(xscale="log", xlim=(2, args.operations), ylim=(0, 1.02), title="Solved within a budget")
        left.set(xlabel="Operations", ylabel="Share of trials solved")
        for place, (name, result) in enumerate(arms.items()):
            mean, colour = mean_interval(result), colours.get(name, "#666666")
            right.plot([mean.low, mean.high], [place, place], color=colour, linewidth=2)
            right.plot(mean.value, place, "o", color=colour, markersize=4.5)
            right.annotate(f"{mean.value:.3g}", (mean.high, place), (5, 0), textcoords="offset points", va="center")
        right.set(xscale="log", xlim=(2, 3 * args.operations), ylim=(len(arms) - 0.4, -0.6), title="Mean operations")
        right.set(xlabel=f"Operations, unsolved counted as {args.operations}")
        for label, name in zip(right.set_yticks(range(len(arms)), list(arms)), arms, strict=True):
            label.label1.set(color=colours.get(name, "#666666"), fontsize=8)
        for axes in (left, right):
            axes.xaxis.set_major_formatter("{x:g}")
        path = args.results / "intelligent_go_explore.png"
        args.results.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200)
    return path


def judge_claims(arms: dict[str, np.ndarray], overlap: float, args: Args) -> list[Path]:
    """Writes the four ledger entries."""
    mean = {name: result.mean() for name, result in arms.items()}
    solved = {name: (result < args.operations).mean() for name, result in arms.items()}
    p = float(wilcoxon(arms["learned judge"].mean(0), arms["depth-first"].mean(0)).pvalue)
    saved = ratio(arms["learned judge"], arms["depth-first"])
    doubled = ratio(arms["10% wrong, uniform actions"], arms["judge, 10% wrong"])
    all_means = ", ".join(f"{name} {value:.1f}" for name, value in mean.items())
    entries = {
        "ige_noisy_judge": (
            "A judge that is wrong about 20 % of all states solves the Game of 24 within 50 operations on average.",
            "at eps = 0.2 mean <= 50 operations (unsolved counted as 700) and >= 98 % of trials solved",
            mean_interval(arms["judge, 20% wrong"]),
            f"mean operations at eps = 0.2; solved {solved['judge, 20% wrong']:.1%}; means of all arms: {all_means}",
            mean["judge, 20% wrong"] <= 50 and solved["judge, 20% wrong"] >= 0.98,
        ),
        "ige_pure_noise": (
            "With labels that are pure noise Intelligent Go-Explore is no better than depth-first search.",
            "negative control: at eps = 0.5 mean >= 120 operations (unsolved counted as 700)",
            mean_interval(arms["judge, 50% wrong"]),
            f"mean operations at eps = 0.5; depth-first search {mean['depth-first']:.1f}, no judgement"
            f" {mean['no judgement']:.1f}; solved {solved['judge, 50% wrong']:.1%}",
            mean["judge, 50% wrong"] >= 120,
        ),
        "ige_action_choice": (
            "Judging actions matters: choosing them uniformly at least doubles the operations, with 10 % wrong labels.",
            "at eps = 0.1 the mean with uniform actions is >= 2 x the mean of the full judge",
            doubled,
            f"ratio of mean operations, uniform actions to full judge ({mean['judge, 10% wrong']:.1f}); uniform keep"
            f" {mean['10% wrong, uniform keep']:.1f}, uniform states {mean['10% wrong, uniform states']:.1f}",
            doubled.value >= 2,
        ),
        "ige_learned_judge": (
            "A judge that learned on other puzzles halves the operations of depth-first search.",
            "mean operations lower than depth-first search's by >= 50 %; Wilcoxon signed-rank over puzzles p < 1e-3",
            saved,
            f"ratio of mean operations, learned judge to depth-first search; {mean['learned judge']:.1f} against"
            f" {mean['depth-first']:.1f}; Wilcoxon p = {p:.2g}; {overlap:.0%} of the hard puzzles' unfinished states"
            f" occur in training puzzles: without them in training the mean is {mean['learned, no shared state']:.1f}",
            saved.value <= 0.5 and p < 1e-3,
        ),
    }
    enough = args.seeds >= 20
    return [
        analysis.record(
            name=name, claim=claim, source=SOURCE, criterion=criterion, env_steps=args.operations,
            baselines={"depth-first": "published order of operations", "random restarts": "uniform play"},
            tuning_seeds=range(1000, 1005),
            judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
            effect=effect, statistic=statistic,
            verdict=("holds" if holds else "does not hold") if enough else "not judged",
            reason="the criterion as written" if enough else "fewer than 20 seeds",
            command=f"python experiments/intelligent_go_explore.py --seeds {args.seeds} --first-seed {args.first_seed}",
            family="go_explore", directory=args.results,
        )
        for name, (claim, criterion, effect, statistic, holds) in entries.items()
    ]  # fmt: skip


def tune(env, args: Args) -> None:
    """Prints mean operations of every setting of the grid on puzzles that are judged nowhere."""
    args = dataclasses.replace(args, seeds=3, first_seed=1000)
    grid, puzzles = list(product(*GRID.values())), other_puzzles()[-100:]
    columns = np.repeat(np.array(grid, np.float32), len(puzzles), 0)[None].repeat(args.seeds, 0)
    settings = {name: columns[..., i] for i, name in enumerate(GRID)}
    make = learned_judge(env, states_of(env, other_puzzles()[:800]), args)
    results = np.split(trials(make, settings, np.tile(puzzles, (len(grid), 1)), args), len(grid), axis=1)
    for values, result in zip(grid, results, strict=True):
        print(dict(zip(GRID, values, strict=True)), f"mean {result.mean():.1f}")


def main(args: Args) -> None:
    """Runs all arms, prints the table, draws the figure and writes the ledger."""
    enable_compilation_cache()
    started = time.perf_counter()
    env, _ = pjx.make("Game24")
    if args.tune:
        tune(env, args)
        return
    if args.smoke:
        args = dataclasses.replace(args, seeds=2, operations=60, lanes=16)
    puzzles = HARD_PUZZLES[:4] if args.smoke else HARD_PUZZLES
    arms = noisy_arms(env, puzzles, args)
    learned, overlap = learned_arms(env, puzzles, args)
    arms |= learned | searches(puzzles, args)
    print(f"{'':<32}{'mean [95 %]':>24}{'median':>8}{'solved':>8}")
    for name, result in arms.items():
        mean = mean_interval(result)
        interval = f"{mean.value:.1f} [{mean.low:.1f}, {mean.high:.1f}]"
        print(f"{name:<32}{interval:>24}{np.median(result):>8.0f}{(result < args.operations).mean():>8.1%}")
    written = [draw(arms, args)]
    if not args.smoke and args.first_seed + args.seeds <= 1000:
        written += judge_claims(arms, overlap, args)
    print(f"{time.perf_counter() - started:.0f} s; written:", *written, sep="\n  ")


if __name__ == "__main__":
    main(analysis.arguments(Args))
