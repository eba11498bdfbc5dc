"""The compiled program behind every run: one loop that advances a batch of lanes by any number of iterations.

A *lane* is one training: a seed together with its values of the swept settings. Lanes are the ``vmap`` axis
and are sharded over the devices; nothing is ever exchanged between them. The number of iterations is an
argument of the program, which writes metrics into a buffer of ``capacity`` rows, so one compilation serves
chunks of every length.
"""

import re
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from purejaxexplore.algorithm import (
    Algorithm,
    Metrics,
    State,
    evaluate_key,
    init_key,
    require_algorithm,
    step_key,
)

Settings = dict[str, jax.Array]
MakeLane = Callable[[Settings], Algorithm]

BUFFER_BYTES = 64 << 20


class Lanes(NamedTuple):
    """One batch of trainings.

    Attributes:
        seeds: u32[lanes], the number of the seed; its key is ``fold_in(root, seed)``.
        settings: swept field -> [lanes], what the factory receives for each lane.
    """

    seeds: np.ndarray
    settings: dict[str, np.ndarray]


class Outline(NamedTuple):
    """What tracing one lane tells before anything is compiled.

    Attributes:
        state: pytree of ``ShapeDtypeStruct``, the state of one lane.
        metrics: name -> ``ShapeDtypeStruct`` of the scalar that ``step`` reports.
        evaluations: the same for ``evaluate``, or None where it is not asked for.
        jaxprs: the traced mathematics of ``init``, ``step`` and, where it is asked for, ``evaluate``.
    """

    state: State
    metrics: dict[str, jax.ShapeDtypeStruct]
    evaluations: dict[str, jax.ShapeDtypeStruct] | None
    jaxprs: tuple[Any, ...]


def outline(make: MakeLane, settings: dict[str, np.ndarray], root: jax.Array, evaluates: bool) -> Outline:
    """Traces one lane and checks that the algorithm keeps its contract.

    Args:
        make: settings of one lane -> the algorithm.
        settings: swept field -> the values of all lanes; only their dtypes matter here.
        root: typed key, for its implementation.
        evaluates: whether ``evaluate`` will be called.

    Raises:
        TypeError: not an algorithm; a state that ``step`` returns in another form than ``init``; metrics that
            are not a flat dict of scalars.
        ValueError: ``evaluates`` is set and the algorithm has no ``evaluate``.
    """
    one = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in settings.items()}
    key = jax.ShapeDtypeStruct((), root.dtype)
    has_evaluate = []

    def init(key, settings):
        algorithm = make(settings)
        require_algorithm(algorithm)
        has_evaluate.append(algorithm.evaluate is not None)
        return _strong(algorithm.init(key))

    init_jaxpr, state = jax.make_jaxpr(init, return_shape=True)(key, one)
    if evaluates and not has_evaluate[0]:
        raise ValueError("evaluate_every: the algorithm has no evaluate function; leave evaluate_every=None")
    step_jaxpr, (after, metrics) = jax.make_jaxpr(
        lambda key, state, settings: make(settings).step(key, state), return_shape=True
    )(key, state, one)
    _require_same_state(state, after)
    _require_scalars("step", metrics)
    if not evaluates:
        return Outline(state, metrics, None, (init_jaxpr, step_jaxpr))
    evaluate_jaxpr, evaluations = jax.make_jaxpr(
        lambda key, state, settings: make(settings).evaluate(key, state), return_shape=True
    )(key, state, one)
    _require_scalars("evaluate", evaluations)
    return Outline(state, metrics, evaluations, (init_jaxpr, step_jaxpr, evaluate_jaxpr))


def fingerprint(outlined: Outline) -> str:
    """SHA-256 of the traced mathematics: equal for equal algorithms, whatever the seeds and the devices."""
    digest = sha256()
    for closed in outlined.jaxprs:
        # Addresses of Python objects differ from process to process and say nothing about the mathematics.
        digest.update(re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)).encode())
        for constant in closed.consts:
            digest.update(
                np.asarray(constant if _plain(constant) else jax.random.key_data(constant)).tobytes()
            )
    return digest.hexdigest()


