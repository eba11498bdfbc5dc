"""Generalised advantage estimation for several reward streams at once.

Schulman, Moritz, Levine, Jordan and Abbeel (2016), "High-dimensional continuous control using generalized advantage
estimation"; the streams with their own discounts and episode flags are those of Burda et al. (2018), section 2.3.
"""

import jax
import jax.numpy as jnp


def gae(rewards, values, next_values, stop, cut, gamma, lam) -> jax.Array:
    """Advantages ``A_t = delta_t + gamma lam (1 - cut_t) A_{t+1}``, ``delta_t = r_t + gamma (1 - stop_t) v'_t - v_t``.

    Args:
        rewards, values, next_values: f32[T, N, K]; ``next_values`` is the value of what followed the step.
        stop: bool[T, N, K], True where nothing is bootstrapped.
        cut: bool[T, N, K], True where the trace ends.
        gamma, lam: f32[K] or scalars, each in [0, 1].

    Returns:
        f32[T, N, K]. The value targets are ``advantages + values``.

    Raises:
        ValueError: the value heads are not as many as the reward streams, which would broadcast.
    """
    for name, heads in (("values", values), ("next_values", next_values)):
        if heads.shape != rewards.shape:
            raise ValueError(f"{name} of shape {heads.shape}: expected {rewards.shape}, one head a reward stream")
    deltas = rewards + gamma * jnp.where(stop, 0.0, next_values) - values
    decays = gamma * lam * jnp.where(cut, 0.0, 1.0)

    def accumulate(advantage, delta_decay):
        delta, decay = delta_decay
        advantage = delta + decay * advantage
        return advantage, advantage

    _, advantages = jax.lax.scan(accumulate, jnp.zeros_like(deltas[0]), (deltas, decays), reverse=True)
    return advantages


def stream_boundaries(terminated, truncated, successor_values, reset_values, episodic) -> tuple[jax.Array, ...]:
    """Where each stream stops bootstrapping, what it bootstraps from, and where its trace is cut.

    An episodic stream bootstraps through truncation from the true successor and never through termination; a
    non-episodic stream never ends: it continues into the observation acted on next, reset or not.

    Args:
        terminated, truncated: bool[T, N].
        successor_values: f32[T, N, K], values of the true successors (before any reset).
        reset_values: f32[T, N, K], values of the observations acted on next.
        episodic: tuple of K static bools.

    Returns:
        ``next_values, stop, cut`` for :func:`gae`, each ``[T, N, K]``.
    """
    episodic = jnp.asarray(episodic)
    stop = terminated[..., None] & episodic
    cut = (terminated | truncated)[..., None] & episodic
    return jnp.where(episodic, successor_values, reset_values), stop, cut
