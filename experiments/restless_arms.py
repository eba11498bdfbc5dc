"""Restless arms that are coupled by what can be done together: planning by a network, by an index, and by greed.

Arms climb when they are helped and fall when they are not; on the way up to the best tops the reward dips. Two sets of
actions: 5 of 10 interventions that push 20 arms in groups, by a sigmoid; and 12 arms that need two hours of 3 workers
each, in slots that are free for both. SEQUOIA learns a network of states and actions and takes its exact maximum over
all actions, with the settings of the authors' code; "pre-trained" is its network before any episode, "iterative DQN"
adds one part after the other by the same network. "SEQUOIA, tuned" sees each arm's state as a one-hot vector, has a
target that follows, a discount of 0.9 and a learning rate eight times as high for 100 episodes; chosen from three
settings by the schedule alone. Told the model as well: myopic, static (lifts the arms with the highest tops, whatever
their state) and Whittle's index summed over the arms that an action pushes. 50 paired episodes of 20 rounds on every
instance, which start with a fifth of the arms in state 1. The relaxation's bound is drawn where it is one. The second
pair of problems: 10 arms of which each of 3 workers packs what fits, without a limit of their number; and 20 places of
a grid, of which 4 on one round trip are helped.

Criterion, written before the run, on mean rewards over 20 instances, for SEQUOIA and, as a second claim, tuned: (a) at
least 1.10 times what the myopic policy earns on both problems; (b) on the interventions at least 1.05 times the best of
static, Whittle and iterative DQN, with a paired 95 % interval of the difference above 0; (c) on the schedule at least
0.95 times static. Of the second pair, two claims again, of SEQUOIA and tuned: at least 1.10 times the myopic policy and
at least 0.95 times static on both. The paper has 20 to 100 arms, 5 to 20 workers and 100 episodes of training; here
SEQUOIA has 40 episodes, as by then the learning rate has fallen to 0.015 of the first.

    python experiments/restless_arms.py            # ten minutes on two CPU cores
"""

import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore import analysis
from purejaxexplore import bandits as b
from purejaxexplore.algorithm import init_key, make_train, scan_steps
from purejaxexplore.analysis.style import FULL_WIDTH, INK, REFERENCE
from purejaxexplore.checks import choice
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.runner.cache import enable_compilation_cache

HORIZON, START, GREED, LEAD, LEAST = 20, 0.2, 1.10, 1.05, 0.95
PROBLEMS = {
    "Interventions": lambda: (worlds.restless_interventions(20, 10, 5), 5),
    "Schedule": lambda: (worlds.restless_schedule(12, 3), 3),
    "Capacity": lambda: (worlds.restless_capacity(10, 3), 3),
    "Path": lambda: (worlds.restless_path(4, 5, 4), 4),
}
PAIRS = {"restless_arms": ("Interventions", "Schedule"), "restless_sets": ("Capacity", "Path")}
TUNED = {"one_hot": True, "tau": 0.02, "learning_rate": 2e-3, "lr_decay": 0.97, "gamma": 0.9}
LEARNT = {"SEQUOIA": (40, {}), "SEQUOIA, tuned": (100, TUNED)}
POLICIES = (
    "Random", "Myopic", "Static", "Whittle", "Pre-trained", "Iterative DQN", *LEARNT,
)  # fmt: skip
CRITERION = (
    "mean reward: >= 1.10 of myopic on both problems; on interventions >= 1.05 of the best of static, Whittle and"
    " iterative DQN, paired interval above 0; on the schedule >= 0.95 of static"
)
SETS_CRITERION = "mean reward: >= 1.10 of myopic and >= 0.95 of static, on capacity and on path"


