"""What Go-Explore costs over random play: environment steps a second on KeyRooms, 32 seeds of 16 lanes each.

``go_explore`` selects cells, restores their states, explores with random actions and updates its archive. It is
compared with ``random``, the least that exploring at the same batch can cost: the same number of lanes, uniform
actions, automatic resets, every observation consumed by a sum, nothing remembered. A lane of Go-Explore whose episode
ended waits for the end of the rollout; only the steps that it executed count for its speed, and ``executed`` is their
share. ``fraction`` is Go-Explore's speed over that of random play, ``fraction_of_slots`` the same with waiting
counted as stepping. Both take turns in one process with a 2048 matrix product.

``memory`` compares what the compiler plans for one iteration of many seeds, the state donated, with the bytes that
should do, C (28 + S + 4) + 4 T B + 3 B k (16 + S) a seed, where S is the packed state and its length.
``insertion`` times one insertion into a table of 2^20 slots with payloads of 64 bytes; ``prototype_ms`` is what the
prototype of the same insertion took on one core of such a machine when the archive was designed, not side by side.
``lanes`` is ``speed`` for a single exploration of ever more rollouts at once, drawn on logarithmic axes beside
``go_explore.jsonl``. No line of a peer is in it: neither paper nor README of the original program (Ecoffet et al.,
uber-research/go-explore) gives frames a second, and it does not run with a Python of today.

One JSON line a row goes to ``experiments/results/benchmarks/go_explore.jsonl``.

    python experiments/benchmarks/go_explore.py --horizons 25 100
    python experiments/benchmarks/go_explore.py --parts memory
    python experiments/benchmarks/go_explore.py --parts lanes --lanes 64 1024 16384
"""

import timing  # first: gymnax starts the backend when it is imported

# isort: split
import dataclasses
import os
import statistics
import sys
from typing import Any

import jax
import jax.numpy as jnp
import tyro

import purejaxexplore as pjx
from purejaxexplore import analysis, archives
from purejaxexplore.analysis.ledger import RESULTS
from purejaxexplore.go_explore.explore import GoExploreConfig, go_explore

PROTOTYPE_MS = {1600: 0.43, 16_384: 1.6, 131_072: 10.7}


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    parts: tuple[str, ...] = ("speed", "memory", "insertion", "lanes")
    """of speed, memory, insertion, lanes"""
    env: str = "KeyRooms"
    """a name that purejaxexplore.make knows"""
    num_seeds: int = 32
    """explorations at once"""
    num_lanes: int = 16
    """rollouts of an exploration at once"""
    horizons: tuple[int, ...] = (25, 100)
    """actions of a rollout"""
    lanes: tuple[int, ...] = (64, 1024, 16_384)
    """rollouts at once of the single exploration of the part lanes"""
    lanes_horizon: int = 100
    """actions of each of them"""
    capacity: int = 4096
    """slots of an archive, a power of two"""
    min_steps: int = 2**21
    """least steps of a timed run, over all seeds and lanes"""
    rounds: int = 5
    """timed runs of each contender"""
    smoke: bool = False
    """seconds only: two seeds, few steps, nothing written"""


