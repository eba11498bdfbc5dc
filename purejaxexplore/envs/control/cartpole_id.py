"""CartpoleID: a pole that hangs from a cart, pushed along a rail without end.

State (place, velocity, angle, angular velocity); angle 0 hangs down and is not wrapped. With s = sin(th), c = cos(th):

    p''  = (u - drag p' + m s (l th'^2 + g c)) / (M + m s^2)
    th'' = (-(u - drag p') c - m l th'^2 c s - (M + m) g s) / (l (M + m s^2)) - friction th'
"""

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.envs.control import drawing
from purejaxexplore.envs.control.identification import System, SystemParams, SystemState

_HEIGHT, _WIDTH, _UNIT = 240, 480, 80.0


@struct.dataclass
class CartpoleIDParams(SystemParams):
    """The system, in SI units.

    Attributes:
        cart, pole: masses M and m, kg.
        length: l, m.
        gravity: g, m/s^2.
        drag: of the cart, kg/s.
        friction: of the joint, 1/s.
    """

    dt: float = 0.02
    bound: float = 5.0
    cart: float = 1.0
    pole: float = 0.3
    length: float = 1.0
    gravity: float = 9.81
    drag: float = 0.5
    friction: float = 0.4


class CartpoleID(System):
    """The cart and its pole. Actions: f32[1] in [-1, 1]."""

    num_inputs = 1
    start, swing = (0.0, 0.0, 0.0, 0.0), 2

    @property
    def default_params(self) -> CartpoleIDParams:
        return CartpoleIDParams()

    def derivative(self, x: jax.Array, u: jax.Array, params: CartpoleIDParams) -> jax.Array:
        """f32[4]: the velocities and the accelerations."""
        _, velocity, angle, spin = x
        s, c = jnp.sin(angle), jnp.cos(angle)
        force = u[0] - params.drag * velocity
        mass = params.cart + params.pole * s**2
        swing = params.pole * params.length * spin**2
        cart = (force + s * (swing + params.pole * params.gravity * c)) / mass
        weight = (params.cart + params.pole) * params.gravity * s
        pole = (-force * c - swing * c * s - weight) / (params.length * mass) - params.friction * spin
        return jnp.stack([velocity, cart, spin, pole])

    def features(self, x: jax.Array, u: jax.Array) -> jax.Array:
        """f32[12]; linear in them is the law's first order in m / M."""
        _, velocity, angle, spin = x
        s, c = jnp.sin(angle), jnp.cos(angle)
        force = [f * g for f in (u[0], velocity) for g in (1.0, c, s**2)]
        return jnp.stack([spin, s, s * c, s * spin**2, s * c * spin**2, jnp.ones_like(s), *force])

    def energy(self, x: jax.Array, params: CartpoleIDParams) -> jax.Array:
        """f32[], joules above rest; conserved without input, drag, friction and noise."""
        _, velocity, angle, spin = x
        m, l = params.pole, params.length
        moving = 0.5 * (params.cart + m) * velocity**2 + m * l * velocity * spin * jnp.cos(angle)
        return moving + 0.5 * m * (l * spin) ** 2 + m * params.gravity * l * (1 - jnp.cos(angle))

    def render(self, state: SystemState, params: CartpoleIDParams) -> jax.Array:
        """The cart in the middle of a rail with a mark a metre, ``u8[240, 480, 3]``."""
        middle, rail = _WIDTH / 2, _HEIGHT / 2
        image = drawing.stroke(drawing.ground(_HEIGHT, _WIDTH), (0, rail), (_WIDTH, rail), 3.0, (170, 166, 156))
        first = middle - _UNIT * (state.x[0] - jnp.floor(state.x[0])) - 3 * _UNIT
        for mark in range(8):
            place = first + mark * _UNIT
            image = drawing.stroke(image, (place, rail + 6), (place, rail + 14), 2.0, (170, 166, 156))
        image = drawing.box(image, (middle - 30, rail - 14), (middle + 30, rail + 14), drawing.WALL_COLOUR)
        length = _UNIT * params.length
        tip = middle + length * jnp.sin(state.x[2]), rail + length * jnp.cos(state.x[2])
        image = drawing.stroke(image, (middle, rail), tip, 7.0, drawing.COLOURS[5])
        return drawing.disc(image, *tip, 13.0, drawing.AGENT_COLOUR)
