"""Submodular policy gradient in an open field of 30 x 30 cells: pay what a step newly covers, or what it covers.

Prajapat, Mutny, Zeilinger and Krause (2024), "Submodular reinforcement learning". A trajectory of H steps is worth the
number of cells it covers; a state covers itself and its four neighbours. One policy is trained with the gains to go of
that set function (SubPO), one with the gain of each step alone (``gamma = 0``, what the authors' grid script amounts
to), and one with what every state covers by itself (modular). All are the same policy gradient on (row, column, time):
PPO with one pass over one batch of 64 episodes, which is REINFORCE with a learned baseline; 60 such steps. A plan of
256 episodes was cut, to fit into minutes. They are framed by a uniform walk and by a lawn mower (lanes three rows
apart; two cells short of the bound of 5 + 3 H a turn).

Criterion, written before the run: cells covered over those of the lawn mower are at least 0.75 for SubPO (lower end of
the 95 % interval over seeds) and at most 0.5 for the modular policy (upper end), for H = 40 and for H = 80.

The learning rate of each arm is the best of three on seeds 1000 to 1002 with H = 40 (``--tune``), by the cells covered;
judged on seeds 0 to 19.

    python experiments/subpo_field.py            # minutes on two CPU cores
    python experiments/subpo_field.py --tune     # the three learning rates on the tuning seeds
    python experiments/subpo_field.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx

# isort: split
# gymnax starts a backend, which must find the flag that purejaxexplore sets: so it comes second.
from gymnax.environments import spaces
from gymnax.environments.environment import Environment, EnvParams

from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH
from purejaxexplore.bonuses.submodular import CoverageGainConfig, coverage_gain
from purejaxexplore.learners.explorers import uniform_mixture
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

SIDE, START = 30, (1, 4)
MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1), (0, 0)])
HORIZONS = (40, 80)
TUNING_SEEDS = (1000, 1001, 1002)
RATES = [0.003, 0.01, 0.03]
CHOSEN = {"SubPO": 0.03, "Greedy credit": 0.01, "Modular": 0.003}
CRITERION = (
    "cells covered over those of a lawn mower: SubPO >= 0.75 (lower end of the 95 % interval), modular <= 0.5 "
    "(upper end), for H = 40 and H = 80"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Submodular policy gradient in an open field.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        epochs: policy gradient steps.
        episodes: of each step.
        tune: print how each learning rate does on the tuning seeds, and nothing else.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    epochs: int = 60
    episodes: int = 64
    tune: bool = False
    smoke: bool = False
    results: Path = Path("experiments/results")


class FieldState(NamedTuple):
    """``y``, ``x``: i32, the agent's cell; ``time``: i32, steps since the start."""

    y: jax.Array
    x: jax.Array
    time: jax.Array


