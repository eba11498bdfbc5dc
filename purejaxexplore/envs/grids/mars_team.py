"""MarsTeam: several robots map one ground, each on a map of its own; maps are merged only within reach of the radio.

The setting of Tan, Ma, Liang, Chng, Cao and Sartoretti (2024), "IR2: implicit rendezvous for robotic exploration teams
under sparse intermittent connectivity", on the ground of :mod:`.mars` or in the houses of :mod:`.houses`. One step:

    all robots move (a bump costs the step; robots may share a cell), then see what their range finders show;
    i and j hear each other if  10 n log10(range / max(d, 1)) >= w walls(i, j),  and through others who do;
    who is connected knows the union of the maps, and where the others are;
    robot i gets  a1 |newly seen by i| + a2 sum_j |handed over by i to j| - a3,  each cell once for each pair;
    when every robot knows 99 % of what can be seen, the episode ends with 10 more for each.

The reward of a step is the robots' mean; ``info["rewards"]`` has each. The joint action is one number, the moves of the
robots as its digits to base 4, the first robot's last.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice, require_at_least, whole_number
from purejaxexplore.envs.grids import houses, mapping, tiles
from purejaxexplore.envs.grids.mars import ground_sprites, scatter_rocks, survey
from purejaxexplore.envs.grids.squares import crop, displacement

GROUNDS = ("rocks", "house")
_VIEW, _COARSE = 7, 15


class MarsTeamState(NamedTuple):
    """What changes during an episode.

    Attributes:
        y, x: i32[R], rows and columns of the robots.
        level: i32, which level of the bank.
        known: bool[R, H, W], what each robot knows.
        told: bool[R, R, H, W], what robot i knows that robot j knows.
        last_seen: i32[R, R, 2], where i believes j to be.
        age: i32[R, R], steps since i knew.
        time: i32, steps since the start of the episode.
    """

    y: jax.Array
    x: jax.Array
    level: jax.Array
    known: jax.Array
    told: jax.Array
    last_seen: jax.Array
    age: jax.Array
    time: jax.Array


@struct.dataclass
class MarsTeamParams(environment.EnvParams):
    """A bank of K levels, and the radio.

    Attributes:
        max_steps_in_episode: time limit in steps.
        rocks: bool[K, H, W].
        countable: bool[K, H, W], the cells of which a share must be known.
        sight: bool[K, H W, 13, 13], what is seen from each cell.
        share: of the countable cells that every robot must know, in (0, 1].
        radio_range: cells, in the line of sight; 0 for none, inf for any distance.
        path_loss: n, the exponent of the path loss.
        wall_loss: w, dB a cell of rock.
        seen, delivered, cost, bonus: a1, a2, a3 and what the end is worth.
    """

    max_steps_in_episode: int = 256
    rocks: jax.Array | None = None
    countable: jax.Array | None = None
    sight: jax.Array | None = None
    share: float = 0.99
    radio_range: float = 12.0
    path_loss: float = 2.5
    wall_loss: float = 4.0
    seen: float = 0.02
    delivered: float = 0.01
    cost: float = 0.02
    bonus: float = 10.0


def rocks_between(rocks: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Cells of rock that a straight line between every two robots enters, i32[R, R]; ``rocks: bool[H, W]``."""
    num_points = 2 * sum(rocks.shape)
    share = np.arange(num_points + 1) / num_points
    rows, columns = (
        jnp.rint(z[:, None, None] + share * (z[None, :, None] - z[:, None, None])).astype(jnp.int32) for z in (y, x)
    )
    enters = (rows[..., 1:] != rows[..., :-1]) | (columns[..., 1:] != columns[..., :-1])
    return (rocks[rows[..., 1:], columns[..., 1:]] & enters).sum(-1)


def connected(rocks: jax.Array, y: jax.Array, x: jax.Array, params: MarsTeamParams) -> jax.Array:
    """Which robots hear each other, directly or through others, bool[R, R]."""
    num_robots = y.shape[0]
    away = jnp.sqrt(jnp.square(y[:, None] - y) + jnp.square(x[:, None] - x).astype(jnp.float32))
    margin = 10 * params.path_loss * jnp.log10(params.radio_range / jnp.maximum(away, 1.0))
    heard = (margin >= params.wall_loss * rocks_between(rocks, y, x)) | np.eye(num_robots, dtype=bool)
    for _ in range(int(np.ceil(np.log2(num_robots)))):
        heard = (heard[:, :, None] & heard[None]).any(1)
    return heard


