"""``sweep``: a grid of settings times many seeds, as one labelled result."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import nearest
from purejaxexplore.runner.execute import execute
from purejaxexplore.runner.plan import Request, prepare
from purejaxexplore.runner.results import Runs, load_run
from purejaxexplore.runner.store import differences, jsonable, make_directory


def sweep(
    make: Callable[[Any], Algorithm],
    config: Any,
    over: Mapping[str, Sequence[Any]],
    num_seeds: int,
    num_steps: int,
    **arguments: Any,
) -> Runs:
    """Trains an algorithm for every combination of settings and every seed.

    Numeric fields are traced: all their combinations are extra ``vmap`` axes of one program. Static fields
    (``pytree_node=False``) change the program: each of their combinations is compiled by itself. All
    combinations see the same random numbers, so that differences between settings are paired by seed.

    Args:
        make: config -> algorithm, called while tracing.
        config: a ``flax.struct`` dataclass with the settings that are not swept.
        over: field of ``config`` -> its values, ``{"lr": np.geomspace(1e-5, 1e-3, 5)}``.
        num_seeds: seeds for every combination.
        num_steps: iterations of every training.
        **arguments: of :func:`purejaxexplore.run`. ``out`` becomes a directory with one stored run for each
            combination of static fields.

    Returns:
        Runs with dimensions ``(fields of over..., seed, step)``. Where static fields give states of different
        form, ``state`` is a dict, combination of static values -> state.

    Raises:
        TypeError: ``config`` is no dataclass, or ``arguments`` holds a name that ``run`` does not know.
        ValueError: a field that ``config`` does not have, or values that cannot be swept; otherwise as
            ``run``.
    """
    allowed = set(Request._fields) - {"num_seeds", "num_steps", "config"}
    for name in arguments:
        if name not in allowed:
            raise TypeError(
                f"{name}: expected an argument of run ({', '.join(sorted(allowed))}){nearest(name, allowed)}"
            )
    traced, static = _split(config, over)
    out = arguments.pop("out", None)
    root = None if out is None else Path(out)
    values = {name: jsonable(traced.get(name, static.get(name))) for name in over}
    described = {"over": values, "static": list(static), "config": _rest(config, over)}
    if root is not None:
        _require_same_sweep(root, described)
    # Everything is checked and traced before the first hour of the first combination.
    plans = []
    for fixed in _combinations(static):
        chosen = dataclasses.replace(config, **fixed)

        def make_lane(settings, chosen=chosen):
            return make(dataclasses.replace(chosen, **settings))

        place = None if root is None else root / _label(fixed)
        request = Request(num_seeds, num_steps, out=place, config=_rest(chosen, traced), **arguments)
        plans.append(prepare(make_lane, traced, request))
    if root is not None and not (root / "sweep.json").exists():
        make_directory(root, "sweep.json", described)
    return _combined(root, described, [execute(plan) for plan in plans])


def load(path: str | os.PathLike, algorithm: Algorithm | None = None) -> Runs:
    """Reads a stored run or sweep, finished, crashed or still going.

    Args:
        path: the ``out`` of the run or sweep.
        algorithm: gives the states their classes; without it a state is a dict, path of the leaf -> array.

    Raises:
        ValueError: ``path`` holds neither, or a sweep that has not begun.
    """
    path = Path(path)
    if (path / "config.json").exists():
        return load_run(path, algorithm)
    if not (path / "sweep.json").exists():
        raise ValueError(
            f"path={str(path)!r}: expected the directory of a run or a sweep, with its config.json"
        )
    described = json.loads((path / "sweep.json").read_text())
    places = [path / _label(fixed) for fixed in _combinations(_static(described))]
    begun = [load_run(place, algorithm) if (place / "config.json").exists() else None for place in places]
    return _combined(path, described, begun)


def _split(config: Any, over: Mapping[str, Sequence[Any]]) -> tuple[dict[str, np.ndarray], dict[str, list]]:
    """The traced fields as arrays and the static fields as lists."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"config={config!r}: expected an instance of a flax.struct dataclass")
    fields = {field.name: field for field in dataclasses.fields(config)}
    if not over:
        raise ValueError(f"over={dict(over)!r}: expected at least one of the fields {', '.join(fields)}")
    traced, static = {}, {}
    for name, values in over.items():
        if name not in fields:
            raise ValueError(
                f"over: {type(config).__name__} has no field {name!r}{nearest(name, fields)}"
                f" (fields: {', '.join(fields)})"
            )
        listed = np.asarray(values).tolist() if isinstance(values, np.ndarray | jax.Array) else values
        if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
            raise ValueError(f"over[{name!r}]={values!r}: expected a list of at least one value")
        if len({repr(value) for value in listed}) < len(listed):
            raise ValueError(f"over[{name!r}]={listed!r}: expected every value once")
        if fields[name].metadata.get("pytree_node", True):
            traced[name] = _numbers(name, listed)
        else:
            static[name] = list(listed)
    return traced, static