def run_together(args: Args, horizon: int) -> dict[str, Any]:
    """The two take turns in this process."""
    env, env_params = pjx.make(args.env)
    lanes = args.num_seeds * args.num_lanes
    iterations = max(2, -(-args.min_steps // (lanes * horizon)))
    slots = iterations * lanes * horizon
    config = GoExploreConfig(
        num_lanes=args.num_lanes, horizon=horizon, capacity=args.capacity, num_iterations=iterations
    )
    explore = jax.vmap(pjx.make_train(go_explore(env, env_params, config), iterations))

    def play(keys):
        key_reset, key_run = jax.random.split(keys[0])
        _, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(key_reset, lanes), env_params)

        def advance(carry, key):
            state, total = carry
            key_action, key_step = jax.random.split(key)
            action = jax.random.randint(key_action, (lanes,), 0, env.num_actions)
            observation, state, reward, *_ = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
                jax.random.split(key_step, lanes), state, action, env_params
            )
            return (state, total + observation.sum(dtype=jnp.float32) + reward.sum(dtype=jnp.float32)), None

        return jax.lax.scan(advance, (state, jnp.float32(0)), jax.random.split(key_run, iterations * horizon))[0]

    keys = jax.random.split(jax.random.key(0), args.num_seeds)
    programs = {"random": timing.compile_ahead(play, keys), "go_explore": timing.compile_ahead(explore, keys)}
    turns = {"gemm": timing.gemm()} | {name: timing.Turn(lambda: (keys,), p.call) for name, p in programs.items()}
    metrics = programs["go_explore"].call(keys)[1]
    executed = float(metrics["env_steps"][:, -1].sum()) / slots
    times = timing.interleave(turns, args.rounds)
    row: dict[str, Any] = {
        "steps": slots,
        "gemm_gflop_per_second": timing.rate(timing.GEMM_FLOP, times["gemm"]) / 1e9,
        "random_steps_per_second": timing.rate(slots, times["random"]),
        "go_explore_steps_per_second": timing.rate(slots * executed, times["go_explore"]),
        "executed": executed,
        "fraction": executed * timing.ratio(times["go_explore"], times["random"]),
        "fraction_of_slots": timing.ratio(times["go_explore"], times["random"]),
        "mean_cells": float(metrics["cells"][:, -1].mean()),
        "overflow": int(metrics["overflow"][:, -1].sum()),
        "success": float(metrics["success"][:, -1].mean()),
    }
    for name, program in programs.items():
        row |= {f"{name}_compile_seconds": program.compile_seconds, f"{name}_planned_mb": program.planned_mb}
    return row | {"peak_rss_mb": timing.peak_rss_mb()}


def plan_memory(num_seeds: int) -> dict[str, Any]:
    """What one iteration of all seeds needs, in the sheet's setting of KeyRooms: nothing is run."""
    env, env_params = pjx.make("KeyRooms")
    config = GoExploreConfig(num_lanes=16, horizon=30, capacity=2048, num_iterations=300)
    algorithm = go_explore(env, env_params, config)
    keys = jax.random.split(jax.random.key(0), num_seeds)
    state = jax.eval_shape(jax.vmap(algorithm.init), keys)
    step = timing.compile_ahead(lambda state, keys: jax.vmap(algorithm.step)(keys, state), state, keys, donate=(0,))
    record = sum(leaf.nbytes for leaf in jax.tree.leaves(env.pack(env.reset_env(keys[0], env_params)[1]))) + 4
    table = config.capacity * (28 + record + 4)
    formula = table + 4 * 300 * config.num_lanes + 3 * config.num_lanes * config.horizon * (16 + record)
    per_seed = step.planned_mb * 1e6 / num_seeds
    return {
        "num_seeds": num_seeds, "record_bytes": record, "planned_bytes_per_seed": per_seed,
        "formula_bytes_per_seed": formula, "planned_over_formula": per_seed / formula,
        "planned_gb": step.planned_mb / 1e3,
    }  # fmt: skip


