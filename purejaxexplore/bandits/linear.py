"""Contextual bandits with rewards linear in features: LinUCB, OFUL and linear Thompson sampling.

Where the world shows features of every arm, f32[K, d], all arms share one parameter, ``E[r] = x_a^T theta``; where it
shows one context, f32[d], every arm has its own, ``E[r] = x^T theta_a`` ("disjoint"). With ridge regression, ``V =
lambda I + sum x x^T``:

* ``lin_ucb`` plays the largest ``x^T theta + alpha sqrt(x^T V^-1 x)``. Li, Chu, Langford and Schapire (2010), "A
  contextual-bandit approach to personalized news article recommendation".
* ``oful`` makes the width a confidence radius, ``sqrt(lambda) S + R sqrt(2 ln(1/delta) + ln det V - d ln lambda)``, in
  which the parameter stays for all t with probability 1 - delta. Abbasi-Yadkori, Pal and Szepesvari (2011), "Improved
  algorithms for linear stochastic bandits", Theorem 2.
* ``linear_thompson`` draws ``theta ~ N(theta_hat, v^2 V^-1)`` at every pull. Agrawal and Goyal (2013), "Thompson
  sampling for contextual bandits with linear payoffs".
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, no_noise, one_hot, require_index_world
from purejaxexplore.blocks.ridge import Ridge, draw_coef, fit_sample, new_ridge, prediction_width
from purejaxexplore.checks import require_between
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec


@flax.struct.dataclass
class LinUCBConfig:
    """Attributes:
    alpha: widths of the bonus, in units of the reward's noise; may be traced.
    regularisation: lambda > 0, samples that the prior at 0 is worth; may be traced.
    """

    alpha: float = 0.5
    regularisation: float = 1.0


@flax.struct.dataclass
class OFULConfig:
    """Attributes:
    noise: R, the rewards are R-sub-Gaussian around their means; 1/2 for rewards in [0, 1]; may be traced.
    norm: S, bound of the parameter's norm (of each arm's); may be traced.
    delta: probability in (0, 1) with which the confidence set may fail; may be traced.
    regularisation: lambda > 0; may be traced.
    """

    noise: float = 0.5
    norm: float = 1.0
    delta: float = 0.05
    regularisation: float = 1.0


@flax.struct.dataclass
class LinearThompsonConfig:
    """Attributes:
    scale: v, standard deviation of the posterior in units of ``V^-1/2``; the noise's for the Bayesian, and
        ``R sqrt(9 d ln(t / delta))`` in the paper's theorem; may be traced.
    regularisation: lambda > 0; may be traced.
    """

    scale: float = 0.5
    regularisation: float = 1.0


def new_models(spec: Spec, regularisation) -> Ridge:
    """The regression of all arms, or one for each arm (leading axis [K]) where the arms share a context."""
    models = 1 if spec.per_arm else spec.num_arms
    ridge = jax.vmap(lambda _: new_ridge(spec.context_dim, regularisation))(jnp.arange(models))
    return jax.tree.map(lambda x: x[0], ridge) if spec.per_arm else ridge


def fit_models(
    spec: Spec, models: Ridge, observation: Observation, action: jax.Array, feedback: Feedback, fit=fit_sample
) -> Ridge:
    """Learns from every value that was seen (of the arm played, or of many).

    ``fit``: ``(model, x f32[d], value f32[]) -> model``, which changes nothing where x is 0.
    """
    value = jnp.where(feedback.seen, feedback.value, 0.0)
    x = jnp.where(feedback.seen[:, None], observation.context, 0.0)
    if spec.per_arm and spec.feedback == "bandit":
        return fit(models, x[action], value[action])
    if spec.per_arm:
        return jax.lax.scan(lambda model, sample: (fit(model, *sample), None), models, (x, value))[0]
    if spec.feedback == "bandit":
        fitted = fit(jax.tree.map(lambda leaf: leaf[action], models), x[action], value[action])
        return jax.tree.map(lambda leaf, new: leaf.at[action].set(new), models, fitted)
    return jax.vmap(fit)(models, x, value)


def of_arms(spec: Spec, function: Callable, models: Ridge, context: jax.Array, *rest) -> jax.Array:
    """``function(model, x f32[d], *rest) -> []`` of every arm: f32[K]."""
    in_axes = (None, 0) if spec.per_arm else (0, None)
    return jax.vmap(function, in_axes=(*in_axes, *(None for _ in rest)))(models, context, *rest)


def predictions(spec: Spec, models: Ridge, context: jax.Array) -> jax.Array:
    """Estimated mean rewards f32[K] at a context."""
    return of_arms(spec, lambda model, x: x @ model.coef, models, context)


def lin_ucb(spec: Spec, config: LinUCBConfig) -> Policy:
    """LinUCB.

    Regret: no bound for a constant ``alpha``; its phased form has ``O(sqrt(d T ln^3(K T ln T)))`` (Chu, Li, Reyzin and
    Schapire 2011, "Contextual bandits with linear payoff functions").

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context, ``alpha`` is negative, or
            ``regularisation`` is not positive.
    """
    require_index_world(spec, "lin_ucb", context=True)
    require_between(0.0, np.inf, alpha=config.alpha)
    require_between(1e-6, np.inf, regularisation=config.regularisation)
    return _optimistic(spec, config.regularisation, lambda model: config.alpha)


def oful(spec: Spec, config: OFULConfig) -> Policy:
    """OFUL.

    Regret: ``O(d sqrt(T) ln T)`` with probability ``1 - delta`` for norms of contexts and parameter of at most 1
    (Theorem 3); with a model for each arm, the sum over the arms, each with ``delta`` of its own.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context, or a setting is out of range.
    """
    require_index_world(spec, "oful", context=True)
    require_between(0.0, np.inf, noise=config.noise, norm=config.norm)
    require_between(1e-12, 1.0, delta=config.delta)
    require_between(1e-6, np.inf, regularisation=config.regularisation)
    return _optimistic(spec, config.regularisation, lambda model: confidence_radius(model, config))


def confidence_radius(model: Ridge, config: OFULConfig) -> jax.Array:
    """``||theta - theta_hat||_V`` is at most this for all t with probability ``1 - delta``."""
    spread = jnp.sqrt(2 * jnp.log(1 / config.delta) + model.log_det)
    return jnp.sqrt(config.regularisation) * config.norm + config.noise * spread


def linear_thompson(spec: Spec, config: LinearThompsonConfig) -> Policy:
    """Linear Thompson sampling.

    Regret: ``O(d^1.5 sqrt(T) ln^1.5 T)`` with the theorem's ``scale``; averaged over a Gaussian prior and with the
    noise's, ``O(d sqrt(T ln T))`` (Russo and Van Roy 2014, "Learning to optimize via posterior sampling").

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context, ``scale`` is negative, or
            ``regularisation`` is not positive.
    """
    require_index_world(spec, "linear_thompson", context=True)
    require_between(0.0, np.inf, scale=config.scale)
    require_between(1e-6, np.inf, regularisation=config.regularisation)

    def act(normal, models, observation):
        if spec.per_arm:
            sample = observation.context @ draw_coef(models, normal, config.scale)
        else:
            sample = jax.vmap(draw_coef, in_axes=(0, 0, None))(models, normal, config.scale) @ observation.context
        return first_argmax(jnp.where(observation.mask, sample, -jnp.inf)), Aux()

    def noise(key, n):
        shape = (spec.context_dim,) if spec.per_arm else (spec.num_arms, spec.context_dim)
        return jax.random.normal(key, (n, *shape))

    return _learner(spec, config.regularisation, act)._replace(noise=noise)


def _optimistic(spec: Spec, regularisation, radius: Callable[[Ridge], jax.Array]) -> Policy:
    """Plays the largest ``x^T theta + radius sqrt(x^T V^-1 x)``."""

    def score(model, x):
        return x @ model.coef + radius(model) * prediction_width(model, x)

    def act(noise, models, observation):
        scores = of_arms(spec, score, models, observation.context)
        action = first_argmax(jnp.where(observation.mask, scores, -jnp.inf))
        return action, Aux(one_hot(spec, action))

    return _learner(spec, regularisation, act)


def _learner(spec: Spec, regularisation, act) -> Policy:
    def update(models, observation, action, feedback, aux):
        return fit_models(spec, models, observation, action, feedback)

    def recommend(models):
        return jnp.int32(0)  # the best arm depends on the context

    return Policy(spec, lambda key: new_models(spec, regularisation), act, update, recommend, noise=no_noise)
