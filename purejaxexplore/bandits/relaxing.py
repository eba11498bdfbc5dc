"""Policies for costs of unknown scale: Tsallis-INF over a running mean, alone or in bins of a context, and ChebCB.

Khodak, Chow, Balcan and Talwalkar (2024), "Learning to relax: setting solver parameters across a sequence of linear
system instances", choose the relaxation parameter of a solver from iteration counts alone. Values are costs with their
sign turned, so at most 0, of any size.

* ``scaled_tsallis_inf``: Tsallis-INF on the costs over their running mean. A lucky early cost can make an
  importance-weighted loss exceed 1, so the bound of Tsallis-INF holds for a scale known in advance only.
* ``in_bins``: a policy for each of equal bins of a scalar context, learning apart.
* ``cheb_cb``: every arm's cost is regressed on Chebyshev polynomials ``T_0 .. T_{m-1}`` of a scalar context, and
  explored by inverse gaps, ``p_a = 1 / (K + eta (y_a - min y) / s)``, with ``s = N max cost``, ``N = 2 + 4 w L / max
  cost (1 + ln m)``, L the spread of the costs over the width w of the contexts and, with ``alpha = w L (pi + (2 / pi)
  ln(2 m + 1)) / (2 s (m + 1))`` the error of the best polynomial::

      eta_t = 2 t sqrt(K t / (R - S + 2 alpha^2 t))

  where R is the sum of the squared errors of prediction and S that of the residuals of the fit, of costs over s. The
  paper bounds the coefficients; here they are those of a ridge regression, which needs no solver.
"""

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Aux, Policy, draw_arm, first_argmax, require_index_world
from purejaxexplore.bandits.square_cb import inverse_gap_weights
from purejaxexplore.bandits.tsallis_inf import tsallis_weights
from purejaxexplore.blocks.ridge import Ridge, fit_sample, new_ridge, prediction_width
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class ChebCBConfig:
    """Attributes:
    low, high: bounds of the context.
    degrees: m, polynomials.
    regularisation: of the regressions, > 0; may be traced.
    """

    low: float = flax.struct.field(pytree_node=False, default=-1.0)
    high: float = flax.struct.field(pytree_node=False, default=1.0)
    degrees: int = flax.struct.field(pytree_node=False, default=6)
    regularisation: float = 1e-3


class ScaledState(NamedTuple):
    """Attributes:
    losses: f32[K], importance-weighted sums of costs.
    mean: f32[], of all costs seen.
    n: i32[], costs seen.
    """

    losses: jax.Array
    mean: jax.Array
    n: jax.Array


class ChebState(NamedTuple):
    """Attributes:
    models: regressions of the arms, leading axis [K].
    highest, lowest: f32[], of the costs seen.
    surplus: f32[], R - S in squared costs.
    """

    models: Ridge
    highest: jax.Array
    lowest: jax.Array
    surplus: jax.Array


def scaled_tsallis_inf(spec: Spec) -> Policy:
    """Tsallis-INF on costs over their running mean.

    Regret: that of Tsallis-INF times the largest cost where the scale is known; none is proved for the running mean.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, more than the arm played is seen, or values may be positive.
    """
    _require_costs(spec, "scaled_tsallis_inf")

    def act(uniform, state, observation):
        losses = jnp.where(observation.mask, state.losses / jnp.maximum(state.mean, 1e-6), jnp.inf)
        prob = tsallis_weights(losses, 2 * jax.lax.rsqrt(state.n + 1.0))
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        cost = -feedback.value[action]
        n = state.n + 1
        losses = state.losses.at[action].add(cost / jnp.maximum(aux.prob[action], 1e-9))
        return ScaledState(losses - losses.min(), state.mean + (cost - state.mean) / n, n)

    def init(key):
        return ScaledState(jnp.zeros(spec.num_arms), jnp.float32(0.0), jnp.int32(0))

    return Policy(spec, init, act, update, lambda state: first_argmax(-state.losses), noise=_uniform)


