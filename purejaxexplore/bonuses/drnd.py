"""DRND: Yang, Tao, Lyu and Li (2024), "Exploration and anti-exploration with distributional random network
distillation".

M frozen random nets; each sample's target is the output of one of them, drawn anew at every gradient step: the shuffled
rows of a minibatch are dealt to the nets in equal shares (:func:`deal`). With m the mean and B2 the mean square of the
nets' outputs::

    raw = a |f - m|^2 + (1 - a) mean_j sqrt(clip((f_j^2 - m_j^2) / (B2_j - m_j^2), 0, 1))

The first term is RND's discrepancy; the root estimates 1/sqrt(n). Its argument is negative in a fifth (n = 1) to nearly
half (n = 100) of the draws, hence the clip; the authors' code takes its absolute value and clips at 1e-3.

Whitening, scaling and nets are those of :mod:`purejaxexplore.bonuses.rnd`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.rnd import RNDConfig, distillation, target_net
from purejaxexplore.checks import require_at_least, require_between


@struct.dataclass
class DRNDConfig:
    """Attributes:
    alpha: a, weight of the discrepancy, [0, 1].
    num_targets: M, 2 or more.
    rnd: nets, whitening, scaling and fit.
    """

    alpha: float = 0.9
    num_targets: int = struct.field(pytree_node=False, default=10)
    rnd: RNDConfig = RNDConfig()


def distributional_error(prediction: jax.Array, mean: jax.Array, mean_square: jax.Array, alpha: float) -> jax.Array:
    """The score of ``prediction f32[B, d]`` against the two moments f32[B, d] of the nets' outputs, f32[B]."""
    discrepancy = jnp.square(prediction - mean).sum(-1)
    variance = jnp.maximum(mean_square - jnp.square(mean), 1e-8)
    inverse_count = jnp.clip((jnp.square(prediction) - jnp.square(mean)) / variance, 0.0, 1.0)
    return alpha * discrepancy + (1.0 - alpha) * jnp.sqrt(inverse_count).mean(-1)


def deal(apply: Callable[[Any, jax.Array], jax.Array], key: jax.Array, params: Any, x: jax.Array) -> jax.Array:
    """For each row of ``x f32[B, d_in]`` the output of one of the M nets, drawn uniformly, f32[B, d].

    Runs of ``ceil(B / M)`` rows share a net, and ``key`` says which net has the first run: with rows in random order
    this costs a forward pass of one net, where a draw for each row by itself needs those of all.

    Args:
        apply: ``(params of one net, x) -> f32[B, d]``.
        key: consumed once.
        params: of the nets, leading axis [M].
        x: inputs.
    """
    num_rows, num_nets = x.shape[0], jax.tree.leaves(params)[0].shape[0]
    share = -(-num_rows // num_nets)
    runs = jnp.pad(x, ((0, share * num_nets - num_rows), (0, 0))).reshape(num_nets, share, -1)
    first = jax.random.randint(key, (), 0, num_nets)
    outputs = jax.vmap(apply)(jax.tree.map(lambda p: jnp.roll(p, first, 0), params), runs)
    return outputs.reshape(num_nets * share, -1)[:num_rows]


def drnd(config: DRNDConfig | None = None) -> Bonus:
    """The bonus.

    Raises:
        ValueError: there are fewer than two targets, ``alpha`` is out of its range, or as
            :func:`~purejaxexplore.bonuses.rnd.distillation`.
    """
    config = DRNDConfig() if config is None else config
    require_at_least(2, num_targets=config.num_targets)
    require_between(0.0, 1.0, alpha=config.alpha)
    target = target_net(config.rnd)

    def init_targets(key, example):
        return jax.vmap(target.init, in_axes=(0, None))(jax.random.split(key, config.num_targets), example)

    def error(prediction, params, x):
        def add(sums, params):  # a net at a time, as the outputs of all of them leave the cache
            outputs = target.apply(params, x)
            return (sums[0] + outputs, sums[1] + jnp.square(outputs)), None

        sums = jax.lax.scan(add, (jnp.zeros_like(prediction),) * 2, params)[0]
        return distributional_error(prediction, *(x / config.num_targets for x in sums), config.alpha)

    return distillation(config.rnd, init_targets, functools.partial(deal, target.apply), error, name="DRND")