class Field(Environment[FieldState, EnvParams]):
    """Four moves and staying, for exactly H steps: the horizon is part of the problem and ends it.

    Observation: row, column and time, each one-hot. The reward is what the cell covers by itself, over ``scale``.
    """

    def __init__(self, horizon: int, scale: float):
        super().__init__()
        self.horizon, self.num_states, self.num_reachable = horizon, SIDE**2, SIDE**2
        self._covers = patches().sum(-1) / scale

    def reset_env(self, key, params):
        state = FieldState(*map(jnp.int32, START), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(self, key, state, action, params):
        down, right = jnp.asarray(MOVES)[action]
        y, x = (jnp.clip(place, 0, SIDE - 1) for place in (state.y + down, state.x + right))
        state = FieldState(y, x, state.time + 1)
        cell, over = self.state_id(state, params), state.time >= self.horizon
        return self.get_obs(state), state, jnp.asarray(self._covers)[cell], over, {"state_id": cell}

    def get_obs(self, state, params=None, key=None):
        sizes = (SIDE, SIDE, self.horizon)
        return jnp.concatenate([jax.nn.one_hot(i, n) for i, n in zip(state, sizes, strict=True)])

    def is_truncated(self, state, params):
        return jnp.bool_(False)

    def state_id(self, state, params):
        return state.y * SIDE + state.x

    def action_space(self, params=None):
        return spaces.Discrete(len(MOVES))

    def observation_space(self, params=None):
        return spaces.Box(0.0, 1.0, (2 * SIDE + self.horizon,), jnp.float32)


def patches() -> np.ndarray:
    """bool[900, 900], the cells that each cell covers: itself and its neighbours."""
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    return abs(y[:, None] - y) + abs(x[:, None] - x) <= 1


def lawn_mower(horizon: int) -> int:
    """Cells covered by walking right and left in lanes three rows apart."""
    (y, x), heading, down = START, 1, 0
    covered = patches()[y * SIDE + x]
    for _ in range(horizon):
        turning = down > 0 or not 1 <= x + heading <= SIDE - 2
        if turning and down < 3:
            y, down = y + 1, down + 1
            heading = -heading if down == 1 else heading
        else:
            x, down = x + heading, 0
        covered = covered | patches()[y * SIDE + x]
    return int(covered.sum())


def arms(horizon: int, episodes: int) -> dict:
    """Name -> ``learning rate -> Algorithm``; the stream "gain" has weight 0 where it is only measured."""
    scale = float(lawn_mower(horizon))
    env = Field(horizon, scale)
    gain = coverage_gain(CoverageGainConfig(SIDE**2), patches(), np.full(SIDE**2, 1.0 / scale, np.float32))
    config = PPOConfig(
        num_envs=episodes, rollout_length=horizon, num_warmup_steps=horizon, num_epochs=1, num_minibatches=1,
        hidden_sizes=(64, 32), entropy_coef=0.0, max_grad_norm=10.0,
    )  # fmt: skip
    measured = Stream("gain", gain, gamma=1.0, lam=1.0, coef=0.0)
    streams = {
        "SubPO": (measured._replace(coef=1.0),),
        "Greedy credit": (measured._replace(coef=1.0, gamma=0.0),),
        "Modular": (Stream("modular", gamma=1.0, lam=1.0), measured),
    }

    def make(name, explorer=None):
        return lambda settings: ppo(env, EnvParams(), settings, streams=streams[name], explorer=explorer)

    return {
        **{name: (make(name), config) for name in streams},
        "Random": (make("SubPO", uniform_mixture(1.0)), config),
    }


def covered_share(metrics, horizon: int) -> np.ndarray:
    """f64[..., iterations], mean cells covered by an episode over those of the lawn mower.

    An iteration is whole episodes, whose start covers five cells.
    """
    return np.asarray(metrics["gain_reward"], np.float64) * horizon + 5.0 / lawn_mower(horizon)


def figure_of(shares: dict[int, dict[str, np.ndarray]], steps: dict[int, np.ndarray]):
    """Share of the lawn mower's cells against environment steps: IQM over seeds with 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.6))
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
        for ax, (horizon, arms_shares) in zip(axes, shares.items(), strict=True):
            for name, look in analysis.looks(arms_shares).items():
                share = arms_shares[name]
                if name == "Random":
                    ax.axhline(share.mean(), color=look.color, linestyle=look.linestyle, label=name)
                    continue
                band = analysis.iqm_bands(share)
                at = steps[horizon] / 1e3
                ax.plot(at, band.value, color=look.color, linestyle=look.linestyle, label=name, zorder=3)
                ax.fill_between(at, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
            ax.axhline(1.0, color="#444444", linewidth=1.0, label="Lawn mower")
            ax.set(xlabel="Environment steps (thousands)", title=f"{horizon} steps an episode", ylim=(0, 1.05))
            ax.margins(x=0.01)
        axes[0].set_ylabel("Cells covered /\nlawn mower's")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def tune(args: Args) -> None:
    """Prints the share of the last five iterations with each learning rate."""
    for name, (make, config) in arms(HORIZONS[0], args.episodes).items():
        if name == "Random":
            continue
        grid = pjx.sweep(
            make, config, {"learning_rate": RATES}, len(TUNING_SEEDS), args.epochs, first_seed=TUNING_SEEDS[0],
            progress=False,
        )  # fmt: skip
        final = covered_share(grid.metrics, HORIZONS[0])[..., -5:].mean((-2, -1))
        print(f"{name:<14}", *(f"{rate}: {x:.3f}" for rate, x in zip(RATES, final, strict=True)), flush=True)


def main(args: Args) -> None:
    """Runs all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    if args.tune:
        tune(args)
        return
    seeds, epochs, episodes = (2, 2, 8) if args.smoke else (args.seeds, args.epochs, args.episodes)
    shares, steps, finals = {}, {}, {}
    for horizon in HORIZONS[:1] if args.smoke else HORIZONS:
        shares[horizon] = {}
        for name, (make, config) in arms(horizon, episodes).items():
            algorithm = make(config.replace(learning_rate=CHOSEN.get(name, 0.0)))
            iterations = min(5, epochs) if name == "Random" else epochs
            metrics = pjx.run(algorithm, seeds, iterations, first_seed=args.first_seed, name=name).metrics
            share = covered_share(metrics, horizon)
            shares[horizon][name] = share
            if name != "Random":
                steps[horizon] = np.asarray(metrics["env_steps"])[0]
            final = share[:, -5:].mean(1)
            finals[name, horizon] = analysis.bootstrap_interval(final) if seeds > 1 else None
            print(f"H = {horizon} {name:<14} {final.mean():.3f} of the lawn mower's cells", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(shares, steps).savefig(args.results / "subpo_field.png", dpi=200)
    print("written:", args.results / "subpo_field.png")
    if args.smoke or args.first_seed + seeds > TUNING_SEEDS[0]:
        return

    enough = seeds >= 20
    met = {f"SubPO at H = {h}": finals["SubPO", h].low >= 0.75 for h in HORIZONS}
    met |= {f"modular at H = {h}": finals["Modular", h].high <= 0.5 for h in HORIZONS}
    told = ", ".join(f"{part} {'met' if yes else 'not met'}" for part, yes in met.items())
    numbers = "; ".join(
        f"H = {h}: " + ", ".join(f"{name} {finals[name, h].value:.3f}" for name in shares[h]) for h in HORIZONS
    )
    path = analysis.record(
        name="subpo_field",
        claim="Paying the marginal gains of coverage covers an open field; paying what each state covers does not.",
        source="Prajapat, Mutny, Zeilinger and Krause (2024), Submodular reinforcement learning",
        criterion=CRITERION,
        env_steps=epochs * episodes * HORIZONS[-1],
        baselines={
            "Modular": f"the same policy gradient on the modular reward, learning rate {CHOSEN['Modular']} of {RATES}",
            "Greedy credit": f"gamma 0, learning rate {CHOSEN['Greedy credit']} of {RATES}",
            "Random": "a uniform walk",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + seeds),
        effect=min((finals["SubPO", h] for h in HORIZONS), key=lambda share: share.value),
        statistic=f"of the lawn mower's cells covered by SubPO, the lower of two horizons; IQMs: {numbers}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=f"as written, 64 instead of 256 episodes a step: {told}" if enough else "fewer than 20 seeds",
        command=f"python experiments/subpo_field.py --seeds {seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )  # fmt: skip
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
