"""Quality diversity: evaluations a second on the planar arm, ours against pyribs at equal settings.

``map_elites`` is iso-line variation (0.01, 0.2) of an arm of 12 joints; ``cma_me`` are improvement emitters with sigma
0.2, either one emitter with the whole batch or fifteen of 36 samples. Both sides start from the same uniform solutions,
evaluate in float32 (ours by our domain, theirs by NumPy) and clip to the box of the joints; pyribs' CMA-ME samples
without bounds, since its resampling would only slow it down. A run is a number of batches from an empty archive, ours
as one compiled program that also reduces the archive to its metrics after every batch, theirs as a Python loop over
``ask`` and ``tell``. ``ours_many`` is the same, shorter, for 64 seeds at once; its rate counts the evaluations of all.
Every intermediate array then has a row for each of 64 x batch children: at 4,096 of them twelve joints alone are 13 MB,
which no longer fits into the cache, and each operation of the step goes through memory. ``ours_groups`` trains as many
seeds in one program ``group`` at a time, what ``purejaxexplore.run(..., batch_size=group)`` does.

QDax is not installed beside pyribs, so nothing of it is timed here. ``qdax_evaluations_per_second_not_side_by_side`` is
what it reached at the same task, cells and batch in November 2026 on a machine of the same kind (two cores, JAX on the
CPU, one compiled scan, a nearest-centroid search over all cells): 0.02 million a second at 10,000 cells;
``ours_over_qdax_not_side_by_side`` is the quotient of two separate measurements and says no more than their size.

Before anything is timed, coverage and QD-score of the two are compared: they must agree within ``TOLERANCE``. One JSON
line a configuration goes to ``experiments/results/benchmarks/quality_diversity.jsonl``.

    python experiments/benchmarks/quality_diversity.py --cells 10000 100000 --batches 256 4096
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as pyribs does for its own decompositions

import timing  # first, for the XLA flags

# isort: split
import dataclasses
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from purejaxexplore.algorithm import scan_steps
from purejaxexplore.envs.domains import PlanarArm
from purejaxexplore.quality_diversity import CMAMEConfig, MAPElitesConfig, cma_me, map_elites

JOINTS = 12
OFFSET = -0.5
ISO, LINE, SIGMA = 0.01, 0.2, 0.2
EMITTERS, SAMPLES = 15, 36
QDAX = {
    ("map_elites", 10_000, 256): 20e3, ("map_elites", 10_000, 4096): 20e3, ("cma_me", 10_000, 256): 11e3,
    ("cma_me_15", 10_000, 540): 11e3,
}  # fmt: skip
TOLERANCE = {"map_elites": 0.15, "cma_me": 0.3}  # luck, most in small archives; CMA-ME's updates differ besides


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    systems: tuple[str, ...] = ("map_elites", "cma_me", "cma_me_15")
    """of map_elites, cma_me (one emitter with the batch), cma_me_15 (fifteen of 36)"""
    cells: tuple[int, ...] = (10_000, 100_000)
    """cells of the grid, the product of two whole sides; CMA-ME runs on the first only"""
    batches: tuple[int, ...] = (256, 4096)
    """evaluations of a batch; CMA-ME with one emitter runs with the first only"""
    evaluations: int = 2**19
    """evaluations of a timed run; of each seed a sixteenth in the run of many"""
    seeds: int = 64
    """seeds at once in the run of many"""
    group: int = 4
    """seeds at once in the run of groups"""
    rounds: int = 5
    """timed runs of each contender"""
    smoke: bool = False
    """seconds only: small configurations, nothing written"""


def sides(cells: int) -> tuple[int, int]:
    """The two sides of the grid, as equal as they can be.

    Raises:
        ValueError: ``cells`` is a prime or less than 4.
    """
    side = next((s for s in range(math.isqrt(max(cells, 0)), 1, -1) if cells % s == 0), None)
    if side is None:
        raise ValueError(f"cells={cells}: expected a product of two whole sides, for instance 10000")
    return side, cells // side


def arm(solutions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The planar arm in NumPy."""
    angle = np.cumsum(np.float32(2 * np.pi) * solutions - np.float32(np.pi), axis=1)
    place = np.stack([np.cos(angle).sum(1), np.sin(angle).sum(1)], axis=1)
    return -solutions.std(1), 0.5 + 0.5 / solutions.shape[1] * place


