"""NovGridLite: a key, a door and lava in a world that changes in one point while the agent learns.

After Balloch et al. (2022), "NovGrid: a flexible grid world for evaluating agent response to novelty". A wall with a
door and one cell of lava stands between start and goal::

    ######      S  start          A, B  keys; the door opens to key A
    #S.#.#      D  door           L     lava, deadly: a shortcut where it is not
    #..D.#      G  goal: reward 1, ends the episode
    #B.#.#
    #A.LG#      five actions: four moves, and "use" (take the key underfoot, open a door beside)
    ######

``params.novelty`` is a number and may be traced: ``jnp.where(step >= switch, kind, IDENTITY)`` changes the world in the
middle of a compiled run, and nothing tells the agent. Size 6: 12 actions to the goal, 6 through lava that is harmless.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, whole_number
from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.squares import displacement

NOVELTIES = (
    "Identity", "DoorKeyChange", "LavaNotSafe", "LavaProof", "CrossingBarrier", "GoalLocationChange", "DoorNumKeys",
    "ActionRepetition", "ForwardMovementSpeed",
)  # fmt: skip
"""The kinds, by number: nothing; key B opens; lava kills; lava is harmless; the wall stands one column to the left; the
goal lies in the upper corner; both keys are needed; an action must be given twice; a move goes two cells."""
(IDENTITY, DOOR_KEY, LAVA_NOT_SAFE, LAVA_PROOF, BARRIER, GOAL_LOCATION, NUM_KEYS, REPETITION, SPEED) = range(9)
USE = 4
FLOOR, WALL, LAVA, DOOR, KEY_A, KEY_B, GOAL, AGENT = range(8)


class NovGridState(NamedTuple):
    """What changes during an episode, all i32.

    Attributes:
        y, x: row and column of the agent.
        keys: the keys it holds, A is 1 and B is 2.
        open: 1 once the door is open.
        pending: the last action where it still waits for its repetition, else -1.
        time: steps since the start of the episode.
    """

    y: jax.Array
    x: jax.Array
    keys: jax.Array
    open: jax.Array
    pending: jax.Array
    time: jax.Array


@struct.dataclass
class NovGridParams(environment.EnvParams):
    """The time limit in steps, and what holds now.

    Attributes:
        novelty: 0 to 8, one of :data:`NOVELTIES`; may be traced.
        lava_harmful: whether lava kills before a novelty says otherwise (LavaNotSafe begins with False).
        time_cost: the goal pays ``1 - time_cost * time / max_steps_in_episode``; 0.9 in MiniGrid.
    """

    max_steps_in_episode: int = 144
    novelty: int = IDENTITY
    lava_harmful: bool = True
    time_cost: float = 0.0


def novelty_number(name: str) -> int:
    """The number of a novelty for ``params.novelty``.

    Raises:
        ValueError: there is none of this name.
    """
    choice("name", name, NOVELTIES)
    return NOVELTIES.index(name)


class NovGridLite(environment.Environment[NovGridState, NovGridParams]):
    """The world in a square of ``size x size`` cells, walls included. Actions: up, right, down, left, use.

    Observation: f32[size, size, 8], the tile of every cell one-hot and the agent.

    Args:
        size: 6 to 16.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, size: int = 6):
        super().__init__()
        self.size = whole_number("size", size, 6, 16)
        self.start = (1, 1)

    @property
    def default_params(self) -> NovGridParams:
        """Four times as many steps as the world has cells."""
        return NovGridParams(max_steps_in_episode=4 * self.size**2)

    def reset_env(self, key: jax.Array, params: NovGridParams) -> tuple[jax.Array, NovGridState]:
        """A fresh episode: ``key -> (observation, state)``."""
        state = NovGridState(*map(jnp.int32, (*self.start, 0, 0, -1, 0)))
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: NovGridState, action: jax.Array, params: NovGridParams
    ) -> tuple[jax.Array, NovGridState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the goal was reached by this action) and ``state_id`` of the successor.
        """
        works = (params.novelty != REPETITION) | (state.pending == action)
        given = jnp.where(works, action, -1)
        down, right = displacement(given)
        y, x = self._move(state.y, state.x, down, right, state, params)
        twice = (params.novelty == SPEED) & ~self._is_end(y, x, state, params)
        y, x = self._move(y, x, down * twice, right * twice, state, params)
        use = given == USE
        tile = self._tile(y, x, state, params)
        keys = state.keys | use * ((tile == KEY_A) * 1 + (tile == KEY_B) * 2)
        needed = jnp.where(params.novelty == DOOR_KEY, 2, jnp.where(params.novelty == NUM_KEYS, 3, 1))
        door_y, door_x = self._door(params)
        beside = abs(y - door_y) + abs(x - door_x) == 1
        opened = state.open | (use & beside & (keys & needed == needed))
        pending = jnp.where(works, -1, action)
        after = NovGridState(y, x, keys, opened.astype(jnp.int32), pending.astype(jnp.int32), state.time + 1)
        success = self._tile(y, x, after, params) == GOAL
        reward = success * (1.0 - params.time_cost * after.time / params.max_steps_in_episode)
        info = {"success": success, "state_id": self.state_id(after, params)}
        return self.get_obs(after, params), after, reward, self.is_terminated(after, params), info

    def is_terminated(self, state: NovGridState, params: NovGridParams) -> jax.Array:
        """Whether the agent stands on the goal or burns."""
        return self._is_end(state.y, state.x, state, params)

    def get_obs(self, state: NovGridState, params: NovGridParams, key=None) -> jax.Array:
        """f32[size, size, 8]; whether lava kills, and which key fits, is not to be seen."""
        y, x = np.mgrid[: self.size, : self.size]
        tile = self._tile(y, x, state, params)
        seen = (tile[..., None] == np.arange(AGENT)).astype(jnp.float32)
        agent = ((y == state.y) & (x == state.x)).astype(jnp.float32)
        return jnp.concatenate([seen, agent[..., None]], axis=-1)

    @property
    def num_states(self) -> int:
        """Places, keys held and door; many of them cannot be reached."""
        return self.size**2 * 8

    def state_id(self, state: NovGridState, params: NovGridParams | None = None) -> jax.Array:
        """The i32 id ``((y size + x) 4 + keys) 2 + open`` in [0, num_states)."""
        return ((state.y * self.size + state.x) * 4 + state.keys) * 2 + state.open

    def states(self) -> NovGridState:
        """One state of each id, a batch."""
        y, x, keys, opened = np.indices((self.size, self.size, 4, 2)).reshape(4, -1).astype(np.int32)
        nothing = jnp.zeros(self.num_states, jnp.int32)
        return NovGridState(*map(jnp.asarray, (y, x, keys, opened)), nothing - 1, nothing)

    def pack(self, state: NovGridState) -> jax.Array:
        """u8[7]: row, column, keys, door, pending action + 1, low and high byte of the time."""
        fields = [*state[:4], state.pending + 1, state.time & 255, state.time >> 8]
        return jnp.stack(fields, axis=-1).astype(jnp.uint8)

    def unpack(self, packed: jax.Array, params: NovGridParams | None = None) -> NovGridState:
        """The state that :meth:`pack` stored."""
        y, x, keys, opened, pending, low, high = jnp.moveaxis(packed.astype(jnp.int32), -1, 0)
        return NovGridState(y, x, keys, opened, pending - 1, low | high << 8)

    def render(self, state: NovGridState, params: NovGridParams) -> jax.Array:
        """The world as ``u8[16 size, 16 size, 3]``."""
        y, x = np.mgrid[: self.size, : self.size]
        sprites = [
            tiles.floor(), tiles.wall(), tiles.lava(), tiles.closed_door(0), tiles.key(0), tiles.key(1),
            tiles.treasure(), tiles.open_door(0),
        ]  # fmt: skip
        door_y, door_x = self._door(params)
        is_open = (y == door_y) & (x == door_x) & (state.open == 1)
        picture = tiles.compose(np.stack(sprites), jnp.where(is_open, 7, self._tile(y, x, state, params)))
        return tiles.draw_agent(picture, state.y, state.x)

    @property
    def num_actions(self) -> int:
        return 5

    def action_space(self, params: NovGridParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(5)

    def observation_space(self, params: NovGridParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (self.size, self.size, 8), jnp.float32)

    def state_space(self, params: NovGridParams) -> spaces.Dict:
        side, limit = spaces.Discrete(self.size), spaces.Discrete(params.max_steps_in_episode + 1)
        flags = {"keys": spaces.Discrete(4), "open": spaces.Discrete(2), "pending": spaces.Box(-1, 4, (), jnp.int32)}
        return spaces.Dict({"y": side, "x": side, **flags, "time": limit})

    def _door(self, params: NovGridParams) -> tuple[int, jax.Array]:
        return self.size // 2 - 1, self.size // 2 - (params.novelty == BARRIER)

    def _tile(self, y, x, state: NovGridState, params: NovGridParams) -> jax.Array:
        """The tile at each place, the agent left out."""
        last, (door_y, column) = self.size - 1, self._door(params)
        border = (y == 0) | (y == last) | (x == 0) | (x == last)
        goal_y = jnp.where(params.novelty == GOAL_LOCATION, 1, last - 1)
        tile = jnp.where((y == goal_y) & (x == last - 1), GOAL, FLOOR)
        for number, row, kind in ((1, last - 1, KEY_A), (2, last - 2, KEY_B)):
            tile = jnp.where((y == row) & (x == 1) & (state.keys & number == 0), kind, tile)
        door = jnp.where(state.open == 1, FLOOR, DOOR)
        barrier = jnp.where(y == door_y, door, jnp.where(y == last - 1, LAVA, WALL))
        return jnp.where(border, WALL, jnp.where(x == column, barrier, tile))

    def _move(self, y, x, down, right, state: NovGridState, params: NovGridParams):
        tile = self._tile(y + down, x + right, state, params)
        free = (tile != WALL) & (tile != DOOR)
        return y + down * free, x + right * free

    def _is_end(self, y, x, state: NovGridState, params: NovGridParams) -> jax.Array:
        harmful = (params.novelty == LAVA_NOT_SAFE) | (params.novelty != LAVA_PROOF) & params.lava_harmful
        tile = self._tile(y, x, state, params)
        return (tile == GOAL) | (tile == LAVA) & harmful
