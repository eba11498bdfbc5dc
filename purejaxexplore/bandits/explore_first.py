"""Policies that explore without confidence bounds on each decision: the first chapter of every course.

Slivkins (2019), "Introduction to multi-armed bandits", chapter 1, for rewards in [0, 1]; the exact law of
explore-first with two Gaussian arms is :func:`purejaxexplore.bandits.oracles.explore_first_regret`.
"""

import math
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
    require_horizon,
    require_index_world,
)
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class ExploreFirstConfig:
    """Attributes:
    horizon: ``T``, pulls, at least the number of arms; with one fixed before compilation, ``N`` is the book's.
    pulls_each: ``N``, exploring pulls of every arm; None for ``(T/K)^(2/3) (ln T)^(1/3)``, rounded up.
    """

    horizon: int = flax.struct.field(pytree_node=False)
    pulls_each: int | None = flax.struct.field(pytree_node=False, default=None)


@flax.struct.dataclass
class EpsilonGreedyConfig:
    """Attributes:
    epsilon: probability of a uniformly random arm; may be traced.
    """

    epsilon: float = 0.1


@flax.struct.dataclass
class SuccessiveEliminationConfig:
    """Attributes:
    horizon: ``T``, pulls, at least the number of arms; may be traced.
    sigma: the rewards are sigma-sub-Gaussian; 1/2 for rewards in [0, 1].
    """

    horizon: float
    sigma: float = 0.5


class EliminationState(NamedTuple):
    """Attributes:
    arms: what was seen of each arm.
    active: bool[K], arms still in play.
    """

    arms: Arms
    active: jax.Array


def explore_first(spec: Spec, config: ExploreFirstConfig) -> Policy:
    """Every arm ``N`` times in turn, then for ever the arm of the largest mean of those pulls.

    Regret: at most ``T^(2/3) O(K ln T)^(1/3)`` for the book's ``N``.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or the horizon does not hold the exploration.
    """
    require_index_world(spec, "explore_first")
    K, T = spec.num_arms, config.horizon
    require_at_least(1, horizon=T)
    require_horizon(T, K)
    each = config.pulls_each
    if each is None:
        each = min(math.ceil((T / K) ** (2 / 3) * math.log(T) ** (1 / 3)), T // K)
    require_at_least(1, pulls_each=each)
    if each * K > T:
        raise ValueError(f"pulls_each={each}: {K} arms need {each * K} pulls, expected at most horizon={T}")

    def act(noise, arms, observation):
        action = jnp.where(observation.t < each * K, observation.t % K, most_promising(arms))
        return action, Aux(one_hot(spec, action))

    def update(arms, observation, action, feedback, aux):
        return see(arms, feedback.seen & (observation.t < each * K), feedback.value)

    return Policy(spec, lambda key: new_arms(K), act, update, most_promising, noise=no_noise)


def epsilon_greedy(spec: Spec, config: EpsilonGreedyConfig) -> Policy:
    """A uniformly random arm with probability epsilon, else the arm of the largest mean; arms never seen come first.

    Regret: linear, about ``epsilon T`` times the mean gap, for every fixed epsilon.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or ``epsilon`` is outside [0, 1].
    """
    require_index_world(spec, "epsilon_greedy")
    require_between(0.0, 1.0, epsilon=config.epsilon)
    return _greedy_but(spec, lambda t: config.epsilon)


def decaying_epsilon_greedy(spec: Spec) -> Policy:
    """Epsilon-greedy with ``epsilon_t = min(1, (K ln t / t)^(1/3))``.

    Regret: ``t^(2/3) O(K ln t)^(1/3)`` at every t.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms.
    """
    require_index_world(spec, "decaying_epsilon_greedy")
    return _greedy_but(spec, lambda t: jnp.minimum(jnp.cbrt(spec.num_arms * jnp.log(t) / t), 1.0))


def successive_elimination(spec: Spec, config: SuccessiveEliminationConfig) -> Policy:
    """The arms in play in turn; one leaves when its upper bound falls below the lower bound of another.

    The bounds are ``mean +- 2 sigma sqrt(2 ln T / n)``. Regret: ``O(ln T) sum_a 1 / gap_a`` and ``O(sqrt(K T ln T))``;
    the best arm stays to the end with probability 1 - 1/T or more.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, the horizon is below the number of arms, or ``sigma`` is
            negative.
    """
    require_index_world(spec, "successive_elimination")
    require_horizon(config.horizon, spec.num_arms)
    require_between(0.0, np.inf, sigma=config.sigma)

    def init(key):
        return EliminationState(new_arms(spec.num_arms), jnp.ones(spec.num_arms, bool))

    def act(noise, state, observation):
        open_arms = observation.mask & (state.active | ~(state.active & observation.mask).any())
        action = first_argmax(jnp.where(open_arms, -state.arms.n.astype(jnp.float32), -jnp.inf))
        return action, Aux(one_hot(spec, action))

    def update(state, observation, action, feedback, aux):
        arms = see(state.arms, feedback.seen, feedback.value)
        radius = 2 * config.sigma * jnp.sqrt(2 * jnp.log(config.horizon) * arms.share)
        radius = jnp.where(arms.n > 0, radius, jnp.inf)
        best = jnp.where(state.active, arms.mean - radius, -jnp.inf).max()
        return EliminationState(arms, state.active & (arms.mean + radius >= best))

    def recommend(state):
        return first_argmax(jnp.where(state.active & (state.arms.n > 0), state.arms.mean, -jnp.inf))

    return Policy(spec, init, act, update, recommend, noise=no_noise)


def _greedy_but(spec, epsilon_at) -> Policy:
    """Random with probability ``epsilon_at(t)``, by one uniform number for both choices."""

    def act(uniform, arms, observation):
        epsilon = epsilon_at(observation.t + 1.0)
        scores = jnp.where(arms.n > 0, arms.mean, jnp.inf)
        greedy = first_argmax(jnp.where(observation.mask, scores, -jnp.inf))
        # Below epsilon, uniform / epsilon is uniform again: it numbers one of the arms that can be chosen.
        drawn = jnp.floor(uniform / jnp.maximum(epsilon, 1e-30) * observation.mask.sum())
        order = jnp.cumsum(observation.mask) - 1
        random = first_argmax((observation.mask & (order == drawn)).astype(jnp.float32))
        action = jnp.where(uniform < epsilon, random, greedy)
        spread = observation.mask / observation.mask.sum()
        return action, Aux(epsilon * spread + (1 - epsilon) * one_hot(spec, greedy))

    def update(arms, observation, action, feedback, aux):
        return see(arms, feedback.seen, feedback.value)

    def noise(key, n):
        return jax.random.uniform(key, (n,))

    return Policy(spec, lambda key: new_arms(spec.num_arms), act, update, most_promising, noise=noise)
