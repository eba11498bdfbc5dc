"""RDD: Fang, Yang, Tao, Lyu, Li, Shen and Li (2025), "Exploration by random distribution distillation".

The predictor f is fitted to a fresh draw around the random net g at every gradient step, so after n visits the best it
can be is the mean of n draws, and its distance to g a pseudo-count::

    f(x) is fitted to g(x) + sigma eps,  eps ~ N(0, I_d)        raw = |f(x) - g(x)|^2 / d  ->  sigma^2 / n

The 1/n needs an average over the draws: steps that decay like 1/t, or the mean of f's weights (``polyak``). With a
constant step size alpha the error of a running mean settles at ``sigma^2 alpha / (2 - alpha)`` instead. Several epochs
over a rollout redraw eps and so count each visit several times, which only rescales.

Whitening, scaling and nets are those of :mod:`purejaxexplore.bonuses.rnd`.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus
from purejaxexplore.bonuses.rnd import Learned, RNDConfig, distillation, squared_error, target_net
from purejaxexplore.checks import require_between


@struct.dataclass
class RDDConfig:
    """Attributes:
    noise: sigma, [0, inf); 1 in the paper, whose nets have outputs of that order; 0 is RND.
    decay: of the step size, ``learning_rate / (1 + decay t)`` after t gradient steps, [0, inf).
    polyak: share of the mean of f's weights that a rollout keeps, [0, 1); scores are those of the mean.
    rnd: nets, whitening, scaling and fit.
    """

    noise: float = 1.0
    decay: float = 0.0
    polyak: float = 0.0
    rnd: RNDConfig = RNDConfig()


class RDDLearned(NamedTuple):
    """``fitted``: as of RND; ``average``: the mean of the predictor's parameters."""

    fitted: Learned
    average: dict


def rdd(config: RDDConfig | None = None) -> Bonus:
    """The bonus.

    Raises:
        ValueError: a number is out of its range, or as :func:`~purejaxexplore.bonuses.rnd.distillation`.
    """
    config = RDDConfig() if config is None else config
    require_between(0.0, inf, noise=config.noise, decay=config.decay)
    require_between(0.0, 1.0, polyak=config.polyak)
    target = target_net(config.rnd)

    def noisy(key, params, x):
        mean = target.apply(params, x)
        return mean + config.noise * jax.random.normal(key, mean.shape)

    inner = distillation(
        config.rnd,
        target.init,
        noisy,
        lambda prediction, params, x: squared_error(prediction, target.apply(params, x)),
        learning_rate=lambda t: config.rnd.learning_rate / (1.0 + config.decay * t),
        name="RDD",
    )

    def init(key, steps):
        state = inner.init(key, steps)
        return state._replace(learn=RDDLearned(state.learn, state.learn.predictor))

    def score(key, state, step):
        averaged = state.learn.fitted._replace(predictor=state.learn.average)
        return state, inner.score(key, state._replace(learn=averaged), step)[1]

    def update(key, state, batch):
        fitted, metrics = inner.update(key, state._replace(learn=state.learn.fitted), batch)
        average = jax.tree.map(
            lambda old, new: jnp.asarray(config.polyak * old + (1.0 - config.polyak) * new, new.dtype),
            state.learn.average, fitted.learn.predictor,
        )  # fmt: skip
        return state._replace(learn=RDDLearned(fitted.learn, average)), metrics

    return inner._replace(init=init, score=score, update=update)
