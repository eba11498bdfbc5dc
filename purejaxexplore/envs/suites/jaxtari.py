"""JAXtari (Delfosse, Emunds, Seitz, Blüml et al., 2025, "JAXAtari"): Atari games rewritten in JAX.

The names are the ALE's: ``"jaxtari/MontezumaRevenge"``. Differs from the package's own interface: the time limit is a
field of ``params`` and truncates, and so does a truncation of the game's own; a typed key is handed on as such.
Observations are the objects of the game as one vector, or the screen. The package asks once, on its own, for a
confirmation that the original ROMs are owned.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxtari
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice

OBSERVATIONS = ("objects", "pixels")
_OBJECT_BOUND = 1e6  # of a number in the description of an object; they are screen coordinates and counters
_MANY_WORDS = {
    "BankHeist", "BasicMath", "BeamRider", "ChopperCommand", "DonkeyKong", "FishingDerby", "FlagCapture",
    "HauntedHouse", "JourneyEscape", "KingKong", "LaserGates", "MiniatureGolf", "MontezumaRevenge", "MsPacman",
    "NameThisGame", "RiverRaid", "RoadRunner", "SirLancelot", "SlotMachine", "SpaceInvaders", "SpaceWar", "TimePilot",
    "UpNDown", "VideoCheckers", "VideoChess", "VideoCube", "VideoPinball", "WizardOfWor", "WordZapper", "YarsRevenge",
}  # fmt: skip


@struct.dataclass
class JaxtariState(environment.EnvState):
    """Attributes: ``time``: i32, frames since the start; ``game``: the package's state; ``cut``: bool, truncated."""

    game: Any
    cut: jax.Array


class Jaxtari(environment.Environment[JaxtariState, environment.EnvParams]):
    """One Atari game, one action a frame.

    Args:
        name: an id such as ``"MontezumaRevenge"``.
        observation: ``"objects"``, all numbers of the game's description as f32[d], or ``"pixels"``, u8[H, W, 3].

    Raises:
        ValueError: an unknown kind of observation.
    """

    def __init__(self, name: str, observation: str = "objects"):
        super().__init__()
        choice("observation", observation, OBSERVATIONS)
        self._name, self._pixels = name, observation == "pixels"
        self._engine = jaxtari.make(name.lower())
        shown = jax.eval_shape(lambda key: self._show(*self._engine.reset(key)), jax.random.key(0))
        self._shape, self._dtype = shown.shape, shown.dtype

    @property
    def default_params(self) -> environment.EnvParams:
        """108,000 frames, half an hour of play, as in the ALE."""
        return environment.EnvParams(max_steps_in_episode=108_000)

    @property
    def name(self) -> str:
        return self._name

    @property
    def num_actions(self) -> int:
        return int(self._engine.action_space().n)

    def reset_env(self, key: jax.Array, params: environment.EnvParams) -> tuple[jax.Array, JaxtariState]:
        objects, game = self._engine.reset(key)
        game = jax.tree.map(jnp.asarray, game)
        return self._show(objects, game), JaxtariState(jnp.int32(0), game, jnp.bool_(False))

    def step_env(
        self, key: jax.Array, state: JaxtariState, action: jax.Array, params: environment.EnvParams
    ) -> tuple[jax.Array, JaxtariState, jax.Array, jax.Array, dict[str, Any]]:
        """One frame; the randomness of a game is in its state, so ``key`` is not used."""
        objects, game, reward, *ends, _ = self._engine.step(state.game, action)
        game = jax.tree.map(lambda after, before: jnp.asarray(after, before.dtype), game, state.game)
        terminated = jnp.asarray(ends[0], bool)  # older versions have ``done`` alone, newer ones a truncation too
        cut = jnp.asarray(ends[1] if len(ends) == 2 else False, bool)
        after = JaxtariState(state.time + 1, game, cut)
        return self._show(objects, game), after, jnp.asarray(reward, jnp.float32), terminated, {}

    def is_truncated(self, state: JaxtariState, params: environment.EnvParams) -> jax.Array:
        return state.cut | (state.time >= params.max_steps_in_episode)

    def render(self, state: JaxtariState, params: environment.EnvParams) -> jax.Array:
        """The screen, u8[H, W, 3]."""
        return jnp.asarray(self._engine.render(state.game), jnp.uint8)

    def action_space(self, params: environment.EnvParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: environment.EnvParams) -> spaces.Box:
        low, high = (0, 255) if self._pixels else (-_OBJECT_BOUND, _OBJECT_BOUND)
        return spaces.Box(low, high, self._shape, self._dtype)

    def _show(self, objects: Any, game: Any) -> jax.Array:
        if self._pixels:
            return jnp.asarray(self._engine.render(game), jnp.uint8)
        return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(objects)])


def names() -> list[str]:
    """The games that the package has, spelt as in the ALE."""
    spelt = {name.lower(): name for name in _MANY_WORDS}
    return [spelt.get(game, game.capitalize()) for game in jaxtari.list_available_games()]


def factory(name: str) -> Callable[..., Jaxtari]:
    """``callable(observation=...) -> environment`` for one id."""
    return partial(Jaxtari, name)
