"""A progress bar, moved by the host between chunks; nothing inside the compiled program knows of it."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from purejaxexplore.checks import nearest
from purejaxexplore.runner.spans import Span


class Silent:
    """Shows nothing."""

    def update(self, span: Span) -> None:
        """Ignores the chunk."""


class Bar:
    """Iterations done, steps per second over all seeds and the running mean of one metric.

    Args:
        bar: a started ``rich.progress.Progress``.
        task: its only task.
        metric: the metric to show, or None.
    """

    def __init__(self, bar: Any, task: Any, metric: str | None):
        self._bar, self._task, self._metric = bar, task, metric
        self._seen, self._clock = None, time.perf_counter()

    def update(self, span: Span) -> None:
        """Shows a chunk. ``env_steps`` is taken to count from the start of each seed."""
        now, metrics = time.perf_counter(), span.metrics
        unit, done = "iterations", (span.stop - span.start) * len(span.diverged)
        if "env_steps" in metrics:
            total = float(metrics["env_steps"][-1].sum(dtype=np.float64))
            first = float(metrics["env_steps"][0].sum(dtype=np.float64)) if self._seen is None else self._seen
            unit, done, self._seen = "steps", max(total - first, 0.0), total
        text = f"{_short(done / max(now - self._clock, 1e-9))} {unit}/s"
        if self._metric is not None:
            text += f"  {self._metric} {_finite_mean(metrics[self._metric]):.4g}"
        self._clock = now
        self._bar.update(self._task, advance=span.stop - span.start, rate=text)


def require_progress(progress: bool | str | None, metrics: list[str]) -> None:
    """Raises ValueError when ``progress`` names no metric."""
    if not (progress is None or isinstance(progress, bool) or progress in metrics):
        said = f"progress={progress!r}: expected True, False, None or a metric ({', '.join(metrics)})"
        raise ValueError(said + nearest(progress, metrics))


def progress_bar(
    progress: bool | str | None, name: str, total: int, done: int, metrics: list[str]
) -> AbstractContextManager[Silent | Bar]:
    """The bar that ``progress`` asks for, as a context.

    Args:
        progress: True, False, the metric to show, or None: a bar where standard error is a terminal.
        name: what stands before the bar.
        total: iterations in all, over the batches.
        done: of which already done.
        metrics: the names to choose from; see :func:`require_progress`.
    """
    if not progress and not (progress is None and sys.stderr.isatty()):
        return nullcontext(Silent())
    metric = (
        progress
        if isinstance(progress, str)
        else next((m for m in ("episode_return",) if m in metrics), None)
    )
    return _shown(name, total, done, metric)


class _shown(AbstractContextManager):
    def __init__(self, name: str, total: int, done: int, metric: str | None):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(name, total=total, completed=done, rate="compiling")
        self._metric = metric

    def __enter__(self) -> Bar:
        self._bar.start()
        return Bar(self._bar, self._task, self._metric)

    def __exit__(self, *error) -> None:
        self._bar.stop()


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _short(rate: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.3g} {suffix}"
    return f"{rate:.3g}"
