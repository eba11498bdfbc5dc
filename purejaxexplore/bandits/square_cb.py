"""SquareCB: contextual bandits with any online regression, explored by inverse-gap weighting.

Foster and Rakhlin (2020), "Beyond UCB: optimal and efficient contextual bandits with regression oracles". With the
predictions ``y`` f32[K] of the regression and b the best of the K_t arms that can be chosen::

    p_a = 1 / (K_t + gamma_t (y_b - y_a))   for a != b,        p_b = 1 - sum of the others

The rate ``gamma_t = gamma t^exponent``, 10 and 1/2 in Vowpal Wabbit; the theorem's constant is
``sqrt(K T / (Reg_sq(T) + ln(2 / delta)))``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from purejaxexplore.bandits.linear import fit_models, new_models, predictions
from purejaxexplore.bandits.policy import Aux, Policy, draw_arm, require_index_world
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec
from purejaxexplore.nets import MLP


@flax.struct.dataclass
class SquareCBConfig:
    """Attributes:
    gamma: at the first pull, >= 0; may be traced.
    exponent: growth of gamma with the pulls, in [0, 1]; may be traced.
    """

    gamma: float = 10.0
    exponent: float = 0.5


@flax.struct.dataclass
class NetworkRegressorConfig:
    """Attributes:
    learning_rate: of Adam, one update a pull; may be traced.
    hidden_sizes: of the network; static.
    """

    learning_rate: float = 1e-2
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(64,))


class Regressor(NamedTuple):
    """An online regression of rewards.

    Attributes:
        init: ``key -> state``.
        predict: ``(state, context) -> f32[K]``.
        update: ``(state, observation, action, feedback) -> state``; from the values that were seen alone.
    """

    init: Callable[[jax.Array], Any]
    predict: Callable[[Any, jax.Array], jax.Array]
    update: Callable[[Any, Observation, jax.Array, Feedback], Any]


def inverse_gap_weights(predicted: jax.Array, mask: jax.Array, gamma: jax.Array) -> jax.Array:
    """The probabilities f32[K] from predictions f32[K] of the arms in ``mask`` bool[K], for ``gamma >= 0``."""
    masked = jnp.where(mask, predicted, -jnp.inf)
    best = masked.argmax()
    others = mask & (jnp.arange(mask.size) != best)
    gap = jnp.where(others, masked[best] - jnp.where(others, predicted, 0.0), 0.0)
    prob = jnp.where(others, 1.0 / (mask.sum() + gamma * gap), 0.0)
    return prob.at[best].set(1.0 - prob.sum())


def ridge_regressor(spec: Spec, regularisation: float = 1.0) -> Regressor:
    """Ridge regression, shared or one for each arm as in :mod:`purejaxexplore.bandits.linear`.

    Raises:
        ValueError: the world shows no context, or ``regularisation`` is not positive.
    """
    require_index_world(spec, "ridge_regressor", context=True)
    require_between(1e-6, np.inf, regularisation=regularisation)

    def update(models, observation, action, feedback):
        return fit_models(spec, models, observation, action, feedback)

    return Regressor(
        lambda key: new_models(spec, regularisation), lambda models, context: predictions(spec, models, context), update
    )


def network_regressor(spec: Spec, config: NetworkRegressorConfig) -> Regressor:
    """A network with one output an arm (or, where every arm has features, one for all), one Adam step a pull.

    Raises:
        ValueError: the world shows no context, or a setting is out of range.
    """
    require_index_world(spec, "network_regressor", context=True)
    require_between(0.0, np.inf, learning_rate=config.learning_rate)
    for size in config.hidden_sizes:
        require_at_least(1, hidden_sizes=size)
    network = MLP(config.hidden_sizes, 1 if spec.per_arm else spec.num_arms, "relu", 0.1)
    adam = optax.scale_by_adam()

    def init(key):
        params = network.init(key, jnp.zeros(spec.context_dim))
        return params, adam.init(params)

    def predict(state, context):
        return network.apply(state[0], context).reshape(spec.num_arms)

    def update(state, observation, action, feedback):
        target = jnp.where(feedback.seen, feedback.value, 0.0)

        def loss(params):
            error = predict((params,), observation.context) - target
            return jnp.where(feedback.seen, jnp.square(error), 0.0).sum()

        params, opt_state = state
        updates, opt_state = adam.update(jax.grad(loss)(params), opt_state)
        return jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates), opt_state

    return Regressor(init, predict, update)


def square_cb(spec: Spec, config: SquareCBConfig, regressor: Regressor) -> Policy:
    """SquareCB over ``regressor``.

    Regret: ``O(sqrt(K T Reg_sq(T)))`` where the regression contains the truth, ``Reg_sq`` being its square loss regret
    (Theorem 1).

    Raises:
        TypeError: ``spec`` is not a Spec or ``regressor`` not a Regressor.
        ValueError: actions are not single arms, the world shows no context, or a setting is out of range.
    """
    require_index_world(spec, "square_cb", context=True)
    if not isinstance(regressor, Regressor):
        raise TypeError(f"regressor={type(regressor).__name__}: expected a Regressor, e.g. ridge_regressor(spec)")
    require_between(0.0, np.inf, gamma=config.gamma)
    require_between(0.0, 1.0, exponent=config.exponent)

    def act(uniform, state, observation):
        gamma = config.gamma * (observation.t + 1.0) ** config.exponent
        prob = inverse_gap_weights(regressor.predict(state, observation.context), observation.mask, gamma)
        return draw_arm(uniform, prob), Aux(prob)

    def update(state, observation, action, feedback, aux):
        return regressor.update(state, observation, action, feedback)

    def recommend(state):
        return jnp.int32(0)  # the best arm depends on the context

    return Policy(
        spec, regressor.init, act, update, recommend, noise=lambda key, n: jax.random.uniform(key, (n,))
    )
