"""NeuralUCB and neural Thompson sampling: a network predicts the rewards, its gradients say how sure it is.

With ``g_a = grad_theta f(x_a; theta)`` of P entries, of a network of width m, and Z the diagonal of ``lambda I + sum g
g^T / m`` over the pulls::

    width_a = nu sqrt(sum g_a^2 / (m Z))
    neural_ucb:       plays the largest  f(x_a) + width_a
    neural_thompson:  plays the largest draw from  N(f(x_a), width_a^2)

Zhou, Li and Gu (2020), "Neural contextual bandits with UCB-based exploration"; Zhang, Zhou, Li and Gu (2021), "Neural
Thompson sampling". As in the authors' code Z is diagonal. Where they fit the network anew by gradient descent on all
pulls, here every pull takes a few Adam steps on minibatches of the last ones. Where the world shows one context for all
arms, f has an output for each arm.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from purejaxexplore.bandits.policy import Aux, Policy, first_argmax, no_noise, one_hot, require_index_world
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.bandits.world import Spec
from purejaxexplore.nets import MLP


@flax.struct.dataclass
class NeuralConfig:
    """Attributes:
    nu: widths of the bonus, or of the posterior, >= 0; may be traced.
    regularisation: lambda > 0; may be traced.
    learning_rate: of Adam; may be traced.
    width: m, of the one hidden layer.
    num_updates: Adam steps a pull.
    batch_size: pulls a minibatch.
    capacity: pulls that are remembered, the newest.
    """

    nu: float = 0.1
    regularisation: float = 1.0
    learning_rate: float = 1e-3
    width: int = flax.struct.field(pytree_node=False, default=64)
    num_updates: int = flax.struct.field(pytree_node=False, default=2)
    batch_size: int = flax.struct.field(pytree_node=False, default=64)
    capacity: int = flax.struct.field(pytree_node=False, default=2000)


class NeuralState(NamedTuple):
    """Attributes:
    params, optimiser: the network and its Adam.
    z: f32[P], the diagonal.
    context: f32[capacity, ...], of the pulls remembered.
    action: i32[capacity].
    value: f32[capacity].
    n: i32[], pulls.
    """

    params: Any
    optimiser: Any
    z: jax.Array
    context: jax.Array
    action: jax.Array
    value: jax.Array
    n: jax.Array


def neural_ucb(spec: Spec, config: NeuralConfig) -> Policy:
    """NeuralUCB.

    Regret: ``O(d_eff sqrt(T) ln T)`` for a wide enough network that is trained to the end, d_eff the effective
    dimension of its tangent kernel (Theorem 4.5); with a narrow one and few steps, none is known.

    Raises:
        TypeError: ``spec`` is not a Spec.
        ValueError: actions are not single arms, the world shows no context or more than the arm played, or a setting
            is out of range.
    """
    policy = _neural(spec, config, "neural_ucb", lambda noise, mean, width: mean + width, no_noise)

    def act(noise, state, observation):
        action, _ = policy.act(noise, state, observation)
        return action, Aux(one_hot(spec, action))

    return policy._replace(act=act)


def neural_thompson(spec: Spec, config: NeuralConfig) -> Policy:
    """Neural Thompson sampling.

    Regret: as NeuralUCB's (Zhang et al., Theorem 3.5), under the same conditions.

    Raises:
        TypeError, ValueError: as for :func:`neural_ucb`.
    """

    def noise(key, n):
        return jax.random.normal(key, (n, spec.num_arms))

    return _neural(spec, config, "neural_thompson", lambda normal, mean, width: mean + width * normal, noise)


def _neural(spec: Spec, config: NeuralConfig, name: str, score: Callable, noise: Callable) -> Policy:
    require_index_world(spec, name, context=True)
    if spec.feedback != "bandit":
        raise ValueError(f"feedback={spec.feedback!r}: {name} learns from the arm played, expected 'bandit'")
    require_between(0.0, np.inf, nu=config.nu, learning_rate=config.learning_rate)
    require_between(1e-6, np.inf, regularisation=config.regularisation)
    require_at_least(
        1, width=config.width, num_updates=config.num_updates, batch_size=config.batch_size, capacity=config.capacity
    )
    network = MLP((config.width,), 1 if spec.per_arm else spec.num_arms, "relu", 1.0)
    adam = optax.scale_by_adam()
    shape = (spec.num_arms, spec.context_dim) if spec.per_arm else (spec.context_dim,)

    def predict(params, context):
        return network.apply(params, context).reshape((*context.shape[: context.ndim - len(shape)], spec.num_arms))

    def gradients(params, context):
        """f32[K, P]."""
        flat, restore = ravel_pytree(params)
        return jax.jacrev(lambda flat: predict(restore(flat), context))(flat)

    def init(key):
        params = network.init(key, jnp.zeros(shape))
        z = jnp.full(ravel_pytree(params)[0].size, config.regularisation, jnp.float32)
        empty = jnp.zeros(config.capacity)
        context = jnp.zeros((config.capacity, *shape))
        return NeuralState(params, adam.init(params), z, context, empty.astype(jnp.int32), empty, jnp.int32(0))

    def act(noise, state, observation):
        squares = jnp.square(gradients(state.params, observation.context))
        width = config.nu * jnp.sqrt((squares / state.z).sum(-1) / config.width)
        scores = score(noise, predict(state.params, observation.context), width)
        action = first_argmax(jnp.where(observation.mask, scores, -jnp.inf))
        return action, Aux()

    def update(state, observation, action, feedback, aux):
        gradient = gradients(state.params, observation.context)[action]
        place = state.n % config.capacity
        context = state.context.at[place].set(observation.context)
        actions = state.action.at[place].set(action)
        values = state.value.at[place].set(feedback.value[action])
        n = state.n + 1

        def fit(i, carry):
            params, opt_state = carry
            # Places that look random and need no random numbers: bits of a multiplicative hash.
            draw = jnp.arange(config.batch_size, dtype=jnp.uint32) + jnp.uint32(config.batch_size) * (
                n.astype(jnp.uint32) * config.num_updates + i.astype(jnp.uint32)
            )
            rows = (draw * jnp.uint32(2654435761) >> 8) % jnp.minimum(n, config.capacity).astype(jnp.uint32)

            def loss(params):
                predicted = jnp.take_along_axis(predict(params, context[rows]), actions[rows, None], 1)[:, 0]
                return jnp.square(predicted - values[rows]).mean()

            updates, opt_state = adam.update(jax.grad(loss)(params), opt_state)
            return jax.tree.map(lambda p, u: p - config.learning_rate * u, params, updates), opt_state

        params, opt_state = jax.lax.fori_loop(0, config.num_updates, fit, (state.params, state.optimiser))
        z = state.z + jnp.square(gradient) / config.width
        return NeuralState(params, opt_state, z, context, actions, values, n)

    return Policy(spec, init, act, update, lambda state: jnp.int32(0), noise=noise)
