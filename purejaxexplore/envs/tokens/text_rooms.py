"""TextRooms: five rooms in a line, fifteen things, and a hidden recipe of five deeds in order.

A text game of the kind of ScienceWorld without the text, for Golchha, Yerawar, Patel, Dan and Murugesan (2024),
"Language guided exploration for RL agents in text environments". An action is a verb and a thing, one of 180 pairs, of
which about fifty are admissible at a time; the others cost their step and do nothing. Things 0 to 9 are items, in rooms
drawn anew in every episode; thing 10 + r is the fixture of room r: chest, stove, sink, desk and person.

    any thing                 go (a room towards it), look
    a thing here or held      read, point
    an item here              take, push          an item held          drop, give (to the person, in its room), and
    a fixture here            knock, push                               heat at the stove, wash at the sink
                              open and close, by turns

A family has eight tasks, one of them an episode's. Its recipe: take A; heat or wash A; open F; read B; give A. Each
deed done in its turn is worth 0.2, the last ends the episode; sixty steps are allowed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.envs.grids import tiles

NUM_ROOMS, NUM_ITEMS, NUM_FIXTURES, NUM_TASKS, NUM_SUBGOALS = 5, 10, 5, 8, 5
NUM_THINGS = NUM_ITEMS + NUM_FIXTURES
VERBS = ("go", "look", "take", "drop", "open", "close", "heat", "wash", "read", "push", "give", "point")
(GO, LOOK, TAKE, DROP, OPEN, CLOSE, HEAT, WASH, READ, PUSH, GIVE, POINT) = range(12)
NUM_VERBS, HELD = len(VERBS), NUM_ROOMS
STOVE, SINK, PERSON = 1, 2, 4
ACTIONS = np.stack(np.divmod(np.arange(NUM_VERBS * NUM_THINGS), NUM_THINGS), -1)
"""Verb and thing of each action, i64[180, 2]."""


class TextRoomsState(NamedTuple):
    """What changes during an episode.

    Attributes:
        room: i32, where the agent is.
        place: i32[10], the room of each item; 5 for held.
        seen: bool[10], whether the item was ever here or held, so that its place is known.
        opened: bool[5], whether each fixture is open.
        task: i32, which task of the family.
        progress: i32, deeds of the recipe done, 0 to 5.
        time: i32, steps since the start of the episode.
    """

    room: jax.Array
    place: jax.Array
    seen: jax.Array
    opened: jax.Array
    task: jax.Array
    progress: jax.Array
    time: jax.Array


@struct.dataclass
class TextRoomsParams(environment.EnvParams):
    """A family of tasks.

    Attributes:
        recipes: i32[8, 5], the action of each deed of each task.
    """

    max_steps_in_episode: int = 60
    recipes: jax.Array | None = None


@jax.jit
def draw_recipes(key: jax.Array) -> jax.Array:
    """A family, i32[8, 5]: eight different items A, and for each a treatment, a fixture F and another item B."""
    key_item, key_bit, key_fixture, key_other = jax.random.split(key, 4)
    item = jax.random.permutation(key_item, NUM_ITEMS)[:NUM_TASKS]
    treat = jnp.where(jax.random.bernoulli(key_bit, shape=(NUM_TASKS,)), HEAT, WASH)
    fixture = NUM_ITEMS + jax.random.randint(key_fixture, (NUM_TASKS,), 0, NUM_FIXTURES)
    other = (item + jax.random.randint(key_other, (NUM_TASKS,), 1, NUM_ITEMS)) % NUM_ITEMS
    deeds = ((TAKE, item), (treat, item), (OPEN, fixture), (READ, other), (GIVE, item))
    return jnp.stack([verb * NUM_THINGS + thing for verb, thing in deeds], axis=-1).astype(jnp.int32)


class TextRooms(environment.Environment[TextRoomsState, TextRoomsParams]):
    """The rooms. Action ``15 v + o``: verb v on thing o.

    Observation: f32[44]: the room (5), the items here (10) and held (10), whether the fixture here is open (5), the
    task (8) and the deeds done (6). Items in other rooms are not seen; with ``memory`` the observation, f32[94], ends
    with the room (5) where each item (10) was last seen, zeros for one that is held or not seen yet in the episode.

    Args:
        memory: whether places are remembered.
    """

    def __init__(self, memory: bool = False):
        super().__init__()
        self.memory = memory

    @property
    def default_params(self) -> TextRoomsParams:
        """The family of key 0."""
        return self.sample_params(jax.random.key(0), TextRoomsParams())

    def sample_params(self, key: jax.Array, params: TextRoomsParams) -> TextRoomsParams:
        """``params`` with another family."""
        return params.replace(recipes=draw_recipes(key))

    def reset_env(self, key: jax.Array, params: TextRoomsParams) -> tuple[jax.Array, TextRoomsState]:
        """A fresh episode in the first room: ``key -> (observation, state)``."""
        bits = jax.random.bits(key, (NUM_ITEMS + 1,))
        place = (bits[:NUM_ITEMS] % NUM_ROOMS).astype(jnp.int32)
        state = TextRoomsState(
            room=jnp.int32(0),
            place=place,
            seen=place == 0,
            opened=jnp.zeros(NUM_FIXTURES, bool),
            task=(bits[NUM_ITEMS] % NUM_TASKS).astype(jnp.int32),
            progress=jnp.int32(0),
            time=jnp.int32(0),
        )
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: TextRoomsState, action: jax.Array, params: TextRoomsParams
    ) -> tuple[jax.Array, TextRoomsState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the recipe is complete), ``admissible`` (bool, the action did something) and
        ``state_id`` of the successor.
        """
        able = self.admissible(state)[action]
        verb, thing = action // NUM_THINGS, action % NUM_THINGS
        item, fixture = np.arange(NUM_ITEMS) == thing, np.arange(NUM_FIXTURES) == thing - NUM_ITEMS
        rooms = jnp.concatenate([state.place, np.arange(NUM_FIXTURES)])
        there = rooms[thing]
        room = state.room + jnp.where(able & (verb == GO), jnp.sign(there - state.room), 0)
        place = jnp.where(able & item & (verb == TAKE), HELD, state.place)
        place = jnp.where(able & item & ((verb == DROP) | (verb == GIVE)), state.room, place)
        turned = able & fixture & ((verb == OPEN) | (verb == CLOSE))
        turn = jnp.minimum(state.progress, NUM_SUBGOALS - 1)
        advanced = able & (params.recipes[state.task, turn] == action) & (state.progress < NUM_SUBGOALS)
        after = TextRoomsState(
            room=room,
            place=place,
            seen=state.seen | (place == room),
            opened=state.opened ^ turned,
            task=state.task,
            progress=state.progress + advanced,
            time=state.time + 1,
        )
        success = self.is_terminated(after, params)
        info = {"success": success, "admissible": able, "state_id": self.state_id(after)}
        return self.get_obs(after), after, 0.2 * advanced.astype(jnp.float32), success, info

    def admissible(self, state: TextRoomsState) -> jax.Array:
        """Which actions do something, or look, now: bool[180]."""
        return self.admissible_actions(self.get_obs(state))

    def admissible_actions(self, obs: jax.Array) -> jax.Array:
        """As :meth:`admissible`, of the state observed; what must be known of it is always seen."""
        ends = np.cumsum([NUM_ROOMS, NUM_ITEMS, NUM_ITEMS, NUM_FIXTURES])
        fixture, here, held, opened = jnp.split(obs[: ends[-1]] > 0.5, ends[:-1])
        stove, sink, person = (fixture[room] for room in (STOVE, SINK, PERSON))
        none, no_item = np.zeros(NUM_FIXTURES, bool), np.zeros(NUM_ITEMS, bool)
        away = jnp.concatenate([~here & ~held, ~fixture])
        near = jnp.concatenate([here | held, fixture])
        table = {
            GO: away,
            LOOK: jnp.ones(NUM_THINGS, bool),
            TAKE: jnp.concatenate([here, none]),
            DROP: jnp.concatenate([held, none]),
            OPEN: jnp.concatenate([no_item, fixture & ~opened]),
            CLOSE: jnp.concatenate([no_item, opened]),
            HEAT: jnp.concatenate([held & stove, none]),
            WASH: jnp.concatenate([held & sink, none]),
            READ: near,
            PUSH: jnp.concatenate([here, fixture]),
            GIVE: jnp.concatenate([held & person, none]),
            POINT: jnp.ones(NUM_THINGS, bool),
        }
        return jnp.concatenate([table[verb] for verb in range(NUM_VERBS)])

    def fewest_steps(self, state: TextRoomsState, params: TextRoomsParams) -> jax.Array:
        """The shortest play from the start of an episode, i32[]: the deeds, and the rooms between them."""
        recipe = params.recipes[state.task]
        thing, verb = recipe % NUM_THINGS, recipe // NUM_THINGS
        rooms = jnp.concatenate([state.place, np.arange(NUM_FIXTURES)])
        at = jnp.select([verb == HEAT, verb == WASH, verb == GIVE], [STOVE, SINK, PERSON], rooms[thing])
        stops = jnp.concatenate([state.room[None], at])
        return NUM_SUBGOALS + jnp.abs(jnp.diff(stops)).sum()

    def is_terminated(self, state: TextRoomsState, params: TextRoomsParams) -> jax.Array:
        """Whether the recipe is complete."""
        return state.progress >= NUM_SUBGOALS

    def get_obs(self, state: TextRoomsState, params: TextRoomsParams | None = None, key=None) -> jax.Array:
        """f32[44], or f32[94] with ``memory``."""
        fixture = np.arange(NUM_FIXTURES) == state.room
        parts = [
            fixture,
            state.place == state.room,
            state.place == HELD,
            fixture & state.opened,
            np.arange(NUM_TASKS) == state.task,
            np.arange(NUM_SUBGOALS + 1) == state.progress,
        ]
        if self.memory:
            known = state.seen[:, None] & (state.place[:, None] == np.arange(NUM_ROOMS))
            parts.append(known.ravel())
        return jnp.concatenate([part.astype(jnp.float32) for part in parts])

    @property
    def num_states(self) -> int:
        """Rooms and deeds done."""
        return NUM_ROOMS * (NUM_SUBGOALS + 1)

    def state_id(self, state: TextRoomsState, params: TextRoomsParams | None = None) -> jax.Array:
        """The i32 id ``6 room + progress`` in [0, num_states)."""
        return state.room * (NUM_SUBGOALS + 1) + state.progress

    def render(self, state: TextRoomsState, params: TextRoomsParams | None = None) -> jax.Array:
        """The rooms in a row above what is held and the deeds done, ``u8[112, 496, 3]``; fixtures are slabs."""
        y, x = np.mgrid[:7, : 6 * NUM_ROOMS + 1]
        room, column = np.minimum(x // 6, NUM_ROOMS - 1), x % 6
        wall = (column == 0) & (y != 3) | (y == 0) | (y == 5) | (x == 0) | (x == 6 * NUM_ROOMS)
        slot = (y - 1) // 2 * 5 + column - 1  # items lie in the first and the third row
        is_slot = ((y == 1) | (y == 3)) & ~wall & (slot < NUM_ITEMS)
        item = np.clip(slot, 0, NUM_ITEMS - 1)
        index = jnp.where(is_slot & (state.place[item] == room), 2 + item, 0)
        fixture = (y == 4) & (column == 5) & ~wall
        index = jnp.where(fixture, 12 + 2 * room + state.opened[room], index)
        index = jnp.where(wall, 1, index)
        pocket = np.clip(x - 1, 0, NUM_ITEMS - 1)
        held = (y == 6) & (x >= 1) & (x <= NUM_ITEMS) & (state.place[pocket] == HELD)
        done = (y == 6) & (x >= 25) & (x < 30) & (x - 25 < state.progress)
        index = jnp.where(y == 6, jnp.where(held, 2 + pocket, jnp.where(done, 22, 0)), index)
        picture = tiles.compose(_text_sprites(), index)
        return tiles.draw_agent(picture, jnp.int32(4), 6 * state.room + 3)

    @property
    def num_actions(self) -> int:
        return NUM_VERBS * NUM_THINGS

    def action_space(self, params: TextRoomsParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: TextRoomsParams | None = None) -> spaces.Box:
        width = 2 * NUM_FIXTURES + 2 * NUM_ITEMS + NUM_TASKS + NUM_SUBGOALS + 1 + self.memory * NUM_ITEMS * NUM_ROOMS
        return spaces.Box(0.0, 1.0, (width,), jnp.float32)

    def state_space(self, params: TextRoomsParams) -> spaces.Dict:
        return spaces.Dict(
            {
                "room": spaces.Discrete(NUM_ROOMS),
                "place": spaces.Box(0, HELD, (NUM_ITEMS,), jnp.int32),
                "seen": spaces.Box(0, 1, (NUM_ITEMS,), jnp.bool_),
                "opened": spaces.Box(0, 1, (NUM_FIXTURES,), jnp.bool_),
                "task": spaces.Discrete(NUM_TASKS),
                "progress": spaces.Discrete(NUM_SUBGOALS + 1),
                "time": spaces.Discrete(params.max_steps_in_episode + 1),
            }
        )


def _text_sprites() -> np.ndarray:
    """Floor, wall, ten items, each fixture closed and open, and a mark, u8[23, 16, 16, 3]."""
    items = [tiles.ball(colour) for colour in (*tiles.COLOURS, (170, 60, 60), (60, 150, 150))]
    fixtures = [sprite for room in range(NUM_FIXTURES) for sprite in (tiles.closed_door(room), tiles.open_door(room))]
    return np.stack([tiles.floor(), tiles.wall(), *items, *fixtures, tiles.treasure()])
