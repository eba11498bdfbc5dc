"""Marginal gains of submodular objectives: Prajapat, Mutny, Zeilinger and Krause (2024), "Submodular reinforcement
learning".

The value of a trajectory is a set function F of the states it visited, and a step is paid what it adds::

    g_t = F({s_0, ..., s_{t+1}}) - F({s_0, ..., s_t}),        sum_t g_t = F(all) - F({s_0})

With these rewards the policy gradient of SubPO is the ordinary one of gains to go: a single stream with ``gamma=1`` and
``lam=1``. :func:`~purejaxexplore.bonuses.sofe.expose` with ``lambda state: state.mem.astype(float)`` shows the policy
what it has covered, the history-dependent form of the paper.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing, score_one
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class CoverageGainConfig:
    """``num_states``: S, numbered states."""

    num_states: int = struct.field(pytree_node=False)


def coverage_gain(
    config: CoverageGainConfig, patches: np.ndarray | None = None, weights: np.ndarray | None = None
) -> Bonus:
    """``F(A) = sum of weights of what A covers``.

    Args:
        config: the number of states.
        patches: bool[S, C], which of C things each state covers; by default itself.
        weights: f32[C], 0 or more; 1 by default.

    State: ``mem: bool[N, C]``, what this episode has covered; the state it started in counts without being paid.

    Raises:
        ValueError: a size is not positive, an array has the wrong shape, or a weight is negative.
    """
    require_at_least(1, num_states=config.num_states)
    patches = np.eye(config.num_states, dtype=bool) if patches is None else np.asarray(patches, bool)
    weights = np.ones(patches.shape[-1], np.float32) if weights is None else np.asarray(weights, np.float32)
    if patches.ndim != 2 or patches.shape[0] != config.num_states:
        raise ValueError(f"patches of shape {patches.shape}: expected ({config.num_states}, C)")
    if weights.shape != patches.shape[1:]:
        raise ValueError(f"weights of shape {weights.shape}: expected {patches.shape[1:]}")
    require_between(0.0, inf, **{"the least of weights": float(weights.min())})

    def init(key, steps):
        return BonusState(mem=jnp.asarray(patches)[steps.aux["reset_state_id"][-1]], t=jnp.int32(0))

    def score(key, state, step):
        patch = jnp.asarray(patches)[step.aux["state_id"]]
        gain = jnp.where(patch & ~state.mem, weights, 0.0).sum(-1)
        fresh = jnp.asarray(patches)[step.aux["reset_state_id"]]
        return state._replace(mem=jnp.where(step.done[:, None], fresh, state.mem | patch)), gain

    return _gains(init, score, lambda mem: mem.shape[0])


@struct.dataclass
class InformationGainConfig:
    """Attributes:
    num_states: S, numbered states.
    noise_variance: sigma^2 of a measurement, (0, inf).
    capacity: states of an episode that are conditioned on; those after are paid, but change nothing.
    """

    num_states: int = struct.field(pytree_node=False)
    noise_variance: float = 0.01
    capacity: int = struct.field(pytree_node=False, default=64)


class Posterior(NamedTuple):
    """A Gaussian process measured at the states of an episode.

    Attributes:
        rows: f32[N, H, S], rows of ``L^-1 K(visited, all)``; the posterior variance is ``K(s, s) - sum rows(s)^2``.
        size: i32[N], how many there are; those after mean nothing.
    """

    rows: jax.Array
    size: jax.Array

    @property
    def measured(self) -> jax.Array:
        """bool[N, H], which rows there are."""
        return jnp.arange(self.rows.shape[1]) < self.size[:, None]


def measure(kernel: jax.Array, posterior: Posterior, state_id: jax.Array, noise_variance: float):
    """Measures at ``state_id i32[N]``: (posterior, ``log(1 + variance / noise) / 2`` f32[N])."""
    N, capacity, _ = posterior.rows.shape
    lanes = jnp.arange(N)
    at = jnp.where(posterior.measured, posterior.rows[lanes, :, state_id], 0.0)
    covariance = kernel[state_id] - jnp.einsum("nh,nhs->ns", at, posterior.rows)
    variance = jnp.maximum(covariance[lanes, state_id], 0.0)
    row = covariance / jnp.sqrt(variance + noise_variance)[:, None]
    rows = posterior.rows.at[lanes, posterior.size].set(row, mode="drop")
    return Posterior(rows, jnp.minimum(posterior.size + 1, capacity)), 0.5 * jnp.log1p(variance / noise_variance)


def information_gain(config: InformationGainConfig, kernel: np.ndarray | None = None) -> Bonus:
    """``F(A) = log det(I + K_A / sigma^2) / 2``, what measuring at the states of A tells of a Gaussian process.

    Args:
        config: sizes and noise.
        kernel: f32[S, S], symmetric and positive semi-definite; by default states tell nothing of each other.

    State: ``mem`` a :class:`Posterior`, in which the start of the episode is measured without being paid.

    Raises:
        ValueError: a size is not positive, the noise is out of its range, or the kernel has the wrong shape.
    """
    require_at_least(1, num_states=config.num_states, capacity=config.capacity)
    require_between(1e-6, inf, noise_variance=config.noise_variance)
    kernel = np.eye(config.num_states) if kernel is None else np.asarray(kernel)
    if kernel.shape != (config.num_states, config.num_states):
        raise ValueError(f"kernel of shape {kernel.shape}: expected {(config.num_states, config.num_states)}")
    kernel = kernel.astype(np.float32)

    def begin(posterior, start, begins):
        """Where ``begins``, a posterior that is measured at ``start`` alone."""
        N, capacity, _ = posterior.rows.shape
        K = jnp.asarray(kernel)
        first = K[start] / jnp.sqrt(K[start, start] + config.noise_variance)[:, None]
        rows = posterior.rows.at[jnp.arange(N), jnp.where(begins, 0, capacity)].set(first, mode="drop")
        return Posterior(rows, jnp.where(begins, 1, posterior.size))

    def init(key, steps):
        start = steps.aux["reset_state_id"][-1]
        nothing = Posterior(jnp.zeros((*start.shape, config.capacity, config.num_states)), jnp.zeros_like(start))
        return BonusState(mem=begin(nothing, start, jnp.ones_like(start, bool)), t=jnp.int32(0))

    def score_all(key, state, steps):
        def follow(posterior, step):
            state_id, start, done = step
            posterior, gain = measure(jnp.asarray(kernel), posterior, state_id, config.noise_variance)
            return begin(posterior, start, done), gain

        numbers = (steps.aux["state_id"], steps.aux["reset_state_id"], steps.done)
        posterior, gain = jax.lax.scan(follow, state.mem, numbers)
        # Rows of the episode before are cleared once, not at every step: they mean nothing, but memory is a state's.
        rows = jnp.where(posterior.measured[..., None], posterior.rows, 0.0)
        return state._replace(mem=posterior._replace(rows=rows)), gain

    return _gains(init, score_one(score_all), lambda mem: mem.size.shape[0], score_all)


def _gains(init, score, num_envs, score_all=None) -> Bonus:
    """A bonus that pays its scores and learns nothing."""

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    return Bonus(
        init,
        lambda state: observe_nothing(num_envs(state.mem)),
        score,
        shape,
        lambda key, state, batch: (state, {}),
        needs_state_id=True,
        score_all=score_all,
    )