class Program:
    """``init``, ``advance`` and ``evaluate`` of a batch of lanes, compiled ahead of time.

    Args:
        make: settings of one lane -> the algorithm.
        root: typed key of the whole run.
        outlined: from :func:`outline`.
        settings: swept field -> values of any lanes, for the dtypes.
        num_lanes: lanes in a batch, a multiple of ``len(devices)``.
        capacity: the most iterations that one :meth:`advance` can run.
        devices: the lanes are sharded over them.

    Attributes:
        compile_seconds: tracing, lowering and compiling so far, in seconds.
        bytes_per_device: what ``advance`` needs on each device, from the compiler's memory analysis; None
            where the backend has none.
    """

    def __init__(
        self,
        make: MakeLane,
        root: jax.Array,
        outlined: Outline,
        settings: dict[str, np.ndarray],
        num_lanes: int,
        capacity: int,
        devices: Sequence[jax.Device],
    ):
        self.num_lanes, self.capacity, self.compile_seconds = num_lanes, capacity, 0.0
        mesh = jax.make_mesh((len(devices),), ("seeds",), axis_types=(AxisType.Auto,), devices=devices)
        self.by_lane = NamedSharding(mesh, PartitionSpec("seeds"))
        self._by_row = NamedSharding(mesh, PartitionSpec(None, "seeds"))
        everywhere = NamedSharding(mesh, PartitionSpec())
        self._root = jax.device_put(root, everywhere)

        lane = jax.ShapeDtypeStruct((num_lanes,), jnp.uint32)
        lanes = Lanes(lane, {k: jax.ShapeDtypeStruct((num_lanes,), v.dtype) for k, v in settings.items()})
        self.state_shape = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((num_lanes, *x.shape), x.dtype, sharding=self.by_lane),
            outlined.state,
        )
        self._buffers_shape = {
            k: jax.ShapeDtypeStruct((capacity, num_lanes), x.dtype) for k, x in outlined.metrics.items()
        }
        key = jax.ShapeDtypeStruct(root.shape, root.dtype)
        step_number, count = jax.ShapeDtypeStruct((), jnp.uint32), jax.ShapeDtypeStruct((), jnp.int32)

        def lane_keys(root, lanes):
            return jax.vmap(jax.random.fold_in, (None, 0))(root, lanes.seeds)

        def init(root, lanes):
            def one(key, settings):
                return _strong(make(settings).init(init_key(key)))

            return jax.vmap(one)(lane_keys(root, lanes), lanes.settings)

        def advance(root, lanes, state, buffers, start, count):
            keys = lane_keys(root, lanes)

            def iterate(i, carry):
                state, buffers = carry

                def one(key, settings, state):
                    return make(settings).step(step_key(key, start + i.astype(jnp.uint32)), state)

                state, metrics = jax.vmap(one)(keys, lanes.settings, state)
                return state, {k: buffers[k].at[i].set(metrics[k]) for k in buffers}

            state, buffers = jax.lax.fori_loop(0, count, iterate, (state, buffers))
            return state, buffers, _has_nan(state, num_lanes)

        def evaluate(root, lanes, state, done):
            def one(key, settings, state):
                return make(settings).evaluate(evaluate_key(key, done), state)

            return jax.vmap(one)(lane_keys(root, lanes), lanes.settings, state)

        rows = {k: self._by_row for k in self._buffers_shape}
        batch = (everywhere, self.by_lane)
        self._advance = self._compile(
            advance,
            (key, lanes, self.state_shape, self._buffers_shape, step_number, count),
            (*batch, self.by_lane, rows, everywhere, everywhere),
            (self.by_lane, rows, self.by_lane),
            donate=(2, 3),
        )
        self.bytes_per_device = _needed_bytes(self._advance)
        # Compiled when first called: a resumed run needs no init, and a program that does not fit needs
        # neither.
        self._build_init = lambda: self._compile(init, (key, lanes), batch, self.by_lane)
        self._build_evaluate = lambda: self._compile(
            evaluate,
            (key, lanes, self.state_shape, step_number),
            (*batch, self.by_lane, everywhere),
            self.by_lane,
        )
        self._init = self._evaluate = self._buffers = None

    def _compile(self, function, arguments, in_shardings, out_shardings, donate=()):
        begin = time.perf_counter()
        jitted = jax.jit(
            function, in_shardings=in_shardings, out_shardings=out_shardings, donate_argnums=donate
        )
        compiled = jitted.lower(*arguments).compile()
        self.compile_seconds += time.perf_counter() - begin
        return compiled

    def place(self, lanes: Lanes) -> Lanes:
        """The batch on the devices, ready for the calls below."""
        return jax.device_put(lanes, self.by_lane)

    def init(self, lanes: Lanes) -> State:
        """Fresh states, leading axis ``[num_lanes]``."""
        self._init = self._init or self._build_init()
        return self._init(self._root, lanes)

    def advance(
        self, lanes: Lanes, state: State, start: int, count: int
    ) -> tuple[State, dict[str, np.ndarray], np.ndarray]:
        """Runs iterations ``start, ..., start + count - 1`` of all lanes; ``state`` is consumed.

        Returns:
            The states, the metrics as arrays ``[count, num_lanes]`` on the host, and ``bool[num_lanes]``: the
            lanes with a NaN in their state or a metric that is not finite.
        """
        if self._buffers is None:
            self._buffers = {
                k: jax.device_put(np.zeros(x.shape, x.dtype), self._by_row)
                for k, x in self._buffers_shape.items()
            }
        state, self._buffers, has_nan = self._advance(
            self._root, lanes, state, self._buffers, np.uint32(start), np.int32(count)
        )
        metrics = {k: _copied(x, count) for k, x in self._buffers.items()}
        return state, metrics, np.array(has_nan) | not_finite(metrics)

    def evaluate(self, lanes: Lanes, state: State, done: int) -> dict[str, np.ndarray]:
        """``evaluate`` after ``done`` iterations: name -> ``[num_lanes]`` on the host."""
        self._evaluate = self._evaluate or self._build_evaluate()
        measured = self._evaluate(self._root, lanes, state, np.uint32(done))
        return {k: _copied(x, self.num_lanes) for k, x in measured.items()}


