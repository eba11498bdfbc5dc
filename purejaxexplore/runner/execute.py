"""The host's side of ``run`` and ``sweep``: batches, chunks, evaluations and save points."""

import time
import warnings
from math import ceil, prod
from typing import Any

import jax
import numpy as np

from purejaxexplore.algorithm import State
from purejaxexplore.runner.plan import Plan, identity, origin
from purejaxexplore.runner.program import (
    BUFFER_BYTES,
    Lanes,
    Program,
    available_bytes,
    host_dtype,
    not_finite,
)
from purejaxexplore.runner.progress import Bar, Silent, progress_bar
from purejaxexplore.runner.results import Runs, diverged_lanes, in_memory, stored
from purejaxexplore.runner.spans import Span, join
from purejaxexplore.runner.store import Store, jsonable, open_store

# A chunk lasts about this long, so that the bar moves and a divergence is seen soon.
CHUNK_SECONDS = 2.0
# Measurements held back until the next save, in bytes.
PENDING_BYTES = 256 << 20
# What a program may take of the memory that is free.
MEMORY_SHARE = 0.9


def execute(plan: Plan) -> Runs:
    """Trains every lane for ``num_steps`` iterations, or for what is left of them where ``out`` holds some.

    Raises:
        ValueError, OSError, FloatingPointError: as ``run``.
    """
    if plan.request.out is None:
        return _Execution(plan, None).run()
    store = open_store(plan.request.out, identity(plan), origin(plan.request))
    try:
        return _Execution(plan, store).run()
    finally:
        store.close()


