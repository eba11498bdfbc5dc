"""Measurements of consecutive iterations, and how they go to disk and come back."""

import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """What a batch of lanes measured in the iterations ``start, ..., stop - 1``.

    Attributes:
        start: iterations that came before.
        stop: iterations done at its end.
        metrics: name -> [stop - start, lanes].
        evaluated_at: i64[E], iterations done at each evaluation, in ``(start, stop]``.
        evaluations: name -> [E, lanes].
        diverged: bool[lanes], a NaN in the state or a metric that is not finite.
    """

    start: int
    stop: int
    metrics: dict[str, np.ndarray]
    evaluated_at: np.ndarray
    evaluations: dict[str, np.ndarray]
    diverged: np.ndarray


def join(spans: Sequence[Span]) -> Span:
    """One span of several, which must follow each other without a gap."""
    first = spans[0]
    if len(spans) == 1:
        return first
    return Span(
        first.start,
        spans[-1].stop,
        {k: np.concatenate([s.metrics[k] for s in spans]) for k in first.metrics},
        np.concatenate([s.evaluated_at for s in spans]),
        {k: np.concatenate([s.evaluations[k] for s in spans]) for k in first.evaluations},
        np.logical_or.reduce([s.diverged for s in spans]),
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Puts ``content`` at ``path``; a reader, or a crash, finds the old file or the new one, never a part."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def write_span(directory: Path, span: Span) -> None:
    """Stores a span as ``directory/steps_START_STOP.npz``."""
    directory.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        evaluated_at=span.evaluated_at,
        diverged=span.diverged,
        **{f"metrics.{k}": v for k, v in span.metrics.items()},
        **{f"evaluations.{k}": v for k, v in span.evaluations.items()},
    )
    write_atomically(directory / f"steps_{span.start:010d}_{span.stop:010d}.npz", buffer.getvalue())


def stored_spans(directory: Path) -> list[tuple[int, int, Path]]:
    """``(start, stop, path)`` of the stored spans that follow each other from iteration 0."""
    chain, reached = [], 0
    for path in sorted(directory.glob("steps_*.npz")):
        start, stop = map(int, path.stem.split("_")[1:])
        if start == reached and stop > start and zipfile.is_zipfile(path):
            chain.append((start, stop, path))
            reached = stop
    return chain


def is_sound(path: Path) -> bool:
    """Whether every byte of a stored span agrees with its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def read_span(start: int, stop: int, path: Path) -> Span:
    """The span that :func:`write_span` stored."""
    with np.load(path) as stored:
        arrays = dict(stored)
    metrics = {k.removeprefix("metrics."): v for k, v in arrays.items() if k.startswith("metrics.")}
    evaluations = {
        k.removeprefix("evaluations."): v for k, v in arrays.items() if k.startswith("evaluations.")
    }
    return Span(start, stop, metrics, arrays["evaluated_at"], evaluations, arrays["diverged"])


def read_diverged(path: Path) -> np.ndarray:
    """``Span.diverged`` alone, without reading the measurements."""
    with np.load(path) as stored:
        return stored["diverged"]
