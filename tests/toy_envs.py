"""Worlds small enough to predict every step by hand."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces


class CorridorState(NamedTuple):
    """``position`` and ``time`` of the agent, i32[]."""

    position: jax.Array
    time: jax.Array


@struct.dataclass
class CorridorParams:
    """``max_steps_in_episode``: truncates; ``random_start``: cell 0 or 1 instead of always 0."""

    max_steps_in_episode: int = 5
    random_start: bool = True


class Corridor(environment.Environment):
    """``length`` cells; 1 moves right, 0 left. The rightmost cell pays 1, is a success and terminates.

    Observations are ``[position, 10 * time]`` as floats, so that they tell what they are of.
    """

    def __init__(self, length: int = 6):
        self.length = length
        self.num_states = length
        self.num_reachable = length

    @property
    def default_params(self):
        return CorridorParams()

    @property
    def num_actions(self):
        return 2

    def get_obs(self, state, params=None, key=None):
        return jnp.stack([state.position, 10 * state.time]).astype(jnp.float32)

    def reset_env(self, key, params):
        start = jnp.where(params.random_start, jax.random.randint(key, (), 0, 2), 0)
        state = CorridorState(start, jnp.int32(0))
        return self.get_obs(state), state

    def step_env(self, key, state, action, params):
        position = jnp.clip(state.position + 2 * action - 1, 0, self.length - 1)
        state = CorridorState(position, state.time + 1)
        arrived = position == self.length - 1
        info = {"success": arrived, "state_id": position}
        return self.get_obs(state), state, arrived.astype(jnp.float32), arrived, info

    def state_id(self, state, params):
        return state.position

    def action_space(self, params):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(0.0, 100.0, (2,), jnp.float32)


class Recall(environment.Environment):
    """A cue of 0 or 1 is shown once; after ``delay`` blank observations the action must repeat it (reward 1).

    Observations are ``[-1 or 1 at the first step, then 0; 1 when the answer is asked, else 0]``.
    """

    def __init__(self, delay: int = 2):
        self.delay = delay

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=1000)

    def _observe(self, cue, time):
        shown = jnp.where(time == 0, 2.0 * cue - 1.0, 0.0)
        return jnp.stack([shown, (time == self.delay).astype(jnp.float32)])

    def reset_env(self, key, params):
        state = CorridorState(jax.random.randint(key, (), 0, 2), jnp.int32(0))
        return self._observe(*state), state

    def step_env(self, key, state, action, params):
        asked = state.time == self.delay
        reward = (asked & (action == state.position)).astype(jnp.float32)
        state = CorridorState(state.position, state.time + 1)
        return self._observe(*state), state, reward, asked, {}

    def action_space(self, params):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)
