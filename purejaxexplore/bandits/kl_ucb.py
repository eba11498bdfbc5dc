"""Policies that are asymptotically optimal for Bernoulli rewards: KL-UCB, IMED and Bayes-UCB.

With ``m`` the mean of the ``n`` rewards of an arm and ``kl`` the divergence of Bernoulli distributions:

* ``kl_ucb`` plays the largest ``max {q: n kl(m, q) <= ln t + c ln ln t}``. Garivier and Cappe (2011), "The KL-UCB
  algorithm for bounded stochastic bandits and beyond".
* ``imed`` plays the smallest ``n kl(m, max m) + ln n``. Honda and Takemura (2015), "Non-asymptotic analysis of a new
  bandit algorithm for semi-bounded rewards". No root to find, and only the arm that was played needs new logarithms.
* ``bayes_ucb`` plays the largest quantile ``1 - 1 / (t (ln T)^c)`` of the posterior Beta(1 + n m, 1 + n (1 - m)).
  Kaufmann, Cappe and Garivier (2012), "On Bayesian upper confidence bounds for bandit problems".

All three are stated for rewards in [0, 1]; for a Bernoulli instance their regret divided by ``ln T`` tends to the
constant of Lai and Robbins, ``sum_a gap_a / kl(mean_a, max mean)``, which no uniformly good policy can beat.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc

from purejaxexplore.bandits.index import index_policy, most_promising
from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    first_argmax,
    no_noise,
    one_hot,
    require_horizon,
    require_index_world,
    require_unit_values,
)
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.blocks.divergences import EDGE, kl_upper
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec

_BISECTIONS = 20  # of the quantile: to 1e-6


@flax.struct.dataclass
class KLUCBConfig:
    """Attributes:
    c: factor of ``ln ln t``; 3 in the proof, 0 in practice (the paper's own recommendation); may be traced.
    """

    c: float = 0.0


@flax.struct.dataclass
class BayesUCBConfig:
    """Attributes:
    horizon: ``T``, pulls, at least the number of arms; may be traced.
    c: power of ``ln T``; 5 in the proof, 0 in practice (the paper's own recommendation); may be traced.
    """

    horizon: float
    c: float = 0.0


def kl_ucb(spec: Spec, config: KLUCBConfig) -> Policy:
    """KL-UCB; regret at most ``sum_a gap_a (1 + eps) ln T / kl(mean_a, max mean) + O(ln ln T)`` for every eps > 0.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or ``c`` is negative.
    """
    _require(spec, "kl_ucb")
    require_between(0.0, np.inf, c=config.c)

    def index(arms, t):
        log_t = jnp.log(t)
        budget = log_t + config.c * jnp.log(jnp.maximum(log_t, 1.0))
        return kl_upper(arms.mean, budget * arms.share)

    return index_policy(spec, index)


class IMEDState(NamedTuple):
    """Attributes:
    arms: what was seen.
    mean: f32[K], of every arm, kept within EDGE of 0 and 1.
    log_n: f32[K], ``ln n``; 0 for an arm never seen.
    likelihood: f32[K], ``n (m ln m + (1 - m) ln(1 - m))``, the largest log-likelihood of what was seen.
    """

    arms: Arms
    mean: jax.Array
    log_n: jax.Array
    likelihood: jax.Array


def imed(spec: Spec) -> Policy:
    """IMED, indexed minimum empirical divergence; regret asymptotically ``sum_a gap_a ln T / kl(mean_a, max mean)``.

    ``n kl(m, q)`` is computed as the likelihood of what was seen under m, which changes only with the arm itself, less
    that under q. Rounding leaves about 1e-7 n of it, as it does of a divergence that is computed anew.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or rewards leave [0, 1].
    """
    _require(spec, "imed")

    def init(key):
        zeros = jnp.zeros(spec.num_arms)
        return IMEDState(new_arms(spec.num_arms), zeros + EDGE, zeros, zeros)

    def act(noise, state, observation):
        n, total = state.arms.n, state.arms.total.value
        best = state.mean.max()
        under_best = total * jnp.log(best) + (n - total) * jnp.log(1 - best)
        divergence = jnp.where(state.mean >= best, 0.0, jnp.maximum(state.likelihood - under_best, 0.0))
        index = jnp.where(n > 0, divergence + state.log_n, -jnp.inf)
        action = first_argmax(jnp.where(observation.mask, -index, -jnp.inf))
        return action, Aux(one_hot(spec, action))

    def update(state, observation, action, feedback, aux):
        arms, seen = see(state.arms, feedback.seen, feedback.value), feedback.seen
        n, total = arms.n, arms.total.value
        if spec.feedback == "bandit":  # at most one arm has changed: scalars
            n, total = (jnp.where(seen, x, 0).sum() for x in (n, total))
        n = jnp.maximum(n, 1).astype(jnp.float32)
        mean = jnp.clip(total / n, EDGE, 1 - EDGE)
        likelihood = total * jnp.log(mean) + (n - total) * jnp.log(1 - mean)
        fresh = (mean, jnp.log(n), likelihood)
        kept = (state.mean, state.log_n, state.likelihood)
        return IMEDState(arms, *(jnp.where(seen, new, old) for new, old in zip(fresh, kept, strict=True)))

    return Policy(spec, init, act, update, lambda state: most_promising(state.arms), noise=no_noise)


def bayes_ucb(spec: Spec, config: BayesUCBConfig) -> Policy:
    """Bayes-UCB; regret asymptotically optimal for Bernoulli rewards with c >= 5.

    The quantile takes 20 bisections of the incomplete beta function: by far the dearest index of the family.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], the horizon is below the number
            of arms, or ``c`` is negative.
    """
    _require(spec, "bayes_ucb")
    require_horizon(config.horizon, spec.num_arms)
    require_between(0.0, np.inf, c=config.c)

    def index(arms, t):
        good = arms.total.value
        tail = 1 / (t * jnp.log(config.horizon) ** config.c)
        return beta_quantile(1 + good, 1 + arms.n - good, 1 - tail)

    return index_policy(spec, index)


def beta_quantile(a: jax.Array, b: jax.Array, level: jax.Array) -> jax.Array:
    """The quantile of Beta(a, b), elementwise, by bisection; within 1e-6."""

    def halve(bounds, _):
        low, high = bounds
        middle = (low + high) / 2
        above = betainc(a, b, middle) < level
        return (jnp.where(above, middle, low), jnp.where(above, high, middle)), None

    shape = jnp.broadcast_shapes(jnp.shape(a), jnp.shape(b), jnp.shape(level))
    (low, high), _ = jax.lax.scan(halve, (jnp.zeros(shape), jnp.ones(shape)), length=_BISECTIONS)
    return (low + high) / 2


def _require(spec, name) -> None:
    require_index_world(spec, name)
    require_unit_values(spec, name)
