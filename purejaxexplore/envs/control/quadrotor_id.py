"""QuadrotorID: a planar quadrotor near hover.

State (y, z, roll, and their velocities). The inputs are the thrusts of the two rotors beyond those that carry the
weight; with th the roll, counter-clockwise:

    y''  = -(g + (u1 + u2) / m) sin(th) - drag y'
    z''  =  (g + (u1 + u2) / m) cos(th) - g - drag z'
    th'' =  arm (u2 - u1) / inertia - friction th'
"""

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.envs.control import drawing
from purejaxexplore.envs.control.identification import System, SystemParams, SystemState

_PIXELS, _UNIT, _ARM = 320, 40.0, 44.0


@struct.dataclass
class QuadrotorIDParams(SystemParams):
    """The system, in SI units.

    Attributes:
        mass: m, kg.
        inertia: kg m^2.
        arm: from the middle to a rotor, m.
        gravity: g, m/s^2.
        drag, friction: of the body and of its roll, 1/s.
    """

    bound: float = 0.5
    mass: float = 1.0
    inertia: float = 0.1
    arm: float = 0.2
    gravity: float = 9.81
    drag: float = 0.4
    friction: float = 0.8


class QuadrotorID(System):
    """The quadrotor. Actions: f32[2] of length at most 1."""

    num_inputs = 2
    start, swing = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 2

    @property
    def default_params(self) -> QuadrotorIDParams:
        return QuadrotorIDParams()

    def derivative(self, x: jax.Array, u: jax.Array, params: QuadrotorIDParams) -> jax.Array:
        """f32[6]: the velocities and the accelerations."""
        lift = params.gravity + (u[0] + u[1]) / params.mass
        y = -lift * jnp.sin(x[2]) - params.drag * x[3]
        z = lift * jnp.cos(x[2]) - params.gravity - params.drag * x[4]
        roll = params.arm * (u[1] - u[0]) / params.inertia - params.friction * x[5]
        return jnp.stack([x[3], x[4], x[5], y, z, roll])

    def features(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """f32[10]; the law is linear in them."""
        s, c = jnp.sin(x[2]), jnp.cos(x[2])
        both = u[0] + u[1]
        return jnp.stack([x[3], x[4], x[5], s, c, s * both, c * both, u[0], u[1], jnp.ones_like(s)])

    def render(self, state: SystemState, params: QuadrotorIDParams | None = None) -> jax.Array:
        """The quadrotor in the middle of a moving grid of metres, ``u8[320, 320, 3]``."""
        image, middle = drawing.ground(_PIXELS, _PIXELS), _PIXELS / 2
        for line in range(-1, 10):
            right = (line - state.x[0] % 1.0) * _UNIT
            down = (line + state.x[1] % 1.0) * _UNIT
            image = drawing.stroke(image, (right, 0), (right, _PIXELS), 1.5, (222, 217, 204))
            image = drawing.stroke(image, (0, down), (_PIXELS, down), 1.5, (222, 217, 204))
        along = jnp.cos(state.x[2]), -jnp.sin(state.x[2])
        up = -jnp.sin(state.x[2]), -jnp.cos(state.x[2])

        def place(right, above):
            return middle + right * along[0] + above * up[0], middle + right * along[1] + above * up[1]

        image = drawing.stroke(image, place(-_ARM, 0.0), place(_ARM, 0.0), 8.0, drawing.WALL_COLOUR)
        for rotor, colour in ((-_ARM, drawing.COLOURS[0]), (_ARM, drawing.COLOURS[5])):
            image = drawing.stroke(image, place(rotor, 0.0), place(rotor, 12.0), 4.0, drawing.WALL_COLOUR)
            image = drawing.stroke(image, place(rotor - 22.0, 13.0), place(rotor + 22.0, 13.0), 5.0, colour)
        return drawing.disc(image, middle, middle, 12.0, drawing.AGENT_COLOUR)
