"""DRND: Yang, Tao, Lyu and Li (2024), "Exploration and anti-exploration with distributional random network
distillation".

M frozen random nets; each sample's target is the output of one of them, drawn anew at every gradient step. With m the
mean and B2 the mean square of their outputs::

    raw = a |f - m|^2 + (1 - a) mean_j sqrt(clip((f_j^2 - m_j^2) / (B2_j - m_j^2), 0, 1))

The first term is RND's discrepancy; the root estimates 1/sqrt(n). Its argument is negative in a fifth (n = 1) to nearly
half (n = 100) of the draws, hence the clip; the authors' code takes its absolute value and clips at 1e-3.

Whitening, scaling and nets are those of :mod:`purejaxexplore.bonuses.rnd`.
"""

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


def distributional_error(prediction: jax.Array, targets: jax.Array, alpha: float) -> jax.Array:
    """The score of ``prediction f32[B, d]`` against the nets' outputs ``targets f32[M, B, d]``, f32[B]."""
    mean, mean_square = targets.mean(0), jnp.square(targets).mean(0)
    discrepancy = jnp.square(prediction - mean).sum(-1)
    variance = jnp.maximum(mean_square - jnp.square(mean), 1e-8)
    inverse_count = jnp.clip((jnp.square(prediction) - jnp.square(mean)) / variance, 0.0, 1.0)
    return alpha * discrepancy + (1.0 - alpha) * jnp.sqrt(inverse_count).mean(-1)


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
    apply_all = jax.vmap(target.apply, in_axes=(0, None))

    def init_targets(key, example):
        return jax.vmap(target.init, in_axes=(0, None))(jax.random.split(key, config.num_targets), example)

    def draw(key, params, x):
        which = jax.random.randint(key, (x.shape[0],), 0, config.num_targets)
        return apply_all(params, x)[which, jnp.arange(x.shape[0])]

    def error(prediction, params, x):
        return distributional_error(prediction, apply_all(params, x), config.alpha)

    return distillation(config.rnd, init_targets, draw, error, name="DRND")