def time_insertion(batch: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of an insertion of random records into a table of 2^20 slots, among 16 of a program."""
    capacity, record = 2**20, jnp.zeros(16, jnp.int32)
    slots, scores, ties = jax.random.randint(jax.random.key(0), (3, 16, batch), 0, capacity)
    payload = jnp.zeros((batch, 16), jnp.int32)

    def empty():
        return (archives.init(record, capacity, ("tie", "node", "seen", "chosen", "fresh")),)

    def insert_all(archive):
        def insert(archive, candidates):
            slot, score, tie = candidates
            score = score.astype(jnp.float32)
            return archives.insert(archive, slot, score, payload, tie=tie, node=tie)[0], None

        return jax.lax.scan(insert, archive, (slots, scores, ties))[0]

    program = timing.compile_ahead(insert_all, *empty(), donate=(0,))
    times = [timing.seconds(timing.Turn(empty, program.call)) for _ in range(rounds + 1)][1:]
    return {
        "slots": capacity, "batch": batch, "best_ms": 1e3 * min(times) / 16,
        "median_ms": 1e3 * statistics.median(times) / 16, "prototype_ms": PROTOTYPE_MS.get(batch),
    }  # fmt: skip


def sweep_lanes(args: Args, load: float) -> None:
    """Steps a second of one exploration against the number of its lanes, and the figure."""
    rows = []
    for lanes in args.lanes:
        capacity = max(args.capacity, 2 ** (lanes - 1).bit_length())  # an archive has a slot for every lane
        alone = dataclasses.replace(args, num_seeds=1, num_lanes=lanes, capacity=capacity)
        row = timing.in_fresh_process(run_together, alone, args.lanes_horizon)
        sizes = {"num_lanes": lanes, "horizon": args.lanes_horizon, "capacity": capacity}
        timing.emit(
            "go_explore", args.smoke, part="lanes", env=args.env, load_average=load, rounds=args.rounds, **sizes, **row
        )
        rows.append(row | {"lanes": lanes})
    if args.smoke:
        return
    path = RESULTS / "benchmarks" / "go_explore_lanes.png"
    draw_lanes(rows, args).savefig(path, dpi=200)
    print("written:", path, file=sys.stderr)


def draw_lanes(rows: list[dict[str, Any]], args: Args):
    """Steps a second over lanes, both logarithmic."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter, LogLocator

    shown = {"Random": "random_steps_per_second", "Go-Explore": "go_explore_steps_per_second"}
    lanes = [row["lanes"] for row in rows]
    with analysis.style():
        figure, ax = plt.subplots(figsize=(3.3, 2.5))
        for name, look in analysis.looks(shown).items():
            speed = [row[shown[name]] for row in rows]
            ax.plot(lanes, speed, color=look.color, linestyle=look.linestyle, marker=look.marker, label=name)
        ax.set(xscale="log", yscale="log", xlabel="Rollouts at once", ylabel="Environment steps per second")
        ax.set_xticks(lanes, [f"{count:,}" for count in lanes])
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(EngFormatter(sep=""))
        ax.minorticks_off()
        ax.set_title(f"{args.env}, one exploration")
        ax.legend(loc="best")
    return figure


def main(args: Args) -> None:
    """Measures the parts that are asked for."""
    if args.smoke:
        args = dataclasses.replace(
            args, num_seeds=2, horizons=(10,), lanes=(8,), lanes_horizon=10, min_steps=1, rounds=1
        )
    load = os.getloadavg()[0]
    if "memory" in args.parts:
        for num_seeds in (2,) if args.smoke else (64, 1024):
            row = timing.in_fresh_process(plan_memory, num_seeds)
            timing.emit("go_explore", args.smoke, part="memory", env="KeyRooms", **row)
    if "insertion" in args.parts:
        for batch in (16,) if args.smoke else (1600, 16_384, 131_072):
            row = timing.in_fresh_process(time_insertion, batch, args.rounds)
            timing.emit("go_explore", args.smoke, part="insertion", load_average=load, rounds=args.rounds, **row)
    if "lanes" in args.parts:
        sweep_lanes(args, load)
    if "speed" not in args.parts:
        return
    for horizon in args.horizons:
        row = timing.in_fresh_process(run_together, args, horizon)
        timing.emit(
            "go_explore",
            args.smoke,
            env=args.env,
            num_seeds=args.num_seeds,
            num_lanes=args.num_lanes,
            horizon=horizon,
            rounds=args.rounds,
            **row,
        )
        print(f"{args.env}, horizon {horizon}: fraction {row['fraction']:.2f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