def run_together(
    system: str, cells: int, batch: int, evaluations: int, seeds: int, group: int, rounds: int
) -> dict[str, Any]:
    """Checks that both do the same work, then takes turns."""
    from ribs.archives import GridArchive
    from ribs.emitters import EvolutionStrategyEmitter, IsoLineEmitter
    from ribs.schedulers import Scheduler

    bins = sides(cells)
    domain = PlanarArm(JOINTS)
    emitters = EMITTERS if system == "cma_me_15" else 1
    samples = SAMPLES if system == "cma_me_15" else batch
    start = np.random.default_rng(0).random((max(batch, emitters), JOINTS), np.float32)

    def initial(key, num):
        return jnp.asarray(start[:num])

    if system == "map_elites":
        algorithm = map_elites(domain, MAPElitesConfig(offset=OFFSET, bins=bins, batch_size=batch), initial=initial)
    else:
        config = CMAMEConfig(sigma=SIGMA, offset=OFFSET, bins=bins, num_emitters=emitters, num_samples=samples)
        algorithm = cma_me(domain, config, initial=initial)
    steps = max(1, evaluations // batch)
    few = max(1, steps // 16)

    def train(seed_key, state):
        return scan_steps(algorithm, seed_key, state, 0, steps)

    def train_many(seed_keys, states):
        return jax.vmap(lambda key, state: scan_steps(algorithm, key, state, 0, few))(seed_keys, states)

    def train_groups(seed_keys, states):
        def train_few(inputs):
            return scan_steps(algorithm, *inputs, 0, few)

        return jax.lax.map(train_few, (seed_keys, states), batch_size=group)

    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(seeds))
    init, init_many = jax.jit(algorithm.init), jax.jit(jax.vmap(algorithm.init))
    one = timing.compile_ahead(train, keys[0], init(keys[0]), donate=(1,))
    many = timing.compile_ahead(train_many, keys, init_many(keys), donate=(1,))
    groups = timing.compile_ahead(train_groups, keys, init_many(keys), donate=(1,))

    def ribs_scheduler():
        archive = GridArchive(
            solution_dim=JOINTS, dims=bins, ranges=list(zip(domain.low, domain.high, strict=True)),
            dtype=np.float32, qd_score_offset=OFFSET, seed=0,
        )  # fmt: skip
        if system == "map_elites":
            made = [
                IsoLineEmitter(
                    archive, iso_sigma=ISO, line_sigma=LINE, initial_solutions=start[:batch],
                    bounds=[(0.0, 1.0)] * JOINTS, batch_size=batch, seed=0,
                )
            ]  # fmt: skip
        else:
            made = [
                EvolutionStrategyEmitter(archive, x0=start[i], sigma0=SIGMA, batch_size=samples, seed=i)
                for i in range(emitters)
            ]
        return (Scheduler(archive, made),)

    def ribs_run(scheduler):
        for _ in range(steps + (system == "map_elites")):  # ours evaluates the first batch before the clock starts
            scheduler.tell(*arm(np.clip(scheduler.ask(), 0.0, 1.0)))
        return scheduler.archive.stats.num_elites

    found = agree(system, one.call(keys[0], init(keys[0]))[1], ribs_scheduler()[0], ribs_run)
    turns = {
        "gemm": timing.gemm(),
        "ours": timing.Turn(lambda: (keys[0], init(keys[0])), one.call),
        "ours_many": timing.Turn(lambda: (keys, init_many(keys)), many.call),
        "ours_groups": timing.Turn(lambda: (keys, init_many(keys)), groups.call),
        "ribs": timing.Turn(ribs_scheduler, ribs_run),
    }
    times = timing.interleave(turns, rounds)
    amounts = {
        "ours": steps * batch,
        "ours_many": seeds * few * batch,
        "ours_groups": seeds * few * batch,
        "ribs": (steps + (system == "map_elites")) * batch,
    }
    qdax = QDAX.get((system, cells, batch))
    per_evaluation = {name: [t / amount for t in times[name]] for name, amount in amounts.items()}
    row: dict[str, Any] = {"gemm_gflop_per_second": timing.rate(timing.GEMM_FLOP, times["gemm"]) / 1e9}
    row |= {f"{name}_evaluations_per_second": timing.rate(amount, times[name]) for name, amount in amounts.items()}
    return row | {
        "ours_over_ribs": timing.ratio(per_evaluation["ours"], per_evaluation["ribs"]),
        "qdax_evaluations_per_second_not_side_by_side": qdax,
        "ours_over_qdax_not_side_by_side": qdax and row["ours_evaluations_per_second"] / qdax,
        "ours_many_over_ours": timing.ratio(per_evaluation["ours_many"], per_evaluation["ours"]),
        "ours_groups_over_ours": timing.ratio(per_evaluation["ours_groups"], per_evaluation["ours"]),
        **found,
        "ours_compile_seconds": one.compile_seconds,
        "ours_many_compile_seconds": many.compile_seconds,
        "ours_planned_mb": one.planned_mb,
        "ours_many_planned_mb": many.planned_mb,
        "ours_groups_planned_mb": groups.planned_mb,
        "peak_rss_mb": timing.peak_rss_mb(),
    }


def agree(system: str, metrics: dict[str, jax.Array], scheduler, ribs_run) -> dict[str, float]:
    """Coverage and QD-score of both.

    Raises:
        RuntimeError: they differ by more than the tolerance, so that the two did not do the same work.
    """
    ribs_run(scheduler)
    stats = scheduler.archive.stats
    found = {}
    for name, theirs in (("coverage", stats.coverage), ("qd_score", stats.qd_score)):
        ours, theirs = float(metrics[name][-1]), float(theirs)
        if abs(ours - theirs) > TOLERANCE[system.removesuffix("_15")] * theirs:
            raise RuntimeError(f"{name} is {ours:.4g}, that of pyribs {theirs:.4g}")
        found |= {f"ours_{name}": ours, f"ribs_{name}": theirs}
    return found


def configurations(args: Args) -> list[tuple[str, int, int]]:
    """(system, cells, batch)."""
    chosen = []
    for system in args.systems:
        if system == "map_elites":
            chosen += [(system, cells, batch) for cells in args.cells for batch in args.batches]
        elif system == "cma_me":
            chosen.append((system, args.cells[0], args.batches[0]))
        elif system == "cma_me_15":
            chosen.append((system, args.cells[0], EMITTERS * SAMPLES))
        else:
            raise ValueError(f"systems={system!r}: expected some of map_elites, cma_me, cma_me_15")
    return chosen


def main(args: Args) -> None:
    if args.smoke:
        args = dataclasses.replace(args, cells=(100,), batches=(64,), evaluations=2**14, seeds=2, group=1, rounds=1)
    for system, cells, batch in configurations(args):
        row = timing.in_fresh_process(
            run_together, system, cells, batch, args.evaluations, args.seeds, args.group, args.rounds
        )
        timing.emit(
            "quality_diversity",
            args.smoke,
            system=system,
            joints=JOINTS,
            cells=cells,
            batch=batch,
            evaluations=args.evaluations,
            seeds=args.seeds,
            group=args.group,
            rounds=args.rounds,
            peers={"ribs": timing.package_version("ribs")},
            **row,
        )
        ratios = ", ".join(f"{name} {row[name]:.2f}" for name in row if "_over_" in name and row[name])
        print(f"{system}, {cells} cells, batch {batch}: {ratios}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
