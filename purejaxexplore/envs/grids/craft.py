"""CraftLite: the tree of prerequisites of Crafter on a map of 9 x 9 cells, with a caption for every deed.

For goal suggestions as in Du et al. (2023), "Guiding pretraining in reinforcement learning with large language models";
the prerequisites are those of Hafner (2022), "Benchmarking the spectrum of agent capabilities". Four moves and 17 deeds
(a verb and an object each), of which twelve are achievements and five never succeed:

    chop tree             beside a tree: 1 wood                    make stone pickaxe   near a table: 1 wood, 1 stone
    drink water           beside water                             mine coal            beside coal, wood pickaxe
    eat cow               beside a cow                             build furnace        near a table: 1 stone
    build table           1 wood                                   mine iron            beside iron, stone pickaxe
    make wood pickaxe     near a table: 1 wood                     make iron pickaxe    near table and furnace: 1 wood,
    mine stone            beside stone, wood pickaxe: 1 stone                           1 coal, 1 iron
                                                                   sleep                at any time

Beside means one of the four neighbours, near at most two cells away in each direction. What is built stands where the
agent stands, on grass, and can be walked over; stone, coal and iron are used up. Things lie on the cells with odd row
and column, shuffled: none can close a way.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, require_at_least, whole_number
from purejaxexplore.envs.grids import tiles
from purejaxexplore.envs.grids.squares import DOWN_RIGHT, crop, displacement

SIDE = 9
GRASS, TREE, STONE, COAL, IRON, WATER, COW, TABLE, FURNACE, OUTSIDE = range(10)
GOALS = (
    "chop tree", "drink water", "eat cow", "build table", "make wood pickaxe", "mine stone", "make stone pickaxe",
    "mine coal", "build furnace", "mine iron", "make iron pickaxe", "sleep",
    "eat tree", "drink stone", "chop cow", "mine water", "build cow",
)  # fmt: skip
"""Captions: twelve achievements, then what never succeeds."""
(CHOP, DRINK, EAT, BUILD_TABLE, WOOD_PICKAXE, MINE_STONE, STONE_PICKAXE, MINE_COAL, BUILD_FURNACE, MINE_IRON,
 IRON_PICKAXE, SLEEP) = range(12)  # fmt: skip
NUM_ACHIEVEMENTS, NUM_GOALS = 12, len(GOALS)
NOTHING = NUM_GOALS  # the caption of a step in which no deed succeeded
WOOD, STONES, COALS, IRONS, WOODEN, STONY, IRONY = range(7)  # the inventory: materials, then pickaxes
REWARDS = ("achievements", "none", *GOALS[:NUM_ACHIEVEMENTS])
_THINGS = [TREE] * 5 + [STONE] * 5 + [COAL, IRON] + [WATER, COW] * 2
_MOST = 9  # of a material


def _table(entries: dict[int, dict[int, int]], width: int) -> np.ndarray:
    table = np.zeros((NUM_GOALS, width), np.int32)
    for goal, row in entries.items():
        for column, value in row.items():
            table[goal, column] = value
    return table


_NEEDS = _table(
    {
        BUILD_TABLE: {WOOD: 1},
        WOOD_PICKAXE: {WOOD: 1},
        MINE_STONE: {WOODEN: 1},
        STONE_PICKAXE: {WOOD: 1, STONES: 1},
        MINE_COAL: {WOODEN: 1},
        BUILD_FURNACE: {STONES: 1},
        MINE_IRON: {STONY: 1},
        IRON_PICKAXE: {WOOD: 1, COALS: 1, IRONS: 1},
    },
    7,
)
_CHANGES = np.where(np.arange(7) < WOODEN, -_NEEDS, 0) + _table(
    {
        CHOP: {WOOD: 1},
        WOOD_PICKAXE: {WOODEN: 1},
        MINE_STONE: {STONES: 1},
        STONE_PICKAXE: {STONY: 1},
        MINE_COAL: {COALS: 1},
        MINE_IRON: {IRONS: 1},
        IRON_PICKAXE: {IRONY: 1},
    },
    7,
)
# What must lie on a neighbour, or under foot (its number and this); -1 for nothing.
_UNDER_FOOT = 10
_TARGET = np.full(NUM_GOALS, -1, np.int32)
_TARGET[[CHOP, DRINK, EAT, MINE_STONE, MINE_COAL, MINE_IRON]] = TREE, WATER, COW, STONE, COAL, IRON
_TARGET[[BUILD_TABLE, BUILD_FURNACE]] = _UNDER_FOOT + GRASS
# Which of table and furnace must be near.
_NEAR = np.zeros((NUM_GOALS, 2), bool)
_NEAR[[WOOD_PICKAXE, STONE_PICKAXE, BUILD_FURNACE, IRON_PICKAXE], 0] = _NEAR[IRON_PICKAXE, 1] = True
# What a deed makes of the first such cell: built, or taken away; -1 leaves it.
_LEAVES = np.full(NUM_GOALS, -1, np.int32)
_LEAVES[[BUILD_TABLE, BUILD_FURNACE]] = TABLE, FURNACE
_LEAVES[[MINE_STONE, MINE_COAL, MINE_IRON]] = GRASS
_CELLS = np.concatenate([DOWN_RIGHT, [(0, 0)]])  # the four neighbours, and under foot


class CraftState(NamedTuple):
    """What changes during an episode.

    Attributes:
        y, x: i32, row and column of the agent.
        chart: i32[81], what lies on each cell.
        inventory: i32[7], wood, stone, coal and iron (at most 9 each), and the three pickaxes.
        achieved: bool[12], what was done in this episode.
        caption: i32, the deed that succeeded in the last step; 17 for none.
        time: i32, steps since the start of the episode.
    """

    y: jax.Array
    x: jax.Array
    chart: jax.Array
    inventory: jax.Array
    achieved: jax.Array
    caption: jax.Array
    time: jax.Array


@struct.dataclass
class CraftParams(environment.EnvParams):
    """The time limit in steps, and a bank of levels.

    Attributes:
        charts: i32[K, 81], what lies on each cell at the start.
    """

    max_steps_in_episode: int = 300
    charts: jax.Array | None = None


@partial(jax.jit, static_argnums=1)
def shuffle_charts(key: jax.Array, num_levels: int) -> jax.Array:
    """Levels with the sixteen things in random order, i32[K, 81]."""
    sites = np.flatnonzero(np.outer(np.arange(SIDE) % 2, np.arange(SIDE) % 2).ravel())
    things = jnp.broadcast_to(jnp.array(_THINGS, jnp.int32), (num_levels, len(sites)))
    things = jax.random.permutation(key, things, axis=1, independent=True)
    return jnp.zeros((num_levels, SIDE**2), jnp.int32).at[:, sites].set(things)


class CraftLite(environment.Environment[CraftState, CraftParams]):
    """The map. Actions 0 to 3: up, right, down, left; 4 + g: the deed ``GOALS[g]``.

    Observation: f32[(2 reach + 1)^2 * 10 + 7]: the map around the agent (what lies there, one-hot), and the
    inventory / 9.

    Args:
        reward: ``"achievements"`` (1 for each, once an episode), one of them such as ``"make iron pickaxe"`` (1 for
            that one, which ends the episode and is its success) or ``"none"``. Else success is the iron pickaxe.
        num_levels: K, levels in the bank.
        reach: cells seen in each direction, 2 to 4; two are enough to know which deeds would succeed.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, reward: str = "achievements", num_levels: int = 64, reach: int = 4):
        super().__init__()
        choice("reward", reward, REWARDS)
        require_at_least(1, num_levels=num_levels)
        whole_number("reach", reach, 2, SIDE // 2)
        self.reward, self.num_levels, self.reach = reward, num_levels, reach
        self.single = reward in GOALS
        self.wanted = GOALS.index(reward) if self.single else IRON_PICKAXE

    @property
    def default_params(self) -> CraftParams:
        """The bank of key 0."""
        return self.sample_params(jax.random.key(0), CraftParams())

    def sample_params(self, key: jax.Array, params: CraftParams) -> CraftParams:
        """``params`` with another bank."""
        return params.replace(charts=shuffle_charts(key, self.num_levels))

    def reset_env(self, key: jax.Array, params: CraftParams) -> tuple[jax.Array, CraftState]:
        """A fresh episode in the middle of a level: ``key -> (observation, state)``."""
        level, middle = jax.random.randint(key, (), 0, self.num_levels), jnp.int32(SIDE // 2)
        state = CraftState(
            y=middle,
            x=middle,
            chart=params.charts[level],
            inventory=jnp.zeros(7, jnp.int32),
            achieved=jnp.zeros(NUM_ACHIEVEMENTS, bool),
            caption=jnp.int32(NOTHING),
            time=jnp.int32(0),
        )
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: CraftState, action: jax.Array, params: CraftParams
    ) -> tuple[jax.Array, CraftState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (the achievement that alone is rewarded was made, else an iron pickaxe),
        ``caption`` (i32, the deed that succeeded, 17 for none), ``num_achieved`` (i32, in this episode) and
        ``state_id``.
        """
        down, right = displacement(action)
        y, x = state.y + down, state.x + right
        lies = self._lies(state.chart, y, x)
        free = (lies == GRASS) | (lies == TABLE) | (lies == FURNACE)
        y, x = jnp.where(free, y, state.y), jnp.where(free, x, state.x)
        goal = jnp.clip(action - 4, 0, NUM_GOALS - 1)
        done = (action >= 4) & self.feasible(state)[goal]
        first = jnp.argmax(self._beside(state) == jnp.asarray(_TARGET)[goal])
        place = (state.y + jnp.asarray(_CELLS)[first, 0]) * SIDE + state.x + jnp.asarray(_CELLS)[first, 1]
        left = jnp.asarray(_LEAVES)[goal]
        place = jnp.where(done & (left >= 0), place, SIDE**2)
        inventory = state.inventory + jnp.where(done, jnp.asarray(_CHANGES)[goal], 0)
        fresh = done & (np.arange(NUM_ACHIEVEMENTS) == goal)
        after = CraftState(
            y=y,
            x=x,
            chart=state.chart.at[place].set(left, mode="drop"),
            inventory=jnp.minimum(inventory, _MOST),
            achieved=state.achieved | fresh,
            caption=jnp.where(done, goal, NOTHING),
            time=state.time + 1,
        )
        success = done & (goal == self.wanted)
        if self.reward == "achievements":
            reward = (fresh & ~state.achieved).any()
        else:
            reward = success & self.single
        info = {
            "success": success,
            "caption": after.caption,
            "num_achieved": after.achieved.sum(dtype=jnp.int32),
            "state_id": self.state_id(after),
        }
        return self.get_obs(after), after, reward.astype(jnp.float32), self.is_terminated(after, params), info

    def feasible(self, state: CraftState) -> jax.Array:
        """Which deeds would succeed now, bool[17]: what an ideal suggester knows."""
        owned = (state.inventory >= jnp.asarray(_NEEDS)).all(1)
        met = (self._beside(state)[:, None] == _TARGET).any(0) | (_TARGET < 0)
        cells = np.arange(SIDE**2)
        close = (abs(cells // SIDE - state.y) <= 2) & (abs(cells % SIDE - state.x) <= 2)
        near = jnp.stack([(close & (state.chart == kind)).any() for kind in (TABLE, FURNACE)])
        placed = (near | ~_NEAR).all(1)
        return owned & met & placed & (np.arange(NUM_GOALS) < NUM_ACHIEVEMENTS)

    def perceived(self, obs: jax.Array) -> CraftState:
        """What an observation says of the state, on a map that has the agent in its middle, unseen cells outside.

        It is enough for :meth:`feasible`. What was achieved, the last caption and the time are not observed: they are
        nothing, 17 and 0.
        """
        side, middle = 2 * self.reach + 1, jnp.int32(SIDE // 2)
        view, inventory = obs[: side**2 * 10].reshape(side, side, 10), obs[side**2 * 10 :]
        chart = jnp.pad(jnp.argmax(view, axis=-1), SIDE // 2 - self.reach, constant_values=OUTSIDE)
        return CraftState(
            y=middle,
            x=middle,
            chart=chart.reshape(-1).astype(jnp.int32),
            inventory=jnp.rint(_MOST * inventory).astype(jnp.int32),
            achieved=jnp.zeros(NUM_ACHIEVEMENTS, bool),
            caption=jnp.int32(NOTHING),
            time=jnp.int32(0),
        )

    def is_terminated(self, state: CraftState, params: CraftParams) -> jax.Array:
        """Whether the achievement that alone is rewarded was made; otherwise never."""
        return state.achieved[self.wanted] & self.single

    def get_obs(self, state: CraftState, params: CraftParams | None = None, key=None) -> jax.Array:
        """f32[(2 reach + 1)^2 * 10 + 7]."""
        view = crop(state.chart.reshape(SIDE, SIDE), state.y, state.x, self.reach, OUTSIDE)
        seen = (view[..., None] == np.arange(10)).astype(jnp.float32)
        return jnp.concatenate([seen.reshape(-1), state.inventory / _MOST])

    @property
    def num_states(self) -> int:
        """Sets of achievements; by the prerequisites not all can be reached."""
        return 2**NUM_ACHIEVEMENTS

    def state_id(self, state: CraftState, params: CraftParams | None = None) -> jax.Array:
        """The i32 id in [0, num_states) of the achievements of this episode, the first as the lowest bit."""
        return jnp.sum(state.achieved << np.arange(NUM_ACHIEVEMENTS), dtype=jnp.int32)

    def render(self, state: CraftState, params: CraftParams | None = None) -> jax.Array:
        """The map above the inventory, ``u8[176, 144, 3]``: a dot for every piece, pickaxes as keys."""
        chart = state.chart.reshape(SIDE, SIDE)
        slot = np.arange(SIDE)
        stock = state.inventory[:4]
        total = jnp.cumsum(stock)
        kind = (slot[:, None] >= total).sum(1)
        shelf = jnp.where(kind < 4, 9 + kind, 13)
        tools = jnp.where(slot < 3, jnp.where(state.inventory[4 + jnp.minimum(slot, 2)] > 0, 14 + slot, 13), 13)
        index = jnp.concatenate([chart, shelf[None], tools[None]])
        return tiles.draw_agent(tiles.compose(_craft_sprites(), index), state.y, state.x)

    @property
    def num_actions(self) -> int:
        return 4 + NUM_GOALS

    def action_space(self, params: CraftParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: CraftParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, ((2 * self.reach + 1) ** 2 * 10 + 7,), jnp.float32)

    def state_space(self, params: CraftParams) -> spaces.Dict:
        side = spaces.Discrete(SIDE)
        return spaces.Dict(
            {
                "y": side,
                "x": side,
                "chart": spaces.Box(0, FURNACE, (SIDE**2,), jnp.int32),
                "inventory": spaces.Box(0, _MOST, (7,), jnp.int32),
                "achieved": spaces.Box(0, 1, (NUM_ACHIEVEMENTS,), jnp.bool_),
                "caption": spaces.Discrete(NUM_GOALS + 1),
                "time": spaces.Discrete(params.max_steps_in_episode + 1),
            }
        )

    def _lies(self, chart: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
        inside = (y >= 0) & (y < SIDE) & (x >= 0) & (x < SIDE)
        flat = jnp.clip(y, 0, SIDE - 1) * SIDE + jnp.clip(x, 0, SIDE - 1)
        return jnp.where(inside, chart.at[flat].get(mode="promise_in_bounds"), OUTSIDE)

    def _beside(self, state: CraftState) -> jax.Array:
        """What lies on the four neighbours and under foot, i32[5], the last with an offset of its own."""
        lies = self._lies(state.chart, state.y + _CELLS[:, 0], state.x + _CELLS[:, 1])
        return lies + np.array([0, 0, 0, 0, _UNDER_FOOT])


def _craft_sprites() -> np.ndarray:
    grass, green = (206, 224, 178), (58, 122, 64)
    chart = [
        tiles.slab(grass), tiles.boulder(grass, green), tiles.boulder(grass, (150, 150, 156)),
        tiles.boulder(grass, (62, 62, 70)), tiles.boulder(grass, (206, 148, 106)), tiles.slab((96, 164, 218)),
        tiles.boulder(grass, (238, 232, 222)), tiles.slab((150, 104, 62)), tiles.boulder((88, 88, 96), (240, 130, 40)),
    ]  # fmt: skip
    stock = [tiles.ball(c) for c in ((150, 104, 62), (150, 150, 156), (62, 62, 70), (206, 148, 106))]
    return np.stack([*chart, *stock, tiles.floor(), tiles.key(6), tiles.key(7), tiles.key(5)])
