"""PickPlace2D: put discs into bowls of their colour, by what a camera that is out of line reports.

A plane version of the task of Ma, Luijkx, Ajanović and Kober (2024), "ExploRLLM: guiding exploration in reinforcement
learning with large language models". Every step the camera reports all objects, each displaced by the same ``bias``
(one direction for a lifetime) and by fresh noise. An action names an object and an offset from its report. With an
empty gripper it picks, and else it places:

    pick     takes a disc whose centre is within 0.075 of the point; it hangs below the gripper as it was met
    place    puts what is held down at the point; within 0.05 of the bowl of its colour it stays there: reward 1

The bias is the same in both, so it cancels once something is held; but at 0.08 it makes most picks miss. An episode is
twice as long as the fewest steps: a program that trusts the camera, with offsets of N(0, 0.02), puts all three discs
into their bowls in 35 % of the episodes, one that knows the bias in more than 99 %.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import whole_number
from purejaxexplore.envs.control import drawing

GRIP, TOLERANCE, REACH = 0.075, 0.05, 0.1
_GAP = 0.17  # objects start at least this far apart: no grip reaches two
_PIXELS = 320


class PickPlaceState(NamedTuple):
    """What changes during an episode.

    Attributes:
        discs, bowls: f32[K, 2], places in [0, 1]^2; disc i has colour i.
        colours: i32[K], the colour of each bowl.
        held: i32, the disc that is held, -1 for none.
        grasp: f32[2], from the gripper to the centre of the disc that is held; 0 for none.
        hang: f32[2], from the gripper to where the camera saw that disc when it was picked; 0 for none.
        placed: bool[K], which discs lie in their bowls.
        report: f32[2 K, 2], where the camera sees the discs, then the bowls.
        time: i32, steps since the start of the episode.
    """

    discs: jax.Array
    bowls: jax.Array
    colours: jax.Array
    held: jax.Array
    grasp: jax.Array
    hang: jax.Array
    placed: jax.Array
    report: jax.Array
    time: jax.Array


@struct.dataclass
class PickPlaceParams(environment.EnvParams):
    """A camera.

    Attributes:
        max_steps_in_episode: two picks and two places for every disc.
        bias: f32[2], what it adds to every place.
        noise: standard deviation of what it adds besides, 0 or more.
    """

    max_steps_in_episode: int = 12
    bias: jax.Array | None = None
    noise: float = 0.01


class PickPlace2D(environment.Environment[PickPlaceState, PickPlaceParams]):
    """The table. Actions: f32[3] in [-1, 1]: which of the 2 K objects (equal parts of the range), and the offset / 0.1.

    Observation: f32[2 K (K + 2) + 2 K + 2]: for each object where the camera sees it and its colour, one-hot; which
    discs are placed; which one is held; how it hangs, / 0.1.

    Args:
        num_objects: K discs and K bowls, 1 to 10.

    Raises:
        ValueError: ``num_objects`` is outside its range.
    """

    reach = REACH

    def __init__(self, num_objects: int = 3):
        super().__init__()
        self.num_objects = whole_number("num_objects", num_objects, 1, 10)
        self._side = int(np.ceil(np.sqrt(2 * num_objects)))

    @property
    def default_params(self) -> PickPlaceParams:
        """The bias of key 0."""
        return self.sample_params(jax.random.key(0), PickPlaceParams(4 * self.num_objects))

    def sample_params(self, key: jax.Array, params: PickPlaceParams) -> PickPlaceParams:
        """``params`` with a bias of length 0.08 in another direction."""
        angle = jax.random.uniform(key, maxval=2 * np.pi)
        return params.replace(bias=0.08 * jnp.stack([jnp.cos(angle), jnp.sin(angle)]))

    def encode(self, index: jax.Array, offset: jax.Array) -> jax.Array:
        """The action for object ``index`` (i32[]) and an ``offset`` (f32[2], at most 0.1 each way)."""
        chosen = (2 * index + 1) / (2 * self.num_objects) - 1.0
        return jnp.concatenate([jnp.asarray(chosen, jnp.float32)[None], offset / REACH])

    def decode(self, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The object and the offset of an action."""
        index = jnp.floor((action[0] + 1.0) * self.num_objects).astype(jnp.int32)
        return jnp.clip(index, 0, 2 * self.num_objects - 1), REACH * jnp.clip(action[1:], -1.0, 1.0)

    def reset_env(self, key: jax.Array, params: PickPlaceParams) -> tuple[jax.Array, PickPlaceState]:
        """A fresh table: objects on different squares of a raster, anywhere within them but near their edges."""
        key_order, key_jitter, key_noise = jax.random.split(key, 3)
        bits = jax.random.bits(key_order, (self._side**2 + self.num_objects,))
        square = jnp.argsort(bits[: self._side**2])[: 2 * self.num_objects]
        free = max(0.0, 1.0 / self._side - _GAP)
        jitter = free * jax.random.uniform(key_jitter, (2 * self.num_objects, 2), minval=-0.5, maxval=0.5)
        places = (jnp.stack([square % self._side, square // self._side], -1) + 0.5) / self._side + jitter
        discs, bowls = jnp.split(places, 2)
        state = PickPlaceState(
            discs=discs,
            bowls=bowls,
            colours=jnp.argsort(bits[self._side**2 :]).astype(jnp.int32),
            held=jnp.int32(-1),
            grasp=jnp.zeros(2),
            hang=jnp.zeros(2),
            placed=jnp.zeros(self.num_objects, bool),
            report=self._report(key_noise, discs, bowls, params),
            time=jnp.int32(0),
        )
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: PickPlaceState, action: jax.Array, params: PickPlaceParams
    ) -> tuple[jax.Array, PickPlaceState, jax.Array, jax.Array, dict[str, Any]]:
        """One pick or place without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (all discs are in their bowls) and ``num_placed`` (i32).
        """
        number = np.arange(self.num_objects)
        index, offset = self.decode(action)
        point = state.report[index] + offset
        picking = state.held < 0
        away = jnp.where(state.placed, jnp.inf, jnp.sqrt(jnp.sum(jnp.square(state.discs - point), -1)))
        nearest = jnp.argmin(away).astype(jnp.int32)
        caught = picking & (away[nearest] < GRIP)
        moved = ~picking & (number == state.held)
        discs = jnp.where(moved[:, None], point + state.grasp, state.discs)
        own_bowl = (state.colours == number[:, None]) @ state.bowls
        inside = moved & (jnp.sum(jnp.square(discs - own_bowl), -1) < TOLERANCE**2)
        after = PickPlaceState(
            discs=jnp.clip(discs, 0.0, 1.0),
            bowls=state.bowls,
            colours=state.colours,
            held=jnp.where(caught, nearest, -1),
            grasp=jnp.where(caught, state.discs[nearest] - point, 0.0),
            hang=jnp.where(caught, state.report[nearest] - point, 0.0),
            placed=state.placed | inside,
            report=self._report(key, discs, state.bowls, params),
            time=state.time + 1,
        )
        success = self.is_terminated(after, params)
        info = {"success": success, "num_placed": after.placed.sum(dtype=jnp.int32)}
        return self.get_obs(after), after, inside.any().astype(jnp.float32), success, info

    def is_terminated(self, state: PickPlaceState, params: PickPlaceParams) -> jax.Array:
        """Whether all discs are in their bowls."""
        return state.placed.all()

    def program(self, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A policy that trusts the camera: the first disc that is not placed, then its bowl; ``(index, offset 0)``."""
        elements, _ = self.elements(obs)
        discs, bowls = jnp.split(elements, 2)
        colour, placed, held = slice(2, 2 + self.num_objects), discs[:, -2], discs[:, -1]
        bowl = self.num_objects + jnp.argmax(bowls[:, colour] @ (held @ discs[:, colour]))
        return jnp.where(held.any(), bowl, jnp.argmin(placed)).astype(jnp.int32), jnp.zeros(2)

    def elements(self, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """An observation taken apart: the objects f32[2 K, K + 5] and what concerns all of them f32[2 K + 2].

        Of an object where it is seen, its colour, whether it is a bowl, whether it is a placed disc, and the one held.
        The rest: which discs are placed, which one is held, how it hangs.
        """
        count = self.num_objects
        seen, rest = jnp.split(obs, [2 * count * (count + 2)], axis=-1)
        seen = seen.reshape((*obs.shape[:-1], 2 * count, count + 2))
        flags = jnp.moveaxis(rest[..., : 2 * count].reshape((*obs.shape[:-1], 2, count)), -2, -1)
        flags = jnp.concatenate([flags, jnp.zeros_like(flags)], -2)
        is_bowl = jnp.broadcast_to((np.arange(2 * count) >= count)[:, None], (*flags.shape[:-1], 1))
        return jnp.concatenate([seen, is_bowl, flags], -1), rest

    def get_obs(self, state: PickPlaceState, params: PickPlaceParams | None = None, key=None) -> jax.Array:
        """f32[2 K (K + 2) + 2 K + 2]."""
        number = np.arange(self.num_objects)
        colours = jnp.concatenate([number, state.colours])
        objects = jnp.concatenate([state.report, colours[:, None] == number], axis=-1)
        return jnp.concatenate([objects.reshape(-1), state.placed, state.held == number, state.hang / REACH])

    def render(self, state: PickPlaceState, params: PickPlaceParams | None = None) -> jax.Array:
        """The table as ``u8[320, 320, 3]``: bowls are rings, and small dots are what the camera reports."""
        image = drawing.ground(_PIXELS, _PIXELS)
        colours = jnp.array([*drawing.COLOURS, (170, 60, 60), (60, 150, 150)], jnp.float32)
        for bowl, colour in zip(_PIXELS * state.bowls, state.colours, strict=True):
            image = drawing.disc(image, *bowl, _PIXELS * GRIP, colours[colour])
            image = drawing.disc(image, *bowl, _PIXELS * (GRIP - 0.018), drawing.FLOOR_COLOUR)
        for number, disc in enumerate(_PIXELS * state.discs):
            image = drawing.disc(image, *disc, _PIXELS * 0.047, drawing.WALL_COLOUR)
            image = drawing.disc(image, *disc, _PIXELS * 0.04, colours[number])
        for seen in _PIXELS * state.report:
            image = drawing.disc(image, *seen, 3.5, drawing.WALL_COLOUR)
            image = drawing.disc(image, *seen, 2.0, drawing.NOSE_COLOUR)
        return image

    def action_space(self, params: PickPlaceParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (3,), jnp.float32)

    def observation_space(self, params: PickPlaceParams | None = None) -> spaces.Box:
        count = self.num_objects
        return spaces.Box(-np.inf, np.inf, (2 * count * (count + 2) + 2 * count + 2,), jnp.float32)

    def state_space(self, params: PickPlaceParams) -> spaces.Dict:
        count = self.num_objects
        places = spaces.Box(0.0, 1.0, (count, 2), jnp.float32)
        return spaces.Dict(
            {
                "discs": places,
                "bowls": places,
                "colours": spaces.Box(0, count - 1, (count,), jnp.int32),
                "held": spaces.Box(-1, count - 1, (), jnp.int32),
                "grasp": spaces.Box(-GRIP, GRIP, (2,), jnp.float32),
                "hang": spaces.Box(-np.inf, np.inf, (2,), jnp.float32),
                "placed": spaces.Box(0, 1, (count,), jnp.bool_),
                "report": spaces.Box(-np.inf, np.inf, (2 * count, 2), jnp.float32),
                "time": spaces.Discrete(params.max_steps_in_episode + 1),
            }
        )

    def _report(self, key: jax.Array, discs: jax.Array, bowls: jax.Array, params: PickPlaceParams) -> jax.Array:
        places = jnp.concatenate([discs, bowls])
        return places + params.bias + params.noise * jax.random.normal(key, places.shape)
