"""Successive elimination by repeated exposure, for weighted tallying bandits.

Malik, Igoe, Li and Singh (2023), "Weighted tallying bandits: overcoming intractability via repeated exposure
optimality". In stage s every active arm is played ``M + n_s`` times in a row, ``n_s = n_0 2^s``; after M plays the
world remembers nothing else, so the first M outcomes are discarded and the others averaged. Then every arm is dropped
whose mean reward lies more than ``2 sigma sqrt(2 ln(K T) / n_s)`` below the best one's.

The rate and the mechanism are the paper's; the length of the first stage and the constant of the radius are ours.
Complete policy regret: ``O(sqrt(K T ln T) + (m + M) K)`` where repeating the best arm is the best sequence.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import (
    Aux,
    Policy,
    first_argmax,
    no_noise,
    one_hot,
    require_horizon,
    require_index_world,
)
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class RepeatedExposureConfig:
    """Attributes:
    horizon: T, pulls, at least the number of arms; may be traced.
    memory: M >= m, bound of the world's memory, in pulls, which are discarded; 0 discards none; may be traced.
    sigma: the rewards are sigma-sub-Gaussian; may be traced.
    first_stage: n_0, pulls that are averaged in the first stage.
    """

    horizon: float
    memory: int = 20
    sigma: float = 0.1
    first_stage: int = flax.struct.field(pytree_node=False, default=8)


class ExposureState(NamedTuple):
    """Attributes:
    arm: i32[], the arm of this block.
    played: i32[], pulls of this block.
    stage: i32[].
    active: bool[K].
    mean: f32[K], mean rewards of the last complete blocks.
    total: f32[], sum of the rewards of this block that count.
    """

    arm: jax.Array
    played: jax.Array
    stage: jax.Array
    active: jax.Array
    mean: jax.Array
    total: jax.Array


def repeated_exposure(spec: Spec, config: RepeatedExposureConfig) -> Policy:
    """Successive elimination by repeated exposure.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions of the world are not single arms, the horizon is below the number of arms, or a setting is
            out of range.
    """
    require_index_world(spec, "repeated_exposure")
    require_horizon(config.horizon, spec.num_arms)
    require_between(0.0, np.inf, memory=config.memory, sigma=config.sigma)
    require_at_least(1, first_stage=config.first_stage)
    K = spec.num_arms
    arms = jnp.arange(K)

    def init(key):
        zero = jnp.int32(0)
        return ExposureState(zero, zero, zero, jnp.ones(K, bool), jnp.zeros(K), jnp.float32(0.0))

    def act(noise, state, observation):
        return state.arm, Aux(one_hot(spec, state.arm))

    def update(state, observation, action, feedback, aux):
        value = jnp.where(feedback.seen, feedback.value, 0.0)[action]
        counted = config.first_stage * 2.0**state.stage
        played = state.played + 1
        total = state.total + jnp.where(played > config.memory, value, 0.0)
        block_over = played >= config.memory + counted
        mean = jnp.where(block_over & (arms == state.arm), total / counted, state.mean)
        later = state.active & (arms > state.arm)
        stage_over = block_over & ~later.any()
        radius = config.sigma * jnp.sqrt(2 * jnp.log(K * config.horizon) / counted)
        best = jnp.where(state.active, mean, -jnp.inf).max()
        active = jnp.where(stage_over, state.active & (mean >= best - 2 * radius), state.active)
        following = jnp.where(stage_over, active.argmax(), later.argmax())
        return ExposureState(
            jnp.where(block_over, following, state.arm).astype(jnp.int32),
            jnp.where(block_over, 0, played),
            # The last arm is played for ever: its stage stands still, so that no block grows beyond the integers.
            state.stage + (stage_over & (active.sum() > 1)),
            active,
            mean,
            jnp.where(block_over, 0.0, total),
        )

    def recommend(state):
        return first_argmax(jnp.where(state.active, state.mean, -jnp.inf))

    return Policy(spec, init, act, update, recommend, noise=no_noise)
