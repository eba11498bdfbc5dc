"""Archive insertion: candidates a second into a grid of cells, ours against pyribs' GridArchive.

Both get the same candidates, drawn beforehand: a float32 payload of 12 numbers, a 2-d descriptor uniform on the unit
square and a score, continuous or (``ties``) one of four values. A run fills an empty archive with all candidates, batch
by batch. pyribs is a NumPy library and is called once a batch, so ours is timed in the same form (``ours_calls``: one
compiled call a batch, the archive donated, every candidate's status returned) and in the form in which an algorithm
uses it (``ours_scan``: one program that counts the records stored). ``scatters`` is the memory traffic alone: score and
payload of every candidate scattered to slots known beforehand, whoever comes last stays. It is no bound, since an
insertion writes the payload of winners only.

Before anything is timed, the finished archives are compared: the scores of all cells must be equal. One JSON line a
configuration goes to ``experiments/results/benchmarks/archive.jsonl``.

    python experiments/benchmarks/archive.py --cells 10000 100000 --batches 256 4096
"""

import timing  # first, for the XLA flags

# isort: split
import dataclasses
import itertools
import math
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from purejaxexplore import archives

PAYLOAD_SIZE = 12
SCORE_LEVELS = 4


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    cells: tuple[int, ...] = (10_000, 100_000)
    """cells of the grid, the product of two whole sides"""
    batches: tuple[int, ...] = (256, 4096)
    """candidates offered at once"""
    scores: tuple[str, ...] = ("continuous", "ties")
    """of continuous, ties"""
    num_candidates: int = 2**19
    """candidates of a timed run"""
    rounds: int = 5
    """timed runs of each contender"""
    smoke: bool = False
    """seconds only: one small configuration, nothing written"""


class Candidates(NamedTuple):
    """All candidates, ``f32[num_batches, batch, ...]``."""

    score: np.ndarray
    descriptor: np.ndarray
    payload: np.ndarray


def sides(cells: int) -> tuple[int, int]:
    """The two sides of the grid, as equal as they can be.

    Raises:
        ValueError: ``cells`` is a prime or less than 4.
    """
    side = next((s for s in range(math.isqrt(max(cells, 0)), 1, -1) if cells % s == 0), None)
    if side is None:
        raise ValueError(f"cells={cells}: expected a product of two whole sides, for instance 10000")
    return side, cells // side


