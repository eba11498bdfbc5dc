"""Particle entropy: do RE3, APT, RISE and REVD spread the visits over a world more evenly than the policy's entropy?

Seo, Chen, Shin, Lee, Abbeel and Lee (2021), "State entropy maximization with random encoders for efficient
exploration"; Liu and Abbeel (2021), "Behavior from the void" (APT); Yuan, Pun and Wang (2022), "Rényi state entropy
maximization" (RISE); Yuan, Li, Jin and Zeng (2022), "Rewarding episodic visitation discrepancy" (REVD). RoomChain(6, 4)
without its reward: 101 one-hot cells, so that an even spread has an entropy of log 101 = 4.62 nats; the goal ends an
episode as ever. PPO (16 environments x 128 steps, one hidden layer of 64) is paid the bonus alone, over the ends of
episodes; "PPO, entropy only" is the same paid nothing, with the entropy of its policy as its only objective; "Random
walk" acts uniformly.

Measured: the entropy in nats of the distribution of all cells that the training visited, from its first step on (the
warm-up aside), each step counting once. Criterion, written before the judged run: for each of the four it is higher
than with PPO's entropy alone by at least 0.3 nats, the 95 % interval of the paired difference above 0 (IQM over seeds).

PPO and the bonuses' coefficients are those of ``bonuses_by_worlds.py``, tuned there for the reward of the same world on
seeds 1000 to 1002; what is left are the modules' defaults. Judged on seeds 0 to 19, with 150,000 steps instead of the
200,000 first meant, for time.

    python experiments/particle_entropy.py            # about seven minutes on one CPU core
    python experiments/particle_entropy.py --smoke    # seconds
"""

import dataclasses
from pathlib import Path

import numpy as np

import purejaxexplore as pjx
from purejaxexplore import analysis
from purejaxexplore.analysis.style import FULL_WIDTH, INK
from purejaxexplore.bonuses.build import make_bonus, widths
from purejaxexplore.bonuses.combine import add
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.learners.explorers import uniform_mixture
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo
from purejaxexplore.runner.cache import enable_compilation_cache

