"""Surprise under a Gaussian of this episode's observations, whose expectation is their entropy.

Berseth, Geng, Devin, Rhinehart, Finn, Jayaraman and Levine (2021), "SMiRL: surprise minimizing reinforcement learning
in unstable environments", with the sign that Castanyer, Courville and Bengio (2023), "Improving intrinsic exploration
by creating stationary objectives", give it::

    raw = -log N(x'; mu_t, diag(sigma_t^2 + eps^2)) / d

mu_t and sigma_t are of the episode's observations up to o_t, whitened by the moments of the random warm-up. They are
the sufficient statistics: ``expose(state_entropy(), gaussian_statistics)`` shows them to the policy.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.normalising import init_norm, whiten
from purejaxexplore.checks import require_between


@struct.dataclass
class StateEntropyConfig:
    """Attributes:
    least_std: eps, in standard deviations of the warm-up's observations, (0, inf).
    obs_clip: bound of whitened observations, (0, inf).
    """

    least_std: float = 0.3
    obs_clip: float = 5.0


class Episode(NamedTuple):
    """``count`` f32[N], ``mean`` and ``m2`` (sum of squared deviations) f32[N, d] of whitened observations."""

    count: jax.Array
    mean: jax.Array
    m2: jax.Array


def begin(x: jax.Array) -> Episode:
    """The statistics of an episode that begins at ``x f32[N, d]``."""
    return Episode(jnp.ones(x.shape[0]), x, jnp.zeros_like(x))


def absorb(episode: Episode, x: jax.Array) -> Episode:
    """The statistics with ``x f32[N, d]`` (Welford's update)."""
    count = episode.count + 1.0
    mean = episode.mean + (x - episode.mean) / count[:, None]
    return Episode(count, mean, episode.m2 + (x - episode.mean) * (x - mean))


def surprise(episode: Episode, x: jax.Array, least_std: float) -> jax.Array:
    """``-log N(x; mean, diag(m2 / count + least_std^2)) / d``, f32[N]."""
    variance = episode.m2 / episode.count[:, None] + least_std**2
    return 0.5 * (jnp.square(x - episode.mean) / variance + jnp.log(2 * jnp.pi * variance)).mean(-1)


def gaussian_statistics(state: BonusState) -> jax.Array:
    """What the reward depends on besides the next observation: mean, standard deviation, log count, f32[N, 2 d + 1]."""
    episode = state.mem
    std = jnp.sqrt(episode.m2 / episode.count[:, None])
    return jnp.concatenate([episode.mean, std, jnp.log(episode.count)[:, None]], -1)


def state_entropy(config: StateEntropyConfig | None = None) -> Bonus:
    """The bonus.

    State: ``learn`` the frozen moments of observations, ``mem`` an :class:`Episode`.

    Raises:
        ValueError: a number is out of its range.
    """
    config = StateEntropyConfig() if config is None else config
    require_between(1e-6, inf, least_std=config.least_std, obs_clip=config.obs_clip)

    def seen(moments, obs):
        return whiten(moments, obs, config.obs_clip, 0.1)

    def init(key, steps):
        moments = init_norm(steps).obs
        return BonusState(moments, mem=begin(seen(moments, steps.reset_obs[-1])), t=jnp.int32(0))

    def score(key, state, step):
        x = seen(state.learn, step.next_obs)
        raw = surprise(state.mem, x, config.least_std)
        fresh = begin(seen(state.learn, step.reset_obs))
        mem = jax.tree.map(
            lambda new, old: jnp.where(step.done.reshape((-1, *[1] * (old.ndim - 1))), new, old),
            fresh, absorb(state.mem, x),
        )  # fmt: skip
        return state._replace(mem=mem), raw

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        return state, {}

    return Bonus(init, lambda state: observe_nothing(state.mem.count.shape[0]), score, shape, update)
