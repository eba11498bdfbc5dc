"""Bandits: pulls a second of every common policy, against a bare scan and against the Python libraries.

``many`` are thousands of seeds at once, ``one`` is one seed; every pull is a decision, a reward and an update of a
Bernoulli bandit whose means are drawn anew for each seed. ``bare`` is the floor for the same seeds: a scan that draws
the same random numbers as UCB1's world, one uniform a pull, and adds 1 to one of K counts (by a scatter, the faster way
on a CPU). ``bare_normals`` draws K normal numbers besides, as Thompson sampling must.

``projected_seconds`` is what 10^4 seeds of 10^4 pulls would take at the measured rate. Peers (mabwiser, SMPyBandits)
are measured where they are installed, as Python loops over the same number of arms; where one has the policy, the line
also tells the mean regret of all after ``pulls`` pulls of the same arms, with its 95 % interval.

One JSON line a policy and number of arms goes to ``experiments/results/benchmarks/bandits.jsonl``.

    python experiments/benchmarks/bandits.py --arms 20 10
"""

import timing  # first, for the XLA flags

# isort: split
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from bandit_peers import Peer, mabwiser, play, smpybandits

import purejaxexplore as pjx
from purejaxexplore import bandits as b
from purejaxexplore.algorithm import init_key, scan_steps
from purejaxexplore.envs.bandits import bernoulli, uniform_means

POLICIES = ("ucb1", "imed", "moss", "kl_ucb", "gaussian_thompson", "beta_thompson", "exp3")
PULLS = 100  # a step: the random numbers of these are drawn in one call


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    policies: tuple[str, ...] = POLICIES
    """of ucb1, imed, moss, kl_ucb, gaussian_thompson, beta_thompson, exp3"""
    arms: tuple[int, ...] = (20, 10)
    """numbers of arms"""
    seeds: int = 10_000
    """seeds at once"""
    pulls: int = 1_000
    """pulls of each seed in a timed run, a multiple of 100; of one seed alone a hundred times as many"""
    peer_pulls: int = 20_000
    """pulls of a peer in a timed run"""
    rounds: int = 5
    """timed runs of each contender"""
    smoke: bool = False
    """seconds only: small configurations, nothing written"""


def make_policy(name: str, spec, horizon: int) -> b.Policy:
    """A policy by its name.

    Raises:
        ValueError: an unknown name.
    """
    makers = {
        "ucb1": lambda: b.ucb1(spec, b.UCB1Config()),
        "imed": lambda: b.imed(spec),
        "moss": lambda: b.moss(spec, b.MOSSConfig(horizon)),
        "kl_ucb": lambda: b.kl_ucb(spec, b.KLUCBConfig()),
        "gaussian_thompson": lambda: b.gaussian_thompson(spec, b.GaussianThompsonConfig()),
        "beta_thompson": lambda: b.beta_thompson(spec, b.BetaThompsonConfig()),
        "exp3": lambda: b.exp3(spec, b.ExponentialConfig(horizon)),
    }
    if name not in makers:
        raise ValueError(f"policies={name!r}: expected some of {', '.join(POLICIES)}")
    return makers[name]()


def bare(num_arms: int, blocks: int, normals: bool):
    """``seed_keys -> counts``: the random numbers and one count, and nothing else."""

    def pull(counts, noise):
        uniform, normal = noise
        arm = jnp.floor(uniform * num_arms).astype(jnp.int32)
        return counts.at[arm].add(1 + (normal.sum() > 1e9) if normals else 1), None

    def block(counts, key):
        key_uniform, key_normal = jax.random.split(key)
        normal = jax.random.normal(key_normal, (PULLS, num_arms)) if normals else jnp.zeros(PULLS)
        return jax.lax.scan(pull, counts, (jax.random.uniform(key_uniform, (PULLS,)), normal))[0], None

    def one(seed_key):
        return jax.lax.scan(block, jnp.zeros(num_arms, jnp.int32), jax.random.split(seed_key, blocks))[0]

    return jax.vmap(one)


def peers(name: str, num_arms: int) -> dict[str, Peer]:
    """The libraries that are installed and have the policy."""
    packages = {"mabwiser": mabwiser, "SMPyBandits": smpybandits}
    found = {p.lower(): of(name, num_arms) for p, of in packages.items() if timing.package_version(p)}
    return {name: peer for name, peer in found.items() if peer is not None}


