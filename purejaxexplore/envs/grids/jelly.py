"""JellyLite: a torus strewn with two kinds of things, one good and one bad, and never a reset; then they change.

A small Jelly Bean World (Platanios, Saparov and Mitchell, 2020, "Jelly Bean World: a testbed for never-ending
learning") with the shifts of Steinparz et al. (2022), "Reactive exploration to cope with non-stationarity in lifelong
reinforcement learning". Things A and B lie on 5 % of the cells each; one that is collected grows again on an empty
cell. Every ``shift_every`` steps, by a clock that all lanes share, the world changes:

    sign_flip     A is worth +1 and B -1, then the reverse, then as before ...
    gradual       the same, but the values move on a straight line from one shift to the next
    colour_swap   A looks like B and B like A, every other time
    rotation      the view turns by another quarter

Three actions (forward, turn left, turn right). One sees 11 x 11 cells, turned so that ahead is up.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, require_at_least
from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.squares import DOWN_RIGHT

SHIFTS = ("none", "sign_flip", "gradual", "colour_swap", "rotation")
FORWARD, TURN_LEFT, TURN_RIGHT = range(3)
EMPTY, A, B = range(3)
SIDE, NUM_EACH = 32, 51  # 5 % of 1,024 cells
_VIEW = 5
_TRIES = 12  # a new place is the first empty of twelve: all are taken with probability 1e-12, and the thing is lost


class JellyState(NamedTuple):
    """What changes.

    Attributes:
        y, x: i32, the agent's cell.
        heading: i32, 0 to 3: up, right, down, left.
        things: i8[1024], what lies on each cell.
        time: i32, steps since the start.
    """

    y: jax.Array
    x: jax.Array
    heading: jax.Array
    things: jax.Array
    time: jax.Array


@struct.dataclass
class JellyParams(environment.EnvParams):
    """A life.

    Attributes:
        max_steps_in_episode: length of a life in steps; by default longer than any run.
        shift_every: steps between two shifts, 1 or more.
        starts: i8[K, 1024], what may lie on each cell at the start: a bank, as a reset must not cost a shuffle.
    """

    max_steps_in_episode: int = 1_000_000_000
    shift_every: int = 60_000
    starts: jax.Array | None = None


@partial(jax.jit, static_argnums=1)
def strew(key: jax.Array, num_levels: int) -> jax.Array:
    """51 things of each kind on 1,024 cells, none in the middle, i8[K, 1024]."""
    things = jnp.repeat(jnp.array([EMPTY, A, B], jnp.int8), np.array([SIDE**2 - 1 - 2 * NUM_EACH, NUM_EACH, NUM_EACH]))
    middle = SIDE // 2 * (SIDE + 1)
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, things))(jax.random.split(key, num_levels))
    return jnp.insert(shuffled, middle, jnp.int8(EMPTY), axis=1)


class JellyLite(environment.Environment[JellyState, JellyParams]):
    """The torus of 32 x 32 cells.

    Args:
        shift: what changes, one of ``"none"``, ``"sign_flip"``, ``"gradual"``, ``"colour_swap"``, ``"rotation"``.
        num_levels: K, starts in the bank.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, shift: str = "sign_flip", num_levels: int = 64):
        super().__init__()
        choice("shift", shift, SHIFTS)
        require_at_least(1, num_levels=num_levels)
        self.shift, self.num_levels = shift, num_levels

    @property
    def default_params(self) -> JellyParams:
        """The bank of key 0."""
        return self.sample_params(jax.random.key(0), JellyParams())

    def sample_params(self, key: jax.Array, params: JellyParams) -> JellyParams:
        """``params`` with another bank."""
        return params.replace(starts=strew(key, self.num_levels))

    def reset_env(self, key: jax.Array, params: JellyParams) -> tuple[jax.Array, JellyState]:
        """A fresh life in the middle: ``key -> (observation, state)``."""
        things = params.starts[jax.random.randint(key, (), 0, self.num_levels)]
        middle = jnp.int32(SIDE // 2)
        state = JellyState(middle, middle, jnp.int32(0), things, jnp.int32(0))
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: JellyState, action: jax.Array, params: JellyParams
    ) -> tuple[jax.Array, JellyState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward f32, terminated False, info)``.

        ``info`` holds ``state_id`` of the successor and ``shifted`` (bool, a shift took place before this step).
        """
        heading = (state.heading + (action == TURN_RIGHT) - (action == TURN_LEFT)) % 4
        down, right = jnp.asarray(DOWN_RIGHT)[heading] * (action == FORWARD)
        y, x = (state.y + down) % SIDE, (state.x + right) % SIDE
        here = y * SIDE + x
        found = state.things.at[here].get(mode="promise_in_bounds")
        places = jax.random.randint(key, (_TRIES,), 0, SIDE**2)
        empty = (state.things.at[places].get(mode="promise_in_bounds") == EMPTY) & (places != here)
        place = places[jnp.argmax(empty)]
        grown = jnp.where((found != EMPTY) & empty.any(), place, SIDE**2)  # outside the map: nothing grows
        things = state.things.at[here].set(EMPTY).at[grown].set(found, mode="drop")
        value = self.value_of_a(state.time, params)
        reward = jnp.where(found == A, value, jnp.where(found == B, -value, 0.0))
        after = JellyState(y, x, heading, things, state.time + 1)
        shifted = (state.time % params.shift_every == 0) & (state.time > 0)
        info = {"state_id": self.state_id(after, params), "shifted": shifted}
        return self.get_obs(after, params), after, reward, jnp.bool_(False), info

    def value_of_a(self, time: jax.Array, params: JellyParams) -> jax.Array:
        """f32[], what A is worth in the step at ``time``, in [-1, 1]; B is worth its negative."""
        phase = time // params.shift_every
        sign = jnp.where(phase % 2 == 0, 1.0, -1.0)
        if self.shift == "sign_flip":
            return sign
        if self.shift == "gradual":
            return sign * (1.0 - 2.0 * (time % params.shift_every) / params.shift_every)
        return jnp.ones_like(sign)

    def is_terminated(self, state: JellyState, params: JellyParams) -> jax.Array:
        """Never."""
        return jnp.bool_(False)

    def get_obs(self, state: JellyState, params: JellyParams, key=None) -> jax.Array:
        """f32[11, 11, 2]: where things of the first and of the second colour lie around the agent."""
        phase = state.time // params.shift_every
        turned = (state.heading + (phase if self.shift == "rotation" else 0)) % 4
        offsets = jnp.asarray(_OFFSETS)[turned]
        cells = (state.y + offsets[..., 0]) % SIDE * SIDE + (state.x + offsets[..., 1]) % SIDE
        seen = state.things.at[cells].get(mode="promise_in_bounds")[..., None]
        colours = jnp.where((phase % 2 == 1) & (self.shift == "colour_swap"), np.array([B, A]), np.array([A, B]))
        return (seen == colours).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """Cells; all can be reached."""
        return SIDE**2

    def state_id(self, state: JellyState, params: JellyParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the agent's cell."""
        return state.y * SIDE + state.x

    def position_map(self, values: jax.Array, params: JellyParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[32, 32]``."""
        return jnp.reshape(values, (SIDE, SIDE))

    def render(self, state: JellyState, params: JellyParams) -> jax.Array:
        """The world as ``u8[512, 512, 3]``, what the agent sees a little lighter; A is blue, B vermilion."""
        offset = (np.arange(SIDE)[:, None, None] - jnp.stack([state.y, state.x]) + SIDE // 2) % SIDE - SIDE // 2
        seen = (abs(offset[:, 0, :1]) <= _VIEW) & (abs(offset[:, 0, 1]) <= _VIEW)
        sprites = np.stack([tiles.floor(), tiles.ball(tiles.COLOURS[0]), tiles.ball(tiles.COLOURS[1])])
        shaded = np.concatenate([(sprites * 0.8).astype(np.uint8), sprites])
        index = state.things.reshape(SIDE, SIDE).astype(jnp.int32) + 3 * seen
        picture = tiles.draw_agent(tiles.compose(shaded, index), state.y, state.x)
        y, x = np.mgrid[: 16 * SIDE, : 16 * SIDE] // 4  # a mark on the cell ahead
        down, right = jnp.asarray(DOWN_RIGHT)[state.heading]
        ahead_y, ahead_x = 4 * ((state.y + down) % SIDE) + 1, 4 * ((state.x + right) % SIDE) + 1
        mark = (y - ahead_y >= 0) & (y - ahead_y < 2) & (x - ahead_x >= 0) & (x - ahead_x < 2)
        return jnp.where(mark[..., None], np.array((236, 72, 92), np.uint8), picture)

    @property
    def num_actions(self) -> int:
        return 3

    def action_space(self, params: JellyParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(3)

    def observation_space(self, params: JellyParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (2 * _VIEW + 1, 2 * _VIEW + 1, 2), jnp.float32)

    def state_space(self, params: JellyParams) -> spaces.Dict:
        side, heading = spaces.Discrete(SIDE), spaces.Discrete(4)
        things = spaces.Box(0, 2, (SIDE**2,), jnp.int8)
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"y": side, "x": side, "heading": heading, "things": things, "time": limit})


def _view_offsets() -> np.ndarray:
    """Rows and columns of the cells in view for each heading, i32[4, 11, 11, 2]; the first row lies farthest ahead."""
    ahead, aside = np.mgrid[_VIEW : -_VIEW - 1 : -1, -_VIEW : _VIEW + 1]
    forward, right = DOWN_RIGHT[:, None, None], np.roll(DOWN_RIGHT, -1, 0)[:, None, None]
    return (ahead[..., None] * forward + aside[..., None] * right).astype(np.int32)


_OFFSETS = _view_offsets()
