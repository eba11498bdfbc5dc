"""What ``run`` and ``sweep`` ask for, checked and traced before anything is touched."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from purejaxexplore import provenance
from purejaxexplore.algorithm import MAX_STEPS
from purejaxexplore.checks import choice, whole_number
from purejaxexplore.runner.checks import chosen_devices, root_key
from purejaxexplore.runner.program import Lanes, MakeLane, Outline, describe, fingerprint, outline
from purejaxexplore.runner.progress import require_progress
from purejaxexplore.runner.store import jsonable, state_names

# A save costs the pause of one checkpoint, tens of milliseconds; a kill costs at most this much work.
SAVE_SECONDS = 10.0


class Request(NamedTuple):
    """The arguments of ``run`` that ``sweep`` passes on; see :func:`purejaxexplore.runner.run.run`."""

    num_seeds: int
    num_steps: int
    key: Any = 0
    first_seed: int = 0
    out: str | os.PathLike | None = None
    config: Any = None
    name: str | None = None
    chunk: int | None = None
    evaluate_every: int | None = None
    devices: int | Sequence[jax.Device] | None = None
    batch_size: int | None = None
    save_seconds: float = SAVE_SECONDS
    progress: bool | str | None = None
    on_nan: str = "report"
    on_full: str = "report"


class Plan(NamedTuple):
    """A run that is checked and traced, and has touched nothing yet.

    Attributes:
        make: settings of one lane -> algorithm.
        axes: swept field -> its values; empty for a plain run.
        request: what the user asked for.
        root: typed key.
        devices: to use.
        lanes: all of them, the product of the axes and the seeds.
        outline: what tracing told.
    """

    make: MakeLane
    axes: dict[str, np.ndarray]
    request: Request
    root: jax.Array
    devices: list[jax.Device]
    lanes: Lanes
    outline: Outline


def prepare(make: MakeLane, axes: dict[str, np.ndarray], request: Request) -> Plan:
    """Checks the arguments and traces one lane.

    Raises:
        TypeError, ValueError: as ``run``, except for what concerns ``out``.
    """
    request = _checked(request)
    root, devices = root_key(request.key), chosen_devices(request.devices)
    lanes = _lanes(axes, request)
    outlined = outline(make, lanes.settings, root, request.evaluate_every is not None)
    require_progress(request.progress, list(outlined.metrics))
    return Plan(make, axes, request, root, devices, lanes, outlined)


def _checked(request: Request) -> Request:
    """The request with whole numbers as ints."""
    whole = {
        "num_seeds": whole_number("num_seeds", request.num_seeds, 1, 2**32),
        "num_steps": whole_number("num_steps", request.num_steps, 1, MAX_STEPS),
    }
    whole["first_seed"] = whole_number("first_seed", request.first_seed, 0, 2**32 - whole["num_seeds"])
    for name in ("chunk", "evaluate_every", "batch_size"):
        if getattr(request, name) is not None:
            whole[name] = whole_number(name, getattr(request, name), 1, 2**31 - 1)
    for name in ("on_nan", "on_full"):
        choice(name, getattr(request, name), ("report", "raise", "ignore"))
    if not request.save_seconds >= 0:
        raise ValueError(
            f"save_seconds={request.save_seconds!r}: expected seconds between save points, 0 or more"
        )
    return request._replace(**whole)


def _lanes(axes: dict[str, np.ndarray], request: Request) -> Lanes:
    """The product of the axes and the seeds, seeds innermost."""
    seeds = np.arange(request.first_seed, request.first_seed + request.num_seeds, dtype=np.uint32)
    grid = np.meshgrid(*axes.values(), seeds, indexing="ij")
    *settings, seeds = (x.reshape(-1) for x in grid)
    return Lanes(seeds, dict(zip(axes, settings, strict=True)))


def identity(plan: Plan) -> dict[str, Any]:
    request, root, outlined = plan.request, plan.root, plan.outline

    def forms(structs):
        return {name: describe(x) for name, x in structs.items()}

    state = zip(state_names(outlined.state), jax.tree.leaves(outlined.state), strict=True)
    return {
        "num_seeds": request.num_seeds,
        "first_seed": request.first_seed,
        "key": {
            "impl": str(jax.random.key_impl(root)),
            "data": np.asarray(jax.random.key_data(root)).tolist(),
        },
        "config": jsonable(request.config),
        "over": {name: jsonable(values) for name, values in plan.axes.items()},
        "evaluate_every": request.evaluate_every,
        "metrics": forms(outlined.metrics),
        "evaluations": None if outlined.evaluations is None else forms(outlined.evaluations),
        "state": forms(dict(state)),
        "program": {
            "sha256": fingerprint(outlined),
            "versions": provenance.versions(),
            "platform": plan.devices[0].platform,
        },
    }


def origin(request: Request) -> dict[str, Any]:
    script = os.path.dirname(os.path.abspath(sys.argv[0])) if sys.argv and sys.argv[0] else "."
    return {
        "name": request.name,
        "num_steps": request.num_steps,
        "argv": sys.argv,
        "directory": os.getcwd(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **provenance.provenance(script if os.path.isdir(script) else "."),
    }
