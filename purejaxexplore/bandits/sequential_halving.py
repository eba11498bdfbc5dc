"""Sequential halving: the best arm within a stated number of pulls.

Karnin, Koren and Somekh (2013), "Almost optimal exploration in multi-armed bandits". There are ``R = ceil(log2 K)``
rounds; each pulls every arm that is left ``floor(T / (|S| R))`` times, and keeps the better half, by the means of this
round alone. The probability of an error is at most ``3 log2 K exp(-T / (8 H_2 log2 K))``, ``H_2 = max_i i / gap_(i)^2``
over the arms in the order of their gaps, for rewards in [0, 1].
"""

import math
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, no_noise, one_hot, require_index_world
from purejaxexplore.blocks.arms import Arms, new_arms, see
from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class SequentialHalvingConfig:
    """Attributes:
    budget: T, pulls, at least ``K ceil(log2 K)``; what cannot be shared equally is left over.
    """

    budget: int = flax.struct.field(pytree_node=False)


class HalvingState(NamedTuple):
    """Attributes:
    arms: what was seen of each arm in this round.
    active: bool[K], arms that are left.
    round: i32[], from 0.
    """

    arms: Arms
    active: jax.Array
    round: jax.Array


def halving_plan(num_arms: int, budget: int) -> list[tuple[int, int]]:
    """``(arms left, pulls of each)`` of every round."""
    rounds = math.ceil(math.log2(num_arms))
    sizes = [math.ceil(num_arms / 2**r) for r in range(rounds)]
    return [(size, budget // (size * rounds)) for size in sizes]


def sequential_halving(spec: Spec, config: SequentialHalvingConfig) -> Policy:
    """Sequential halving; it has stopped, ``policy.stopped``, when one arm is left.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, or the budget does not hold a pull of every arm in every
            round.
    """
    require_index_world(spec, "sequential_halving")
    require_at_least(1, budget=config.budget)
    K = spec.num_arms
    plan = halving_plan(K, config.budget)
    if plan[0][1] < 1:
        raise ValueError(
            f"budget={config.budget}: expected at least {K * len(plan)}, {len(plan)} rounds of {K} arms"
        )
    kept = jnp.asarray([*(size for size, _ in plan[1:]), 1, 1], jnp.int32)
    each = jnp.asarray([*(pulls for _, pulls in plan), 1], jnp.int32)

    def init(key):
        return HalvingState(new_arms(K), jnp.ones(K, bool), jnp.int32(0))

    def act(noise, state, observation):
        action = first_argmax(jnp.where(state.active, -state.arms.n.astype(jnp.float32), -jnp.inf))
        return action, Aux(one_hot(spec, action))

    def update(state, observation, action, feedback, aux):
        arms = see(state.arms, feedback.seen, feedback.value)
        done = (~state.active | (arms.n >= each[state.round])).all()
        left = best_of(arms.mean, state.active, kept[state.round])
        fresh = jax.tree.map(lambda new, old: jnp.where(done, new, old), new_arms(K), arms)
        return HalvingState(
            fresh,
            jnp.where(done, left, state.active),
            jnp.minimum(state.round + done, len(plan)).astype(jnp.int32),
        )

    def recommend(state):
        seen = jnp.where(state.arms.n > 0, state.arms.mean, jnp.finfo(jnp.float32).min)
        return first_argmax(jnp.where(state.active, seen, -jnp.inf))

    return Policy(
        spec, init, act, update, recommend, noise=no_noise, stopped=lambda state: state.round == len(plan)
    )


def best_of(score: jax.Array, active: jax.Array, number: jax.Array) -> jax.Array:
    """bool[K], the ``number`` best of the active arms; of equals, those of the lower index."""
    order = jnp.arange(score.size)
    ahead = (score[:, None] > score) | ((score[:, None] == score) & (order[:, None] < order))
    return active & ((ahead & active[:, None]).sum(0) < number)