class MarsTeam(environment.Environment[MarsTeamState, MarsTeamParams]):
    """``num_robots`` robots on a ground of ``size x size`` cells.

    Observation: f32[R, 15 * 15 * 4 + 4 R]: what each robot knows around it (unknown, free, rock), its whole map at a
    coarser scale (the known share), and of every robot the believed way to it, its age and whether it is heard.

    Args:
        size: 15 to 63 cells a side; odd and at least 23 for houses.
        num_robots: R, 1 to 4.
        ground: ``"rocks"`` or ``"house"``.
        num_rocks: squares of 2 x 2 on the ground of rocks.
        num_levels: K, levels in the bank.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self, size: int = 31, num_robots: int = 2, ground: str = "house", num_rocks: int = 10, num_levels: int = 16
    ):
        super().__init__()
        choice("ground", ground, GROUNDS)
        require_at_least(1, num_rocks=num_rocks, num_levels=num_levels)
        self.size = whole_number("size", size, 15 if ground == "rocks" else 23, 63)
        if ground == "house" and size % 2 == 0:
            raise ValueError(f"size={size!r}: expected an odd number for ground='house'")
        self.num_robots = whole_number("num_robots", num_robots, 1, 4)
        self.ground, self.num_rocks, self.num_levels = ground, num_rocks, num_levels
        self.start = (0, 0) if ground == "rocks" else (1, 1)

    @property
    def default_params(self) -> MarsTeamParams:
        """The bank of key 0."""
        return self.sample_params(jax.random.key(0), MarsTeamParams())

    def sample_params(self, key: jax.Array, params: MarsTeamParams) -> MarsTeamParams:
        """``params`` with another bank."""
        keys = jax.random.split(key, self.num_levels)
        if self.ground == "house":
            rocks = jax.vmap(lambda k: houses.build_house(k, self.size).walls)(keys)
            countable = jax.vmap(lambda level: mapping.observable(level, *self.start))(rocks)
            sight = survey(rocks, True)[1]
        else:
            rocks = jax.vmap(lambda k: scatter_rocks(k, self.size, self.num_rocks, 2))(keys)
            countable, sight = survey(rocks, False)
        return params.replace(rocks=rocks, countable=countable, sight=sight)

    def reset_env(self, key: jax.Array, params: MarsTeamParams) -> tuple[jax.Array, MarsTeamState]:
        """A fresh episode, all robots in the corner: ``key -> (observation, state)``."""
        level, robots = jax.random.randint(key, (), 0, self.num_levels), self.num_robots
        y, x = (jnp.full(robots, place, jnp.int32) for place in self.start)
        known = self._seen(level, y, x, params)
        state = MarsTeamState(
            y=y,
            x=x,
            level=level,
            known=known,
            told=jnp.broadcast_to(known[:, None], (robots, *known.shape)),
            last_seen=jnp.broadcast_to(jnp.array(self.start, jnp.int32), (robots, robots, 2)),
            age=jnp.zeros((robots, robots), jnp.int32),
            time=jnp.int32(0),
        )
        return self.get_obs(state, params), state

    def step_env(
        self, key: jax.Array, state: MarsTeamState, action: jax.Array, params: MarsTeamParams
    ) -> tuple[jax.Array, MarsTeamState, jax.Array, jax.Array, dict[str, Any]]:
        """One move of all robots without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (all know enough), ``rewards`` f32[R], and ``connected`` bool[R, R].
        """
        down, right = displacement(action // 4 ** np.arange(self.num_robots) % 4)
        y, x = state.y + down, state.x + right
        rocks = params.rocks[state.level]
        free = (y >= 0) & (y < self.size) & (x >= 0) & (x < self.size)
        free &= ~rocks[jnp.clip(y, 0, self.size - 1), jnp.clip(x, 0, self.size - 1)]
        y, x = jnp.where(free, y, state.y), jnp.where(free, x, state.x)
        seen = self._seen(state.level, y, x, params)
        num_new = (seen & ~state.known).sum((1, 2), dtype=jnp.int32)
        known = state.known | seen
        heard = connected(rocks, y, x, params)
        handed = heard[..., None, None] & known[:, None] & ~known[None] & ~state.told
        num_handed = handed.sum((1, 2, 3), dtype=jnp.int32)
        merged = (heard[..., None, None] & known[None]).any(1)
        told = jnp.where(heard[..., None, None], state.told | merged[:, None], state.told)
        places = jnp.stack([y, x], -1)
        after = MarsTeamState(
            y=y,
            x=x,
            level=state.level,
            known=merged,
            told=told,
            last_seen=jnp.where(heard[..., None], places, state.last_seen),
            age=jnp.where(heard, 0, state.age + 1),
            time=state.time + 1,
        )
        success = self.is_terminated(after, params)
        rewards = params.seen * num_new + params.delivered * num_handed - params.cost + params.bonus * success
        info = {"success": success, "rewards": rewards.astype(jnp.float32), "connected": heard}
        return self.get_obs(after, params), after, rewards.mean().astype(jnp.float32), success, info

    def is_terminated(self, state: MarsTeamState, params: MarsTeamParams) -> jax.Array:
        """Whether every robot knows enough."""
        countable = params.countable[state.level]
        num_known = (state.known & countable).sum((1, 2), dtype=jnp.int32)
        return (num_known >= params.share * countable.sum(dtype=jnp.int32)).all()

    def get_obs(self, state: MarsTeamState, params: MarsTeamParams, key=None) -> jax.Array:
        """f32[R, 900 + 4 R]."""
        rocks = params.rocks[state.level]
        cell = jnp.where(state.known, jnp.where(rocks, 2, 1), 0)
        view = jax.vmap(lambda chart, y, x: crop(chart, y, x, _VIEW, 2))(cell, state.y, state.x)
        near = (view[..., None] == np.arange(3)).astype(jnp.float32)
        block = -(-self.size // _COARSE)
        pad = block * _COARSE - self.size
        padded = jnp.pad(state.known.astype(jnp.float32), ((0, 0), (0, pad), (0, pad)))
        coarse = padded.reshape(self.num_robots, _COARSE, block, _COARSE, block).mean((2, 4))
        way = (state.last_seen - jnp.stack([state.y, state.x], -1)[:, None]) / self.size
        age = state.age[..., None] / jnp.maximum(state.time, 1)
        mates = jnp.concatenate([way, age, state.age[..., None] == 0], axis=-1)
        parts = (near, coarse, mates)
        return jnp.concatenate([part.reshape(self.num_robots, -1) for part in parts], axis=-1).astype(jnp.float32)

    def render(self, state: MarsTeamState, params: MarsTeamParams) -> jax.Array:
        """The ground as ``u8[16 H, 16 W, 3]``; what no robot knows lies in the dark."""
        index = params.rocks[state.level] + 2 * ~state.known.any(0)
        picture = tiles.compose(ground_sprites(), index.astype(jnp.int32))
        for y, x in zip(state.y, state.x, strict=True):
            picture = tiles.draw_agent(picture, y, x)
        return picture

    @property
    def num_actions(self) -> int:
        return 4**self.num_robots

    def action_space(self, params: MarsTeamParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: MarsTeamParams | None = None) -> spaces.Box:
        width = (2 * _VIEW + 1) ** 2 * 3 + _COARSE**2 + 4 * self.num_robots
        return spaces.Box(-1.0, 1.0, (self.num_robots, width), jnp.float32)

    def state_space(self, params: MarsTeamParams) -> spaces.Dict:
        robots, side, limit = self.num_robots, self.size, params.max_steps_in_episode
        place, bits = spaces.Box(0, side - 1, (robots,), jnp.int32), (robots, side, side)
        return spaces.Dict(
            {
                "y": place,
                "x": place,
                "level": spaces.Discrete(self.num_levels),
                "known": spaces.Box(0, 1, bits, jnp.bool_),
                "told": spaces.Box(0, 1, (robots, *bits), jnp.bool_),
                "last_seen": spaces.Box(0, side - 1, (robots, robots, 2), jnp.int32),
                "age": spaces.Box(0, limit, (robots, robots), jnp.int32),
                "time": spaces.Discrete(limit + 1),
            }
        )

    def _seen(self, level, y: jax.Array, x: jax.Array, params: MarsTeamParams) -> jax.Array:
        """What each robot sees, bool[R, H, W]."""
        windows = params.sight[level, y * self.size + x]
        blank = mapping.unknown(self.size, self.size)
        return jax.vmap(lambda window, y, x: mapping.inside(mapping.look(blank, window, y, x)))(windows, y, x)