@dataclasses.dataclass(frozen=True)
class Args:
    """Restless arms with combinatorial actions.

    Attributes:
        seeds: instances of each problem.
        first_seed: number of the first.
        pairs: of problems, restless_arms (interventions, schedule) or restless_sets (capacity, path).
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    pairs: tuple[str, ...] = tuple(PAIRS)
    smoke: bool = False
    results: Path = Path("experiments/results")


def rewards_of(title: str, args: Args) -> dict[str, np.ndarray]:
    """Mean reward of a round by every policy, name -> f64[seeds], and ``"Bound"`` where the relaxation gives one."""
    problem, num_good = PROBLEMS[title]()
    if args.smoke:
        problem, num_good = worlds.restless_budget(4, 1), 1
    seeds, episodes = (2, 2) if args.smoke else (args.seeds, 50)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), args.first_seed + jnp.arange(seeds))
    arms = jax.jit(jax.vmap(problem.draw))(keys)
    small = {"pretrain_states": 4, "pretrain_epochs": 1} if args.smoke else {}
    found = {}

    def evaluate(name, make, extra):
        def reward(arms, extra, key):
            world = worlds.restless(arms, problem.actions, horizon=HORIZON, start=START)
            algorithm = b.bandit(make(world.spec, arms, extra), world, pulls=HORIZON * episodes)
            return make_train(algorithm, 1)(key)[1]["reward"][0]

        found[name] = np.asarray(jax.jit(jax.vmap(reward))(arms, extra, keys), np.float64)
        print(f"{title:<14} {name:<20} {found[name].mean():6.3f} a round", flush=True)

    singles = [b.single_arms(jax.tree.map(lambda x, i=i: x[i], arms), problem.actions) for i in range(seeds)]
    whittle = [b.whittle_index(*single) for single in singles]
    index = jnp.asarray(np.stack([found.index for found in whittle]), jnp.float32)
    print(f"{title:<14} {np.mean([found.indexable.mean() for found in whittle]):.3f} of the arms are indexable")
    nothing = jnp.zeros(seeds)
    evaluate("Myopic", lambda spec, arms, _: b.restless_myopic(spec, arms, problem.actions), nothing)
    evaluate("Whittle", lambda spec, arms, index: b.restless_whittle(spec, arms, problem.actions, index), index)
    if not args.smoke:
        evaluate("Random", lambda spec, arms, _: b.restless_random(spec, arms, problem.actions), nothing)
        evaluate("Static", lambda spec, arms, _: b.restless_static(spec, arms, problem.actions), nothing)
    for name, (training, settings) in list(LEARNT.items())[: 1 if args.smoke else None]:
        config = b.SequoiaConfig(horizon=HORIZON, num_top=num_good, **settings, **small)
        begun = time.perf_counter()
        before, after = train(problem.actions, config, 2 if args.smoke else training)(arms, keys)
        jax.block_until_ready(after)
        print(f"{title:<14} {name:<20} trained in {time.perf_counter() - begun:.0f} s", flush=True)
        makers = {
            search: lambda spec, arms, params, config=config, search=search: b.greedy_values(
                spec, arms, problem.actions, params, one_hot=config.one_hot, search=search
            )
            for search in ("exact", "iterative")
        }
        evaluate(name, makers["exact"], after)
        if name == "SEQUOIA" and not args.smoke:
            evaluate("Pre-trained", makers["exact"], before)
            evaluate("Iterative DQN", makers["iterative"], after)
    if title != "Interventions":
        states = arms.rewards.shape[-1]
        starts = np.tile(np.eye(states)[0] * (1 - START) + np.eye(states)[1] * START, (arms.rewards.shape[1], 1))
        pulls = [int(problem.actions[np.asarray(allowed)].sum(1).max()) for allowed in arms.allowed]
        bounds = [b.relaxed_bound(*one, starts, most, HORIZON) for one, most in zip(singles, pulls, strict=True)]
        found["Bound"] = np.array(bounds) / HORIZON
        print(f"{title:<14} {'bound':<20} {found['Bound'].mean():6.3f} a round", flush=True)
    return found


def train(actions: np.ndarray, config: b.SequoiaConfig, episodes: int):
    """``(arms, keys) -> (parameters before, parameters after)`` the episodes, of all seeds."""

    def one(arms, key):
        algorithm = b.sequoia(arms, actions, config)
        start = algorithm.init(init_key(key))
        return start.params, scan_steps(algorithm, key, start, 0, episodes)[0].params

    return jax.jit(jax.vmap(one))


def draw(found: dict[str, dict[str, np.ndarray]]):
    """Reward of a round by policy, one panel a problem."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.9))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        looks = analysis.looks(POLICIES)
        for ax, (title, policies) in zip(panels, found.items(), strict=True):
            for place, name in enumerate(POLICIES):
                if name not in policies:
                    continue
                runs, look = policies[name], looks[name]
                spread = np.random.default_rng(0).uniform(-0.18, 0.18, runs.size)
                ax.plot(runs, place + spread, ".", color=look.color, alpha=0.35, markersize=4, markeredgewidth=0)
                estimate = analysis.bootstrap_interval(runs, statistic=np.mean)
                error = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
                ax.errorbar(
                    estimate.value, place, xerr=error, color=INK, marker="o", markersize=4.5, capsize=2.5,
                    markerfacecolor=look.color, linestyle="none", elinewidth=1, zorder=3,
                )  # fmt: skip
            if "Bound" in policies:
                ax.axvline(policies["Bound"].mean(), color=REFERENCE, linewidth=1, linestyle="--")
            ax.set(title=title, xlabel="Reward a round", xlim=(0, None))
            ax.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(POLICIES)), POLICIES)
        panels[-1].plot([], [], color=REFERENCE, linewidth=1, linestyle="--", label="Relaxation's bound")
        figure.legend(loc="outside lower center")
    return figure