def in_bins(policy: Policy, low: float, high: float, num_bins: int) -> Policy:
    """A copy of ``policy`` for each of ``num_bins`` equal bins of a scalar context in [low, high].

    Raises:
        ValueError: the context is not f32[1], low >= high, or there is no bin.
    """
    spec = _require_scalar(policy.spec, "in_bins", low, high)
    require_at_least(1, num_bins=num_bins)

    def bin_of(observation):
        share = (observation.context[0] - low) / (high - low)
        return jnp.clip((share * num_bins).astype(jnp.int32), 0, num_bins - 1)

    def at(states, i):
        return jax.tree.map(lambda x: x[i], states)

    def act(noise, states, observation):
        return policy.act(noise, at(states, bin_of(observation)), observation)

    def update(states, observation, action, feedback, aux):
        i = bin_of(observation)
        learnt: Any = policy.update(at(states, i), observation, action, feedback, aux)
        return jax.tree.map(lambda all_bins, new: all_bins.at[i].set(new), states, learnt)

    return policy._replace(
        spec=spec, init=lambda key: jax.vmap(policy.init)(jax.random.split(key, num_bins)), act=act, update=update,
        recommend=lambda states: jnp.int32(0),
    )  # fmt: skip


def cheb_cb(spec: Spec, config: ChebCBConfig) -> Policy:
    """ChebCB.

    Regret: ``O(sqrt(K) T^(3/4) sqrt(ln T))`` against the best arm of every context, for costs that are Lipschitz in it
    (the paper's Theorem on ChebCB, with bounded coefficients).

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the context is not f32[1], values may be positive, or a setting is
            out of range.
    """
    _require_costs(spec, "cheb_cb")
    _require_scalar(spec, "cheb_cb", config.low, config.high)
    require_at_least(1, degrees=config.degrees)
    require_between(1e-9, np.inf, regularisation=config.regularisation)
    K, m, width = spec.num_arms, config.degrees, config.high - config.low

    def features(observation):
        return chebyshev(2 * (observation.context[0] - config.low) / width - 1, m)

    def act(uniform, state, observation):
        cost = state.models.coef @ features(observation)
        highest = jnp.maximum(state.highest, 1e-6)
        spread = jnp.maximum(state.highest - state.lowest, 0.0)  # L times the width
        scale = highest * (2 + 4 * spread / highest * (1 + jnp.log(m)))
        alpha = (jnp.pi + 2 / jnp.pi * jnp.log(2 * m + 1)) * spread / (2 * scale * (m + 1))
        t = observation.t + 1.0
        regret = state.surplus / jnp.square(scale) + 2 * jnp.square(alpha) * t
        eta = 2 * t * jnp.sqrt(K * t / jnp.maximum(regret, 1e-6))
        prob = inverse_gap_weights(-cost / scale, observation.mask, eta)
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        x, cost = features(observation), -feedback.value[action]
        model = jax.tree.map(lambda leaf: leaf[action], state.models)
        error, leverage = cost - x @ model.coef, jnp.square(prediction_width(model, x))
        models = jax.tree.map(lambda leaf, new: leaf.at[action].set(new), state.models, fit_sample(model, x, cost))
        # A sample adds e^2 to R and e^2 / (1 + leverage) to S, as it was not, and is, part of the fit.
        surplus = state.surplus + jnp.square(error) * leverage / (1 + leverage)
        return ChebState(models, jnp.maximum(state.highest, cost), jnp.minimum(state.lowest, cost), surplus)

    def init(key):
        models = jax.vmap(lambda _: new_ridge(m, config.regularisation))(jnp.arange(K))
        return ChebState(models, jnp.float32(0.0), jnp.float32(jnp.finfo(jnp.float32).max), jnp.float32(0.0))

    return Policy(spec, init, act, update, lambda state: jnp.int32(0), noise=_uniform)


def chebyshev(x: jax.Array, degrees: int) -> jax.Array:
    """``T_0(x) .. T_{degrees - 1}(x)``, f32[degrees], for x in [-1, 1]."""
    return jnp.cos(jnp.arange(degrees) * jnp.arccos(jnp.clip(x, -1.0, 1.0)))


def _uniform(key, n):
    return jax.random.uniform(key, (n,))


def _require_costs(spec: Spec, name: str) -> None:
    require_index_world(spec, name, context=bool(getattr(spec, "context_dim", 0)))
    if spec.feedback != "bandit" or spec.value_range[1] > 0:
        raise ValueError(
            f"feedback={spec.feedback!r}, value_range={spec.value_range}: {name} needs bandit feedback and values of at"
            " most 0, costs with their sign turned"
        )


def _require_scalar(spec: Spec, name: str, low: float, high: float) -> Spec:
    if spec.context_dim != 1 or spec.per_arm:
        raise ValueError(f"context_dim={spec.context_dim}: {name} needs one scalar context, f32[1]")
    if not low < high:
        raise ValueError(f"low={low!r}, high={high!r}: expected low < high")
    return spec
