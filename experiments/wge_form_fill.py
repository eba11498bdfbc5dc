"""WGE on FormFill: five demonstrations as constraints on exploration, against imitating them.

Liu, Guu, Pasupat, Shi and Liang (2018), "Reinforcement learning on web interfaces using workflow-guided exploration".
Forms of ten elements, five right steps, -1 for submitting anything else; uniform actions succeed in 8.5e-6 of their
episodes. All arms have the same network. Each seed draws its own demonstrations; WGE turns five into lattices and
explores half of its episodes within them.

Criterion, written before the run, over 20 seeds, success of greedy episodes at the end (means over seeds): WGE >= 0.8
with five demonstrations; cloning of five <= 0.4; cloning needs >= 20 times as many demonstrations to match WGE (linear
between the measured numbers, on a logarithmic scale of demonstrations); and without constraints, where every workflow
step that exists is drawn alike, <= 0.1. The 95 % interval of WGE less cloning of five lies above 0.

Shown besides: actor-critic alone, and from the weights that cloning gave. Nothing is tuned: all arms have the learning
rate 1e-3, and cloning takes 1,000 gradient steps. Judged on seeds 0 to 19.

    python experiments/wge_form_fill.py            # twenty minutes of one CPU core
    python experiments/wge_form_fill.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.algorithm import Algorithm, evaluate_key, init_key, per_seed
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.learners.wge import WGEConfig, element_policy, wge
from purejaxexplore.learners.workflows import Played, demonstrate, induce
from purejaxexplore.runner.cache import enable_compilation_cache

DEMOS, SIZES, CLONING_STEPS = 5, (5, 20, 100, 500), 1000
ARMS = ("WGE", "No constraints", "Actor-critic", "Cloning, then actor-critic")
CRITERION = (
    "WGE >= 0.8 and cloning <= 0.4 with five demonstrations; cloning needs >= 20 times as many to match WGE; without"
    " constraints <= 0.1; 95 % interval of WGE - cloning of five above 0"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """WGE on FormFill.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed.
        episodes: of each seed, explored and played together.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    episodes: int = 12_800
    smoke: bool = False
    results: Path = Path("experiments/results")


def clone(key, env, env_params, config: WGEConfig, demos: Played, num_steps: int):
    """The weights after ``num_steps`` gradient steps on the log-likelihood of the demonstrations' actions."""
    network, policy = element_policy(env, env_params, config.size)
    obs, action, valid = (x.reshape((-1, *x.shape[2:])) for x in (demos.obs, demos.action, demos.valid))
    key_net, key_fit = jax.random.split(key)
    params = network.init(key_net, *env.elements(obs[0]))
    adam = optax.adam(1e-3)

    def update(carry, key):
        params, opt_state = carry
        rows = jax.random.categorical(key, jnp.where(valid, 0.0, -jnp.inf), shape=(config.batch_size,))
        grads = jax.grad(lambda params: -policy(params, obs[rows])[0].log_prob(action[rows]).mean())(params)
        updates, opt_state = adam.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    return jax.lax.scan(update, (params, adam.init(params)), jax.random.split(key_fit, num_steps))[0][0]


def arm(name: str, env, env_params, config: WGEConfig, cloning_steps: int) -> Algorithm:
    """One arm; every seed draws its demonstrations."""
    alone = config.replace(num_explore=0, num_play=config.num_explore + config.num_play)

    def sample(key):
        return demonstrate(key, env, env_params, env.right_actions, DEMOS, config.horizon)

    def make(demos):
        lattice = induce(env, demos)
        if name == "WGE":
            return wge(env, env_params, lattice, config)
        if name == "No constraints":
            return wge(env, env_params, jnp.ones_like(lattice), config.replace(workflow_rate=0.0))
        algorithm = wge(env, env_params, lattice, alone)
        if name == "Actor-critic":
            return algorithm

        def init(key):
            key_clone, key_init = jax.random.split(key)
            params = clone(key_clone, env, env_params, config, demos, cloning_steps)
            return algorithm.init(key_init)._replace(params=params)

        return algorithm._replace(init=init)

    return per_seed(sample, make)


