"""How every benchmark of this folder is timed.

- Contenders take turns in one process (A B C A B C ...) under one set of XLA flags, so that a slow minute of the
  machine meets all of them. A ratio is the median over the rounds of the ratio within a round.
- Compilation (trace, lower and XLA, no persistent cache) is timed apart; a run is timed until its last array is ready.
- The machine's 2048 x 2048 matrix product takes a turn in every round: the yardstick for counted FLOPs.
- Peak memory is what the compiler plans (arguments, results, scratch), and the high-water mark of a process of its own.

Importing this module imports purejaxexplore before any backend starts, which sets the XLA flag that vmapped training
needs on CPU; peers therefore run under the same flags as we do.
"""

import gc
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.analysis.ledger import RESULTS, benchmark_line

GEMM_SIZE = 2048
GEMM_FLOP = 2 * GEMM_SIZE**3


class Compiled(NamedTuple):
    """A program compiled ahead of time.

    Attributes:
        call: takes the arguments it was compiled for.
        trace_seconds: tracing and lowering, Python's part.
        xla_seconds: the compiler's part.
        planned_mb: arguments, results and scratch of one call, aliased buffers counted once, 10^6 bytes.
    """

    call: Callable[..., Any]
    trace_seconds: float
    xla_seconds: float
    planned_mb: float

    @property
    def compile_seconds(self) -> float:
        """Tracing, lowering and XLA together."""
        return self.trace_seconds + self.xla_seconds


class Turn(NamedTuple):
    """What a contender does in a round: ``run(*prepare())``, where only ``run`` is timed."""

    prepare: Callable[[], tuple]
    run: Callable[..., Any]


def compile_ahead(function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()) -> Compiled:
    """Compiles ``function`` for arguments of these shapes."""
    start = time.perf_counter()
    lowered = jax.jit(function, donate_argnums=donate).lower(*arguments)
    middle = time.perf_counter()
    compiled = lowered.compile()
    end = time.perf_counter()
    memory = compiled.memory_analysis()
    planned = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
    return Compiled(compiled, middle - start, end - middle, planned / 1e6)


def seconds(turn: Turn) -> float:
    """Wall time of one run, until its results are ready."""
    arguments = jax.block_until_ready(turn.prepare())
    start = time.perf_counter()
    result = jax.block_until_ready(turn.run(*arguments))
    end = time.perf_counter()
    del result
    return end - start


def interleave(turns: Mapping[str, Turn], rounds: int) -> dict[str, list[float]]:
    """Seconds of every contender in every round; one round of warm-up comes before and is not counted.

    Every round begins with an untimed run of the first contender: right after the garbage is collected whoever comes
    first pays for memory that was given back (half as long again for an update of 40 milliseconds).
    """
    times: dict[str, list[float]] = {name: [] for name in turns}
    for r in range(-1, rounds):
        gc.collect()
        seconds(next(iter(turns.values())))
        for name, turn in turns.items():
            spent = seconds(turn)
            if r >= 0:
                times[name].append(spent)
    return times


def gemm() -> Turn:
    """The yardstick: a float32 matrix product of 2048, ``GEMM_FLOP`` operations."""
    a, b = jax.random.normal(jax.random.key(0), (2, GEMM_SIZE, GEMM_SIZE))
    return Turn(lambda: (a, b), compile_ahead(jnp.matmul, a, b).call)


def rate(amount: float, times: list[float]) -> float:
    """``amount`` per second, by the median time."""
    return amount / statistics.median(times)


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times faster we are: the median over rounds of their time over ours."""
    return statistics.median(peer / own for own, peer in zip(ours, theirs, strict=True))


def peak_rss_mb() -> float:
    """High-water mark of this process's resident memory so far, 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage inherits the parent's mark through exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` in a new interpreter, so that memory and compile time are its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def package_version(name: str) -> str | None:
    """The version of a peer, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def emit(benchmark: str, smoke: bool, **fields: Any) -> None:
    """Prints one row as a JSON line and appends it to the results; a smoke run leaves the results alone."""
    fields = {"xla_flags": os.environ.get("XLA_FLAGS", "").strip(), **rounded(fields)}
    with tempfile.TemporaryDirectory() as scratch:
        benchmark_line(benchmark, directory=scratch if smoke else RESULTS / "benchmarks", **fields)


def rounded(value: Any) -> Any:
    """Floats to four significant digits, at any depth."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