TUNING_SEEDS = (1000, 1001, 1002)
ENTROPY, WALK = "PPO, entropy only", "Random walk"
COEFS = {"RE3": 0.1, "APT": 0.01, "RISE": 0.01, "REVD": 0.1}
PPO = PPOConfig(
    num_envs=16, rollout_length=128, learning_rate=1e-3, entropy_coef=1e-3, normalise_advantages=False,
    hidden_sizes=(64,),
)  # fmt: skip
CRITERION = (
    "entropy of the distribution of all visited cells, each of RE3, APT, RISE and REVD less PPO with its policy's "
    "entropy alone: >= 0.3 nats and the 95 % interval of the paired difference above 0"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Particle entropy without reward.

    Attributes:
        seeds: seeds of each arm.
        first_seed: number of the first seed; 1000 to 1002 were used for tuning.
        env_steps: environment steps of each seed.
        smoke: tiny sizes, to see that everything runs; writes no ledger.
        results: directory of the figure and of the ledger.
    """

    seeds: int = 20
    first_seed: int = 0
    env_steps: int = 150_000
    smoke: bool = False
    results: Path = Path("experiments/results")


def visits_of(name: str, config: PPOConfig, args: Args) -> np.ndarray:
    """Visits of each cell in an arm's training, i64[seeds, cells].

    Every arm carries a lifelong count of weight 0 along, which pays nothing and keeps the visits.
    """
    env, env_params = pjx.make("RoomChain", num_rooms=6, size=4)
    visits = counts(CountsConfig(env.num_states, episodic=False))
    paid = ()
    if name in COEFS:
        paid = (make_bonus(name.lower(), env, env_params, **widths(name.lower(), 64)),)
    bonus = add((*paid, visits), (*(1.0 for _ in paid), 0.0))
    stream = Stream("bonus", bonus, gamma=0.99, coef=COEFS.get(name, 0.0), episodic=False)
    explorer = uniform_mixture(1.0) if name == WALK else None
    iterations = args.env_steps // (config.num_envs * config.rollout_length)
    run = pjx.run(
        ppo(env, env_params, config, streams=(stream,), explorer=explorer), args.seeds, iterations,
        first_seed=args.first_seed, name=name, progress=False,
    )  # fmt: skip
    return np.asarray(run.state.bonuses[0].life[-1], np.int64)


def entropy(visits: np.ndarray) -> np.ndarray:
    """f64[...], entropy in nats of the distributions i64[..., cells]."""
    share = visits / visits.sum(-1, keepdims=True)
    return -(share * np.log(np.where(share > 0, share, 1.0))).sum(-1)


def figure_of(visits: dict[str, np.ndarray]):
    """Entropy of each arm with 95 % intervals, and the share of the visits that fell into each room."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = next(iter(visits.values())).shape[-1]
    with analysis.style():
        figure = Figure(figsize=(FULL_WIDTH, 2.7))
        FigureCanvasAgg(figure)
        bars, rooms = figure.subplots(1, 2)
        found = {name: entropy(table) for name, table in visits.items()}
        analysis.score_bars(found, label="Entropy of visited cells (nats)", title="RoomChain, no reward", ax=bars)
        bars.axvline(np.log(cells), color=INK, linewidth=1.0, linestyle="--")
        place = {"textcoords": "offset points", "ha": "right", "va": "bottom"}
        bars.annotate("even", (np.log(cells), len(visits) - 0.6), xytext=(-3, 0), color=INK, **place)
        for name, look in analysis.looks(visits).items():
            share = 100.0 * visits[name] / visits[name].sum(-1, keepdims=True)
            # A room is its 16 cells and its door, but for the last, which has none.
            of_room = np.stack([share[:, room * 17 : (room + 1) * 17].sum(-1) for room in range(6)], -1)
            band, at = analysis.iqm_bands(of_room), np.arange(1, 7)
            line = {"color": look.color, "linestyle": look.linestyle, "marker": look.marker, "markersize": 4}
            rooms.plot(at, band.value, label=name, **line)
            rooms.fill_between(at, band.low, band.high, color=look.color, alpha=0.18, linewidth=0)
        rooms.axhline(100.0 / 6.0, color=INK, linewidth=1.0, linestyle="--")
        rooms.set(xlabel="Room", ylabel="Share of the visits (%)", xticks=range(1, 7), yscale="log")
        rooms.legend(loc="lower left")
    return figure


def main(args: Args) -> None:
    """Trains all arms, draws the figure and writes the ledger."""
    enable_compilation_cache()
    config, names = PPO, (*COEFS, ENTROPY, WALK)
    if args.smoke:
        config = PPO.replace(num_envs=4, rollout_length=32, num_warmup_steps=8, num_epochs=1)
        args = dataclasses.replace(args, seeds=2, env_steps=256)
        names = ("RISE", ENTROPY)
    visits = {}
    for name in names:
        visits[name] = visits_of(name, config, args)
        print(f"{name:<18} {entropy(visits[name]).mean():.3f} nats", flush=True)

    args.results.mkdir(parents=True, exist_ok=True)
    figure_of(visits).savefig(args.results / "particle_entropy.png", dpi=200)
    print("written:", args.results / "particle_entropy.png")
    if args.smoke or args.first_seed + args.seeds > TUNING_SEEDS[0]:
        return

    found = {name: entropy(table) for name, table in visits.items()}
    gains = {name: analysis.paired_bootstrap(found[name], found[ENTROPY]) for name in COEFS}
    met = {name: gain.value >= 0.3 and gain.low > 0 for name, gain in gains.items()}
    enough = args.seeds >= 20 and args.env_steps >= 150_000
    width = PPO.num_envs * PPO.rollout_length
    told = ", ".join("{} {:.2f} [{:.2f}, {:.2f}]".format(name, *gain) for name, gain in gains.items())
    numbers = ", ".join(f"{name} {analysis.iqm(score):.2f}" for name, score in found.items())
    path = analysis.record(
        name="particle_entropy",
        claim="Without reward, paying particle entropy (RE3, APT, RISE, REVD) spreads PPO's visits over a world more "
        "evenly than its policy's entropy does.",
        source="Seo, Chen, Shin, Lee, Abbeel and Lee (2021), State entropy maximization with random encoders for "
        "efficient exploration; and the papers of APT, RISE and REVD",
        criterion=CRITERION,
        env_steps=args.env_steps // width * width,
        baselines={
            ENTROPY: f"the same PPO, paid nothing: {config}",
            WALK: "uniform actions",
            "bonuses": f"coefficients {COEFS}",
        },
        tuning_seeds=TUNING_SEEDS,
        judging_seeds=range(args.first_seed, args.first_seed + args.seeds),
        effect=min(gains.values()),
        statistic=f"nats more than PPO's entropy alone, the least of four bonuses (IQM); {told}; entropies {numbers}",
        verdict=("holds" if all(met.values()) else "does not hold") if enough else "not judged",
        reason=", ".join(f"{name} {'met' if yes else 'not met'}" for name, yes in met.items())
        if enough
        else "it needs 20 seeds and 150,000 steps",
        command=f"python experiments/particle_entropy.py --seeds {args.seeds} --first-seed {args.first_seed}",
        family="bonuses",
        directory=args.results,
    )
    print("written:", path)


if __name__ == "__main__":
    main(analysis.arguments(Args))