def seed_keys(seeds: int, first_seed: int) -> jax.Array:
    """The keys that ``pjx.run`` gives its seeds."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), first_seed + jnp.arange(seeds))


def cloned(env, env_params, config: WGEConfig, num_demos: int, num_steps: int, keys: jax.Array) -> np.ndarray:
    """Success f64[seeds] of greedy episodes after cloning ``num_demos`` demonstrations."""

    def one(key):
        key_demos, key_clone = jax.random.split(init_key(key))
        demos = demonstrate(key_demos, env, env_params, env.right_actions, num_demos, config.horizon)
        algorithm = wge(env, env_params, induce(env, demos)[:1], config)
        state = algorithm.init(key_clone)
        state = state._replace(params=clone(key_clone, env, env_params, config, demos, num_steps))
        return algorithm.evaluate(evaluate_key(key, 0), state)["success"]

    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


def train(name: str, env, env_params, config: WGEConfig, args: Args, iterations: int):
    """(metrics [seeds, iterations], success f64[seeds] of greedy episodes at the end)."""
    algorithm = arm(name, env, env_params, config, 10 if args.smoke else CLONING_STEPS)
    run = pjx.run(algorithm, args.seeds, iterations, first_seed=args.first_seed, name=name)
    keys = jax.vmap(evaluate_key, (0, None))(seed_keys(args.seeds, args.first_seed), iterations)
    success = jax.jit(jax.vmap(algorithm.evaluate))(keys, run.state)["success"]
    return {field: np.asarray(run.metrics[field]) for field in run.metrics}, np.asarray(success, np.float64)


def needed(success: dict[int, float], level: float) -> float:
    """Demonstrations that cloning needs to reach ``level``, between the measured ones on a log scale; inf if never."""
    sizes, values = np.log(list(success)), np.maximum.accumulate(list(success.values()))
    if values[-1] < level:
        return np.inf
    return float(np.exp(np.interp(level, values, sizes)))


def draw(metrics: dict, final: dict, by_size: dict):
    """Success while learning, and what cloning makes of more demonstrations."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        looks = analysis.looks([*metrics, "Cloning"])
        for name, run in metrics.items():
            look = looks[name]
            values = np.asarray(run["success"], np.float64)
            share = max(1, values.shape[1] // 50)
            values = values[:, : values.shape[1] // share * share].reshape(len(values), -1, share).mean(-1)
            steps = np.asarray(run["env_steps"]).mean(0)[share - 1 :: share][: values.shape[1]] / 1e3
            band = analysis.iqm_bands(values)
            left.plot(steps, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            left.fill_between(steps, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        left.set(xlabel="Environment steps (thousands)", ylabel="Success rate", title="FormFill, five demonstrations")
        left.margins(x=0.01)
        bands = [analysis.bootstrap_interval(values, np.mean) for values in by_size.values()]
        value, low, high = np.transpose(bands)
        look = looks["Cloning"]
        right.plot(list(by_size), value, color=look.color, marker=look.marker, label="Cloning", zorder=3)
        right.fill_between(list(by_size), low, high, color=look.color, alpha=0.18, linewidth=0)
        mean = final["WGE"].mean()
        right.axhline(mean, color=looks["WGE"].color, linewidth=1.2, linestyle="--", zorder=2)
        right.plot([DEMOS], [mean], color=looks["WGE"].color, marker=looks["WGE"].marker, markersize=8, zorder=4)
        right.set(xscale="log", xlabel="Demonstrations", ylabel="Success, greedy", title="What cloning needs")
        right.set_xticks(list(by_size), [str(size) for size in by_size])
        right.xaxis.set_minor_locator(NullLocator())
        for ax in (left, right):
            ax.set_ylim(-0.03, 1.03)
        handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    env, env_params = pjx.make("FormFill")
    config = WGEConfig()
    if args.smoke:
        args = dataclasses.replace(args, seeds=2)
        config = config.replace(num_explore=4, num_play=4, num_updates=1, size=8, num_eval=8)
    iterations = 3 if args.smoke else args.episodes // (config.num_explore + config.num_play)
    metrics, final = {}, {}
    for name in ARMS[:1] if args.smoke else ARMS:
        metrics[name], final[name] = train(name, env, env_params, config, args, iterations)
        explored = metrics[name]["explore_success"].mean()
        print(f"{name:<27} success {final[name].mean():.3f}, of exploration {explored:.4f}", flush=True)
    by_size, keys = {}, seed_keys(args.seeds, args.first_seed)
    for num_demos in SIZES[:1] if args.smoke else SIZES:
        steps = 10 if args.smoke else CLONING_STEPS
        by_size[num_demos] = cloned(env, env_params, config, num_demos, steps, keys)
        print(f"Cloning of {num_demos:3d} demonstrations: success {by_size[num_demos].mean():.3f}", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    draw(metrics, final, by_size).savefig(args.results / "wge_form_fill.png", dpi=200)
    print("written:", args.results / "wge_form_fill.png")
    if args.smoke:
        return

    level = float(final["WGE"].mean())
    means = {size: float(values.mean()) for size, values in by_size.items()}
    times = needed(means, level) / DEMOS
    effect = analysis.paired_bootstrap(final["WGE"], by_size[DEMOS], np.mean)
    holds = level >= 0.8 and means[DEMOS] <= 0.4 and times >= 20 and effect.low > 0
    holds = holds and final["No constraints"].mean() <= 0.1
    enough = args.seeds >= 20
    arms = ", ".join(f"{name} {values.mean():.3f}" for name, values in final.items())
    sizes = ", ".join(f"{size}: {value:.3f}" for size, value in means.items())
    multiple = f"{times:.1f} times" if np.isfinite(times) else f"more than {SIZES[-1] / DEMOS:.0f} times"
    path = analysis.record(
        name="wge_form_fill",
        claim="Exploring within the constraints of five demonstrations fills in forms that cloning them does not.",
        source="Liu, Guu, Pasupat, Shi and Liang (2018), Reinforcement learning on web interfaces using workflow-guided"
        " exploration",
        criterion=CRITERION,
        env_steps=int(metrics["WGE"]["env_steps"][:, -1].max()),
        baselines={
            "Cloning": f"{CLONING_STEPS} gradient steps",
            "Actor-critic": "without exploration",
            "Cloning, then actor-critic": "from the weights of cloning five",
            "No constraints": "any workflow step at any time, all alike",
        },
        tuning_seeds=(),
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=effect,
        statistic=f"success, WGE less cloning of five (means); cloning needs {multiple} the demonstrations; by arm:"
        f" {arms}; cloning by number of demonstrations: {sizes}; explored episodes that succeeded:"
        f" {metrics['WGE']['explore_success'].mean():.4f}",
        verdict=("holds" if holds else "does not hold") if enough else "not judged",
        reason=f"the criterion as written; {args.episodes:,} episodes a seed where the plan had 100,000"
        if enough
        else "fewer than 20 seeds",
        command=f"python experiments/wge_form_fill.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="learners",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
