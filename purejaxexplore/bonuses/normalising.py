"""The running statistics around a bonus: whitened observations in front of it, a scale for the rewards behind it.

Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation", section 2.4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.moments import RunningMoments, forward_filter, init_moments, merge_moments
from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch


class Norm(NamedTuple):
    """``obs``: moments per feature, f32[d]; ``filter``: f32[N]; ``reward``: moments of the filtered rewards, f32[]."""

    obs: RunningMoments
    filter: jax.Array
    reward: RunningMoments


def init_norm(steps: Step) -> Norm:
    """The statistics after the random rollout ``steps`` [M, N] that bonuses are initialised with."""
    M, N = steps.reward.shape
    obs = steps.next_obs.reshape((M * N, -1))
    return Norm(merge_moments(init_moments(obs.shape[1:]), obs), jnp.zeros(N), init_moments())


def whiten(moments: RunningMoments, obs: jax.Array, clip: float = 5.0, std_floor: float = 0.1) -> jax.Array:
    """``clip((obs - mean) / max(std, floor), -clip, clip)`` of flattened observations, f32[B, ...] -> f32[B, d].

    Without the floor (ours) rarely active binary features are blown up to the clip.
    """
    x = obs.astype(jnp.float32).reshape((obs.shape[0], -1))
    return jnp.clip((x - moments.mean) / jnp.maximum(moments.std, std_floor), -clip, clip)


def symlog(obs: jax.Array) -> jax.Array:
    """``sign(x) log(1 + |x|)`` of flattened observations, f32[B, ...] -> f32[B, d].

    For features that are kept in a memory: whitened ones would change their meaning with the running statistics.
    """
    x = obs.astype(jnp.float32).reshape((obs.shape[0], -1))
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def scale_rewards(
    norm: Norm, raw: jax.Array, batch: Batch, gamma: float, normalise: bool = True
) -> tuple[Norm, jax.Array]:
    """``raw / std(F)`` with ``F_t = gamma F_{t-1} + raw_t``, and the statistics with this rollout merged into them.

    The filter runs over past rewards and is never reset, and the mean is not subtracted, as in the authors' code;
    ``gamma = 0`` divides by the standard deviation of the scores themselves.

    Args:
        norm: the statistics so far.
        raw: f32[T, N].
        batch: the rollout, whose true successors are merged into the moments of observations.
        gamma: of the filter, [0, 1].
        normalise: static; False leaves the rewards as they are.
    """
    filtered, trace = forward_filter(norm.filter, raw, gamma)
    reward = merge_moments(norm.reward, trace)
    obs = merge_moments(norm.obs, batch.steps.next_obs.reshape((raw.size, -1)))
    scale = jnp.sqrt(reward.variance + 1e-8) if normalise else 1.0
    return Norm(obs, filtered, reward), raw / scale
