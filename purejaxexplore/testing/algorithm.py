"""The contract that every :class:`~purejaxexplore.algorithm.Algorithm` keeps, as one function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import (
    Algorithm,
    evaluate_key,
    init_key,
    require_algorithm,
    scan_steps,
    step_key,
)
from purejaxexplore.testing.trees import (
    named_leaves,
    plain,
    quick_jit,
    require_close,
    require_finite,
    require_same_types,
)

METRIC_TYPES = ("float32", "int32", "uint32", "bool")


def check_algorithm(
    algorithm: Algorithm,
    *,
    key: int | jax.Array = 0,
    num_steps: int = 3,
    num_seeds: int = 2,
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> None:
    """Runs ``num_seeds`` seeds for ``2 * num_steps`` iterations and checks what the runner relies on.

    * ``metrics`` is a flat dict of scalars (float32, int32, uint32 or bool), the same keys and dtypes at every step.
    * The state keeps its structure, shapes and dtypes from ``init`` on, and stores no key that it was given.
    * Pure: the same key and state give bit-identical results, and arguments are left alone.
    * Compiled equals uncompiled, and ``vmap`` over seeds equals a loop over seeds, within the tolerances.
    * The second chunk runs the program of the first.
    * Every metric is finite and no float of the state is NaN.

    Args:
        algorithm: as small as it can be made: it is compiled twice and run once without compilation.
        key: int or typed key.
        num_steps: iterations a chunk.
        num_seeds: at least 2.
        rtol, atol: for floats; everything else must be equal.

    Raises:
        AssertionError: names the broken rule and the leaf or metric that breaks it.
        TypeError: ``algorithm`` is not an Algorithm.
        ValueError: ``num_seeds`` is below 2.
    """
    require_algorithm(algorithm)
    if num_seeds < 2:
        raise ValueError(f"num_seeds={num_seeds}: expected at least 2")
    root = jax.random.key(key) if isinstance(key, int) else key
    seeds = jax.vmap(jax.random.fold_in, (None, 0))(root, jnp.arange(num_seeds))
    tolerance = {"rtol": rtol, "atol": atol}
    _check_types(algorithm, seeds[0])

    init, step = quick_jit(algorithm.init), quick_jit(algorithm.step)
    fresh = init(init_key(seeds[0]))
    before = jax.tree.map(plain, fresh)
    once, again = step(step_key(seeds[0], 0), fresh), step(step_key(seeds[0], 0), fresh)
    require_close("step called twice with the same key and state", again, once)
    require_close("the state that step was given", jax.tree.map(plain, fresh), before)
    for when, given, state in [("init", init_key(seeds[0]), fresh), ("step", step_key(seeds[0], 0), once[0])]:
        _check_no_key_stored(when, given, state)
    uncompiled = algorithm.step(step_key(seeds[0], 0), fresh)
    require_close("step without jit, against step with jit", uncompiled, once, **tolerance)

    chunk, traces = _counted_chunk(algorithm, num_steps)
    states = quick_jit(jax.vmap(lambda seed: algorithm.init(init_key(seed))))(seeds)
    states, first = chunk(seeds, states, jnp.uint32(0))
    for i in range(num_seeds):
        state, rows = init(init_key(seeds[i])), []
        for t in range(num_steps):
            state, metrics = step(step_key(seeds[i], t), state)
            rows.append(metrics)
        looped = jax.tree.map(lambda *x: jnp.stack(x), *rows)
        mine = jax.tree.map(lambda x, i=i: x[i], (states, first))
        require_close(f"vmap over seeds, against a loop, seed {i}", mine, (state, looped), **tolerance)
    states, second = chunk(seeds, states, jnp.uint32(num_steps))
    if len(traces) != 1:
        raise AssertionError(f"the chunk was traced {len(traces)} times in two calls: the state changes its types")

    require_finite("metrics of the first chunk", first)
    require_finite("metrics of the second chunk", second)
    for path, leaf in named_leaves(states):
        if np.issubdtype(plain(leaf).dtype, np.inexact) and np.isnan(plain(leaf)).any():
            raise AssertionError(f"the state is NaN after {2 * num_steps} iterations: {path}")
    if algorithm.evaluate is not None:
        _check_evaluate(algorithm, seeds, states, 2 * num_steps, tolerance)


def _check_types(algorithm: Algorithm, seed: jax.Array) -> None:
    fresh = jax.eval_shape(algorithm.init, init_key(seed))
    stepped, metrics = jax.eval_shape(algorithm.step, step_key(seed, 0), fresh)
    _check_metrics("step", metrics)
    require_same_types("the state after step, against that after init", stepped, fresh)
    if algorithm.evaluate is not None:
        _check_metrics("evaluate", jax.eval_shape(algorithm.evaluate, evaluate_key(seed, 0), fresh))


def _check_metrics(where: str, metrics: Any) -> None:
    if type(metrics) is not dict or not all(isinstance(name, str) for name in metrics):
        raise AssertionError(f"{where}: metrics must be a flat dict with names as keys, not {metrics!r}")
    for name, value in metrics.items():
        if not hasattr(value, "dtype") or value.shape != () or str(value.dtype) not in METRIC_TYPES:
            raise AssertionError(f"{where}: metric {name!r} must be a scalar of {METRIC_TYPES}, not {value!r}")


def _check_no_key_stored(when: str, key: jax.Array, state: Any) -> None:
    words = plain(key).ravel()
    for path, leaf in named_leaves(state):
        data = plain(leaf)
        if data.dtype != words.dtype or data.size % words.size:
            continue
        if (data.reshape((-1, words.size)) == words).all(-1).any():
            raise AssertionError(f"{when} stores the key it was given in {path}: keys come from outside")


def _counted_chunk(algorithm: Algorithm, num_steps: int) -> tuple[Callable, list[None]]:
    traces = []

    @quick_jit
    def chunk(seeds, states, start):
        traces.append(None)
        return jax.vmap(lambda seed, state: scan_steps(algorithm, seed, state, start, num_steps))(seeds, states)

    return chunk, traces


def _check_evaluate(algorithm: Algorithm, seeds, states, t: int, tolerance: dict[str, float]) -> None:
    def evaluate(seed, state):
        return algorithm.evaluate(evaluate_key(seed, t), state)

    batched = quick_jit(jax.vmap(evaluate))(seeds, states)
    require_finite("metrics of evaluate", batched)
    single = quick_jit(evaluate)
    for i in range(len(seeds)):
        mine, state = jax.tree.map(lambda x, i=i: x[i], (batched, states))
        require_close(f"evaluate under vmap, against a loop, seed {i}", mine, single(seeds[i], state), **tolerance)
