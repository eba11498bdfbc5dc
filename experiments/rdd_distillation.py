"""Do noisy targets make a prediction error a count? RDD, DRND and RND on 100 numbered states.

Fang, Yang, Tao, Lyu, Li, Shen and Li (2025), "Exploration by random distribution distillation": where the target is a
draw around a frozen random net, the distance of the predictor to that net is sigma^2 / n after n visits.

State i of 1 ... 100 is visited with frequency proportional to i, 200,000 times in all, in batches of 10 that each train
the predictor once; states are one-hot and the predictor linear, so nothing generalises from state to state. sigma is 1,
the targets are nets with one hidden layer. Steps of Adam: 1e-3 throughout ("constant"), or
``1e-3 / (1 + 2e-4 t)`` after t steps ("decayed"). The reference is the running mean of n draws itself.

Criterion, written before the run, on seeds that nothing was chosen on (tuning seeds 1000 and 1001 chose batch and
decay; judging seeds 0 to 19):

* with decayed steps the slope of log error on log n is in [-1.3, -0.7] for RDD (median over seeds), and Spearman's
  correlation of the error with 1/n at least 0.9 (median);
* that of RND is lower by 0.1 or more: the 95 % bootstrap interval of the paired difference lies above 0.1;
* the running mean has a slope of -1 within 0.05 (median).

With constant steps the error of a mean has a floor; what RDD's is with Adam's constant steps is reported, not judged.
``--extras`` reports DRND, and RND with constant steps, too.

    python experiments/rdd_distillation.py            # minutes on two CPU cores
    python experiments/rdd_distillation.py --smoke
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore import analysis
from purejaxexplore.analysis.style import HALF_WIDTH, INK, REFERENCE
from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch, Bonus
from purejaxexplore.bonuses.drnd import DRNDConfig, drnd
from purejaxexplore.bonuses.rdd import RDDConfig, rdd
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.runner.cache import enable_compilation_cache

NUM_STATES, BATCH, DECAY = 100, 10, 2e-4
TUNING_SEEDS = (1000, 1001)
CRITERION = (
    "decayed steps: RDD's slope of log error on log n in [-1.3, -0.7] and Spearman with 1/n >= 0.9 (medians), RND's"
    " Spearman lower by >= 0.1 (95 % interval of the paired difference); running mean: slope -1 +- 0.05"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Distillation of noisy targets on numbered states.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 and 1001 were used for tuning.
        visits: of all states together.
        extras: whether to run the arms that the criterion does not name.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    visits: int = 200_000
    extras: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def arms() -> dict[str, Bonus]:
    """Name -> bonus."""
    made = {}
    for schedule, decay in (("decayed", DECAY), ("constant", 0.0)):
        nets = RNDConfig(learning_rate=1e-3, decay=decay, predictor_sizes=(), whiten=False, num_minibatches=1)
        made |= {
            f"RDD, {schedule}": rdd(RDDConfig(rnd=nets)),
            f"DRND, {schedule}": drnd(DRNDConfig(rnd=nets)),
            f"RND, {schedule}": rnd(nets),
        }
    return made


def steps_to(states: jax.Array) -> Step:
    """One step of B environments to the one-hot ``states: i32[B]``."""
    obs = jnp.eye(NUM_STATES)[states][None]
    blank = jnp.zeros(obs.shape[:2])
    return Step(obs, blank.astype(jnp.int32), blank, obs, blank > 0, blank > 0, obs, {})


def distil(key: jax.Array, bonus: Bonus, visits: int) -> tuple[jax.Array, jax.Array]:
    """Trains on ``visits`` visits: (error f32[S], visits i32[S]) of every state."""
    key_init, key_visits, key_score = jax.random.split(key, 3)
    everywhere = steps_to(jnp.arange(NUM_STATES))
    frequency = jnp.arange(1, NUM_STATES + 1) / (NUM_STATES * (NUM_STATES + 1) / 2)

    def visit(carry, key):
        state, counts = carry
        key_states, key_update = jax.random.split(key)
        states = jax.random.choice(key_states, NUM_STATES, (BATCH,), p=frequency)
        state, _ = bonus.update(key_update, state, Batch(steps_to(states), jnp.zeros((1, BATCH, 0))))
        return (state, counts.at[states].add(1)), None

    start = bonus.init(key_init, everywhere), jnp.zeros(NUM_STATES, jnp.int32)
    (state, counts), _ = jax.lax.scan(visit, start, jax.random.split(key_visits, visits // BATCH))
    _, error = bonus.score(key_score, state, jax.tree.map(lambda x: x[0], everywhere))
    return error, counts


def running_mean(key: jax.Array, counts: jax.Array, dim: int) -> jax.Array:
    """``|mean of n standard normal draws|^2 / dim`` of every state, f32[S], by the distribution of that mean."""
    return jnp.square(jax.random.normal(key, (counts.size, dim))).mean(-1) / counts


def ranks(x: np.ndarray) -> np.ndarray:
    """The rank of every entry of f64[seeds, S] in its row."""
    return np.argsort(np.argsort(x, 1), 1)


def slopes(error: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """f64[seeds], slopes of the regression of log error on log n."""
    x, y = np.log(counts), np.log(np.maximum(error, 1e-12))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    return (x * y).sum(1) / (x * x).sum(1)


def spearman(error: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """f64[seeds], Spearman's correlation of the error with 1/n."""
    pairs = zip(ranks(error), ranks(-counts.astype(np.float64)), strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


def draw(found: dict[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Median error over seeds against visits, with the middle half shaded."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = {name.split(",")[0]: pair for name, pair in found.items() if "constant" not in name}
    with analysis.style():
        figure = Figure(figsize=(HALF_WIDTH, 2.7))
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        for name, look in analysis.looks(shown).items():
            error, counts = shown[name]
            n = counts.mean(0)
            low, middle, high = np.quantile(error, [0.25, 0.5, 0.75], axis=0)
            style = {"color": look.color, "linestyle": look.linestyle}
            ax.plot(n, middle, label=name, zorder=3, **style)
            ax.fill_between(n, low, high, color=look.color, alpha=0.18, linewidth=0)
        ax.plot(n, 1.0 / n, color=REFERENCE, linestyle="--", linewidth=1.0, zorder=4, label="1/n")
        ax.set(xscale="log", yscale="log", xlabel="Visits n of a state", ylabel="Prediction error")
        ax.set_ylim(1e-10, None)
        ax.set_title("Decayed steps")
        figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2, labelcolor=INK)
        figure.savefig(path, dpi=200)


def main(args: Args) -> None:
    """Trains all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    seeds, visits = (2, 2_000) if args.smoke else (args.seeds, args.visits)
    made = arms()
    if not args.extras:
        made = {name: made[name] for name in ("RDD, decayed", "RND, decayed", "RDD, constant")}
    keys = jax.vmap(jax.random.key)(jnp.arange(args.first_seed, args.first_seed + seeds))
    found = {}
    for name, bonus in made.items():
        error, counts = jax.jit(jax.vmap(lambda key, bonus=bonus: distil(key, bonus, visits)))(keys)
        found[name] = np.asarray(error, np.float64), np.maximum(np.asarray(counts), 1)
        print(f"{name}: trained", flush=True)
    counts = found["RDD, decayed"][1]
    folded = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    exact = jax.vmap(lambda key, n: running_mean(key, n, RNDConfig().feature_dim))(folded, jnp.asarray(counts))
    found["running mean"] = np.asarray(exact, np.float64), counts

    slope = {name: slopes(*pair) for name, pair in found.items()}
    order = {name: spearman(*pair) for name, pair in found.items()}
    for name in found:
        print(f"{name:<15} slope {np.median(slope[name]):6.2f}   Spearman with 1/n {np.median(order[name]):5.2f}")
    args.results.mkdir(parents=True, exist_ok=True)
    draw(found, args.results / "rdd_distillation.png")
    print("written:", args.results / "rdd_distillation.png")
    if args.smoke or args.first_seed + seeds > 1000:
        return

    effect = analysis.paired_bootstrap(order["RDD, decayed"], order["RND, decayed"])
    ours = np.median(slope["RDD, decayed"]), np.median(order["RDD, decayed"])
    holds = -1.3 <= ours[0] <= -0.7 and ours[1] >= 0.9 and effect.low >= 0.1
    holds = holds and abs(np.median(slope["running mean"]) + 1.0) <= 0.05
    numbers = "; ".join(f"{n} {np.median(slope[n]):.2f} and {np.median(order[n]):.2f}" for n in found)
    enough = seeds >= 20
    path = analysis.record(
        name="rdd_distillation",
        claim="With noisy targets and decaying steps the prediction error falls as 1/n, which that of RND does not.",
        source="Fang, Yang, Tao, Lyu, Li, Shen and Li (2025), Exploration by random distribution distillation",
        criterion=CRITERION,
        env_steps=visits,
        baselines={"RND, decayed": "the same nets, batches and steps, targets without noise"},
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=list(range(args.first_seed, args.first_seed + seeds)),
        effect=effect,
        statistic="paired difference (IQM) of Spearman's correlation of error and 1/n; median slope and Spearman:"
        f" {numbers}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason="the criterion as written" if enough else "fewer than 20 seeds",
        command=f"python experiments/rdd_distillation.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