def main(args: Args) -> None:
    """Trains and evaluates on all problems, draws the figure and writes the ledger."""
    enable_compilation_cache()
    for pair in args.pairs:
        choice("pairs", pair, PAIRS)
    args.results.mkdir(parents=True, exist_ok=True)
    for pair in args.pairs[:1] if args.smoke else args.pairs:
        found = {title: rewards_of(title, args) for title in (("Schedule",) if args.smoke else PAIRS[pair])}
        draw(found).savefig(args.results / f"{pair}.png", dpi=200)
        print("written:", args.results / f"{pair}.png")
        if args.smoke or args.first_seed + args.seeds > 1000:
            continue
        for name, entry in (("SEQUOIA", pair), ("SEQUOIA, tuned", f"{pair}_tuned")):
            print("written:", judge(found, name, entry, args))


def judge(found: dict[str, dict[str, np.ndarray]], ours: str, entry: str, args: Args) -> Path:
    """Writes the ledger entry of one network."""
    means = {title: {name: runs.mean() for name, runs in policies.items()} for title, policies in found.items()}
    over = {
        name: {title: float(mean[ours] / mean[name]) for title, mean in means.items()}
        for name in ("Myopic", "Static", "Whittle", "Pre-trained")
    }
    coupled = "Interventions" in found
    failed = [f"{title}: {x:.2f} of myopic, below {GREED:.2f}" for title, x in over["Myopic"].items() if x < GREED]
    if coupled:
        place = "Interventions"
        rivals = {name: means[place][name] for name in ("Static", "Whittle", "Iterative DQN")}
        rival = max(rivals, key=rivals.get)
    else:
        place, rival = min(over["Static"], key=over["Static"].get), "Static"
    lead = float(means[place][ours] / means[place][rival])
    effect = analysis.paired_bootstrap(found[place][ours], found[place][rival], statistic=np.mean)
    if coupled and (lead < LEAD or effect.low <= 0):
        failed.append(f"{place}: {lead:.3f} of {rival}, below {LEAD} or its interval meets 0")
    failed += [
        f"{title}: {x:.2f} of static, below {LEAST}"
        for title, x in over["Static"].items()
        if title != "Interventions" and x < LEAST
    ]
    told = "; ".join(
        f"over {name} " + ", ".join(f"{x:.2f} ({title})" for title, x in ratios.items())
        for name, ratios in over.items()
    )
    tuned = ours != "SEQUOIA"
    return analysis.record(
        name=entry,
        claim="A network of states and combinatorial actions, maximised exactly, plans for coupled restless arms"
        + ("" if coupled else " that are packed or lie on a path")
        + (", with tuned settings." if tuned else "."),
        source="Xu, Wilder, Khalil and Tambe (2025), Reinforcement learning with combinatorial actions for coupled"
        " restless bandits",
        criterion=CRITERION if coupled else SETS_CRITERION,
        env_steps=LEARNT[ours][0] * HORIZON,
        baselines={
            "Myopic": "the exact best expected reward of a round", "Static": "lifts the highest tops",
            "Whittle": "sum of Whittle's indices over the arms pushed", "Iterative DQN": "part by part, same network",
            "Pre-trained": "the network before any episode",
        },
        tuning_seeds=range(1000, 1006) if tuned else [],
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"{place}: reward a round less that of {rival}, ratio {lead:.3f}; {told}",
        verdict=("does not hold" if failed else "holds") if args.seeds >= 20 else "not judged",
        reason=("; ".join(failed) or "the criterion as written") if args.seeds >= 20 else "fewer than 20 seeds",
        command=f"python experiments/restless_arms.py --seeds {args.seeds} --first-seed {args.first_seed}"
        f" --pairs {entry.removesuffix('_tuned')}",
        family="bandits",
        directory=args.results,
    )  # fmt: skip


if __name__ == "__main__":
    main(analysis.arguments(Args))
