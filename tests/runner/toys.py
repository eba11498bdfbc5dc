"""Small algorithms whose results are known: a random walk that counts its own steps."""

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.algorithm import Algorithm


@struct.dataclass
class WalkConfig:
    drift: float = 0.0
    scale: float = 1.0
    width: int = struct.field(pytree_node=False, default=3)
    shape: str = struct.field(pytree_node=False, default="uniform")


DEFAULT = WalkConfig()


def walk(config: WalkConfig = DEFAULT, diverges: int | None = None) -> Algorithm:
    """A random walk in ``f32[width]``; about every second seed turns NaN at iteration ``diverges``."""

    def init(key):
        return {
            "position": jnp.zeros(config.width) + config.drift,
            "count": 0,
            "key": key,
            "nothing": jnp.zeros((0, 2)),
            "odd": jax.random.bits(key) % 2 == 1,
        }

    def step(key, state):
        noise = getattr(jax.random, config.shape)(key, (config.width,))
        position = state["position"] + config.drift + config.scale * noise
        if diverges is not None:
            position = jnp.where(state["odd"] & (state["count"] >= diverges), jnp.nan, position)
        count = state["count"] + 1
        metrics = {"episode_return": position.sum(), "env_steps": 4 * count, "success": position[0] > 0}
        return {**state, "position": position, "count": count}, metrics

    def evaluate(key, state):
        return {"held_out": state["position"].mean() + jax.random.normal(key)}

    return Algorithm(init, step, evaluate)
