"""Linear bandit tasks that share a representation: ``theta_m = B w_m`` with one ``B`` f32[d, k] for all tasks.

The worlds of Du, Huang and Sun (2023), "Multi-task representation learning for pure exploration in linear bandits". An
instance is drawn from a key; what it draws are arrays, not a world to be pulled: the pulls of fixed designs are drawn
together (:func:`purejaxexplore.blocks.designs.least_squares_draw`).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.contextual import on_sphere

_CANDIDATES = 64


class LinearTasks(NamedTuple):
    """Attributes:
    arms: f32[n, d], of length 1, the same for all tasks.
    basis: f32[d, k], orthonormal columns.
    parameters: f32[M, d], one a task, of length 1, in the span of the basis.
    """

    arms: jax.Array
    basis: jax.Array
    parameters: jax.Array


class ContextualTasks(NamedTuple):
    """Attributes:
    features: f32[S, A, d], of every context and action, of length 1.
    chances: f32[S], of the contexts.
    basis: f32[d, k], orthonormal columns.
    parameters: f32[M, d], one a task, of length 1, in the span of the basis.
    """

    features: jax.Array
    chances: jax.Array
    basis: jax.Array
    parameters: jax.Array


def linear_tasks(
    num_tasks: int, dim: int, rank: int, num_arms: int, *, least_gap: float = 0.1, crowded: float = 0.0
) -> Callable[[jax.Array], LinearTasks]:
    """``key -> LinearTasks``: arms and parameters uniform on their spheres.

    Args:
        num_tasks, dim, rank, num_arms: M, d, k and n.
        least_gap: of 64 candidates a task takes the first whose best arm is better by this much, or the candidate of
            the largest gap.
        crowded: share of the arms that crowd around one of them, in a cone of about 0.3.

    Raises:
        ValueError: a size is out of range, the rank exceeds the dimension, or too few arms to span the space.
    """
    require_at_least(1, num_tasks=num_tasks, dim=dim, rank=rank)
    require_between(0.0, 1.0, least_gap=least_gap, crowded=crowded)
    if rank > dim:
        raise ValueError(f"rank={rank}: expected at most dim={dim}")
    crowd = int(crowded * num_arms)
    if num_arms - crowd < dim:
        raise ValueError(
            f"num_arms={num_arms}, {crowd} of them crowded: expected {dim} others, to span the space"
        )

    def draw(key):
        key_arms, key_crowd, key_basis, key_weights = jax.random.split(key, 4)
        arms = on_sphere(key_arms, (num_arms, dim))
        near = arms[0] + 0.3 * on_sphere(key_crowd, (num_arms, dim))
        near = near / jnp.linalg.norm(near, axis=-1, keepdims=True)
        arms = jnp.where(jnp.arange(num_arms)[:, None] < crowd, near, arms)
        basis = jnp.linalg.qr(jax.random.normal(key_basis, (dim, rank)))[0]
        candidates = on_sphere(key_weights, (num_tasks, _CANDIDATES, rank))
        best = jax.lax.top_k(candidates @ (arms @ basis).T, 2)[0]
        gap = best[..., 0] - best[..., 1]
        chosen = jnp.where((gap >= least_gap).any(-1), (gap >= least_gap).argmax(-1), gap.argmax(-1))
        weights = jnp.take_along_axis(candidates, chosen[:, None, None], axis=1)[:, 0]
        return LinearTasks(arms, basis, weights @ basis.T)

    return draw


def contextual_tasks(
    num_tasks: int, dim: int, rank: int, num_contexts: int, num_actions: int
) -> Callable[[jax.Array], ContextualTasks]:
    """``key -> ContextualTasks``: features and parameters uniform on their spheres, chances of contexts uneven.

    Raises:
        ValueError: a size is out of range, or the rank exceeds the dimension.
    """
    require_at_least(1, num_tasks=num_tasks, dim=dim, rank=rank, num_contexts=num_contexts)
    require_at_least(2, num_actions=num_actions)
    if rank > dim:
        raise ValueError(f"rank={rank}: expected at most dim={dim}")
    if num_contexts * num_actions < dim:
        raise ValueError(
            f"num_contexts={num_contexts}, num_actions={num_actions}: too few features to span {dim}"
        )

    def draw(key):
        key_features, key_chances, key_basis, key_weights = jax.random.split(key, 4)
        features = on_sphere(key_features, (num_contexts, num_actions, dim))
        chances = jax.random.exponential(key_chances, (num_contexts,)) + 0.1
        basis = jnp.linalg.qr(jax.random.normal(key_basis, (dim, rank)))[0]
        weights = on_sphere(key_weights, (num_tasks, rank))
        return ContextualTasks(features, chances / chances.sum(), basis, weights @ basis.T)

    return draw
