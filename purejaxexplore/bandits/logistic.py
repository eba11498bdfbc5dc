"""Contextual bandits with rewards in [0, 1] whose log-odds are linear in features.

The models are those of :mod:`purejaxexplore.bandits.linear`, shared or one an arm, and learn one Newton step a sample:
the posterior so far is a Gaussian, and the new sample's log-likelihood is expanded at its mean.

* ``logistic_thompson`` draws the parameter from that Gaussian. Chapelle and Li (2011), "An empirical evaluation of
  Thompson sampling", Algorithm 3, with the whole matrix in place of its diagonal and a step for every sample.
* ``logistic_mbe`` is the multiplier bootstrap for a model without a posterior: B replicates learn from the same
  samples, each with random weights of its own on the reward and on pseudo-rewards 1 and 0 at the same features, and one
  of them, drawn at every pull, acts greedily. Wan, Wei, Kveton and Song (2023), "Multiplier bootstrap-based
  exploration". A weight is drawn once, when its sample arrives, so that decisions are correlated; the weights are
  ``1 +- sigma`` with equal chances, which have the mean and deviation asked for and never turn a sample around.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.bandits.linear import LinearThompsonConfig, fit_models, linear_thompson, new_models, predictions
from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, require_index_world, require_unit_values
from purejaxexplore.blocks.ridge import Ridge, newton_sample
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec


@flax.struct.dataclass
class LogisticThompsonConfig:
    """Attributes:
    scale: standard deviation of a draw in units of the posterior's, not negative; may be traced.
    regularisation: lambda > 0, precision of the prior at 0; may be traced.
    """

    scale: float = 1.0
    regularisation: float = 1.0


@flax.struct.dataclass
class LogisticMBEConfig:
    """Attributes:
    pseudo: ``lambda``, pseudo-rewards of each kind for every reward, not negative; may be traced.
    weight_sd: ``sigma``, standard deviation of the weights, in [0, 1]; may be traced.
    regularisation: precision of the prior at 0, above 0; may be traced.
    num_replicates: B.
    """

    pseudo: float = 0.5
    weight_sd: float = float(np.sqrt(0.5))
    regularisation: float = 1.0
    num_replicates: int = flax.struct.field(pytree_node=False, default=32)


def logistic_step(model: Ridge, x: jax.Array, ones: jax.Array, total: jax.Array) -> Ridge:
    """Learns rewards of weight ``total`` at ``x`` f32[d], of which the weight ``ones`` are 1 and the rest 0."""
    chance = jax.nn.sigmoid(x @ model.coef)
    return newton_sample(model, x, ones - total * chance, total * chance * (1.0 - chance))


def logistic_thompson(spec: Spec, config: LogisticThompsonConfig) -> Policy:
    """Thompson sampling with the Laplace approximation of logistic regression.

    Regret: no bound for this approximation; an exact posterior has ``O(d sqrt(T) ln T)``, averaged over the prior and
    times the largest ratio of slopes of the sigmoid (Russo and Van Roy 2014, "Learning to optimize via posterior
    sampling").

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context, values lie outside [0, 1], or a setting is
            out of range.
    """
    require_index_world(spec, "logistic_thompson", context=True)
    require_unit_values(spec, "logistic_thompson")

    def fit(model: Ridge, x: jax.Array, value: jax.Array) -> Ridge:
        return logistic_step(model, x, value, 1.0)

    def update(models, observation, action, feedback, aux):
        return fit_models(spec, models, observation, action, feedback, fit)

    linear = linear_thompson(spec, LinearThompsonConfig(config.scale, config.regularisation))
    return linear._replace(update=update)


def logistic_mbe(spec: Spec, config: LogisticMBEConfig) -> Policy:
    """The multiplier bootstrap with an ensemble of logistic regressions.

    Regret: none is stated for a finite ensemble that is updated incrementally.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context, values lie outside [0, 1], or a setting is
            out of range.
    """
    require_index_world(spec, "logistic_mbe", context=True)
    require_unit_values(spec, "logistic_mbe")
    require_between(0.0, np.inf, pseudo=config.pseudo)
    require_between(0.0, 1.0, weight_sd=config.weight_sd)
    require_between(1e-6, np.inf, regularisation=config.regularisation)
    require_at_least(1, num_replicates=config.num_replicates)
    B = config.num_replicates

    def init(key):
        models = new_models(spec, config.regularisation)
        axis = 0 if spec.per_arm else 1  # replicates of each model
        return jax.tree.map(lambda x: jnp.repeat(jnp.expand_dims(x, axis), B, axis), models)

    def act(noise, models, observation):
        replicate, weights = noise
        chosen = jax.tree.map(lambda x: x[replicate] if spec.per_arm else x[:, replicate], models)
        scores = predictions(spec, chosen, observation.context)
        return first_argmax(jnp.where(observation.mask, scores, -jnp.inf)), Aux(extras=weights)

    def update(models, observation, action, feedback, aux):
        own, good, bad = aux.extras[0], config.pseudo * aux.extras[1], config.pseudo * aux.extras[2]

        def fit(model, x, value):
            return jax.vmap(logistic_step, in_axes=(0, None, 0, 0))(model, x, own * value + good, own + good + bad)

        return fit_models(spec, models, observation, action, feedback, fit)

    def noise(key, n):
        key_replicate, key_weights = jax.random.split(key)
        signs = jax.random.rademacher(key_weights, (n, 3, B), jnp.float32)
        return jax.random.randint(key_replicate, (n,), 0, B), 1.0 + config.weight_sd * signs

    return Policy(spec, init, act, update, lambda models: jnp.int32(0), noise=noise)
