"""DarkNoisyRooms: a chain of rooms of which some show nothing and some show noise until their switch is pressed.

After Fickinger, Jaques, Parajuli, Chang, Rhinehart, Berseth, Russell and Levine (2021), "Explore and control with
adversarial surprise": who seeks surprise is caught by the noise, who shuns it by the dark. The rooms are those of
:mod:`.room_chain`, by turns dark and noisy. Every cell in sight has one of six classes:

    0 nothing (all of a dark room), 1 wall, 2 floor, 3 switch, 4 and 5 coloured floor

In a noisy room every floor tile is of class 2, 4 or 5, drawn anew at each step, as long as the room's switch has not
been pressed. No reward. Four moves and "press", which does something only on the switch in the middle of a noisy room.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.room_chain import RoomChain, RoomChainParams

PRESS, NUM_CLASSES = 4, 6
NOTHING, WALL, FLOOR, SWITCH, RED, BLUE = range(NUM_CLASSES)
_VIEW = 2


class DarkNoisyRoomsState(NamedTuple):
    """What changes during an episode.

    Attributes:
        y, x: i32, row and column of the agent, as in :class:`.room_chain.RoomChainState`.
        time: i32, steps since the start of the episode.
        pressed: bool[num_rooms], whether the switch of each room is pressed; never in a dark one.
        door_rows: None, the layout stands in the parameters.
    """

    y: jax.Array
    x: jax.Array
    time: jax.Array
    pressed: jax.Array
    door_rows: jax.Array | None = None


class DarkNoisyRooms(RoomChain):
    """``num_rooms`` rooms of ``size x size``, the first dark. Actions: up, right, down, left, press.

    Observation: f32[5, 5, 6], the class of every cell in sight, one-hot. It is drawn with a key.

    Args:
        num_rooms, size: as in :class:`.room_chain.RoomChain`.
    """

    def __init__(self, num_rooms: int = 4, size: int = 4):
        super().__init__(num_rooms, size)
        room = np.arange(num_rooms)
        self.noisy = room % 2 == 1
        self._switch_y, self._switch_x = 1 + size // 2, room * (size + 1) + 1 + size // 2

    @property
    def default_params(self) -> RoomChainParams:
        """Four rounds of 16 steps."""
        return super().default_params.replace(max_steps_in_episode=64)

    def reset_env(self, key: jax.Array, params: RoomChainParams) -> tuple[jax.Array, DarkNoisyRoomsState]:
        """A fresh episode: ``key -> (observation, state)``."""
        place = map(jnp.int32, self.start)
        state = DarkNoisyRoomsState(*place, jnp.int32(0), jnp.zeros(self.num_rooms, bool))
        return self.get_obs(state, params, key), state

    def step_env(
        self, key: jax.Array, state: DarkNoisyRoomsState, action: jax.Array, params: RoomChainParams
    ) -> tuple[jax.Array, DarkNoisyRoomsState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward 0, terminated False, info)``.

        ``info`` holds ``state_id`` of the successor, ``room`` (i32, doors belong to the room before), ``in_noise``
        (bool, the agent stands in noise) and ``num_pressed`` (i32, switches pressed so far).
        """
        after = self._walk(state, action, params)
        there = (after.y == self._switch_y) & (after.x == self._switch_x) & self.noisy
        after = after._replace(pressed=after.pressed | there & (action == PRESS))
        room = (after.x - 1) // (self.size + 1)
        in_noise = ((np.arange(self.num_rooms) == room) & self.noisy & ~after.pressed).any()
        info = {
            "state_id": self.state_id(after, params),
            "room": room,
            "in_noise": in_noise,
            "num_pressed": after.pressed.sum(dtype=jnp.int32),
        }
        return self.get_obs(after, params, key), after, jnp.float32(0.0), jnp.bool_(False), info

    def is_terminated(self, state: DarkNoisyRoomsState, params: RoomChainParams) -> jax.Array:
        """Never."""
        return jnp.bool_(False)

    def get_obs(self, state: DarkNoisyRoomsState, params: RoomChainParams, key: jax.Array) -> jax.Array:
        """f32[5, 5, 6], with fresh noise."""
        offset = np.arange(-_VIEW, _VIEW + 1)
        columns = jax.lax.dynamic_slice(self._columns(state, params), (state.x,), (2 * _VIEW + 1,))
        y, x = state.y + offset[:, None], state.x + offset
        # One word of random bits a row of the view: ten bits a tile are enough for three classes.
        noise = jnp.asarray([FLOOR, RED, BLUE])[jax.random.bits(key, (2 * _VIEW + 1,) * 2, jnp.uint16) % 3]
        seen = self._classes(y, x, columns, state, noise)
        return (seen[..., None] == np.arange(NUM_CLASSES)).astype(jnp.float32)

    def pack(self, state: DarkNoisyRoomsState) -> jax.Array:
        """u8[4 + num_rooms]: row, column, low and high byte of the time, the switches."""
        fields = jnp.stack([state.y, state.x, state.time & 255, state.time >> 8], axis=-1)
        return jnp.concatenate([fields, state.pressed], axis=-1).astype(jnp.uint8)

    def unpack(self, packed: jax.Array, params: RoomChainParams | None = None) -> DarkNoisyRoomsState:
        """The state that :meth:`pack` stored."""
        fields = packed.astype(jnp.int32)
        time = fields[..., 2] | fields[..., 3] << 8
        return DarkNoisyRoomsState(fields[..., 0], fields[..., 1], time, packed[..., 4:] == 1)

    def map_background(self, params: RoomChainParams) -> jax.Array:
        """The world without the agent, ``u8[16 H, 16 W, 3]``, no switch pressed: the ground of a coverage map."""
        return self._picture(DarkNoisyRoomsState(0, 0, 0, jnp.zeros(self.num_rooms, bool)), params)

    @property
    def num_actions(self) -> int:
        return 5

    def action_space(self, params: RoomChainParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(5)

    def observation_space(self, params: RoomChainParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (2 * _VIEW + 1, 2 * _VIEW + 1, NUM_CLASSES), jnp.float32)

    def state_space(self, params: RoomChainParams) -> spaces.Dict:
        pressed = {"pressed": spaces.Box(0, 1, (self.num_rooms,), jnp.bool_)}
        return spaces.Dict(super().state_space(params).spaces | pressed)

    def _classes(self, y, x, columns, state: DarkNoisyRoomsState, noise: jax.Array) -> jax.Array:
        """The class that each cell shows."""
        room = jnp.clip((x - 1) // (self.size + 1), 0, self.num_rooms - 1)
        noisy = jnp.asarray(self.noisy)[room]
        switch = (y == self._switch_y) & (x == jnp.asarray(self._switch_x)[room])
        floor = jnp.where(switch, SWITCH, jnp.where(state.pressed[room], FLOOR, noise))
        seen = jnp.where(self._is_wall(y, columns), WALL, floor)
        return jnp.where(noisy, seen, NOTHING)

    def _picture(self, state: DarkNoisyRoomsState, params: RoomChainParams) -> jax.Array:
        """Dark rooms are grey; the noise is one picture of it."""
        y, x = np.mgrid[: self.height, : self.width]
        columns = self._columns(state, params)[_VIEW + x]
        still = np.random.default_rng(0).choice([FLOOR, RED, BLUE], x.shape)
        index = self._classes(y, x, columns, state, jnp.asarray(still))
        wall = self._is_wall(y, columns)
        room = jnp.clip((x - 1) // (self.size + 1), 0, self.num_rooms - 1)
        index = jnp.where(wall, WALL, jnp.where((index == SWITCH) & state.pressed[room], NUM_CLASSES, index))
        sprites = [
            tiles.slab((112, 116, 126)), tiles.wall(), tiles.floor(), tiles.switch(False),
            tiles.slab((240, 183, 160)), tiles.slab((150, 196, 228)), tiles.switch(True),
        ]  # fmt: skip
        return tiles.compose(np.stack(sprites), index)