def not_finite(metrics: dict[str, np.ndarray]) -> np.ndarray | bool:
    """``bool[lanes]``: where a metric ``[rows, lanes]`` holds a NaN or an infinity."""
    found = False
    for values in metrics.values():
        if jnp.issubdtype(values.dtype, jnp.inexact):
            found |= ~np.isfinite(values).all(axis=0)
    return found


def available_bytes(devices: Sequence[jax.Device]) -> int | None:
    """Memory free for a program on each device, or None where it cannot be known."""
    stats = devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    if devices[0].platform != "cpu":
        return None
    try:
        with open("/proc/meminfo") as lines:
            free = {name: rest for name, _, rest in (line.partition(":") for line in lines)}["MemAvailable"]
    except (OSError, KeyError):
        return None
    return int(free.split()[0]) * 1024 // len(devices)


def host_dtype(x: Any) -> np.dtype:
    """The dtype in which NumPy keeps a measurement: float32 for bfloat16 and its like, unknown to npz."""
    return np.dtype(np.float32) if np.dtype(x.dtype).kind == "V" else np.dtype(x.dtype)


def _copied(x: jax.Array, count: int) -> np.ndarray:
    """The first ``count`` rows, copied: on CPU np.asarray is a view of memory that is used again."""
    return np.array(np.asarray(x)[:count], host_dtype(x))


def _needed_bytes(compiled) -> int | None:
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + analysis.temp_size_in_bytes
    )


def _strong(state: State) -> State:
    """Drops weak types: a state must look the same coming from ``init`` and from ``step``."""
    return jax.tree.map(
        lambda x: jax.lax.convert_element_type(x, jnp.result_type(x)) if _plain(x) else x, state
    )


def _plain(x: Any) -> bool:
    return not (hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key))


def _has_nan(state: State, num_lanes: int) -> jax.Array:
    """bool[lanes]: where a float of the state is NaN.

    Infinities are allowed: an empty archive cell holds fitness -inf, an untried arm has an infinite bonus.
    """
    found = jnp.zeros(num_lanes, bool)
    for leaf in jax.tree.leaves(state):
        if _plain(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact):
            found |= jnp.isnan(leaf).any(axis=tuple(range(1, leaf.ndim)))
    return found


def leaf_names(tree: Any) -> list[str]:
    """The path of every leaf, such as ``params.Dense_0.kernel``, in the order of ``jax.tree.leaves``."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


def describe(struct: Any) -> str:
    """``float32[64,2]``: dtype and shape of anything that has them."""
    return f"{struct.dtype}[{','.join(map(str, struct.shape))}]"


def _require_same_state(before: State, after: State) -> None:
    old, new = jax.tree.structure(before), jax.tree.structure(after)
    if old != new:
        raise TypeError(
            f"algorithm.step returns a state of structure {new}, but init returned {old}: they must agree"
        )
    for name, x, y in zip(leaf_names(before), jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        if describe(x) != describe(y):
            raise TypeError(f"algorithm.step turns state leaf {name!r} from {describe(x)} into {describe(y)}")


def _require_scalars(function: str, metrics: Metrics) -> None:
    if not isinstance(metrics, dict) or not metrics:
        raise TypeError(f"algorithm.{function} returns metrics {metrics!r}: expected a flat dict of scalars")
    for name, x in metrics.items():
        if getattr(x, "shape", None) != ():
            form = describe(x) if hasattr(x, "dtype") else type(x).__name__
            raise TypeError(f"algorithm.{function} returns metric {name!r} of form {form}: expected a scalar")
