"""Surprise under a categorical model of this episode's observations, cell by cell.

The density of Fickinger, Jaques, Parajuli, Chang, Rhinehart, Berseth, Russell and Levine (2021), "Explore and control
with adversarial surprise", for observations whose cells each hold one of C classes::

    log p(x') = sum_c log max(count_c(x'_c) / n, least),     log(1 / C) a cell while n = 0
    raw = -log p(x') / number of cells

Paying it seeks entropy, as :mod:`.state_entropy` does under a Gaussian; paying its negative shuns surprise: Berseth,
Geng, Devin, Rhinehart, Finn, Jayaraman and Levine (2021), "SMiRL". The counts are of the episode's observations up to
o_t. They are the sufficient statistics: ``expose(categorical_surprise(), frequencies_and_size)`` shows them to the
policy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.checks import require_between


@struct.dataclass
class CategoricalSurpriseConfig:
    """Attributes:
    least_probability: of a class in a cell, [1e-6, 1]; 1e-3 in the authors' code.
    seek: True pays surprise, False its negative.
    """

    least_probability: float = 1e-3
    seek: bool = struct.field(pytree_node=False, default=True)


class Buffer(NamedTuple):
    """``counts`` i32[N, ..., C]: how often each cell held each class; ``size`` i32[N]: observations counted."""

    counts: jax.Array
    size: jax.Array


def empty_buffer(obs: jax.Array) -> Buffer:
    """A buffer that holds nothing yet, for observations ``obs [N, ..., C]``."""
    return Buffer(jnp.zeros(obs.shape, jnp.int32), jnp.zeros(obs.shape[0], jnp.int32))


def absorb(buffer: Buffer, obs: jax.Array, counted: jax.Array | bool = True) -> Buffer:
    """The buffer with the one-hot ``obs [N, ..., C]`` in those lanes where ``counted bool[N]``."""
    one = jnp.broadcast_to(counted, buffer.size.shape).astype(jnp.int32)
    lanes = one.reshape((-1, *[1] * (obs.ndim - 1)))
    return Buffer(buffer.counts + lanes * obs.astype(jnp.int32), buffer.size + one)


def where_done(done: jax.Array, fresh: Buffer, buffer: Buffer) -> Buffer:
    """``fresh`` in the lanes that ``done bool[N]`` names, ``buffer`` in the others."""
    lanes = done.reshape((-1, *[1] * (buffer.counts.ndim - 1)))
    return Buffer(jnp.where(lanes, fresh.counts, buffer.counts), jnp.where(done, fresh.size, buffer.size))


def frequencies(buffer: Buffer) -> jax.Array:
    """Share of the counted observations in which a cell held a class, f32[N, ..., C]; 0 while there are none."""
    size = jnp.maximum(buffer.size, 1).reshape((-1, *[1] * (buffer.counts.ndim - 1)))
    return buffer.counts / size


def log_probability(buffer: Buffer, obs: jax.Array, least: jax.Array) -> jax.Array:
    """``sum_c log p_c(obs_c)`` over the cells of the one-hot ``obs [N, ..., C]``, f32[N]."""
    known = (buffer.size > 0).reshape((-1, *[1] * (obs.ndim - 1)))
    p = jnp.where(known, jnp.maximum(frequencies(buffer), least), 1.0 / obs.shape[-1])
    return (obs * jnp.log(p)).reshape((obs.shape[0], -1)).sum(-1)


def frequencies_and_size(state: BonusState) -> jax.Array:
    """What the reward depends on besides the next observation, f32[N, cells C + 1]: shares, and ``log(1 + n)``."""
    shares = frequencies(state.mem)
    return jnp.concatenate([shares.reshape((shares.shape[0], -1)), jnp.log1p(state.mem.size)[:, None]], -1)


def categorical_surprise(config: CategoricalSurpriseConfig | None = None) -> Bonus:
    """The bonus.

    State: ``mem`` a :class:`Buffer` that begins with the observation the episode starts with.

    Raises:
        ValueError: a number is out of its range.
    """
    config = CategoricalSurpriseConfig() if config is None else config
    require_between(1e-6, 1.0, least_probability=config.least_probability)
    sign = -1.0 if config.seek else 1.0

    def begin(obs):
        return absorb(empty_buffer(obs), obs)

    def init(key, steps):
        return BonusState(mem=begin(steps.reset_obs[-1]), t=jnp.int32(0))

    def score(key, state, step):
        cells = step.next_obs[0].size // step.next_obs.shape[-1]
        raw = sign * log_probability(state.mem, step.next_obs, config.least_probability) / cells
        mem = where_done(step.done, begin(step.reset_obs), absorb(state.mem, step.next_obs))
        return state._replace(mem=mem), raw

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        return state, {}

    return Bonus(init, lambda state: observe_nothing(state.mem.size.shape[0]), score, shape, update)
