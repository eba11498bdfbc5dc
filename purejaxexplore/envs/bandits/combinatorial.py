"""Semi-bandits in which only certain sets of arms can be played: paths, matchings, assignments.

The action is a mask bool[K] that must be one of the sets; every arm of it pays, and each payment is seen. The sets are
a table, so that the best one under any weights is exact: for problems of up to some thousand sets.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.bandits.stochastic import Instance, bernoulli, num_arms
from purejaxexplore.envs.bandits.world import World


def combinatorial(instance: Instance, sets: np.ndarray, *, horizon: int | None = None) -> World:
    """Bernoulli arms of which a set of a table is played; the regret is against the best set.

    Args:
        instance: means f32[K] in [0, 1], or ``key -> means``.
        sets: bool[F, K], the sets that can be played; it is for the policy to play no other.
        horizon: pulls it is meant for.

    Raises:
        ValueError: as for :func:`purejaxexplore.envs.bandits.bernoulli`, or ``sets`` is not bool[F, K] with an arm in
            every set.
    """
    table = np.asarray(sets)
    if table.ndim != 2 or table.dtype != bool or not table.any(1).all():
        raise ValueError(
            f"sets: {table.dtype} of shape {table.shape}, expected bool of (F, K) with an arm in every set"
        )
    K = num_arms(instance, (0.0, 1.0))
    if table.shape[1] != K:
        raise ValueError(f"sets of shape {table.shape}: expected (F, {K}), one column for each arm")
    inner = bernoulli(instance, feedback="semi", num_chosen=int(table.sum(1).max()), horizon=horizon)
    members = jnp.asarray(table, jnp.float32)

    def step(noise, state, action):
        means = inner.means(state)
        state, feedback, _ = inner.step(noise, state, action)
        return state, feedback, (members @ means).max() - jnp.where(action, means, 0.0).sum()

    # The counts of single arms no longer give the regret: it is summed.
    return inner._replace(spec=inner.spec._replace(stationary=False), step=step)


def grid_paths(rows: int, columns: int) -> np.ndarray:
    """The paths from one corner of a grid of crossings to the other, right and down: bool[F, K], K the streets.

    Streets to the right come first, row by row, then those down.

    Raises:
        ValueError: fewer than two rows or columns.
    """
    require_at_least(2, rows=rows, columns=columns)
    right = rows * (columns - 1)
    moves = rows + columns - 2
    paths = []
    for downs in itertools.combinations(range(moves), rows - 1):
        path, row, column = np.zeros(right + (rows - 1) * columns, bool), 0, 0
        for move in range(moves):
            if move in downs:
                path[right + row * columns + column] = True
                row += 1
            else:
                path[row * (columns - 1) + column] = True
                column += 1
        paths.append(path)
    return np.stack(paths)


def best_set(sets: jax.Array, weights: jax.Array) -> jax.Array:
    """The set bool[K] of the table bool[F, K] of the largest sum of ``weights`` f32[K], which are finite."""
    return sets[(sets.astype(jnp.float32) @ weights).argmax()]
