"""Track-and-Stop: the best arm with a stated confidence, after as few pulls as any policy needs.

Garivier and Kaufmann (2016), "Optimal best arm identification with fixed confidence". No policy that errs with
probability delta at most stops earlier, on average, than after ``T* kl(delta, 1 - delta)`` pulls, with

    1 / T* = max_w min_b [w_1 d(mu_1, m_b) + w_b d(mu_b, m_b)],        m_b = (w_1 mu_1 + w_b mu_b) / (w_1 + w_b),

over the proportions w of pulls, 1 the best arm. The policy estimates the means, computes the proportions w* for them,
and pulls the arm that is furthest behind its share; it stops when the evidence against every other arm,
``n_1 d(mean_1, m_b) + n_b d(mean_b, m_b)`` with the counts in place of w, exceeds a threshold. With delta -> 0 the mean
number of pulls divided by ``ln(1 / delta)`` tends to T*.

The proportions: with ``x_b = w_b / w_1`` all terms of the minimum are equal to one number y, at which ``sum_b d(mu_1,
m_b) / d(mu_b, m_b) = 1``. y is bisected; x_b follows by Newton's method in ``s = x / (1 + x)``, in which the equation
is linear for Gaussian rewards and nearly so for others. The paper bisects both.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.index import most_promising
from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    first_argmax,
    no_noise,
    one_hot,
    require_index_world,
    require_unit_values,
)
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.blocks.divergences import kl_bernoulli_shifted
from purejaxexplore.checks import choice, require_between
from purejaxexplore.envs.bandits.world import Spec

DIVERGENCES = ("bernoulli", "gaussian")
_BISECTIONS, _NEWTON_STEPS = 18, 4
_LEAST_GAP = 1e-3


@flax.struct.dataclass
class TrackAndStopConfig:
    """Attributes:
    delta: probability in (0, 1) of recommending a wrong arm; may be traced.
    sigma: standard deviation of Gaussian rewards; may be traced.
    weights: proportions f32[K] to track in place of the estimated best ones, or None: 1/K is uniform sampling with the
        same stopping rule, and those of the true means are the oracle.
    divergence: ``"bernoulli"`` or ``"gaussian"``.
    tracking: ``"C"`` follows the sum of all proportions computed so far; ``"D"`` the last ones, and forces every arm
        to be pulled ``sqrt(t) - K / 2`` times.
    threshold: ``"practical"``, ``ln((1 + ln t) / delta)``, with which the paper's experiments were run; ``"proved"``,
        ``ln(2 t (K - 1) / delta)``, with which the probability of an error is proved to be delta at most.
    """

    delta: float = 0.1
    sigma: float = 1.0
    weights: jax.Array | None = None
    divergence: str = flax.struct.field(pytree_node=False, default="bernoulli")
    tracking: str = flax.struct.field(pytree_node=False, default="D")
    threshold: str = flax.struct.field(pytree_node=False, default="practical")


class TrackState(NamedTuple):
    """Attributes:
    arms: what was seen of each arm.
    owed: f32[K], pulls that each arm is behind its share.
    stopped: bool[].
    """

    arms: Arms
    owed: jax.Array
    stopped: jax.Array


def track_and_stop(spec: Spec, config: TrackAndStopConfig) -> Policy:
    """Track-and-Stop; it has stopped once ``policy.stopped`` is True.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, a setting is out of range, the weights are no
            proportions, or rewards leave [0, 1] with the divergence of Bernoulli.
    """
    require_index_world(spec, "track_and_stop")
    choice("divergence", config.divergence, DIVERGENCES)
    choice("tracking", config.tracking, ("C", "D"))
    choice("threshold", config.threshold, ("practical", "proved"))
    if config.divergence == "bernoulli":
        require_unit_values(spec, "track_and_stop with divergence='bernoulli'")
    require_between(1e-12, 1 - 1e-6, delta=config.delta)
    require_between(1e-12, np.inf, sigma=config.sigma)
    K = spec.num_arms
    if config.weights is not None:
        require_between(0.0, 1.0, weights=config.weights)
        if np.shape(config.weights) != (K,):
            raise ValueError(f"weights of shape {np.shape(config.weights)}: expected ({K},), one for each arm")

    def init(key):
        return TrackState(new_arms(K), jnp.zeros(K), jnp.bool_(False))

    def act(noise, state, observation):
        n = state.arms.n
        forced = (n == 0).any()
        if config.tracking == "D":
            forced |= n.min() < jnp.sqrt(observation.t.astype(jnp.float32)) - K / 2
        action = first_argmax(jnp.where(forced, -n.astype(jnp.float32), state.owed))
        return action, Aux(one_hot(spec, action))

    def update(state, observation, action, feedback, aux):
        arms = see(state.arms, feedback.seen, feedback.value)
        known = (arms.n > 0).all()
        t = observation.t + 1.0
        if config.weights is None:
            share = best_proportions(arms.mean, config.divergence, config.sigma)[0]
        else:
            share = jnp.asarray(config.weights, jnp.float32)
        share = jnp.where(known, share, 1 / K)
        if config.tracking == "D":
            owed = t * share - arms.n
        else:
            owed = state.owed + at_least(share, 0.5 * jax.lax.rsqrt(K**2 + t)) - feedback.seen
        limit = jnp.log1p(jnp.log(t)) if config.threshold == "practical" else jnp.log(2 * t * (K - 1))
        enough = evidence(arms, config.divergence, config.sigma) > limit - jnp.log(config.delta)
        return TrackState(arms, owed, state.stopped | (known & enough))

    def recommend(state):
        return most_promising(state.arms)

    return Policy(spec, init, act, update, recommend, noise=no_noise, stopped=lambda state: state.stopped)


def evidence(arms: Arms, divergence: str, sigma: jax.Array) -> jax.Array:
    """f32[], the least generalised likelihood ratio of the arm of the largest mean against another."""
    mean = arms.mean
    best = first_argmax(mean)
    n = arms.n.astype(jnp.float32)
    share = n / jnp.maximum(n + n[best], 1.0)
    first, second = to_common_mean(mean[best], mean[best] - mean, share, divergence, sigma)
    ratio = n[best] * first + n * second
    return jnp.where(jnp.arange(mean.size) == best, jnp.inf, ratio).min()


def best_proportions(means: jax.Array, divergence: str, sigma: jax.Array = 1.0) -> tuple[jax.Array, jax.Array]:
    """The proportions w* f32[K] and the characteristic time T* f32[] of an instance ``means`` f32[K].

    Gaps below 1e-3 are taken as 1e-3: at a tie T* is infinite, and half of the pulls go to each of the two best.
    """
    best = first_argmax(means)
    other = jnp.arange(means.size) != best
    top = means[best]
    gap = jnp.maximum(top - means, _LEAST_GAP)
    if divergence == "bernoulli":
        top = jnp.clip(top, 2 * _LEAST_GAP, 1 - _LEAST_GAP)
        gap = jnp.minimum(gap, top - _LEAST_GAP)
    whole = to_common_mean(top, gap, jnp.ones(means.size), divergence, sigma)[0]
    least = jnp.where(other, whole, jnp.inf).min()

    def solve(y):
        """s f32[K] where every term of the minimum is y, and the sum that must be 1."""
        s = jnp.minimum(y / whole, 1 - 1e-4)
        if divergence != "gaussian":
            for _ in range(_NEWTON_STEPS):
                first, second = to_common_mean(top, gap, s, divergence, sigma)
                excess = first + s / (1 - s) * second - y
                s = jnp.clip(s - excess * jnp.square(1 - s) / jnp.maximum(second, 1e-20), 0.0, 1 - 1e-4)
        first, second = to_common_mean(top, gap, s, divergence, sigma)
        return s, jnp.where(other, first / jnp.maximum(second, 1e-20), 0.0).sum()

    def halve(bounds, _):
        low, high = bounds
        middle = (low + high) / 2
        below = solve(middle * least)[1] < 1
        return (jnp.where(below, middle, low), jnp.where(below, high, middle)), None

    (low, high), _ = jax.lax.scan(halve, (jnp.float32(0.0), jnp.float32(1.0)), length=_BISECTIONS)
    y = (low + high) / 2 * least
    s, _ = solve(y)
    x = jnp.where(other, s / (1 - s), 1.0)
    weights = x / x.sum()
    return weights, 1 / (y * weights[best])


def to_common_mean(
    top: jax.Array, gap: jax.Array, s: jax.Array, divergence: str, sigma
) -> tuple[jax.Array, jax.Array]:
    """Divergences of ``top`` and of ``top - gap`` from the mean between them, ``top - s gap``, elementwise."""
    if divergence == "gaussian":
        unit = jnp.square(gap / sigma) / 2
        return jnp.square(s) * unit, jnp.square(1 - s) * unit
    return kl_bernoulli_shifted(top, -s * gap), kl_bernoulli_shifted(top - gap, (1 - s) * gap)


def at_least(weights: jax.Array, floor: jax.Array) -> jax.Array:
    """The proportions of entries of at least ``floor`` that are nearest to ``weights`` f32[K] in the largest entry."""

    def halve(bounds, _):
        low, high = bounds
        middle = (low + high) / 2
        above = jnp.maximum(weights - middle, floor).sum() > 1
        return (jnp.where(above, middle, low), jnp.where(above, high, middle)), None

    (low, high), _ = jax.lax.scan(halve, (jnp.float32(0.0), weights.size * floor), length=_BISECTIONS)
    raised = jnp.maximum(weights - (low + high) / 2, floor)
    return raised / raised.sum()
