"""``run``: one algorithm, many seeds."""

import os
from collections.abc import Sequence
from typing import Any

import jax

from purejaxexplore.algorithm import Algorithm, require_algorithm
from purejaxexplore.runner.execute import execute
from purejaxexplore.runner.plan import SAVE_SECONDS, Request, prepare
from purejaxexplore.runner.results import Runs


def run(
    algorithm: Algorithm,
    num_seeds: int,
    num_steps: int,
    *,
    key: int | jax.Array = 0,
    first_seed: int = 0,
    out: str | os.PathLike | None = None,
    config: Any = None,
    name: str | None = None,
    chunk: int | None = None,
    evaluate_every: int | None = None,
    devices: int | Sequence[jax.Device] | None = None,
    batch_size: int | None = None,
    save_seconds: float = SAVE_SECONDS,
    progress: bool | str | None = None,
    on_nan: str = "report",
    on_full: str = "report",
) -> Runs:
    """Trains ``num_seeds`` copies of an algorithm for ``num_steps`` iterations, as one compiled program.

    Iteration ``t`` of seed ``i`` receives the key ``fold_in(fold_in(key, i), t)``, so a seed gives the same
    numbers in a run of 8 and of 8,000, in chunks of any length, on any number of devices, and when it is
    resumed. A program of another batch size may round sums of floats differently; everything else is bit for
    bit.

    Args:
        algorithm: from a factory.
        num_seeds: seeds ``first_seed, ..., first_seed + num_seeds - 1``.
        num_steps: iterations of ``algorithm.step`` in all. A stored run is continued by asking for more.
        key: of the whole run, a number or a typed key.
        first_seed: the number of the first seed.
        out: directory to store the run in. The same call resumes what is there after a crash or a kill; see
            ``purejaxexplore.runner.store`` for its files.
        config: what made the algorithm (a dataclass or a dict), written to ``config.json`` and compared on
            resuming.
        name: for the progress bar and the data set.
        chunk: iterations between two visits of the host, at most; chosen to last two seconds when left out.
        evaluate_every: iterations between two calls of ``algorithm.evaluate``; None never calls it.
        devices: a number, or a list of devices; by default all of this process. Seeds are split over them.
        batch_size: the most seeds to train at once; by default as many as fit into memory.
        save_seconds: seconds between two save points at least; 0 saves after every chunk.
        progress: True, False, or the metric to show; by default a bar where standard error is a terminal.
        on_nan: what to do about seeds that diverge, which harm no other seed: ``"report"`` them with one
            warning, ``"raise"`` at once, or ``"ignore"``.
        on_full: the same for archives that were full, which their metric ``overflow`` counts: what found no place was
            dropped, and the run went on.

    Returns:
        The runs: metrics, evaluations, final states, diverged seeds.

    Raises:
        TypeError: ``algorithm`` is no Algorithm, or breaks its contract (changing state, metrics not
            scalars).
        ValueError: an argument out of range, or ``out`` holds something else; nothing on disk is touched.
        OSError: the disk fills up; earlier checkpoints are intact.
        FloatingPointError: a seed diverged and ``on_nan="raise"``.
        OverflowError: an archive was full and ``on_full="raise"``.
    """
    require_algorithm(algorithm)
    request = Request(
        num_seeds,
        num_steps,
        key,
        first_seed,
        out,
        config,
        name,
        chunk,
        evaluate_every,
        devices,
        batch_size,
        save_seconds,
        progress,
        on_nan,
        on_full,
    )
    return execute(prepare(lambda settings: algorithm, {}, request))
