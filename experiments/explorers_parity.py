"""Five ways to act at random with one DQN: none may cost CartPole, ez-greedy finds DeepSea's treasure, noise fades.

Epsilon-greedy; ez-greedy (Dabney, Ostrovski and Barreto, 2021, "Temporally-extended epsilon-greedy exploration");
softmax of the values; NoisyNet (Fortunato et al., 2018, "Noisy networks for exploration"); and parameter noise
(Plappert et al., 2018, "Parameter space noise for exploration"). All are the same DQN with one hidden layer of 64 units
and 8 environments. That ez-greedy finds the goal of RoomChain(4, 4) sooner is judged in ``ez_greedy_room_chain.py``.

CartPole: 120,000 steps, a layer norm (which parameter noise needs), a target that follows slowly. Every twentieth of
the training the greedy policy, without any noise, plays eight episodes of at most 500 steps; the final return is the
mean of the last five of these evaluations, the area under the curve that of all twenty. A seed has solved CartPole
from the first evaluation of at least 475 on.

DeepSea(10): the steps to the first treasure, of 60,000; seeds without one count with all of them. In bsuite's sea,
which is judged, each cell has its own meaning of the two actions, other ones for every seed: the way to the treasure
changes the action in half of the rows, and repeating actions makes such sequences rarer than drawing each anew. Told
beside it: the sea with one meaning for all cells (a coin for every seed), where the way repeats one action.

Criteria, written before the run:

1. the final return (IQM over seeds) of each explorer is at least 0.95 of epsilon-greedy's;
2. in bsuite's sea the first treasure comes after >= 30 % fewer steps with ez-greedy than with epsilon-greedy (IQM of
   the logarithm of the steps), and the 95 % interval of the paired difference is above 0;
3. the mean absolute sigma of NoisyNet's output layer is lower at the end of CartPole than at the evaluation that
   solved it first: the 95 % interval of the logarithm of the ratio (difference of IQMs) is below 0, over the seeds that
   had solved it before the last evaluation, of which there must be at least 15, or it is not judged.

Every explorer has the best of the same number of settings on seeds 1000 to 1002 (``--tune``): on CartPole three values
of its own number (epsilon; temperature; sigma_0; the epsilon whose distance parameter noise aims at) times two learning
rates, by the final return, then the area under the curve; on DeepSea three values of epsilon times two learning rates,
by the mean of the logarithm of the steps in that sea, of equals the first. At epsilon 1 nothing learned is acted on.
Layer norm and target were chosen before on CartPole with epsilon-greedy, and all was tuned with 40,000 steps there.

Judged on seeds 100 to 119. A run before this one, on seeds 0 to 19, had 40,000 steps of CartPole, too few for most
arms: final returns were 480 with epsilon-greedy, 448 softmax, 406 ez-greedy, 392 parameter noise and 243 NoisyNet, of
which only 8 seeds solved it, so the third criterion could not be judged.

    python experiments/explorers_parity.py            # about twenty minutes of one CPU core
    python experiments/explorers_parity.py --tune     # six settings of each explorer on the tuning seeds
    python experiments/explorers_parity.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.evaluation import greedy_policy, with_evaluation
from purejaxexplore.learners.explorers import boltzmann, ez_greedy, on_policy, parameter_noise, uniform_mixture
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
BASELINE, EZ, NOISY = "Epsilon-greedy", "ez-greedy", "NoisyNet"
EXPLORERS = {
    BASELINE: uniform_mixture,
    EZ: ez_greedy,
    "Softmax": boltzmann,
    NOISY: lambda _: on_policy(),
    "Parameter noise": lambda epsilon: parameter_noise(epsilon=epsilon),
}
CART_POLE_GRID = {
    BASELINE: [0.02, 0.1, 0.3],
    EZ: [0.01, 0.03, 0.1],
    "Softmax": [0.1, 0.5, 2.0],
    NOISY: [0.1, 0.25, 0.5],
    "Parameter noise": [0.02, 0.1, 0.3],
}
CART_POLE_RATES = [3e-4, 6e-4]
DEEP_SEA_GRID, DEEP_SEA_RATES = [0.1, 0.3, 1.0], [5e-4, 2e-3]
CART_POLE_CHOSEN = {
    BASELINE: (0.1, 6e-4),
    EZ: (0.01, 6e-4),
    "Softmax": (0.5, 3e-4),
    NOISY: (0.1, 6e-4),
    "Parameter noise": (0.02, 3e-4),
}
EVALUATIONS, LAST, SOLVED = 20, 5, 475.0
SIZE = 10
OWN, COMMON = "own meaning in each cell", "one meaning for all"
DEEP_SEA_CHOSEN = {
    OWN: {BASELINE: (1.0, 5e-4), EZ: (0.1, 5e-4)},
    COMMON: {BASELINE: (1.0, 5e-4), EZ: (1.0, 5e-4)},
}
SOURCES = {
    "explorers_cart_pole": "Dabney, Ostrovski and Barreto (2021); Fortunato et al. (2018); Plappert et al. (2018)",
    "explorers_deep_sea": "Dabney, Ostrovski and Barreto (2021), Temporally-extended epsilon-greedy exploration",
    "explorers_noisy_sigma": "Fortunato et al. (2018), Noisy networks for exploration",
}
CRITERIA = {
    "explorers_cart_pole": "final greedy return (IQM) of each explorer >= 0.95 of epsilon-greedy's",
    "explorers_deep_sea": "bsuite's sea, own action map for each seed: first treasure after >= 30 % fewer steps (IQM of"
    " logarithms), 95 % interval of the paired difference above 0",
    "explorers_noisy_sigma": "mean absolute sigma of the output layer lower at the end than when CartPole was first"
    " solved: 95 % interval of the log ratio below 0, over >= 15 seeds that solved it",
}


@struct.dataclass
class Settings:
    """Attributes:
    value: the explorer's own number, see ``CART_POLE_GRID``.
    learning_rate: Adam's.
    """

    value: float = 0.1
    learning_rate: float = 5e-4


@dataclasses.dataclass(frozen=True)
class Args:
    """Five explorers.

    Attributes:
        seeds: seeds of each explorer.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning, 0 to 19 for a run before.
        cart_pole_steps: environment steps of each seed on CartPole.
        deep_sea_steps: environment steps of each seed in each sea.
        tune: print how the settings do on the tuning seeds, and nothing else.
        smoke: tiny sizes and fewer explorers, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 100
    cart_pole_steps: int = 120_000
    deep_sea_steps: int = 60_000
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


