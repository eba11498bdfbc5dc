"""How a bonus fits its networks to a rollout: Adam on shuffled minibatches, after the rollout was scored."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from purejaxexplore.blocks.minibatches import minibatch_epochs, require_divisible
from purejaxexplore.blocks.rollout import Step

ADAM = optax.scale_by_adam()


class Trained(NamedTuple):
    """``params``: of the networks being fitted; ``opt_state``: Adam's."""

    params: Any
    opt_state: optax.OptState


def init_trained(params: Any) -> Trained:
    """Parameters with a fresh optimiser."""
    return Trained(params, ADAM.init(params))


def adam_step(trained: Trained, grads: Any, learning_rate: float | Callable[[jax.Array], jax.Array]) -> Trained:
    """One step of Adam; a callable ``learning_rate`` gets the number of steps taken before, i32[]."""
    rate = learning_rate(trained.opt_state.count) if callable(learning_rate) else learning_rate
    updates, opt_state = ADAM.update(grads, trained.opt_state)
    return Trained(jax.tree.map(lambda p, u: p - rate * u, trained.params, updates), opt_state)


def fit(
    key: jax.Array,
    loss_fn: Callable[[jax.Array, Any, Any], tuple[jax.Array, dict[str, jax.Array]]],
    trained: Trained,
    batch: Any,
    *,
    learning_rate: float | Callable[[jax.Array], jax.Array],
    num_epochs: int,
    num_minibatches: int,
    name: str,
) -> tuple[Trained, dict[str, jax.Array]]:
    """Passes ``num_epochs`` times over ``batch`` in shuffled minibatches.

    Args:
        key: consumed once.
        loss_fn: ``(key, params, minibatch) -> (loss, metrics)``.
        trained: parameters and optimiser.
        batch: pytree of ``[B, ...]`` arrays.
        learning_rate, num_epochs, num_minibatches: of the fit.
        name: of the bonus, for the message.

    Returns:
        What was fitted, and the mean of the metrics.

    Raises:
        ValueError: ``num_minibatches`` does not divide B.
    """
    size = jax.tree.leaves(batch)[0].shape[0]
    require_divisible(f"num_minibatches of the {name} bonus", num_minibatches, "rollout samples", size)

    def update(key, trained, minibatch):
        grads, metrics = jax.grad(loss_fn, argnums=1, has_aux=True)(key, trained.params, minibatch)
        return adam_step(trained, grads, learning_rate), metrics

    trained, metrics = minibatch_epochs(key, update, trained, batch, num_epochs, num_minibatches)
    return trained, jax.tree.map(jnp.mean, metrics)


def flat_steps(x: jax.Array) -> jax.Array:
    """``[T, N, ...] -> f32[T N, d]``: the steps of a rollout as rows."""
    return x.astype(jnp.float32).reshape((x.shape[0] * x.shape[1], -1))


def transition_rows(steps: Step) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``(obs f32[T N, d], action [T N, ...], next_obs f32[T N, d])`` of a rollout."""
    x, next_x = flat_steps(steps.obs), flat_steps(steps.next_obs)
    return x, steps.action.reshape((x.shape[0], *steps.action.shape[2:])), next_x
