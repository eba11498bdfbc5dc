"""The terms of PPO's loss: Schulman, Wolski, Dhariwal, Radford and Klimov (2017), "Proximal policy optimization".

Self-imitation is that of Oh, Guo, Singh and Lee (2018), "Self-imitation learning".
"""

import jax
import jax.numpy as jnp


def policy_loss(ratio: jax.Array, advantages: jax.Array, clip_ratio: jax.Array) -> jax.Array:
    """``-E[min(rho A, clip(rho, 1 - eps, 1 + eps) A)]``; Schulman et al. (2017), equation 7."""
    clipped = jnp.clip(ratio, 1.0 - clip_ratio, 1.0 + clip_ratio)
    return -jnp.minimum(ratio * advantages, clipped * advantages).mean()


def value_loss(values, old_values, targets, clip_ratio, clip: bool) -> jax.Array:
    """``sum_k E[(V_k - target_k)^2] / 2`` over f32[B, K], or the larger of it and its clipped form per sample."""
    losses = jnp.square(values - targets)
    if clip:
        clipped = old_values + jnp.clip(values - old_values, -clip_ratio, clip_ratio)
        losses = jnp.maximum(losses, jnp.square(clipped - targets))
    return 0.5 * losses.mean(0).sum()


def self_imitation_loss(log_prob, values, returns, valid, policy_coef, value_coef) -> jax.Array:
    """``-c_p E[(R - V)_+ log pi(a|s)] + c_v E[(R - V)_+^2] / 2`` over the valid ones of f32[B]; 0 where none is.

    The gap (R - V)_+ is constant in the first term.
    """
    gap = jnp.where(valid, jnp.maximum(returns - values, 0.0), 0.0)
    count = jnp.maximum(valid.sum(), 1)
    imitated = -(log_prob * jax.lax.stop_gradient(gap)).sum() / count
    return policy_coef * imitated + value_coef * 0.5 * jnp.square(gap).sum() / count


def explained_variance(values: jax.Array, targets: jax.Array) -> jax.Array:
    """``1 - Var(target - V) / Var(target)`` per head: f32[T, N, K] -> f32[K]."""
    variance = targets.var((0, 1))
    return jnp.where(variance > 0, 1.0 - (targets - values).var((0, 1)) / jnp.maximum(variance, 1e-12), 0.0)
