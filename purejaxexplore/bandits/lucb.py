"""LUCB and KL-LUCB: the best arm with a stated confidence, by two pulls a round.

Every round takes the arm of the largest mean and, among the others, the one of the largest upper bound, pulls both,
and ends the run when the lower bound of the first is at most ``epsilon`` below the upper bound of the second. Bounds
are those that the mean of ``n`` values leaves with the exploration rate ``beta = ln(k K t^alpha / delta)``:

* Gaussian tails, ``mean +- sigma sqrt(2 beta / n)``: LUCB, with k = 5/4 and alpha = 4. Kalyanakrishnan, Tewari, Auer
  and Stone (2012), "PAC subset selection in stochastic multi-armed bandits".
* ``kl(mean, bound) = beta / n``: KL-LUCB, with k = 405.5 and alpha = 1.1. Kaufmann and Kalyanakrishnan (2013),
  "Information complexity in bandit subset selection".

With ``rate="practical"`` beta is ``ln((1 + ln t) / delta)``, with which Garivier and Kaufmann (2016) ran KL-LUCB beside
Track-and-Stop. Here ``t`` counts pulls and not rounds, which makes the bounds slightly wider.
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
from purejaxexplore.blocks.divergences import kl_upper
from purejaxexplore.checks import choice, require_between
from purejaxexplore.envs.bandits.world import Spec

DIVERGENCES = ("bernoulli", "gaussian")


@flax.struct.dataclass
class LUCBConfig:
    """Attributes:
    delta: probability in (0, 1) of recommending a wrong arm; may be traced.
    epsilon: an arm this much worse than the best is as good, in units of the reward; may be traced.
    sigma: with Gaussian tails the rewards are sigma-sub-Gaussian, 1/2 for rewards in [0, 1]; may be traced.
    factor: k of the exploration rate, at least 1; 5/4 for LUCB, 405.5 for KL-LUCB; may be traced.
    power: alpha > 1 of the exploration rate; 4 for LUCB, 1.1 for KL-LUCB; may be traced.
    divergence: ``"gaussian"`` (LUCB) or ``"bernoulli"`` (KL-LUCB).
    rate: ``"proved"``, or ``"practical"``, which ignores ``factor`` and ``power`` and has no proof.
    """

    delta: float = 0.1
    epsilon: float = 0.0
    sigma: float = 0.5
    factor: float = 1.25
    power: float = 4.0
    divergence: str = flax.struct.field(pytree_node=False, default="gaussian")
    rate: str = flax.struct.field(pytree_node=False, default="proved")


class LUCBState(NamedTuple):
    """Attributes:
    arms: what was seen of each arm.
    pair: i32[2], leader and challenger of this round.
    second: bool[], the challenger is next.
    stopped: bool[].
    """

    arms: Arms
    pair: jax.Array
    second: jax.Array
    stopped: jax.Array


def kl_lucb_config(**settings) -> LUCBConfig:
    """The settings of KL-LUCB; others by name."""
    return LUCBConfig(**{"factor": 405.5, "power": 1.1, "divergence": "bernoulli", **settings})


def exploration_rate(t: jax.Array, num_arms: int, config: LUCBConfig) -> jax.Array:
    """beta f32[] after ``t`` pulls."""
    if config.rate == "practical":
        return jnp.log1p(jnp.log(t)) - jnp.log(config.delta)
    return jnp.log(config.factor * num_arms / config.delta) + config.power * jnp.log(t)


def confidence_bounds(arms: Arms, beta: jax.Array, config: LUCBConfig) -> tuple[jax.Array, jax.Array]:
    """``(lower, upper)`` f32[K] each, for the exploration rate ``beta``; of arms seen at least once."""
    level = beta * arms.share
    if config.divergence == "bernoulli":
        return 1 - kl_upper(1 - arms.mean, level), kl_upper(arms.mean, level)
    radius = config.sigma * jnp.sqrt(2 * level)
    return arms.mean - radius, arms.mean + radius


def lucb(spec: Spec, config: LUCBConfig) -> Policy:
    """LUCB; it has stopped once ``policy.stopped`` is True, and then recommends an epsilon-best arm.

    With probability ``1 - delta`` the recommendation is right, after ``O(H ln(H / delta))`` pulls, ``H`` the sum of the
    inverse squared gaps.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, a setting is out of range, or rewards leave [0, 1] with
            the divergence of Bernoulli.
    """
    require_index_world(spec, "lucb")
    choice("divergence", config.divergence, DIVERGENCES)
    choice("rate", config.rate, ("proved", "practical"))
    if config.divergence == "bernoulli":
        require_unit_values(spec, "lucb with divergence='bernoulli'")
    require_between(1e-12, 1 - 1e-6, delta=config.delta)
    require_between(0.0, np.inf, epsilon=config.epsilon, sigma=config.sigma)
    require_between(1.0, np.inf, factor=config.factor, power=config.power)
    K = spec.num_arms

    def init(key):
        return LUCBState(new_arms(K), jnp.zeros(2, jnp.int32), jnp.bool_(False), jnp.bool_(False))

    def act(noise, state, observation):
        unseen = (state.arms.n == 0) & observation.mask
        fresh = first_argmax(unseen.astype(jnp.float32))
        action = jnp.where(unseen.any(), fresh, state.pair[state.second.astype(jnp.int32)])
        return action, Aux(one_hot(spec, action))

    def update(state, observation, action, feedback, aux):
        arms = see(state.arms, feedback.seen, feedback.value)
        known = (arms.n > 0).all()
        round_over = known & (state.second | (state.arms.n == 0).any())
        lower, upper = confidence_bounds(arms, exploration_rate(observation.t + 1.0, K, config), config)
        leader = first_argmax(arms.mean)
        challenger = first_argmax(jnp.where(jnp.arange(K) == leader, -jnp.inf, upper))
        separated = lower[leader] >= upper[challenger] - config.epsilon
        pair = jnp.where(round_over, jnp.stack([leader, challenger]), state.pair)
        return LUCBState(arms, pair, known & ~round_over, state.stopped | (round_over & separated))

    def recommend(state):
        return most_promising(state.arms)

    return Policy(spec, init, act, update, recommend, noise=no_noise, stopped=lambda state: state.stopped)