def draw(num_candidates: int, batch: int, scores: str) -> Candidates:
    rng = np.random.default_rng(0)
    shape = (num_candidates // batch, batch)
    score, descriptor = rng.random(shape), rng.random((*shape, 2))
    if scores == "ties":
        score = np.floor(SCORE_LEVELS * score)
    payload = rng.standard_normal((*shape, PAYLOAD_SIZE))
    return Candidates(*(x.astype(np.float32) for x in (score, descriptor, payload)))


def run_together(cells: int, batch: int, scores: str, num_candidates: int, rounds: int) -> dict[str, Any]:
    """Checks that all agree, then takes turns."""
    from ribs.archives import GridArchive

    bins = sides(cells)
    low, high = np.zeros(2, np.float32), np.ones(2, np.float32)
    candidates = draw(num_candidates, batch, scores)
    on_device = jax.device_put(candidates)
    split = [jax.tree.map(lambda x, i=i: x[i], on_device) for i in range(len(candidates.score))]

    def empty():
        return archives.init(jnp.zeros(PAYLOAD_SIZE), cells)

    def insert(archive, batch: Candidates):
        slot = archives.indices.grid_slots(batch.descriptor, low, high, bins)
        return archives.insert(archive, slot, batch.score, batch.payload)

    def insert_all(archive, batches: Candidates):
        def body(archive, batch):
            archive, info = insert(archive, batch)
            return archive, info.win.sum()

        return jax.lax.scan(body, archive, batches)

    one = timing.compile_ahead(insert, empty(), split[0], donate=(0,))
    scan = timing.compile_ahead(insert_all, empty(), on_device, donate=(0,))

    def insert_each(archive):
        for part in split:
            archive, _ = one.call(archive, part)
        return archive

    def scatter_all(archive, slots, batches):
        def body(table, inputs):
            (score, payload), (slot, batch) = table, inputs
            return (score.at[slot].max(batch.score), payload.at[slot].set(batch.payload)), None

        return jax.lax.scan(body, (archive.score, archive.payload), (slots, batches))[0]

    slots = jax.vmap(lambda d: archives.indices.grid_slots(d, low, high, bins))(on_device.descriptor)
    scatters = timing.compile_ahead(scatter_all, empty(), slots, on_device)

    def ribs_archive():
        ranges = list(zip(low, high, strict=True))
        return (GridArchive(solution_dim=PAYLOAD_SIZE, dims=bins, ranges=ranges, dtype=np.float32),)

    def ribs_add(archive):
        for score, descriptor, payload in zip(*candidates, strict=True):
            archive.add(payload, score, descriptor)
        return archive.stats.num_elites

    differing = compare(insert_each(empty()), *ribs_archive(), ribs_add, cells)
    turns = {
        "gemm": timing.gemm(),
        "scatters": timing.Turn(lambda: (empty(), slots, on_device), scatters.call),
        "ours_scan": timing.Turn(lambda: (empty(), on_device), scan.call),
        "ours_calls": timing.Turn(lambda: (empty(),), insert_each),
        "ribs": timing.Turn(ribs_archive, ribs_add),
    }
    times = timing.interleave(turns, rounds)
    total = candidates.score.size
    row: dict[str, Any] = {"gemm_gflop_per_second": timing.rate(timing.GEMM_FLOP, times["gemm"]) / 1e9}
    row |= {f"{name}_insertions_per_second": timing.rate(total, times[name]) for name in turns if name != "gemm"}
    row |= {f"{name}_over_ribs": timing.ratio(times[name], times["ribs"]) for name in ("ours_scan", "ours_calls")}
    return row | {
        "ours_scan_over_scatters": timing.ratio(times["ours_scan"], times["scatters"]),
        "cells_with_another_elite": differing,
        "ours_scan_compile_seconds": scan.compile_seconds,
        "ours_calls_compile_seconds": one.compile_seconds,
        "ours_scan_planned_mb": scan.planned_mb,
        "peak_rss_mb": timing.peak_rss_mb(),
    }


def compare(ours, ribs_archive, ribs_add, cells: int) -> int:
    """The number of cells in which the two keep different, equally good records.

    Raises:
        RuntimeError: some cell's score differs, so that the two did not do the same work.
    """
    ribs_add(ribs_archive)
    elites = ribs_archive.data()
    score = np.full(cells, -np.inf, np.float32)
    score[elites["index"]] = elites["objective"]
    payload = np.zeros((cells, PAYLOAD_SIZE), np.float32)
    payload[elites["index"]] = elites["solution"]
    differing = int((score != np.asarray(ours.score)).sum())
    if differing:
        raise RuntimeError(f"{differing} of {cells} cells have another score than in pyribs")
    return int((payload != np.asarray(ours.payload)).any(-1).sum())


def main(args: Args) -> None:
    if args.smoke:
        args = dataclasses.replace(args, cells=(100,), batches=(64,), num_candidates=4096, rounds=1)
    for cells, batch, scores in itertools.product(args.cells, args.batches, args.scores):
        row = timing.in_fresh_process(run_together, cells, batch, scores, args.num_candidates, args.rounds)
        timing.emit(
            "archive",
            args.smoke,
            cells=cells,
            batch=batch,
            scores=scores,
            candidates=args.num_candidates // batch * batch,
            rounds=args.rounds,
            peers={"ribs": timing.package_version("ribs")},
            **row,
        )
        ratios = ", ".join(f"{name} {row[name]:.2f}" for name in row if "_over_" in name)
        print(f"{cells} cells, batch {batch}, {scores}: {ratios}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
