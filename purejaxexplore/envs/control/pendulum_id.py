"""PendulumID: a damped pendulum with a motor too weak to lift it.

State (angle, angular velocity); angle 0 hangs down and is not wrapped.

    th'' = -stiffness sin(th) - damping th' + gain u

The motor holds the pendulum at most at sin(th) = gain bound / stiffness = 0.25: to see the upper half one has to swing.
"""

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.envs.control import drawing
from purejaxexplore.envs.control.identification import System, SystemParams, SystemState

_PIXELS, _ARM = 240, 84.0


@struct.dataclass
class PendulumIDParams(SystemParams):
    """The system.

    Attributes:
        stiffness: gravity over length, 1/s^2.
        damping: 1/s.
        gain: angular acceleration of an input of 1.
    """

    stiffness: float = 4.0
    damping: float = 0.3
    gain: float = 1.0


class PendulumID(System):
    """The pendulum. Actions: f32[1] in [-1, 1]."""

    num_inputs = 1
    start, swing = (0.0, 0.0), 0

    @property
    def default_params(self) -> PendulumIDParams:
        return PendulumIDParams()

    def derivative(self, x: jax.Array, u: jax.Array, params: PendulumIDParams) -> jax.Array:
        """f32[2]: angular velocity and acceleration."""
        acceleration = -params.stiffness * jnp.sin(x[0]) - params.damping * x[1] + params.gain * u[0]
        return jnp.stack([x[1], acceleration])

    def features(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """f32[4]: sine, cosine, angular velocity and input; the law is linear in them."""
        return jnp.stack([jnp.sin(x[0]), jnp.cos(x[0]), x[1], u[0]])

    def energy(self, x: jax.Array, params: PendulumIDParams) -> jax.Array:
        """f32[], 0 at rest and 2 stiffness standing on its head; without damping, input and noise it is conserved."""
        return 0.5 * x[1] ** 2 + params.stiffness * (1.0 - jnp.cos(x[0]))

    def render(self, state: SystemState, params: PendulumIDParams | None = None) -> jax.Array:
        """The pendulum as ``u8[240, 240, 3]``."""
        middle = _PIXELS / 2
        bob = middle + _ARM * jnp.sin(state.x[0]), middle + _ARM * jnp.cos(state.x[0])
        image = drawing.disc(drawing.ground(_PIXELS, _PIXELS), middle, middle, _ARM + 1.0, (222, 217, 204))
        image = drawing.disc(image, middle, middle, _ARM - 1.0, drawing.FLOOR_COLOUR)
        image = drawing.stroke(image, (middle, middle), bob, 7.0, drawing.WALL_COLOUR)
        image = drawing.disc(image, middle, middle, 7.0, drawing.WALL_COLOUR)
        return drawing.disc(image, *bob, 16.0, drawing.AGENT_COLOUR)