def regrets(name: str, rivals: dict[str, Peer], num_arms: int, pulls: int) -> dict[str, list[float]]:
    """Mean regret after ``pulls`` and its 95 % interval on evenly spaced means: ours of 1,000 seeds, of 100 a rival."""
    means = np.linspace(0.1, 0.9, num_arms)
    world = bernoulli(tuple(means.tolist()))
    run = pjx.run(b.bandit(make_policy(name, world.spec, pulls), world, pulls=pulls), 1000, 1, progress=False)
    found = {"many": np.asarray(run.metrics["regret"], np.float64)[:, -1]}
    for rival, peer in rivals.items():
        counts = [play(peer, means, pulls, np.random.default_rng(seed)) for seed in range(100)]
        found[rival] = np.array(counts) @ (means.max() - means)
    half = {who: 1.96 * x.std(ddof=1) / np.sqrt(x.size) for who, x in found.items()}
    return {f"{who}_regret": [x.mean(), x.mean() - half[who], x.mean() + half[who]] for who, x in found.items()}


def run_together(name: str, num_arms: int, seeds: int, pulls: int, peer_pulls: int, rounds: int) -> dict:
    """Compiles everything for this policy, then takes turns."""
    world = bernoulli(uniform_means(num_arms))
    algorithm = b.bandit(make_policy(name, world.spec, pulls), world, pulls=PULLS)
    blocks, alone = pulls // PULLS, 100 * pulls // PULLS

    def train(seed_keys):
        def one(key):
            return scan_steps(algorithm, key, algorithm.init(init_key(key)), 0, blocks)[1]["regret"]

        return jax.vmap(one)(seed_keys)

    def train_alone(key):
        return scan_steps(algorithm, key, algorithm.init(init_key(key)), 0, alone)[1]["regret"]

    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(seeds))
    many, one = timing.compile_ahead(train, keys), timing.compile_ahead(train_alone, keys[0])
    normals = name.endswith("thompson")
    rivals, means = peers(name, num_arms), np.random.default_rng(0).random(num_arms)
    floor = timing.compile_ahead(bare(num_arms, blocks, normals), keys)
    turns = {
        "gemm": timing.gemm(),
        "many": timing.Turn(lambda: (keys,), many.call),
        "one": timing.Turn(lambda: (keys[0],), one.call),
        "bare": timing.Turn(lambda: (keys,), floor.call),
    }
    for rival, peer in rivals.items():
        turns[rival] = timing.Turn(lambda peer=peer: (peer, means, peer_pulls, np.random.default_rng(0)), play)
    times = timing.interleave(turns, rounds)
    amounts = {"many": seeds * pulls, "one": alone * PULLS, "bare": seeds * pulls}
    amounts |= dict.fromkeys(rivals, peer_pulls)
    row = {"gemm_gflop_per_second": timing.rate(timing.GEMM_FLOP, times["gemm"]) / 1e9}
    row |= {f"{who}_pulls_per_second": timing.rate(amount, times[who]) for who, amount in amounts.items()}
    row["many_seconds_over_bare"] = 1 / timing.ratio(times["many"], times["bare"])
    row["bare_draws_normals"] = normals
    row["projected_seconds"] = 1e8 / row["many_pulls_per_second"]
    per_pull = {who: [t / amount for t in times[who]] for who, amount in amounts.items()}
    for rival in rivals:
        row[f"many_over_{rival}"] = timing.ratio(per_pull["many"], per_pull[rival])
        row[f"one_over_{rival}"] = timing.ratio(per_pull["one"], per_pull[rival])
    if rivals:
        row |= regrets(name, rivals, num_arms, pulls)
    return row | {
        "many_compile_seconds": many.compile_seconds,
        "many_planned_mb": many.planned_mb,
        "peak_rss_mb": timing.peak_rss_mb(),
    }


def main(args: Args) -> None:
    if args.smoke:
        args = dataclasses.replace(args, policies=("ucb1",), arms=(5,), seeds=8, pulls=100, peer_pulls=50, rounds=1)
    if args.pulls % PULLS or args.pulls < PULLS:
        raise ValueError(f"pulls={args.pulls}: expected a multiple of {PULLS}")
    for num_arms in args.arms:
        for name in args.policies:
            row = timing.in_fresh_process(
                run_together, name, num_arms, args.seeds, args.pulls, args.peer_pulls, args.rounds
            )
            timing.emit(
                "bandits", args.smoke, policy=name, arms=num_arms, seeds=args.seeds, pulls=args.pulls,
                device=jax.devices()[0].device_kind, **row,
            )  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
