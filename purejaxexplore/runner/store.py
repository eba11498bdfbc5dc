"""A run on disk: what it is, what it measured, and the states it resumes from.

::

    out/
      config.json             what the run is (identity) and what made it (versions, hardware, argv, git
      revision) status.json             finished or not, divergences, timing; renewed at every save
      metrics/batch_00000/    steps_START_STOP.npz, arrays [steps, lanes]; each written whole or not at all
      checkpoints/batch_00000/STEP/    orbax, the two newest figures/

A batch is the block of lanes that is trained together, so batches need no common file and several processes
can write side by side. Metrics are written before the checkpoint of the same iteration: every checkpoint has
all of its history, and metrics beyond the restored checkpoint are dropped and measured again.
"""

import errno
import json
import os
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import State
from purejaxexplore.runner.program import leaf_names
from purejaxexplore.runner.spans import (
    Span,
    is_sound,
    join,
    read_diverged,
    read_span,
    stored_spans,
    write_atomically,
    write_span,
)

FORMAT = 1


class Store:
    """The directory of one run.

    Args:
        path: an existing directory with a ``config.json``; see :func:`open_store` for a new one.

    Attributes:
        path: the directory.
        config: the content of ``config.json``.
    """

    def __init__(self, path: Path):
        self.path = path
        self.config = json.loads((path / "config.json").read_text())
        self._managers: dict[int, Any] = {}
        self._lock = None

    @property
    def status(self) -> dict[str, Any]:
        """The content of ``status.json``, empty before the first save."""
        try:
            return json.loads((self.path / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def write_status(self, status: dict[str, Any]) -> None:
        """Renews ``status.json``."""
        with clear_disk_errors(self.path):
            write_json(self.path / "status.json", status)

    def write_config(self, config: dict[str, Any]) -> None:
        """Renews ``config.json``."""
        with clear_disk_errors(self.path):
            write_json(self.path / "config.json", config)
        self.config = config

    def read(self, batch: int) -> Span | None:
        """Everything measured so far for a batch, or None before its first save."""
        spans = [read_span(*found) for found in stored_spans(self._metrics(batch))]
        return join(spans) if spans else None

    def diverged(self, batch: int) -> np.ndarray:
        """bool[lanes]: which lanes of a batch have diverged in the iterations stored so far."""
        return np.logical_or.reduce(
            [read_diverged(path) for _, _, path in stored_spans(self._metrics(batch))]
        )

    def save(self, batch: int, span: Span, state: State) -> None:
        """Appends measurements and checkpoints the state reached with them.

        Raises:
            OSError: the disk is full or fails; earlier checkpoints are intact.
        """
        from orbax.checkpoint.args import StandardSave

        with clear_disk_errors(self.path):
            write_span(self._metrics(batch), span)
            self._manager(batch).save(span.stop, args=StandardSave(_stored_leaves(state)))

    def steps_done(self, batch: int) -> int:
        """Iterations of a batch that are both measured and checkpointed: they are not done again."""
        measured = self._measured(batch)
        return max((step for step in self._checkpointed(batch) if step in measured), default=0)

    def resume(self, batch: int, shape: State) -> tuple[int, State | None]:
        """Returns to the newest sound checkpoint of a batch, and drops what lies beyond it.

        Args:
            batch: number of the batch.
            shape: pytree of ``ShapeDtypeStruct`` with shardings, the form of the state.

        Returns:
            Iterations done and the state; ``(0, None)`` where nothing can be resumed.
        """
        measured = self._measured(batch)
        reached, state = 0, None
        for step in self._checkpointed(batch):
            if step in measured:
                state = self._restore_or_warn(batch, step, shape)
            if state is not None:
                reached = step
                break
            self._manager(batch).delete(step)
        for path in self._metrics(batch).glob("*steps_*"):
            if path.suffix != ".npz" or int(path.stem.split("_")[2]) > reached:
                path.unlink()
        return reached, state

    def restore(self, batch: int, step: int, leaves: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
        """The leaves of a checkpoint, placed as ``leaves`` say; those without elements are made."""
        from orbax.checkpoint import StandardCheckpointer

        stored = {name: x for name, x in leaves.items() if 0 not in x.shape}
        with StandardCheckpointer() as checkpointer:
            restored = checkpointer.restore(
                (self._checkpoints(batch) / str(step) / "default").absolute(), stored
            )
        for name, x in leaves.items():
            if name not in stored:
                restored[name] = jax.device_put(np.zeros(x.shape, x.dtype), x.sharding)
        return {name: restored[name] for name in leaves}

    def newest_state(self, batch: int) -> dict[str, jax.Array] | None:
        """The leaves of the newest checkpoint on the default device, or None before the first save."""
        lanes = self.config.get("batch_size")
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        leaves = {}
        for name, form in self.config["state"].items():
            dtype, shape = _parsed(form)
            leaves[name] = jax.ShapeDtypeStruct((lanes, *shape), dtype, sharding=place)
        for step in self._checkpointed(batch):
            # A run that is still going may delete an old checkpoint between the listing and the reading.
            with suppress(FileNotFoundError):
                return self.restore(batch, step, leaves)
        return None

    def lock(self) -> None:
        """Keeps other processes from writing here until this one ends, however it ends.

        Raises:
            ValueError: another process holds the directory.
        """
        try:
            import fcntl
        except ImportError:
            return
        handle = open(self.path / ".lock", "w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise ValueError(
                    f"out={str(self.path)!r}: another process is writing this run; wait for it"
                ) from None
            return
        self._lock = handle

    def close(self) -> None:
        """Releases the lock and the checkpoint managers."""
        for manager in self._managers.values():
            manager.close()
        self._managers = {}
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _measured(self, batch: int) -> set[int]:
        """The ends of the stored spans of a batch, without damaged ones at its end."""
        chain = stored_spans(self._metrics(batch))
        while chain and not is_sound(chain[-1][2]):
            chain.pop()
        return {stop for _, stop, _ in chain}

    def _metrics(self, batch: int) -> Path:
        return self.path / "metrics" / f"batch_{batch:05d}"

    def _checkpoints(self, batch: int) -> Path:
        return self.path / "checkpoints" / f"batch_{batch:05d}"

    def _checkpointed(self, batch: int) -> list[int]:
        """Iterations with a checkpoint, newest first; orbax names the directory when it is complete."""
        directory = self._checkpoints(batch)
        names = os.listdir(directory) if directory.is_dir() else []
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def _restore_or_warn(self, batch: int, step: int, shape: State) -> State | None:
        structs = jax.tree.leaves(shape)
        try:
            leaves = self.restore(batch, step, dict(zip(state_names(shape), structs, strict=True)))
        except Exception as error:  # Damaged files surface as almost any exception of orbax and tensorstore.
            said = f"out={str(self.path)!r}: checkpoint {step} of batch {batch} cannot be read"
            warnings.warn(f"{said}; an earlier one is used ({type(error).__name__}: {error})", stacklevel=2)
            return None
        return jax.tree.unflatten(jax.tree.structure(shape), list(leaves.values()))

    def _manager(self, batch: int):
        from orbax.checkpoint import CheckpointManager, CheckpointManagerOptions

        if batch not in self._managers:
            # Not asynchronous: the state is donated to the next chunk while a background thread would still
            # read it.
            options = CheckpointManagerOptions(
                max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True
            )
            self._managers[batch] = CheckpointManager(self._checkpoints(batch).absolute(), options=options)
        return self._managers[batch]


def open_store(out: str | os.PathLike, identity: dict[str, Any], more: dict[str, Any]) -> Store:
    """The store of a run at ``out``: made where there is none, continued where it holds the same run.

    Args:
        out: the directory.
        identity: what makes two runs the same run; compared field by field.
        more: what else ``config.json`` holds; taken from the disk when the run is continued.

    Raises:
        ValueError: ``out`` is a file, cannot be written, or holds another run or other files. Nothing is
            touched.
    """
    path = Path(out)
    identity = json.loads(json.dumps(identity))
    if not (path / "config.json").exists():
        make_directory(path, "config.json", {"format": FORMAT, **identity, **more})
        (path / "figures").mkdir(exist_ok=True)
    elif not os.access(path, os.W_OK):
        raise ValueError(f"out={str(path)!r} cannot be written: expected a directory that you may write to")
    store = Store(path)
    _require_same_run(f"out={str(path)!r}", store.config, identity)
    store.lock()
    return store


def make_directory(path: Path, name: str, content: dict[str, Any]) -> None:
    """Makes the directory of a new run or sweep with its first file ``name``.

    Raises:
        ValueError: ``path`` is a file, holds other files or cannot be written. Nothing is touched.
        OSError: the disk is full.
    """
    said = f"out={str(path)!r}"
    if path.exists() and not path.is_dir():
        raise ValueError(f"{said} is a file: expected a directory, new or of this run")
    strangers = sorted(p.name for p in path.iterdir() if not p.name.startswith(".")) if path.exists() else []
    if strangers:
        raise ValueError(
            f"{said} holds other files ({', '.join(strangers[:3])}): choose a new or empty directory"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / name, content)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise ValueError(f"{said} cannot be written ({error.strerror}): choose another directory") from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file atomically."""
    write_atomically(path, json.dumps(content, indent=2).encode())


def differences(stored: Any, now: Any, field: str = "") -> list[str]:
    """``field: stored 1, now 2`` for every field in which two JSON values differ."""
    if isinstance(stored, dict) and isinstance(now, dict):
        prefix = f"{field}." if field else ""
        keys = [*stored, *(k for k in now if k not in stored)]
        absent = "(absent)"
        return [d for k in keys for d in differences(stored.get(k, absent), now.get(k, absent), prefix + k)]
    # NaN is written and read as NaN, which differs from itself.
    return [] if stored == now or repr(stored) == repr(now) else [f"{field}: stored {stored!r}, now {now!r}"]


def jsonable(value: Any) -> Any:
    """A config as JSON: dataclasses and named tuples by field, arrays as lists, functions by name."""
    if isinstance(value, str | bool | int | float | None):
        return value
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: jsonable(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "_asdict"):
        return jsonable(value._asdict())
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(v) for v in value), key=repr)
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(value)).tolist()
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return np.asarray(value).tolist()
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value).split(" at 0x")[0]


@contextmanager
def clear_disk_errors(path: Path):
    """Turns every way in which a full disk shows itself into one OSError that says what to do."""
    try:
        yield
    except Exception as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        if not full and not isinstance(error, OSError):
            raise
        reason = "the disk is full" if full else str(error)
        raise OSError(
            getattr(error, "errno", None) or errno.ENOSPC,
            f"out={str(path)!r}: {reason}; earlier checkpoints are intact: make room, repeat the same call",
        ) from error


def _require_same_run(said: str, stored: dict[str, Any], identity: dict[str, Any]) -> None:
    if stored.get("format") != FORMAT:
        raise ValueError(f"{said} has format {stored.get('format')!r}: this version reads format {FORMAT}")
    found = differences({k: stored.get(k) for k in identity if k != "program"}, _without(identity, "program"))
    if found:
        listed = "; ".join(found[:8]) + ("; ..." if len(found) > 8 else "")
        raise ValueError(f"{said} holds another run ({listed}): choose another out, or delete that directory")
    if stored["program"]["sha256"] == identity["program"]["sha256"]:
        return
    moved = differences(_without(stored["program"], "sha256"), _without(identity["program"], "sha256"))
    if not moved:
        raise ValueError(
            f"{said} holds a run of another algorithm (its traced program differs, though the config agrees):"
            " choose another out, or delete that directory"
        )
    warnings.warn(
        f"{said} was made elsewhere ({'; '.join(moved)}): it continues, not bit for bit", stacklevel=4
    )


def _without(mapping: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != name}


def state_names(state: State) -> list[str]:
    """The unique name under which each leaf of a state is stored, such as ``0003.params.Dense_0.kernel``."""
    return [f"{i:04d}.{name}" for i, name in enumerate(leaf_names(state))]


def _stored_leaves(state: State) -> dict[str, Any]:
    named = zip(state_names(state), jax.tree.leaves(state), strict=True)
    # Orbax refuses arrays without elements.
    return {name: leaf for name, leaf in named if 0 not in leaf.shape}


def _parsed(form: str) -> tuple[Any, tuple[int, ...]]:
    """dtype and shape of ``float32[64,2]``."""
    dtype, _, sizes = form.rstrip("]").partition("[")
    shape = tuple(int(size) for size in sizes.split(",") if size)
    if not dtype.startswith("key<"):
        return jnp.dtype(dtype), shape
    impls = ("threefry2x32", "rbg", "unsafe_rbg")
    dtypes = (jax.eval_shape(lambda impl=impl: jax.random.key(0, impl=impl)).dtype for impl in impls)
    return next(found for found in dtypes if str(found) == dtype), shape
