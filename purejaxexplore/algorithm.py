"""The one idea of the package: an exploration experiment is a pair of pure functions.

An :class:`Algorithm` is written for one seed and knows nothing about seeds, devices, files or clocks. Its randomness
comes from outside: iteration ``t`` of a seed receives ``fold_in(seed_key, t)``, whatever ran before it, which is what
makes resuming exact and seed ``i`` the same in a run of 8 and in a run of 8,000.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Key = jax.Array
State = Any
Metrics = dict[str, jax.Array]
T = TypeVar("T")

# fold_in takes 32-bit data: the two largest values are kept for the keys that are not a step's.
_INIT, _EVALUATE = 0xFFFFFFFF, 0xFFFFFFFE
MAX_STEPS = _EVALUATE


class Algorithm(NamedTuple):
    """An exploration experiment for one seed.

    Attributes:
        init: ``key -> state``, a fresh learner, world included.
        step: ``(key, state) -> (state, metrics)``, one iteration (a pull, an episode, a generation, a PPO update).
            ``metrics`` is a flat dict of scalars with the same keys and dtypes at every step.
        evaluate: ``(key, state) -> metrics``, rarer and dearer measurements, or None.
    """

    init: Callable[[Key], State]
    step: Callable[[Key, State], tuple[State, Metrics]]
    evaluate: Callable[[Key, State], Metrics] | None = None


def init_key(seed_key: Key) -> Key:
    """The key that ``Algorithm.init`` receives for a seed."""
    return jax.random.fold_in(seed_key, jnp.uint32(_INIT))


def step_key(seed_key: Key, t: jax.Array) -> Key:
    """The key that ``Algorithm.step`` receives at iteration ``t`` (i32, at most ``MAX_STEPS - 1``)."""
    return jax.random.fold_in(seed_key, jnp.asarray(t, jnp.uint32))


def evaluate_key(seed_key: Key, t: jax.Array) -> Key:
    """The key that ``Algorithm.evaluate`` receives after ``t`` iterations."""
    return jax.random.fold_in(jax.random.fold_in(seed_key, jnp.uint32(_EVALUATE)), jnp.asarray(t, jnp.uint32))


def scan_steps(algorithm: Algorithm, seed_key: Key, state: State, start: jax.Array, num_steps: int):
    """Runs iterations ``start, ..., start + num_steps - 1``; returns the state and ``metrics [num_steps]``."""

    def iterate(state, t):
        return algorithm.step(step_key(seed_key, t), state)

    return jax.lax.scan(iterate, state, jnp.asarray(start, jnp.uint32) + jnp.arange(num_steps, dtype=jnp.uint32))


def make_train(algorithm: Algorithm, num_steps: int) -> Callable[[Key], tuple[State, Metrics]]:
    """The PureJaxRL form of an algorithm: ``key -> (final state, metrics with leading axis [num_steps])``.

    ``jax.jit(jax.vmap(make_train(algorithm, n)))(keys)`` trains one seed a key. With
    ``key = fold_in(root, seed)`` it gives the numbers that ``purejaxexplore.run`` gives for that seed.

    Raises:
        TypeError: ``algorithm`` is not an :class:`Algorithm`.
        ValueError: ``num_steps`` is not a positive whole number.
    """
    require_algorithm(algorithm)
    if not isinstance(num_steps, int) or not 0 < num_steps <= MAX_STEPS:
        raise ValueError(f"num_steps={num_steps!r}: expected a whole number from 1 to {MAX_STEPS}")

    def train(key):
        return scan_steps(algorithm, key, algorithm.init(init_key(key)), 0, num_steps)

    return train


def per_seed(sample: Callable[[Key], T], make: Callable[[T], Algorithm]) -> Algorithm:
    """An algorithm whose every seed first draws its own world (or any other traced input of the factory).

    Args:
        sample: ``key -> T``, for instance ``lambda key: env.sample_params(key, env_params)``.
        make: ``T -> Algorithm``, for instance ``lambda params: ppo(env, params, config)``; called while tracing.

    Returns:
        An algorithm with state ``(T, state of make(T))``.
    """

    def init(key):
        key_sample, key_init = jax.random.split(key)
        drawn = sample(key_sample)
        return drawn, make(drawn).init(key_init)

    def step(key, state):
        drawn, inner = state
        inner, metrics = make(drawn).step(key, inner)
        return (drawn, inner), metrics

    def evaluate(key, state):
        drawn, inner = state
        return make(drawn).evaluate(key, inner)

    probe = jax.eval_shape(sample, jax.random.key(0))
    has_evaluate = []
    jax.eval_shape(lambda drawn: has_evaluate.append(make(drawn).evaluate is not None), probe)
    return Algorithm(init, step, evaluate if has_evaluate[0] else None)


def require_algorithm(algorithm: Any) -> None:
    """Raises TypeError, saying what to pass, when ``algorithm`` is not an :class:`Algorithm`."""
    if isinstance(algorithm, Algorithm):
        return
    hint = " (a function: call the factory first, e.g. ppo(env, env_params, config))" if callable(algorithm) else ""
    raise TypeError(f"algorithm={algorithm!r}{hint}: expected a purejaxexplore.Algorithm(init, step)")
