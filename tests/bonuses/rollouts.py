"""Rollouts written by hand, for the tests of bonuses."""

import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch


def steps_of(obs, next_obs, action=None, reward=None, done=None, reset_obs=None, state_id=None, start_id=None) -> Step:
    """A rollout of ``obs, next_obs f32[T, N, D]``; zeros, and episodes that go on, where nothing else is given."""
    obs, next_obs = (jnp.asarray(o, jnp.float32) for o in (obs, next_obs))
    lanes = next_obs.shape[:2]
    done = jnp.zeros(lanes, bool) if done is None else jnp.asarray(done)
    action = jnp.zeros(lanes, jnp.int32) if action is None else jnp.asarray(action)
    reward = jnp.zeros(lanes) if reward is None else jnp.asarray(reward, jnp.float32)
    if reset_obs is None:
        reset_obs = jnp.concatenate([obs[1:], next_obs[-1:]])
    aux = {}
    if state_id is not None:
        state_id = jnp.asarray(state_id, jnp.int32)
        start_id = state_id if start_id is None else jnp.asarray(start_id, jnp.int32)
        aux = {"state_id": state_id, "reset_state_id": jnp.where(done, start_id, state_id)}
    return Step(obs, action, reward, next_obs, done, jnp.zeros_like(done), jnp.asarray(reset_obs, jnp.float32), aux)


def walk_of(path, **more) -> Step:
    """A rollout through the observations ``path f32[T + 1, N, D]``, without ends."""
    path = np.asarray(path, np.float32)
    return steps_of(path[:-1], path[1:], reset_obs=path[1:], **more)


def batch_of(steps: Step) -> Batch:
    return Batch(steps, jnp.zeros((*steps.reward.shape, 0)))


def dense(params, x, activation):
    """An MLP's parameters applied in NumPy: f32[..., d] -> f32[..., outputs]."""
    layers = params["params"]
    for i in range(len(layers)):
        layer = layers[f"Dense_{i}"]
        x = x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
        x = activation(x) if i < len(layers) - 1 else x
    return x


def relu(x):
    return np.maximum(x, 0.0)


def leaky_relu(x):
    return np.where(x > 0, x, 0.01 * x)
