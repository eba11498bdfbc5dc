"""Exponential weights against an adversary: Hedge, EXP3, EXP3-IX, EXP3.S and EXP4.

All keep cumulative (estimated) losses ``L`` of the arms, loss = 1 - reward in [0, 1], and play from
``p ~ exp(-eta L)``; all but Hedge estimate the loss of the arm played by ``loss / p``, and use no other. Regret against
the best fixed arm, for every sequence of losses:

* ``hedge`` sees all losses: ``sqrt(T ln K / 2)``, eta = sqrt(8 ln K / T). Freund and Schapire (1997), "A
  decision-theoretic generalization of on-line learning and an application to boosting".
* ``exp3``: ``sqrt(2 T K ln K)`` in expectation, eta = sqrt(2 ln K / (T K)). Auer, Cesa-Bianchi, Freund and Schapire
  (2002), "The nonstochastic multiarmed bandit problem", in the loss form without extra exploration of Bubeck and
  Cesa-Bianchi (2012), "Regret analysis of stochastic and nonstochastic multi-armed bandit problems".
* ``exp3_ix`` divides by ``p + gamma``: ``2 sqrt(2 T K ln K) + (sqrt(2 T K / ln K) + 1) ln(2 / delta)`` with probability
  1 - delta. Neu (2015), "Explore no more: improved high-probability regret bounds for non-stochastic bandits".
* ``exp3_s`` shares weight among the arms: ``O(sqrt(S K T ln(K T)))`` against sequences that switch S times. Auer et
  al. (2002), section 8.
* ``exp4`` weighs N experts instead of arms: ``sqrt(2 T K ln N)`` against the best expert. Auer et al. (2002),
  section 7.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    draw_arm,
    first_argmax,
    require_horizon,
    require_index_world,
    require_unit_values,
)
from purejaxexplore.checks import choice, require_between
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, placeholder


@flax.struct.dataclass
class ExponentialConfig:
    """Attributes:
    horizon: ``T``, pulls, at least the number of arms; may be traced.
    rate_factor: multiplies the learning rate of the bound; may be traced.
    """

    horizon: float
    rate_factor: float = 1.0


@flax.struct.dataclass
class EXP3SConfig:
    """Attributes:
    horizon: ``T``, pulls, at least the number of arms; may be traced.
    switches: ``S``, changes of the best arm that the rates are tuned for, at least 0; may be traced.
    """

    horizon: float
    switches: float = 4.0


class LossState(NamedTuple):
    """Attributes:
    losses: f32[K] or f32[N], cumulative (estimated) losses minus the smallest of them, so that they stay small.
    """

    losses: jax.Array


def exponential_weights(losses: jax.Array, eta: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """``exp(-eta L)``, normalised over the arms of ``mask``; f32[K]."""
    return jax.nn.softmax(-eta * losses, where=mask)


def weighted_loss(feedback: Feedback, action: jax.Array, prob: jax.Array) -> jax.Array:
    """f32[K], the loss ``1 - value`` of the arm played over its probability; 0 elsewhere, and where it was not seen."""
    own = feedback.seen & (jnp.arange(prob.size) == action)
    return jnp.where(own, (1 - jnp.where(own, feedback.value, 0.0)) / jnp.maximum(prob, 1e-9), 0.0)


def hedge(spec: Spec, config: ExponentialConfig) -> Policy:
    """Hedge; the world shows the values of all arms.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], the feedback is not ``"full"``, or
            the horizon is below the number of arms.
    """
    _require(spec, "hedge", config)
    choice("feedback", spec.feedback, ("full",))
    eta = config.rate_factor * jnp.sqrt(8 * np.log(spec.num_arms) / config.horizon)

    def estimate(feedback, action, prob):
        return jnp.where(feedback.seen, 1 - jnp.where(feedback.seen, feedback.value, 0.0), 0.0)

    return follow_losses(spec, eta, estimate)


def exp3(spec: Spec, config: ExponentialConfig) -> Policy:
    """EXP3.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or the horizon is below the number
            of arms.
    """
    _require(spec, "exp3", config)
    K = spec.num_arms
    eta = config.rate_factor * jnp.sqrt(2 * np.log(K) / (config.horizon * K))
    return follow_losses(spec, eta, weighted_loss)


def exp3_ix(spec: Spec, config: ExponentialConfig) -> Policy:
    """EXP3-IX, implicit exploration: a small bias of the estimates for a bound on their variance, gamma = eta / 2.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or the horizon is below the number
            of arms.
    """
    _require(spec, "exp3_ix", config)
    K = spec.num_arms
    eta = config.rate_factor * jnp.sqrt(2 * np.log(K) / (config.horizon * K))
    return follow_losses(spec, eta, lambda feedback, action, prob: weighted_loss(feedback, action, prob + eta / 2))


def exp3_s(spec: Spec, config: EXP3SConfig) -> Policy:
    """EXP3.S; gamma = min(1, sqrt(K (S ln(K T) + e) / ((e - 1) T))) and alpha = 1 / T, as in the paper.

    In gains, ``w_a <- w_a exp(gamma gain_a / (p_a K)) + (e alpha / K) sum w``, played with gamma of uniform
    exploration. Weights are normalised after every pull, as nothing depends on their sum; kept unnormalised they
    overflow.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], the horizon is below the number of
            arms, or ``switches`` is negative.
    """
    _require(spec, "exp3_s", config)
    require_between(0.0, np.inf, switches=config.switches)
    K, T = spec.num_arms, config.horizon
    gamma = jnp.minimum(1.0, jnp.sqrt(K * (config.switches * jnp.log(K * T) + np.e) / ((np.e - 1) * T)))

    def probabilities(state, observation):
        weights = jnp.where(observation.mask, jnp.exp(-state.losses), 0.0)
        uniform = observation.mask / observation.mask.sum()
        return (1 - gamma) * weights / weights.sum() + gamma * uniform

    def update(state, observation, action, feedback, aux):
        own = feedback.seen & (jnp.arange(K) == action)
        gain = jnp.where(own, jnp.where(own, feedback.value, 0.0) / jnp.maximum(aux.prob, 1e-9), 0.0)
        logits = -state.losses + gamma / K * gain
        weights = jax.nn.softmax(logits)
        shared = weights + np.e / (T * K)  # the weights sum to 1 here
        losses = -jnp.log(shared)
        return LossState(losses - losses.min())

    return _drawn(spec, probabilities, update, spec.num_arms)


def exp4(
    spec: Spec, config: ExponentialConfig, advice: Callable[[Observation], jax.Array], num_experts: int
) -> Policy:
    """EXP4: exponential weights on experts.

    Args:
        spec: of the world, with or without contexts.
        config: eta = sqrt(2 ln N / (T K)).
        advice: ``observation -> f32[N, K]``, the distribution over arms that each expert recommends.
        num_experts: ``N``, at least 2.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], the horizon is below the number of
            arms, or the advice is not of shape (N, K).
    """
    _require(spec, "exp4", config)
    K, N = spec.num_arms, num_experts
    found = jax.eval_shape(advice, placeholder(spec)[0]).shape
    if N < 2 or found != (N, K):
        raise ValueError(f"advice of shape {found}, num_experts={N!r}: expected ({N}, {K}) with at least 2 experts")
    eta = config.rate_factor * jnp.sqrt(2 * np.log(N) / (config.horizon * K))

    def probabilities(state, observation):
        weights = exponential_weights(state.losses, eta)
        mixed = jnp.where(observation.mask, weights @ advice(observation), 0.0)
        return mixed / mixed.sum()

    def update(state, observation, action, feedback, aux):
        loss = advice(observation) @ weighted_loss(feedback, action, aux.prob)
        losses = state.losses + loss
        return LossState(losses - losses.min())

    def recommend(state):
        return jnp.int32(0)  # an expert is learnt, not an arm

    return _drawn(spec, probabilities, update, N, recommend)


def follow_losses(spec: Spec, eta: jax.Array, estimate: Callable) -> Policy:
    """Plays from ``exp(-eta L)`` with ``L += estimate(feedback, action, prob) f32[K]``."""

    def probabilities(state, observation):
        return exponential_weights(state.losses, eta, observation.mask)

    def update(state, observation, action, feedback, aux):
        losses = state.losses + estimate(feedback, action, aux.prob)
        return LossState(losses - losses.min())

    return _drawn(spec, probabilities, update, spec.num_arms)


def _drawn(spec, probabilities, update, size, recommend=None) -> Policy:
    """A policy that draws its arm from ``probabilities(state, observation)`` with one uniform number."""

    def act(uniform, state, observation):
        prob = probabilities(state, observation)
        return draw_arm(uniform, prob), Aux(prob)

    def noise(key, n):
        return jax.random.uniform(key, (n,))

    return Policy(
        spec, lambda key: LossState(jnp.zeros(size)), act, update,
        recommend or (lambda state: first_argmax(-state.losses)), noise=noise,
    )  # fmt: skip


def _require(spec, name, config) -> None:
    require_index_world(spec, name)
    require_unit_values(spec, name)
    require_horizon(config.horizon, spec.num_arms)
    if hasattr(config, "rate_factor"):
        require_between(0.0, np.inf, rate_factor=config.rate_factor)
