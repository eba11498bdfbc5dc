"""MBE: exploration by the multiplier bootstrap.

Wan, Wei, Kveton and Song (2023), "Multiplier bootstrap-based exploration". The model is refitted before each decision
with a random weight of mean 1 and standard deviation sigma on every reward and on lambda pseudo-rewards 1 and 0 for
each, which keep the spread alive; the arm of the largest refitted mean is played,

    Y_a = (sum w_i R_i + lambda sum w'_i) / (sum w_i + lambda sum w'_i + lambda sum w''_i).

Regret: rate-optimal, ``O(sum_a ln T / gap_a)`` and ``O(sqrt(K T ln T))`` for sub-Gaussian rewards.

What differs: with Gaussian weights numerator and denominator of an arm are jointly Gaussian given the sums of its
rewards and squared rewards, so two normal numbers replace the history: an exact sample in O(1).
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.index import most_promising
from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, require_index_world
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class MBEConfig:
    """Attributes:
    pseudo: ``lambda``, pseudo-rewards of each kind for every reward, not negative; may be traced. 0 stops exploring.
    weight_sd: ``sigma``, standard deviation of the weights; may be traced.
    low, high: the pseudo-rewards, in units of the rewards; 0 and 1 for rewards in [0, 1]; may be traced.
    """

    pseudo: float = 0.5
    weight_sd: float = float(np.sqrt(0.5))
    low: float = 0.0
    high: float = 1.0


class MBEState(NamedTuple):
    """Attributes:
    arms: what was seen of each arm, with variances, in units of (value - low) / (high - low).
    clipped: i32[], decisions in which the denominator of some arm was near 0 or negative and was raised to n / 10.
    """

    arms: Arms
    clipped: jax.Array


def mbe(spec: Spec, config: MBEConfig) -> Policy:
    """MBE for single arms; arms never seen come first.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or a setting is out of range.
    """
    require_index_world(spec, "mbe")
    require_between(0.0, np.inf, pseudo=config.pseudo, weight_sd=config.weight_sd)
    if not isinstance(config.low, jax.core.Tracer) and not np.all(np.asarray(config.low) < np.asarray(config.high)):
        raise ValueError(f"low={config.low!r}, high={config.high!r}: expected low < high")

    def init(key):
        return MBEState(new_arms(spec.num_arms, variance=True), jnp.int32(0))

    def act(normal, state, observation):
        sample, clipped = refit(normal, state.arms, config.pseudo, config.weight_sd)
        sample = jnp.where(state.arms.n > 0, sample, jnp.inf)
        action = first_argmax(jnp.where(observation.mask, sample, -jnp.inf))
        return action, Aux(extras=(clipped & (state.arms.n > 0)).any())

    def update(state, observation, action, feedback, aux):
        value = (feedback.value - config.low) / (config.high - config.low)
        return MBEState(see(state.arms, feedback.seen, value), state.clipped + aux.extras)

    def noise(key, n):
        return jax.random.normal(key, (n, 2, spec.num_arms))

    return Policy(spec, init, act, update, lambda state: most_promising(state.arms), noise=noise)


def refit(normal: jax.Array, arms: Arms, pseudo: jax.Array, weight_sd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The randomly weighted means f32[K], from ``normal`` f32[2, K], and where the denominator was raised, bool[K].

    All moments are divided by n: the weighted sums have means ``m + lambda`` and ``1 + 2 lambda``, and the covariance
    ``sigma^2 / n`` times ``[[q + lambda^2, m + lambda^2], [., 1 + 2 lambda^2]]``, with q the mean of squared rewards.
    """
    m = arms.mean
    q = arms.variance + jnp.square(m)
    unit = weight_sd * jnp.sqrt(arms.share)
    whole = jnp.sqrt(1 + 2 * jnp.square(pseudo))
    shared = (m + jnp.square(pseudo)) / whole
    own = jnp.sqrt(jnp.maximum(q + jnp.square(pseudo) - jnp.square(shared), 0.0))
    bottom = 1 + 2 * pseudo + unit * whole * normal[0]
    top = m + pseudo + unit * (shared * normal[0] + own * normal[1])
    return top / jnp.maximum(bottom, 0.1), bottom < 0.1
