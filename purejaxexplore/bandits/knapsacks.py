"""Bandits with knapsacks of one resource: optimism over mixtures, and a game between rewards and prices.

A budget B of one resource lasts for T rounds if a round costs B / T. Both policies know B and T.

* ``ucb_bwk`` solves every round the linear programme ``max upper(r) . p`` subject to ``lower(c) . p <= (1 - slack) B /
  T``, with bounds ``mean +- (sqrt(g mean / n) + g / n)``, g = ``rate ln T``, and draws its arm from p; the null arm,
  where p leaves something, is the cheapest arm by ``lower(c)``. Agrawal and Devanur (2014), "Bandits with concave
  rewards and convex knapsacks"; all arms are pulled once first. The slack is 0 here: the world ends by itself.
* ``lagrange_bwk`` lets EXP3 choose arms for the payoff ``r + lambda (1 - T c / B)`` and Hedge choose lambda in [0, 1],
  the price of the resource against that of time, to make it small. Immorlica, Sankararaman, Schapire and Slivkins
  (2019), "Adversarial bandits with knapsacks". The payoff lies in ``[1 - T / B, 2]`` and is rescaled to [0, 1].
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.exponential import exponential_weights
from purejaxexplore.bandits.index import most_promising
from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    draw_arm,
    first_argmax,
    require_horizon,
    require_index_world,
    require_unit_values,
)
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.blocks.mixtures import best_mixture
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class KnapsackConfig:
    """Attributes:
    horizon: T, rounds, at least the number of arms; may be traced.
    budget: B, of the resource, > 0; may be traced.
    rate: of the width of the bounds of ``ucb_bwk``, and multiplies both learning rates of ``lagrange_bwk``; may be
        traced.
    slack: share of the budget that ``ucb_bwk`` keeps back, in [0, 1); may be traced.
    """

    horizon: float
    budget: float
    rate: float = 0.25
    slack: float = 0.0


class UcbBwKState(NamedTuple):
    """Attributes:
    rewards, costs: what was seen of each arm.
    """

    rewards: Arms
    costs: Arms


class LagrangeState(NamedTuple):
    """Attributes:
    losses: f32[K], estimated losses of the arms minus the smallest.
    gains: f32[2], summed gains of pricing the resource and of pricing time, minus the largest.
    rewards: what was seen of each arm.
    """

    losses: jax.Array
    gains: jax.Array
    rewards: Arms


def ucb_bwk(spec: Spec, config: KnapsackConfig) -> Policy:
    """Optimism over mixtures.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], it has not one resource, or a
            setting is out of range.
    """
    _require(spec, "ucb_bwk", config)
    K = spec.num_arms

    def act(uniform, state, observation):
        width = config.rate * jnp.log(config.horizon)
        upper = bernstein_bound(state.rewards, width, 1.0)
        lower = bernstein_bound(state.costs, width, -1.0)
        limit = (1 - config.slack) * config.budget / config.horizon
        prob = best_mixture(upper, lower, limit).prob
        spare = jnp.arange(K) == first_argmax(-lower)
        prob = prob + jnp.maximum(1 - prob.sum(), 0.0) * spare
        unseen = state.rewards.n == 0
        fresh = (jnp.arange(K) == first_argmax(unseen.astype(jnp.float32))).astype(jnp.float32)
        prob = jnp.where(unseen.any(), fresh, prob / prob.sum())
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        own = jnp.arange(K) == action
        costs = see(state.costs, own, jnp.where(own, feedback.cost[0], 0.0))
        return UcbBwKState(see(state.rewards, feedback.seen, feedback.value), costs)

    return Policy(
        spec, lambda key: UcbBwKState(new_arms(K), new_arms(K)), act, update,
        lambda state: most_promising(state.rewards), noise=lambda key, n: jax.random.uniform(key, (n,)),
    )  # fmt: skip


def bernstein_bound(arms: Arms, width: jax.Array, sign: float) -> jax.Array:
    """``mean +- (sqrt(width mean / n) + width / n)`` f32[K], within [0, 1]."""
    mean = arms.mean
    radius = jnp.sqrt(width * mean * arms.share) + width * arms.share
    return jnp.clip(mean + sign * radius, 0.0, 1.0)


def lagrange_bwk(spec: Spec, config: KnapsackConfig) -> Policy:
    """The game between arms and prices.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: as for :func:`ucb_bwk`.
    """
    _require(spec, "lagrange_bwk", config)
    K = spec.num_arms
    pace = config.horizon / config.budget
    low, high = 1 - pace, 2.0
    arm_rate = config.rate * jnp.sqrt(2 * np.log(K) / (config.horizon * K))
    price_rate = config.rate * jnp.sqrt(8 * np.log(2) / config.horizon)

    def act(uniform, state, observation):
        prob = exponential_weights(state.losses, arm_rate, observation.mask)
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        excess = 1 - pace * feedback.cost[0]
        price = exponential_weights(-state.gains, price_rate)[0]
        payoff = feedback.reward + price * excess
        loss = jnp.clip((high - payoff) / (high - low), 0.0, 1.0)
        own = jnp.arange(K) == action
        losses = state.losses + jnp.where(own, loss / jnp.maximum(aux.prob, 1e-9), 0.0)
        gains = state.gains + jnp.stack([-excess / jnp.maximum(pace - 1, 1.0), jnp.zeros(())])
        return LagrangeState(
            losses - losses.min(), gains - gains.max(), see(state.rewards, feedback.seen, feedback.value)
        )

    def init(key):
        return LagrangeState(jnp.zeros(K), jnp.zeros(2), new_arms(K))

    return Policy(
        spec, init, act, update, lambda state: most_promising(state.rewards),
        noise=lambda key, n: jax.random.uniform(key, (n,)),
    )  # fmt: skip


def _require(spec, name, config) -> None:
    require_index_world(spec, name)
    require_unit_values(spec, name)
    if spec.num_resources != 1:
        raise ValueError(f"num_resources={spec.num_resources}: {name} is for one resource, expected 1")
    require_horizon(config.horizon, spec.num_arms)
    require_between(1e-6, np.inf, budget=config.budget)
    require_between(0.0, np.inf, rate=config.rate)
    require_between(0.0, 1 - 1e-6, slack=config.slack)
