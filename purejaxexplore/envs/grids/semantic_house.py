"""SemanticHouse: find one thing in an unknown house whose rooms and things tell where it could be.

The task of Shah, Equi, Osinski, Xia, Ichter and Levine (2023), "Navigation with large language models: semantic
guesswork as a heuristic for planning", on a grid. A house has four to eight rooms of six types; which types lie beside
each other, and which things lie in a room, follows the tables below. Every room holds three things, and the house just
one of the kind that is looked for. A range finder of six cells draws the map; the episode ends with reward 1 on the
thing's cell. ``LIKELIHOOD[type, kind]`` is what an ideal adviser knows.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import require_at_least, whole_number
from purejaxexplore.envs.grids import houses, mapping, tiles
from purejaxexplore.envs.grids.squares import crop, displacement, distances

TYPES = ("kitchen", "bath", "bed", "living", "office", "hall")
KINDS = (
    "stove", "fridge", "toilet", "towel", "bed", "wardrobe", "sofa", "television", "desk", "computer", "coat", "plant",
)  # fmt: skip
LIKELIHOOD = np.array(
    [
        (0.40, 0.40, 0.00, 0.08, 0.00, 0.00, 0.00, 0.04, 0.00, 0.00, 0.00, 0.08),
        (0.00, 0.00, 0.46, 0.44, 0.00, 0.04, 0.00, 0.00, 0.00, 0.00, 0.02, 0.04),
        (0.00, 0.00, 0.00, 0.06, 0.40, 0.30, 0.00, 0.08, 0.06, 0.04, 0.04, 0.02),
        (0.00, 0.02, 0.00, 0.00, 0.00, 0.04, 0.40, 0.30, 0.04, 0.04, 0.02, 0.14),
        (0.00, 0.00, 0.00, 0.00, 0.02, 0.06, 0.06, 0.04, 0.40, 0.34, 0.02, 0.06),
        (0.00, 0.00, 0.00, 0.04, 0.00, 0.16, 0.06, 0.00, 0.04, 0.00, 0.46, 0.24),
    ],
    np.float32,
)
"""P(kind | type), f32[6, 12]."""
BESIDE = np.array(
    [
        (0.02, 0.08, 0.10, 0.50, 0.10, 0.20),
        (0.05, 0.02, 0.50, 0.13, 0.05, 0.25),
        (0.05, 0.35, 0.15, 0.15, 0.15, 0.15),
        (0.35, 0.10, 0.15, 0.10, 0.15, 0.15),
        (0.10, 0.15, 0.20, 0.20, 0.15, 0.20),
        (0.20, 0.20, 0.22, 0.22, 0.14, 0.02),
    ],
    np.float32,
)
"""P(type of a room | type of the room it was cut from), f32[6, 6]; the first room is the hall."""
THINGS_A_ROOM, MARGIN, NO_ROOM = 3, mapping.REACH, -1
_VIEW = 5


class SemanticHouseState(NamedTuple):
    """What changes during an episode.

    Attributes:
        y, x: i32, row and column of the agent.
        level: i32, which house of the bank.
        known: bool[side + 12, side + 12], the map with a margin.
        time: i32, steps since the start of the episode.
    """

    y: jax.Array
    x: jax.Array
    level: jax.Array
    known: jax.Array
    time: jax.Array


@struct.dataclass
class SemanticHouseParams(environment.EnvParams):
    """A bank of K houses.

    Attributes:
        max_steps_in_episode: time limit in steps.
        walls: bool[K, side, side].
        rooms: i32[K, side, side], the room of each cell, -1 for walls and doors.
        types: i32[K, 8], the type of each room.
        things: i32[K, side, side], the kind of the thing on each cell, -1 where there is none.
        goal: i32[K], the kind that is looked for.
        goal_place: i32[K, 2], where the only one of it is.
        start: i32[K, 2], where episodes begin: on a door's or a room's cell, drawn at random.
        sight: bool[K, side^2, 13, 13], what is seen from each cell.
    """

    max_steps_in_episode: int = 500
    walls: jax.Array | None = None
    rooms: jax.Array | None = None
    types: jax.Array | None = None
    things: jax.Array | None = None
    goal: jax.Array | None = None
    goal_place: jax.Array | None = None
    start: jax.Array | None = None
    sight: jax.Array | None = None


@partial(jax.jit, static_argnames="side")
def furnish(key: jax.Array, side: int) -> dict[str, jax.Array]:
    """A house with things in it: the fields of :class:`SemanticHouseParams` but for ``sight``, of one level."""
    keys = jax.random.split(key, 6)
    house = houses.build_house(keys[0], side)
    exists = np.arange(houses.MAX_ROOMS) < house.num_rooms
    luck = jax.random.gumbel(keys[1], (houses.MAX_ROOMS, len(TYPES)))

    def give_type(number, types):
        drawn = jnp.argmax(luck[number] + jnp.log(jnp.asarray(BESIDE)[types[house.parent[number]]]))
        return types.at[number].set(drawn.astype(jnp.int32))

    types = jnp.full(houses.MAX_ROOMS, TYPES.index("hall"), jnp.int32)
    types = jax.lax.fori_loop(1, houses.MAX_ROOMS, give_type, types)
    # The kind that is looked for is drawn among those that some room may hold; then its room, by the adviser's table.
    possible = (jnp.asarray(LIKELIHOOD)[types] * exists[:, None]).T  # [kind, room]
    goal = jax.random.categorical(keys[2], jnp.where(possible.sum(1) > 0, 0.0, -jnp.inf))
    goal_room = jax.random.categorical(keys[3], jnp.log(possible[goal]))
    others = jnp.where(np.arange(len(KINDS)) == goal, 0.0, jnp.asarray(LIKELIHOOD)[types])
    kinds = jax.random.categorical(keys[4], jnp.log(others), shape=(THINGS_A_ROOM, houses.MAX_ROOMS)).T
    kinds = kinds.at[goal_room, 0].set(goal)
    y, x = np.mgrid[:side, :side]
    box = house.rooms[:, :, None, None]
    inside = (y >= box[:, 0]) & (x >= box[:, 1]) & (y <= box[:, 2]) & (x <= box[:, 3]) & exists[:, None, None]
    rooms = jnp.where(inside.any(0), jnp.argmax(inside, axis=0), NO_ROOM)
    # One uniform order of all cells: the first three of a room hold its things, the last of all is the start.
    order = jax.random.uniform(keys[5], (side, side))
    _, places = jax.lax.top_k(jnp.where(inside, order, -1.0).reshape(houses.MAX_ROOMS, -1), THINGS_A_ROOM)
    things = jnp.full(side**2, -1, jnp.int32)
    things = things.at[jnp.where(exists[:, None], places, side**2)].set(kinds.astype(jnp.int32), mode="drop")
    start = jnp.argmin(jnp.where((rooms != NO_ROOM).ravel() & (things < 0), order.ravel(), 2.0))
    goal_place = places[goal_room, 0]
    return {
        "walls": house.walls,
        "rooms": rooms,
        "types": types,
        "things": things.reshape(side, side),
        "goal": goal.astype(jnp.int32),
        "goal_place": jnp.stack([goal_place // side, goal_place % side]).astype(jnp.int32),
        "start": jnp.stack([start // side, start % side]).astype(jnp.int32),
    }


@jax.jit
def _sight(walls: jax.Array) -> jax.Array:
    return jax.lax.map(mapping.sight_table, walls)


class SemanticHouse(environment.Environment[SemanticHouseState, SemanticHouseParams]):
    """A house of ``side x side`` cells. Actions 0 to 3: up, right, down, left.

    Observation: f32[11, 11, 27], the map around the agent: unknown, free, wall; the kind of a known thing, one-hot of
    12; and the kind that is looked for, one-hot of 12 on every cell.

    Args:
        side: an odd number from 23 to 63, outer walls included.
        num_levels: K, houses in the bank.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, side: int = 33, num_levels: int = 16):
        super().__init__()
        if whole_number("side", side, 23, 63) % 2 == 0:
            raise ValueError(f"side={side!r}: expected an odd number from 23 to 63")
        require_at_least(1, num_levels=num_levels)
        self.side, self.num_levels = side, num_levels

    @property
    def default_params(self) -> SemanticHouseParams:
        """The bank of key 0."""
        return self.sample_params(jax.random.key(0), SemanticHouseParams())

    def sample_params(self, key: jax.Array, params: SemanticHouseParams) -> SemanticHouseParams:
        """``params`` with another bank."""
        bank = jax.vmap(lambda k: furnish(k, self.side))(jax.random.split(key, self.num_levels))
        return params.replace(**bank, sight=_sight(bank["walls"]))

    def shortest_ways(self, params: SemanticHouseParams) -> jax.Array:
        """Moves from each house's start to its thing, i32[K]: the path lengths of SPL."""

        def one(walls, start, goal_place):
            target = jnp.zeros(walls.shape, bool).at[goal_place[0], goal_place[1]].set(True)
            return distances(~walls, target)[start[0], start[1]]

        return jax.vmap(one)(params.walls, params.start, params.goal_place)

    def reset_env(self, key: jax.Array, params: SemanticHouseParams) -> tuple[jax.Array, SemanticHouseState]:
        """A fresh episode in a house of the bank: ``key -> (observation, state)``."""
        level = jax.random.randint(key, (), 0, self.num_levels)
        y, x = params.start[level]
        blank = mapping.unknown(self.side, self.side)
        known = mapping.look(blank, params.sight[level, y * self.side + x], y, x)
        state = SemanticHouseState(y, x, level, known, jnp.int32(0))
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: SemanticHouseState, action: jax.Array, params: SemanticHouseParams
    ) -> tuple[jax.Array, SemanticHouseState, jax.Array, jax.Array, dict[str, Any]]:
        """One move without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the thing was reached by this move), ``state_id`` of the successor, and ``room``
        (i32, -1 on a door).
        """
        down, right = displacement(action)
        flat = state.level * self.side**2 + (state.y + down) * self.side + state.x + right
        free = ~params.walls.reshape(-1).at[flat].get(mode="promise_in_bounds")
        y, x = state.y + down * free, state.x + right * free
        known = mapping.look(state.known, params.sight[state.level, y * self.side + x], y, x)
        after = SemanticHouseState(y, x, state.level, known, state.time + 1)
        success = self.is_terminated(after, params)
        info = {"success": success, "state_id": self.state_id(after), "room": params.rooms[state.level, y, x]}
        return self.get_obs(after, params), after, success.astype(jnp.float32), success, info

    def is_terminated(self, state: SemanticHouseState, params: SemanticHouseParams) -> jax.Array:
        """Whether the agent stands on the thing."""
        y, x = params.goal_place[state.level]
        return (state.y == y) & (state.x == x)

    def get_obs(self, state: SemanticHouseState, params: SemanticHouseParams, key=None) -> jax.Array:
        """f32[11, 11, 27]."""
        # One number a cell says all: 0 unknown, 1 wall, 2 free, 3 and more a thing.
        known = mapping.inside(state.known)
        cell = jnp.where(params.walls[state.level], 1, 3 + params.things[state.level])
        view = crop(jnp.where(known, cell, 0), state.y, state.x, _VIEW, 0)[..., None]
        ground = jnp.concatenate([view == 0, view >= 2, view == 1], axis=-1)
        thing = view == 3 + np.arange(len(KINDS))
        goal = jnp.broadcast_to(params.goal[state.level] == np.arange(len(KINDS)), thing.shape)
        return jnp.concatenate([ground, thing, goal], axis=-1).astype(jnp.float32)

    @property
    def num_states(self) -> int:
        """Cells, walls included."""
        return self.side**2

    def state_id(self, state: SemanticHouseState, params: SemanticHouseParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the agent's cell."""
        return state.y * self.side + state.x

    def position_map(self, values: jax.Array, params: SemanticHouseParams | None = None) -> jax.Array:
        """``values: f32[num_states]`` laid out as ``f32[side, side]``."""
        return jnp.reshape(values, (self.side, self.side))

    def render(self, state: SemanticHouseState, params: SemanticHouseParams) -> jax.Array:
        """The house as ``u8[16 side, 16 side, 3]``: rooms in the colours of their types, darker where not yet known."""
        room = params.rooms[state.level]
        kind = jnp.where(room == NO_ROOM, len(TYPES), params.types[state.level][room])
        thing = params.things[state.level]
        y, x = np.mgrid[: self.side, : self.side]
        target = (y == params.goal_place[state.level, 0]) & (x == params.goal_place[state.level, 1])
        index = jnp.where(params.walls[state.level], len(TYPES) + 1, kind)
        index = jnp.where(target, len(TYPES) + 2, jnp.where(thing >= 0, len(TYPES) + 3 + thing, index))
        picture = tiles.compose(_house_sprites(), index)
        known = jnp.repeat(jnp.repeat(mapping.inside(state.known), tiles.TILE, 0), tiles.TILE, 1)[..., None]
        dim = (picture.astype(jnp.float32) * 0.55).astype(jnp.uint8)
        return tiles.draw_agent(jnp.where(known, picture, dim), state.y, state.x)

    @property
    def num_actions(self) -> int:
        return 4

    def action_space(self, params: SemanticHouseParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(4)

    def observation_space(self, params: SemanticHouseParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (2 * _VIEW + 1, 2 * _VIEW + 1, 3 + 2 * len(KINDS)), jnp.float32)

    def state_space(self, params: SemanticHouseParams) -> spaces.Dict:
        side, margin = spaces.Discrete(self.side), self.side + 2 * MARGIN
        chart = {"level": spaces.Discrete(self.num_levels), "known": spaces.Box(0, 1, (margin, margin), jnp.bool_)}
        return spaces.Dict({"y": side, "x": side, **chart, "time": spaces.Discrete(params.max_steps_in_episode + 1)})


def _house_sprites() -> np.ndarray:
    """A floor for each type, a doorway, wall, the thing that is looked for, and the other things, u8[21, 16, 16, 3]."""
    floors = [
        (248, 224, 178), (190, 224, 240), (222, 206, 236), (214, 232, 204), (240, 208, 204), (232, 228, 218),
    ]  # fmt: skip
    things = [tiles.ball(tiles.COLOURS[kind % len(tiles.COLOURS)]) for kind in range(len(KINDS))]
    return np.stack([*map(tiles.slab, floors), tiles.floor(), tiles.wall(), tiles.treasure(), *things])