def _numbers(name: str, values: Sequence[Any]) -> np.ndarray:
    """The values in the dtype that jax gives them."""
    array = np.asarray(values) if all(np.isscalar(v) for v in values) else np.asarray(None)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"over[{name!r}]={values!r}: expected numbers (mark the field pytree_node=False to sweep others)"
        )
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype))


def _label(fixed: dict[str, Any]) -> str:
    """The directory of a static combination, ``width=64,bonus=rnd``; ``all`` where none is swept."""
    text = ",".join(f"{name}={_shown(value)}" for name, value in fixed.items())
    return "".join(c if c.isalnum() or c in "=,.+-_" else "_" for c in text) or "all"


def _shown(value: Any) -> Any:
    """A static value as a coordinate and a directory name."""
    value = jsonable(value)
    return value if isinstance(value, str | bool | int | float) else str(value)


def _combinations(static: dict[str, list]) -> list[dict[str, Any]]:
    return [dict(zip(static, values, strict=True)) for values in product(*static.values())]


def _static(described: dict[str, Any]) -> dict[str, list]:
    return {name: described["over"][name] for name in described["static"]}


def _rest(config: Any, swept: Mapping[str, Any]) -> dict[str, Any]:
    """The config as JSON without the fields that are swept."""
    return {name: value for name, value in jsonable(config).items() if name not in swept}


def _require_same_sweep(root: Path, described: dict[str, Any]) -> None:
    if not (root / "sweep.json").exists():
        return
    stored = json.loads((root / "sweep.json").read_text())
    found = differences(stored, json.loads(json.dumps(described)))
    if found:
        said = f"out={str(root)!r} holds another sweep ({'; '.join(found[:8])})"
        raise ValueError(f"{said}: choose another out, or delete that directory")


def _combined(root: Path | None, described: dict[str, Any], parts: list[Runs | None]) -> Runs:
    """One result of the runs of all static combinations, in their order; None where one has not begun."""
    static, over = _static(described), described["over"]
    combinations = _combinations(static)
    begun = [part for part in parts if part is not None]
    if not begun:
        raise ValueError(f"path={str(root)!r}: nothing of this sweep has begun yet")

    def measure():
        return tuple(_labelled([p and getattr(p, name) for p in parts], static, over) for name in _DATA_SETS)

    def state():
        states = [part.state for part in begun]
        return _stacked(states, static, over) if len(begun) == len(parts) else dict(enumerate(states))

    diverged = []
    for fixed, part in zip(combinations, parts, strict=True):
        for lane in part.diverged if part else ():
            found = {**fixed, **(lane if isinstance(lane, dict) else {"seed": lane})}
            diverged.append({name: found[name] for name in (*over, "seed")})
    config = {**begun[0].config, "config": described["config"], "over": over}
    return Runs(root, config, {"diverged": diverged, "timing": _total_timing(begun)}, measure, state)


_DATA_SETS = ("metrics", "evaluations")


def _labelled(parts: list[Any], static: dict[str, list], over: dict[str, list]) -> Any:
    """Joins the data sets of all static combinations along their fields; NaN where one has not begun."""
    import xarray

    first = next(part for part in parts if part is not None)
    parts = [first.where(False) if part is None else part for part in parts]
    # The last field varies fastest: joining along it first leaves the others in order.
    for name in reversed(static):
        values = xarray.DataArray([_shown(v) for v in static[name]], dims=name, name=name)
        size = len(static[name])
        groups = [parts[i : i + size] for i in range(0, len(parts), size)]
        parts = [
            xarray.concat(group, values, join="outer", combine_attrs="drop_conflicts") for group in groups
        ]
    joined, dims = parts[0], (*over, "seed", "step")
    return xarray.Dataset(joined.transpose(*dims).data_vars, {dim: joined[dim] for dim in dims}, joined.attrs)


def _stacked(states: list[Any], static: dict[str, list], over: dict[str, list]) -> Any:
    """The states with leading axes ``[swept fields..., seeds]``, or a dict where their forms differ."""
    if len(states) == 1:
        return states[0]
    forms = {str(jax.tree.map(lambda x: (x.shape, str(x.dtype)), state)) for state in states}
    if len(forms) > 1:
        return {
            tuple(fixed.values()): state for fixed, state in zip(_combinations(static), states, strict=True)
        }
    current = [*static, *(name for name in over if name not in static)]
    sizes = [len(values) for values in static.values()]

    def stack(*leaves):
        stacked = jnp.stack(leaves)
        stacked = stacked.reshape(*sizes, *stacked.shape[1:])
        order = [current.index(name) for name in over]
        return stacked.transpose(*order, *range(len(order), stacked.ndim))

    return jax.tree.map(stack, *states)


def _total_timing(parts: list[Runs]) -> dict[str, float]:
    timings = [part.timing for part in parts if part.timing]
    total = {name: sum(t[name] for t in timings) for name in ("compile_seconds", "run_seconds")}
    work = sum(t["steps_per_second"] * t["run_seconds"] for t in timings)
    return {**total, "steps_per_second": work / total["run_seconds"] if total["run_seconds"] else 0.0}
