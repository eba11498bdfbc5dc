"""Elimination over a net of sparse parameters, for linear bandits with features that are wrong by up to epsilon.

Dong and Yang (2023), "Does sparsity help in learning misspecified linear bandits?". Rewards are ``phi(a)^T theta +
nu(a)`` with ``|nu| <= epsilon`` and theta of s entries that are not 0. Least squares can lose ``epsilon sqrt(d)``;
trying sparse parameters one by one loses ``O(epsilon)``, with ``O((d / epsilon)^s)`` queries, and that s stays in the
exponent. A step:

1. Of the parameters that are left the one whose best action promises most is believed.
2. One of its best actions, at random, is queried, without noise.
3. Every parameter is dropped that errs there by more than ``1.5 epsilon``. If the believed one stays, its action is the
   answer; else another parameter is believed.

The net point next to theta is never dropped, and so the answer promises as much as the best action. The rate is the
paper's; the order of the steps and the constant 1.5 are ours.
"""

import itertools
import math
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.misspecified import SparseProblem

_CHUNK = 64
_TIE = 1e-5


@flax.struct.dataclass
class SparseEliminationConfig:
    """Attributes:
    epsilon: bound of the error of the features, in units of the reward, > 0.
    norm: R, length of theta, known, > 0.
    sparsity: s, entries of theta that are not 0: 1 or 2, as the net grows like ``d^s``.
    tolerance: a parameter may err by this many epsilons; may be traced.
    """

    epsilon: float = flax.struct.field(pytree_node=False)
    norm: float = flax.struct.field(pytree_node=False)
    sparsity: int = flax.struct.field(pytree_node=False, default=1)
    tolerance: float = 1.5


class SparseEliminationState(NamedTuple):
    """Attributes:
    best: f32[H], what the best action of each parameter promises.
    alive: bool[H], parameters that are left.
    answer: i32[], the last action queried.
    queries: i32[].
    stopped: bool[], the answer stands, or no parameter is left.
    """

    best: jax.Array
    alive: jax.Array
    answer: jax.Array
    queries: jax.Array
    stopped: jax.Array


def sparse_net(dim: int, sparsity: int, norm: float, epsilon: float) -> np.ndarray:
    """The parameters f32[H, d] of length ``norm`` with at most ``sparsity`` entries, steps of ``epsilon / 2`` apart."""
    axes = norm * np.concatenate([np.eye(dim), -np.eye(dim)])
    if sparsity == 1:
        return axes.astype(np.float32)
    steps = math.ceil(4 * math.pi * norm / epsilon)
    angles = 2 * np.pi * np.arange(steps) / steps
    # The axes belong to many planes: they are listed once.
    angles = angles[np.minimum(np.abs(np.sin(angles)), np.abs(np.cos(angles))) > 1e-9]
    net = [axes]
    for i, j in itertools.combinations(range(dim), 2):
        block = np.zeros((angles.size, dim))
        block[:, i], block[:, j] = norm * np.cos(angles), norm * np.sin(angles)
        net.append(block)
    return np.concatenate(net).astype(np.float32)


def sparse_elimination(problem: SparseProblem, config: SparseEliminationConfig) -> Algorithm:
    """One step is one query; nothing happens after the answer.

    Metrics: ``env_steps`` (queries), ``simple_regret`` (largest value minus that of the last action queried), ``alive``
    (parameters that are left), ``stopped``.

    Raises:
        TypeError: ``problem`` is not a SparseProblem.
        ValueError: a setting is out of range.
    """
    if not isinstance(problem, SparseProblem):
        raise TypeError(
            f"problem={type(problem).__name__}: expected a SparseProblem, as misleading(64)(key) draws it"
        )
    require_between(1e-9, np.inf, epsilon=config.epsilon, norm=config.norm, tolerance=config.tolerance)
    require_at_least(1, sparsity=config.sparsity)
    if config.sparsity > 2:
        raise ValueError(f"sparsity={config.sparsity}: expected 1 or 2, as the net grows like d^sparsity")
    features = jnp.asarray(problem.features)
    net = jnp.asarray(sparse_net(features.shape[1], config.sparsity, config.norm, config.epsilon))

    def init(key):
        # All promises at once would be a table of actions by parameters.
        best = jax.lax.map(lambda parameter: (features @ parameter).max(), net, batch_size=_CHUNK)
        return SparseEliminationState(
            best, jnp.ones(net.shape[0], bool), jnp.int32(0), jnp.int32(0), jnp.bool_(False)
        )

    def step(key, state):
        key_parameter, key_action = jax.random.split(key)
        promise = jnp.where(state.alive, state.best, -jnp.inf)
        believed = one_of(key_parameter, promise >= promise.max() - _TIE)
        action = one_of(key_action, features @ net[believed] >= state.best[believed] - _TIE)
        error = jnp.abs(net @ features[action] - problem.values[action])
        alive = state.alive & (error <= config.tolerance * config.epsilon)
        new = SparseEliminationState(
            state.best, alive, action, state.queries + 1, alive[believed] | ~alive.any()
        )
        new = jax.tree.map(lambda new, old: jnp.where(state.stopped, old, new), new, state)
        return new, {
            "env_steps": new.queries,
            "simple_regret": problem.values.max() - problem.values[new.answer],
            "alive": new.alive.sum(dtype=jnp.int32),
            "stopped": new.stopped,
        }

    return Algorithm(init, step)


def one_of(key: jax.Array, chosen: jax.Array) -> jax.Array:
    """i32[], an entry of bool[n] that is True, each equally likely."""
    return jnp.where(chosen, jax.random.uniform(key, chosen.shape), -1.0).argmax().astype(jnp.int32)


def regression_action(problem: SparseProblem, threshold: float = 0.0) -> jax.Array:
    """i32[], the best action by least squares on all ordinary actions, with entries shrunk by ``threshold``.

    With 0 it is plain least squares; a threshold between the errors of an entry and theta's own finds the support.
    """
    weighted = problem.features * problem.ordinary[:, None]
    estimate = jnp.linalg.solve(weighted.T @ problem.features, weighted.T @ problem.values)
    shrunk = jnp.sign(estimate) * jnp.maximum(jnp.abs(estimate) - threshold, 0.0)
    return (problem.features @ shrunk).argmax().astype(jnp.int32)