def run_cart_pole(name: str, values, rates, seeds: int, first_seed: int, env_steps: int) -> dict[str, np.ndarray]:
    """Evaluations [values, rates, seeds, evaluations]: ``start_return``, and NoisyNet's ``sigma``."""
    env, env_params = pjx.make("gymnax/CartPole-v1")
    every = max(env_steps // (64 * EVALUATIONS), 1)

    def make(settings):
        config = DQNConfig(
            num_envs=8, rollout_length=8, num_warmup_steps=64, num_updates=16, batch_size=64, replay_capacity=16384,
            hidden_sizes=(64,), layer_norm=True, target_period=1.0, target_rate=0.01, noisy=name == NOISY,
            noise_scale=settings.value if name == NOISY else 0.5, learning_rate=settings.learning_rate,
        )  # fmt: skip
        algorithm = dqn(env, env_params, config, explorer=EXPLORERS[name](settings.value))
        evaluated = with_evaluation(algorithm, env, env_params, greedy_policy(env, env_params, config), 8, 500)
        if name != NOISY:
            return evaluated

        def evaluate(key, state):
            output = state.params["params"]["NoisyDense_1"]
            sigmas = jnp.concatenate([output["kernel_scale"].ravel(), output["bias_scale"].ravel()])
            return evaluated.evaluate(key, state) | {"sigma": jnp.abs(sigmas).mean()}

        return evaluated._replace(evaluate=evaluate)

    runs = pjx.sweep(
        make, Settings(), {"value": values, "learning_rate": rates}, seeds, EVALUATIONS * every,
        first_seed=first_seed, evaluate_every=every, progress=False,
    )  # fmt: skip
    return {metric: np.asarray(found, np.float64) for metric, found in runs.evaluations.items()}


def run_deep_sea(name: str, sea: str, values, rates, seeds: int, first_seed: int, env_steps: int) -> np.ndarray:
    """Environment steps to the first treasure [values, rates, seeds]; all of them where there was none."""
    env, env_params = pjx.make("gymnax/DeepSea-bsuite", size=SIZE)
    iterations = max(env_steps // (8 * SIZE), 1)

    def sample(key):
        if sea == OWN:
            return env.sample_params(key, env_params)
        meaning = jax.random.bernoulli(key).astype(jnp.int32)
        return env_params.replace(action_map=jnp.full((SIZE, SIZE), meaning))

    def make(settings):
        config = DQNConfig(
            num_envs=8, rollout_length=SIZE, num_warmup_steps=SIZE, num_updates=2, batch_size=32,
            replay_capacity=16384, hidden_sizes=(64,), n_step=3, target_period=100.0,
            learning_rate=settings.learning_rate,
        )  # fmt: skip
        explorer = EXPLORERS[name](settings.value)
        return pjx.per_seed(sample, lambda params: dqn(env, params, config, explorer=explorer))

    metrics = pjx.sweep(
        make, Settings(), {"value": values, "learning_rate": rates}, seeds, iterations, first_seed=first_seed,
        progress=False,
    ).metrics  # fmt: skip
    success, steps = np.asarray(metrics["success"]), np.asarray(metrics["env_steps"])
    first = np.where((success > 0).any(-1), (success > 0).argmax(-1), success.shape[-1] - 1)
    return np.take_along_axis(steps, first[..., None], -1)[..., 0].astype(float)


def tune(args: Args) -> None:
    """Prints the scores of every setting on the tuning seeds."""
    for name, values in CART_POLE_GRID.items():
        found = run_cart_pole(name, values, CART_POLE_RATES, 3, TUNING_SEEDS[0], args.cart_pole_steps)["start_return"]
        for i, j in np.ndindex(found.shape[:2]):
            final, area = found[i, j, :, -LAST:].mean(), found[i, j].mean()
            setting = f"{values[i]}, rate {CART_POLE_RATES[j]}"
            print(f"CartPole {name:<16} {setting}: {final:.0f}, area {area:.0f}", flush=True)
    for sea, arms in DEEP_SEA_CHOSEN.items():
        for name in arms:
            times = run_deep_sea(name, sea, DEEP_SEA_GRID, DEEP_SEA_RATES, 3, TUNING_SEEDS[0], args.deep_sea_steps)
            for i, j in np.ndindex(times.shape[:2]):
                setting = f"{DEEP_SEA_GRID[i]}, rate {DEEP_SEA_RATES[j]}"
                print(f"DeepSea, {sea}: {name:<15} {setting}: {np.exp(np.log(times[i, j]).mean()):.0f}", flush=True)


def solved_at(returns: np.ndarray) -> np.ndarray:
    """Index of the first evaluation [seeds] that solved CartPole; that of the last one where none did earlier."""
    good = returns >= SOLVED
    return np.where(good.any(-1), good.argmax(-1), returns.shape[-1] - 1)


def sigma_then(sigma: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """The sigma [seeds] at the evaluation ``solved``."""
    return np.take_along_axis(sigma, solved[:, None], 1)[:, 0]


def figure_of(returns: dict, sigma: np.ndarray, times: dict, cart_pole_steps: int, deep_sea_steps: int):
    """Left: greedy return. Middle: seeds that found the treasure. Right: sigma of each seed, a dot where it solved."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 3.0))
        FigureCanvasAgg(figure)
        pole, sea, noise = figure.subplots(1, 3)
        looks = analysis.looks(EXPLORERS)
        steps = cart_pole_steps * np.arange(1, sigma.shape[1] + 1) / sigma.shape[1] / 1e3
        for name, found in returns.items():
            look, band = looks[name], analysis.iqm_bands(found)
            pole.plot(steps, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
            pole.fill_between(steps, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        pole.set(title="CartPole", xlabel="Environment steps\n(thousands)", ylabel="Greedy return", ylim=(0, 515))

        at = np.geomspace(100, deep_sea_steps, 200)
        for (place, arms), line in zip(times.items(), ("-", "--"), strict=False):
            for name, found in arms.items():
                counts = (found[:, None] < np.minimum(at, deep_sea_steps - 1)).sum(0)
                value, low, high = np.transpose([analysis.binomial_interval(int(n), len(found)) for n in counts])
                sea.plot(at, value, color=looks[name].color, linestyle=line, zorder=3)
                sea.fill_between(at, low, high, color=looks[name].color, alpha=0.12, linewidth=0)
            sea.plot([], [], color="0.4", linestyle=line, label=f"DeepSea, {place}")
        sea.set(
            title=f"DeepSea, N = {SIZE}", xscale="log", xlabel="Environment steps", ylabel="Seeds with the treasure",
            ylim=(-0.03, 1.03),
        )  # fmt: skip
        sea.minorticks_off()

        solved = solved_at(returns[NOISY])
        for row, index in zip(sigma, solved, strict=True):
            noise.plot(steps, row, color=looks[NOISY].color, alpha=0.45, linewidth=0.9)
            if index < len(steps) - 1:
                noise.plot(steps[index], row[index], "o", color=looks[NOISY].color, markersize=3)
        noise.plot([], [], "o", color=looks[NOISY].color, markersize=3, label="CartPole first solved")
        noise.set(title="NoisyNet", xlabel="Environment steps\n(thousands)", ylabel="Sigma, output layer")
        for ax in (pole, sea, noise):
            ax.margins(x=0.01)
        handles, labels = zip(*(ax.get_legend_handles_labels() for ax in (pole, sea, noise)), strict=True)
        figure.legend(sum(handles, []), sum(labels, []), loc="outside lower center", ncols=3, columnspacing=1.2)
    return figure


def judge_cart_pole(returns: dict[str, np.ndarray]) -> tuple[bool, analysis.Estimate, str]:
    """``(criterion met, difference of the worst explorer to epsilon-greedy in shares of it, the numbers in words)``."""
    final = {name: found[:, -LAST:].mean(1) for name, found in returns.items()}
    unit = analysis.iqm(final[BASELINE])
    shares = {name: float(analysis.iqm(row) / unit) for name, row in final.items() if name != BASELINE}
    worst = min(shares, key=shares.get)
    areas = {name: analysis.iqm(found.mean(1)) for name, found in returns.items()}
    told = ", ".join(f"{name} {analysis.iqm(row):.0f} (area {areas[name]:.0f})" for name, row in final.items())
    effect = analysis.paired_bootstrap(final[worst] / unit, final[BASELINE] / unit)
    told = f"final return of {worst}, the worst, less epsilon-greedy's, in shares of the latter; IQMs: {told}"
    return shares[worst] >= 0.95, effect, told


def judge_deep_sea(times: dict[str, dict[str, np.ndarray]]) -> tuple[bool, analysis.Estimate, str]:
    """``(criterion met in bsuite's sea, difference of log steps there, the numbers of both seas in words)``."""
    effects = {
        sea: analysis.paired_bootstrap(np.log(found[BASELINE]), np.log(found[EZ])) for sea, found in times.items()
    }
    told = "; ".join(
        f"{sea}: {np.exp(-effect.value) - 1.0:+.0%} steps, log difference {effect.value:.2f} [{effect.low:.2f},"
        f" {effect.high:.2f}], medians " + ", ".join(f"{name} {np.median(row):.0f}" for name, row in times[sea].items())
        for sea, effect in effects.items()
    )
    effect = effects[OWN]
    holds = 1.0 - np.exp(-effect.value) >= 0.3 and effect.low > 0
    told = f"difference of IQMs of log steps to the first treasure, epsilon-greedy less ez-greedy; {told}"
    return holds, effect, told


def judge_sigma(returns: np.ndarray, sigma: np.ndarray) -> tuple[bool | None, analysis.Estimate | None, str]:
    """``(criterion met, None where too few seeds solved it; logarithm of the ratio; the numbers in words)``."""
    first = solved_at(returns)
    chosen = first < returns.shape[1] - 1
    told = f"{chosen.sum()} of {len(first)} seeds solved CartPole before the last evaluation"
    if chosen.sum() < 15:
        return None, None, told
    before, after = sigma_then(sigma, first)[chosen], sigma[chosen, -1]
    effect = analysis.paired_bootstrap(np.log(after), np.log(before))
    told += f"; sigma {np.median(before):.4f} when it was first solved, {np.median(after):.4f} at the end (medians)"
    told += f"; it fell in {(after < before).sum()} of them"
    return effect.high < 0, effect, f"difference of IQMs of log sigma, end less first solved; {told}"


def main(args: Args) -> None:
    """Runs the explorers, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    seeds = 2 if args.smoke else args.seeds
    pole_steps, sea_steps = (3 * 64 * EVALUATIONS, 800) if args.smoke else (args.cart_pole_steps, args.deep_sea_steps)
    runs, times = {}, {sea: {} for sea in ((OWN,) if args.smoke else (OWN, COMMON))}
    for name in (BASELINE, NOISY) if args.smoke else EXPLORERS:
        value, rate = CART_POLE_CHOSEN[name]
        runs[name] = run_cart_pole(name, [value], [rate], seeds, args.first_seed, pole_steps)
        print(f"CartPole {name:<16} final return {runs[name]['start_return'][..., -LAST:].mean():.0f}", flush=True)
    returns, sigma = {name: found["start_return"][0, 0] for name, found in runs.items()}, runs[NOISY]["sigma"][0, 0]
    for sea, found in times.items():
        for name, (value, rate) in DEEP_SEA_CHOSEN[sea].items():
            found[name] = run_deep_sea(name, sea, [value], [rate], seeds, args.first_seed, sea_steps)[0, 0]
            print(f"DeepSea, {sea}: {name:<16} median {np.median(found[name]):.0f} steps", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure = figure_of(returns, sigma, times, pole_steps, sea_steps)
    figure.savefig(args.results / "explorers_parity.png", dpi=200)
    print("written:", args.results / "explorers_parity.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    pole_arms = {
        name: f"{value} of {CART_POLE_GRID[name]}, learning rate {rate} of {CART_POLE_RATES}"
        for name, (value, rate) in CART_POLE_CHOSEN.items()
    }
    sea_arms = {
        f"{name}, {sea}": f"{value} of {DEEP_SEA_GRID}, learning rate {rate} of {DEEP_SEA_RATES}"
        for sea, arms in DEEP_SEA_CHOSEN.items()
        for name, (value, rate) in arms.items()
    }
    entries = {
        "explorers_cart_pole": (
            "ez-greedy, softmax, NoisyNet and parameter noise lose at most 5 % of epsilon-greedy's return on CartPole.",
            judge_cart_pole(returns), pole_steps, pole_arms,
        ),
        "explorers_deep_sea": (
            "Repeating random actions finds the treasure of DeepSea(10) sooner than single random actions.",
            judge_deep_sea(times), sea_steps, sea_arms,
        ),
        "explorers_noisy_sigma": (
            "The noise of NoisyNet's output layer falls once CartPole is solved.",
            judge_sigma(returns[NOISY], sigma), pole_steps, {NOISY: pole_arms[NOISY]},
        ),
    }  # fmt: skip
    for name, (claim, (holds, effect, told), env_steps, arms) in entries.items():
        reason = "the criterion as written"
        if seeds < 20 or holds is None:
            reason = "fewer than 20 seeds" if seeds < 20 else "fewer than 15 seeds that solved CartPole"
        path = analysis.record(
            name=name,
            claim=claim,
            source=SOURCES[name],
            criterion=CRITERIA[name],
            env_steps=env_steps,
            baselines=arms,
            tuning_seeds=TUNING_SEEDS,
            judging_seeds=range(args.first_seed, args.first_seed + seeds),
            effect=effect,
            statistic=told,
            verdict="not judged" if seeds < 20 or holds is None else "holds" if holds else "does not hold",
            reason=reason,
            command=f"python experiments/explorers_parity.py --seeds {seeds} --first-seed {args.first_seed}",
            family="learners",
            directory=args.results,
        )
        print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