class _Execution:
    """One call of :func:`execute`; the attributes are its local variables."""

    def __init__(self, plan: Plan, store: Store | None):
        self.plan, self.request, self.outline, self.store = plan, plan.request, plan.outline, store
        self.num_lanes = len(plan.lanes.seeds)
        self.batch_size = store.config.get("batch_size") if store else None
        most = min(self.num_lanes, self.request.batch_size or self.num_lanes)
        self.devices = plan.devices[:most]
        if self.batch_size:
            if most < min(self.batch_size, self.num_lanes):
                raise ValueError(
                    f"batch_size={most}: {str(store.path)!r} is stored in batches of {self.batch_size}"
                )
            # A stored batch is split over as many devices as divide it.
            divisors = (n for n in range(len(self.devices), 0, -1) if self.batch_size % n == 0)
            self.devices = self.devices[: next(divisors)]
        self.program: Program | None = None
        self.diverged = np.zeros(self.num_lanes, bool)
        self.full = np.zeros(self.num_lanes, bool)
        self.run_seconds, self.lane_steps = 0.0, 0

    def run(self) -> Runs:
        done = self._done()
        if self.request.num_steps < max(done, default=0):
            raise ValueError(
                f"num_steps={self.request.num_steps}: {str(self.store.path)!r} already holds {max(done)}"
                " iterations; ask for at least as many"
            )
        if self.store and self.request.num_steps != self.store.config["num_steps"]:
            self.store.write_config({**self.store.config, "num_steps": self.request.num_steps})
        if done and min(done) == self.request.num_steps:
            return self._stored_result()
        self._compile()
        num_batches = ceil(self.num_lanes / self.batch_size)
        done = done or [0] * num_batches
        name = self.request.name or "run"
        spans, states = [], []
        total = self.request.num_steps * num_batches
        with progress_bar(self.request.progress, name, total, sum(done), list(self.outline.metrics)) as bar:
            for batch in range(num_batches):
                if self.store and done[batch] == self.request.num_steps:
                    self.diverged[self._block(batch)] = self.store.diverged(batch)
                    continue
                span, state = self._train(batch, bar)
                spans.append(span)
                states.append(state if num_batches == 1 else None if self.store else _to_host(state))
        self._report()
        if self.store:
            self._write_status(finished=True)
            return self._stored_result(states[0] if num_batches == 1 else None)
        found = diverged_lanes(self.diverged, self._description())
        return in_memory(self._description(), {"diverged": found, "timing": self._timing()}, spans, states)

    def _done(self) -> list[int]:
        """Iterations stored so far of each batch; empty for a run that is not stored or has not begun."""
        if not self.batch_size:
            return []
        return [self.store.steps_done(b) for b in range(ceil(self.num_lanes / self.batch_size))]

    def _compile(self) -> None:
        """One program for all batches; compiled again only where the first is too large for the memory."""
        asked = self.request.batch_size
        free = None if self.batch_size or asked else available_bytes(self.devices)
        lanes = min(asked or self.num_lanes, self.num_lanes)
        if free is not None:
            # Twice the state is a lower bound; it spares the compiler a batch that is hopeless.
            leaves = jax.tree.leaves(self.outline.state)
            lane_bytes = 2 * sum(prod(x.shape) * x.dtype.itemsize for x in leaves)
            lanes = min(lanes, max(int(MEMORY_SHARE * free * len(self.devices) // max(lane_bytes, 1)), 1))
        self.program = self._program(self.batch_size or self._even_batch(lanes))
        needed = self.program.bytes_per_device
        if free is not None and needed is not None and needed > MEMORY_SHARE * free:
            lanes = max(int(self.program.num_lanes * MEMORY_SHARE * free / needed), 1)
            self.program = self._program(self._even_batch(lanes))
        self.batch_size = self.program.num_lanes
        if self.store and "batch_size" not in self.store.config:
            self.store.write_config({**self.store.config, "batch_size": self.batch_size})

    def _even_batch(self, most: int) -> int:
        """Lanes in each of the fewest equal batches of at most ``most``, a multiple of the devices."""
        devices = len(self.devices)
        batches = ceil(self.num_lanes / max(most // devices * devices, devices))
        return ceil(ceil(self.num_lanes / batches) / devices) * devices

    def _program(self, num_lanes: int) -> Program:
        row_bytes = num_lanes * sum(x.dtype.itemsize for x in self.outline.metrics.values())
        capacity = self.request.chunk or max(BUFFER_BYTES // row_bytes, 1)
        limit = min(self.request.num_steps, self.request.evaluate_every or self.request.num_steps)
        return Program(
            self.plan.make,
            self.plan.root,
            self.outline,
            self.plan.lanes.settings,
            num_lanes,
            min(capacity, limit),
            self.devices,
        )

    def _block(self, batch: int) -> slice:
        return slice(batch * self.batch_size, min((batch + 1) * self.batch_size, self.num_lanes))

    def _train(self, batch: int, bar: Silent | Bar) -> tuple[Span | None, State]:
        """Takes a batch to ``num_steps``; returns its states and what is not stored yet."""
        program, num_steps, block = self.program, self.request.num_steps, self._block(batch)
        # The last batch is filled up with copies of its last lane, which are dropped from every result.
        filled = np.minimum(np.arange(block.start, block.start + self.batch_size), self.num_lanes - 1)
        lanes = program.place(jax.tree.map(lambda x: x[filled], self.plan.lanes))
        done, state = self.store.resume(batch, program.state_shape) if self.store else (0, None)
        if state is None:
            state = program.init(lanes)
        elif done:
            self.diverged[block] = self.store.diverged(batch)
        pace, pending, saved_at = _Pace(program.capacity, self.request.chunk), [], time.perf_counter()
        while done < num_steps:
            begin = time.perf_counter() - program.compile_seconds
            state, span = self._chunk(lanes, state, done, pace.next(self._until_visit(done)), block)
            seconds = time.perf_counter() - program.compile_seconds - begin
            pace.took(span.stop - done, seconds)
            self.run_seconds += seconds
            self.lane_steps += (span.stop - done) * len(span.diverged)
            done = span.stop
            pending.append(span)
            due = (
                time.perf_counter() - saved_at >= self.request.save_seconds or _bytes(pending) > PENDING_BYTES
            )
            if self.store and (due or done == num_steps):
                self.store.save(batch, join(pending), state)
                self._write_status(finished=False)
                pending, saved_at = [], time.perf_counter()
            bar.update(span)
        return (join(pending) if pending else None), state

    def _until_visit(self, done: int) -> int:
        """Iterations until the run ends or ``evaluate`` is due."""
        every = self.request.evaluate_every
        left = self.request.num_steps - done
        return left if every is None else min(left, every - done % every)

    def _chunk(self, lanes: Lanes, state: State, start: int, count: int, block: slice) -> tuple[State, Span]:
        """``count`` iterations and, where it is due after them, ``evaluate``."""
        stop, real = start + count, block.stop - block.start
        state, metrics, diverged = self.program.advance(lanes, state, start, count)
        evaluated_at = np.zeros(0, np.int64)
        evaluations = {
            k: np.zeros((0, real), host_dtype(x)) for k, x in (self.outline.evaluations or {}).items()
        }
        if evaluations and stop % self.request.evaluate_every == 0:
            evaluated_at = np.array([stop])
            evaluations = {k: v[None, :real] for k, v in self.program.evaluate(lanes, state, stop).items()}
        diverged = diverged[:real] | not_finite(evaluations)
        span = Span(
            start, stop, {k: v[:, :real] for k, v in metrics.items()}, evaluated_at, evaluations, diverged
        )
        self.diverged[block] |= diverged
        if self.request.on_nan == "raise" and diverged.any():
            raise FloatingPointError(f"{self._diverged_text()}: not finite by iteration {stop}")
        if "overflow" in metrics:
            self.full[block] |= metrics["overflow"][-1, :real] > 0
        if self.request.on_full == "raise" and self.full[block].any():
            raise OverflowError(f"{self._full_text()} by iteration {stop}")
        return state, span

    def _report(self) -> None:
        if self.request.on_nan == "report" and self.diverged.any():
            warnings.warn(f"{self._diverged_text()}: a NaN in the state or a metric not finite", stacklevel=5)
        if self.request.on_full == "report" and self.full.any():
            warnings.warn(self._full_text(), stacklevel=5)

    def _full_text(self) -> str:
        return f"archive full in {self.full.sum()} of {self.num_lanes} seeds, see the metric overflow: raise capacity="

    def _diverged_text(self) -> str:
        found = diverged_lanes(self.diverged, self._description())
        listed = ", ".join(map(str, found[:20])) + (", ..." if len(found) > 20 else "")
        return f"diverged: seed{'s' if len(found) > 1 else ''} {listed} ({len(found)} of {self.num_lanes})"

    def _timing(self) -> dict[str, float]:
        compiled = self.program.compile_seconds if self.program else 0.0
        rate = self.lane_steps / self.run_seconds if self.run_seconds else 0.0
        return {"compile_seconds": compiled, "run_seconds": self.run_seconds, "steps_per_second": rate}

    def _write_status(self, finished: bool) -> None:
        found = diverged_lanes(self.diverged, self._description())
        self.store.write_status({"finished": finished, "diverged": found, "timing": self._timing()})

    def _description(self) -> dict[str, Any]:
        """The part of ``config.json`` that results are read with."""
        return {
            "name": self.request.name,
            "num_seeds": self.request.num_seeds,
            "first_seed": self.request.first_seed,
            "num_steps": self.request.num_steps,
            "over": {k: jsonable(v) for k, v in self.plan.axes.items()},
            "batch_size": self.batch_size,
        }

    def _stored_result(self, state: State | None = None) -> Runs:
        return stored(self.store.path, self.outline.state, None if state is None else [state])


class _Pace:
    """How many iterations the next chunk runs: ``chunk`` where it is given, else towards CHUNK_SECONDS."""

    def __init__(self, capacity: int, chunk: int | None):
        self._capacity, self._size, self._fixed = capacity, chunk or 1, chunk is not None

    def next(self, limit: int) -> int:
        return min(self._size, self._capacity, limit)

    def took(self, rows: int, seconds: float) -> None:
        if not self._fixed:
            growth = min(CHUNK_SECONDS / max(seconds, 1e-9), 8.0)
            self._size = max(int(rows * growth), 1)


def _bytes(spans: list[Span]) -> int:
    return sum(x.nbytes for span in spans for x in span.metrics.values())


def _to_host(state: State) -> State:
    """The state off the devices, to make room for the next batch; keys are small and stay."""
    return jax.tree.map(
        lambda x: x if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x), state
    )
