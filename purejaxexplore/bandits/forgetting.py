"""Upper confidence bounds for arms that change: discounted UCB and sliding-window UCB.

Garivier and Moulines (2011), "On upper-confidence bound policies for switching bandit problems". Both play the largest

    mean_a + c sqrt(xi ln(n) / n_a)

where the counts n_a, their sum n and the means weigh a pull k rounds ago by gamma^k (c = 2), or count the last tau
rounds only (c = 1). All arms are discounted at every pull, those not played too.

Regret for rewards in [0, 1] and Upsilon changes: ``O(sqrt(Upsilon T) ln T)`` with gamma = 1 - sqrt(Upsilon / T) / 4,
``O(sqrt(Upsilon T ln T))`` with tau = 2 sqrt(T ln T / Upsilon); the lower bound is of order ``sqrt(T)`` even for two
pieces, so on arms that stand still they are far worse than UCB1. A discounted Thompson sampling is
:func:`purejaxexplore.bandits.thompson.beta_thompson` with a ``discount``.
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
from purejaxexplore.blocks.arms import Arms, forget, new_arms, see
from purejaxexplore.blocks.sums import add
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class DiscountedUCBConfig:
    """Attributes:
    discount: ``gamma`` in (0, 1); may be traced.
    xi: factor of ``ln n``, above 1/2 in the theorem, 0.6 in the paper's experiments; may be traced.
    """

    discount: float = 0.99
    xi: float = 0.6


@flax.struct.dataclass
class SlidingWindowUCBConfig:
    """Attributes:
    window: ``tau``, rounds that count, at least the number of arms.
    xi: factor of ``ln n``, above 1/2 in the theorem, 0.6 in the paper's experiments; may be traced.
    """

    window: int = flax.struct.field(pytree_node=False)
    xi: float = 0.6


class WindowState(NamedTuple):
    """Attributes:
    arms: what was seen in the window.
    action: i32[tau], the arms of the last tau rounds, in a ring; -1 before the first.
    value: f32[tau], what they paid.
    """

    arms: Arms
    action: jax.Array
    value: jax.Array


def discounted_ucb(spec: Spec, config: DiscountedUCBConfig) -> Policy:
    """Discounted UCB.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, rewards leave [0, 1], or a setting is out of range.
    """
    require_index_world(spec, "discounted_ucb")
    require_unit_values(spec, "discounted_ucb")
    require_between(1e-6, 1 - 1e-7, discount=config.discount)
    require_between(0.0, np.inf, xi=config.xi)

    def act(noise, arms, observation):
        width = config.xi * jnp.log(jnp.maximum(arms.n.sum(), 1.0))
        scores = arms.mean + 2 * jnp.sqrt(width * arms.share)
        action = _best(arms, scores, observation.mask)
        return action, Aux(one_hot(spec, action))

    def update(arms, observation, action, feedback, aux):
        return see(forget(arms, config.discount), feedback.seen, feedback.value)

    return Policy(
        spec, lambda key: new_arms(spec.num_arms, discounted=True), act, update, most_promising, noise=no_noise
    )


def sliding_window_ucb(spec: Spec, config: SlidingWindowUCBConfig) -> Policy:
    """Sliding-window UCB; an arm that left the window is played next.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, more than one value is seen, rewards leave [0, 1], or a
            setting is out of range.
    """
    require_index_world(spec, "sliding_window_ucb")
    require_unit_values(spec, "sliding_window_ucb")
    if spec.feedback != "bandit":
        raise ValueError(f"feedback={spec.feedback!r}: the window holds one value a round, expected 'bandit'")
    require_at_least(spec.num_arms, window=config.window)
    require_between(0.0, np.inf, xi=config.xi)

    def init(key):
        return WindowState(
            new_arms(spec.num_arms), jnp.full(config.window, -1, jnp.int32), jnp.zeros(config.window)
        )

    def act(noise, state, observation):
        width = config.xi * jnp.log(jnp.minimum(observation.t + 1.0, config.window))
        scores = state.arms.mean + jnp.sqrt(width * state.arms.share)
        action = _best(state.arms, scores, observation.mask)
        return action, Aux(one_hot(spec, action))

    def update(state, observation, action, feedback, aux):
        at = observation.t % config.window
        leaves = jnp.arange(spec.num_arms) == state.action[at]
        arms = Arms(state.arms.n - leaves, add(state.arms.total, jnp.where(leaves, -state.value[at], 0.0)))
        return WindowState(
            see(arms, feedback.seen, feedback.value),
            state.action.at[at].set(action),
            state.value.at[at].set(feedback.reward),
        )

    return Policy(spec, init, act, update, lambda state: most_promising(state.arms), noise=no_noise)


def _best(arms, scores, mask):
    return first_argmax(jnp.where(mask, jnp.where(arms.n > 0, scores, jnp.inf), -jnp.inf))
