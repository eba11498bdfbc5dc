"""What a run measured, as labelled arrays: from memory, or from its directory while it runs and after."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm, State, init_key, require_algorithm
from purejaxexplore.runner.spans import Span
from purejaxexplore.runner.store import Store, state_names

if TYPE_CHECKING:
    import xarray


class Runs:
    """The result of ``run`` or ``sweep``; made by them and by :func:`load`.

    Attributes:
        metrics: ``xarray.Dataset``, dimensions ``(swept fields..., seed, step)``. The coordinate ``step``
            counts the iterations done at the time, from 1. While a run of several batches is unfinished, what
            is not measured yet is NaN.
        evaluations: the same for ``Algorithm.evaluate``, at the steps where it was called.
        state: the newest states with leading axes ``[swept fields..., seeds]``. Read from disk without the
            algorithm: a dict, path of the leaf -> array. Of a run in several batches: NumPy arrays. None
            before the first save.
        diverged: the numbers of the seeds with a NaN in the state or a metric that is not finite; of a sweep,
            dicts with the swept fields and the seed.
        path: the directory, or None for a run in memory.
        config: what ``config.json`` holds; of a run in memory, the name and sizes.
        timing: ``compile_seconds``, ``run_seconds`` and ``steps_per_second`` (iterations of ``step`` a
            second, over all seeds, compilation left out), of the process that computed last; also in
            ``metrics.attrs``.
    """

    def __init__(
        self,
        path: Path | None,
        config: dict[str, Any],
        status: dict[str, Any],
        measure: Callable[[], tuple["xarray.Dataset", "xarray.Dataset"]],
        state: Callable[[], State | None],
    ):
        self.path, self.config = path, config
        self.diverged, self.timing = status.get("diverged", []), status.get("timing", {})
        self._measure, self._state = measure, state

    @cached_property
    def _datasets(self) -> tuple["xarray.Dataset", "xarray.Dataset"]:
        return self._measure()

    @property
    def metrics(self) -> "xarray.Dataset":
        return self._datasets[0]

    @property
    def evaluations(self) -> "xarray.Dataset":
        return self._datasets[1]

    @cached_property
    def state(self) -> State | None:
        return self._state()

    def to_parquet(self, path: str | os.PathLike) -> None:
        """Writes a table, one row a step, with columns (swept fields..., seed, step, metrics...)."""
        import pyarrow
        import pyarrow.parquet

        data = self.metrics
        shape = tuple(data.sizes.values())
        columns = {}
        for axis, dim in enumerate(data.sizes):
            along = [-1 if i == axis else 1 for i in range(len(shape))]
            columns[dim] = np.broadcast_to(data[dim].values.reshape(along), shape).reshape(-1)
        for name, values in data.data_vars.items():
            columns[name] = values.transpose(*data.sizes).values.reshape(-1)
        draft = Path(path).with_name(f".{Path(path).name}.tmp")
        pyarrow.parquet.write_table(pyarrow.table(columns), draft)
        os.replace(draft, path)

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else f"in {str(self.path)!r}"
        sizes = ", ".join(f"{self.config[k]} {k.removeprefix('num_')}" for k in ("num_seeds", "num_steps"))
        swept = "".join(f", {len(v)} x {k}" for k, v in self.config.get("over", {}).items())
        return f"Runs({sizes}{swept}, {where}, diverged: {len(self.diverged)})"


def in_memory(
    config: dict[str, Any], status: dict[str, Any], spans: Sequence[Span], states: Sequence[State]
) -> Runs:
    """The runs of lanes that were trained without a directory; ``states`` are padded, one a batch."""
    return Runs(
        None, config, status, lambda: _measured(config, status, spans), lambda: _gathered(config, states)
    )


def stored(path: Path, shape: State | None = None, states: Sequence[State] | None = None) -> Runs:
    """The runs in a directory.

    Args:
        path: with a ``config.json``.
        shape: any pytree with the structure of the state; without it the states are dicts of leaves.
        states: the padded states where they are still at hand.
    """
    store = Store(path)
    config, status = store.config, store.status

    def measure():
        return _measured(config, status, [store.read(batch) for batch in range(_num_batches(config))])

    def state():
        if states is not None:
            return _gathered(config, states)
        found = [store.newest_state(batch) for batch in range(_num_batches(config))]
        found = [leaves for leaves in found if leaves is not None]
        if not found:
            return None
        gathered = _gathered(config, found)
        if shape is None:
            return {name.split(".", 1)[1]: leaf for name, leaf in gathered.items()}
        ordered = [gathered[name] for name in state_names(shape)]
        return jax.tree.unflatten(jax.tree.structure(shape), ordered)

    return Runs(path, config, status, measure, state)


def load_run(path: str | os.PathLike, algorithm: Algorithm | None = None) -> Runs:
    """The runs in a directory with a ``config.json``; see ``load``."""
    shape = None
    if algorithm is not None:
        require_algorithm(algorithm)
        shape = jax.eval_shape(lambda key: algorithm.init(init_key(key)), jax.random.key(0))
    return stored(Path(path), shape)


def diverged_lanes(flags: np.ndarray, config: dict[str, Any]) -> list[Any]:
    """The lanes whose flag is set: seed numbers, or dicts of the swept values and the seed."""
    found = []
    for lane in np.flatnonzero(flags).tolist():
        *settings, seed = np.unravel_index(lane, _lane_shape(config))
        number = config["first_seed"] + int(seed)
        values = {name: config["over"][name][i] for name, i in zip(config["over"], settings, strict=True)}
        found.append({**values, "seed": number} if values else number)
    return found


def _lane_shape(config: dict[str, Any]) -> tuple[int, ...]:
    return (*(len(values) for values in config["over"].values()), config["num_seeds"])


def _num_batches(config: dict[str, Any]) -> int:
    if "batch_size" not in config:
        return 0
    return ceil(int(np.prod(_lane_shape(config))) / config["batch_size"])


def _measured(
    config: dict[str, Any], status: dict[str, Any], spans: Sequence[Span | None]
) -> tuple["xarray.Dataset", "xarray.Dataset"]:
    """The data sets of metrics and evaluations of all batches."""
    spans_found = [span for span in spans if span is not None]
    steps = max((span.stop for span in spans_found), default=0)
    evaluated_at = max((span.evaluated_at for span in spans_found), key=len, default=np.zeros(0, np.int64))
    sizes = [_batch_lanes(config, batch, len(spans)) for batch in range(len(spans))]

    pairs = list(zip(spans, sizes, strict=True))

    def merged(field: str, rows: int) -> dict[str, np.ndarray]:
        names = getattr(spans_found[0], field) if spans_found else ()
        return {
            name: np.concatenate([_padded(span, field, name, rows, size) for span, size in pairs], axis=1)
            for name in names
        }

    named = {"name": config["name"]} if config.get("name") else {}
    metrics = _dataset(config, merged("metrics", steps), np.arange(1, steps + 1))
    evaluations = _dataset(config, merged("evaluations", len(evaluated_at)), evaluated_at)
    attrs = {**named, **status.get("timing", {})}
    return metrics.assign_attrs(attrs), evaluations.assign_attrs(named)


def _padded(span: Span | None, field: str, name: str, rows: int, lanes: int) -> np.ndarray:
    """One measurement of one batch as ``[rows, lanes]``; NaN where the batch has not come so far."""
    values = np.zeros((0, lanes), np.float32) if span is None else getattr(span, field)[name]
    if len(values) == rows:
        return values
    missing = np.full((rows - len(values), lanes), np.nan, np.result_type(values.dtype, np.float32))
    return np.concatenate([values.astype(missing.dtype), missing])


def _batch_lanes(config: dict[str, Any], batch: int, num_batches: int) -> int:
    lanes = int(np.prod(_lane_shape(config)))
    size = config.get("batch_size") or ceil(lanes / num_batches)
    return min(size, lanes - batch * size)


def _dataset(config: dict[str, Any], values: dict[str, np.ndarray], steps: np.ndarray) -> "xarray.Dataset":
    import xarray

    first = config["first_seed"]
    coordinates = {**config["over"], "seed": np.arange(first, first + config["num_seeds"]), "step": steps}
    dims = tuple(coordinates)
    shape = (*_lane_shape(config), len(steps))
    arrays = {name: (dims, array.T.reshape(shape)) for name, array in values.items()}
    return xarray.Dataset(arrays, coordinates)


def _gathered(config: dict[str, Any], batches: Sequence[State]) -> State:
    """The states of all real lanes, leading axes ``[swept fields..., seeds]``."""
    shape = _lane_shape(config)
    lanes = int(np.prod(shape))

    def gather(*parts):
        if len(parts) > 1:
            parts = [_joined(parts)]
        real = parts[0][:lanes]
        # Batches of an unfinished run may still be missing: then the leading axis is left flat.
        return real.reshape(*shape, *real.shape[1:]) if len(real) == lanes and config["over"] else real

    return jax.tree.map(gather, *batches)


def _joined(parts: Sequence[Any]) -> Any:
    if jnp.issubdtype(parts[0].dtype, jax.dtypes.prng_key):
        return jnp.concatenate(parts)
    return np.concatenate([np.asarray(x) for x in parts])
