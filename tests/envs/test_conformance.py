"""The conformance check lets a correct environment pass and catches each broken promise, by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.testing import check_environment


@struct.dataclass
class State(environment.EnvState):
    position: jax.Array
    bag: dict


class Walk(environment.Environment[State, environment.EnvParams]):
    """Right or left along ten cells by a noisy step; the goal is the last one."""

    num_actions = 2
    num_states = 10

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=50)

    def reset_env(self, key, params):
        state = State(time=0, position=jax.random.randint(key, (), 0, 3), bag={"steps": jnp.int32(0)})
        return self.observation(state), state

    def step_env(self, key, state, action, params):
        move = jnp.where(jax.random.bernoulli(key, 0.9), 2 * action - 1, 0)
        position = jnp.clip(state.position + move, 0, 9)
        state = State(time=state.time + 1, position=position, bag={"steps": state.bag["steps"] + 1})
        terminated = position == 9
        info = {"success": terminated, "state_id": self.state_id(state, params)}
        return self.observation(state), state, terminated.astype(jnp.float32), terminated, info

    def observation(self, state):
        return state.position.astype(jnp.float32)[None] / 9

    def state_id(self, state, params):
        return state.position

    def pack(self, state):
        return jnp.stack([state.time, state.position, state.bag["steps"]]).astype(jnp.uint8)

    def unpack(self, packed, params):
        time, position, steps = packed.astype(jnp.int32)
        return State(time=time, position=position, bag={"steps": steps})

    def render(self, state, params):
        return np.zeros((4, 40, 3), np.uint8)

    def action_space(self, params=None):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(0, 1, (1,))


class WrongDtype(Walk):
    def observation(self, state):
        return state.position[None] // 9


class OutOfBounds(Walk):
    def observation(self, state):
        return state.position.astype(jnp.float32)[None] + 2


class WholeReward(Walk):
    def step_env(self, *args):
        obs, state, reward, terminated, info = super().step_env(*args)
        return obs, state, reward.astype(jnp.int32), terminated, info


class StateChangesType(Walk):
    def step_env(self, *args):
        obs, state, reward, terminated, info = super().step_env(*args)
        return obs, state.replace(position=state.position.astype(jnp.float32)), reward, terminated, info


class NoReset(Walk):
    def step(self, key, state, action, params=None):
        obs, state, *rest = self.step_env(jax.random.split(key)[0], state, action, params)
        truncated = self.is_truncated(state, params)
        return (
            obs,
            state,
            rest[0],
            rest[1],
            truncated,
            {**rest[2], **dict.fromkeys(("terminated", "truncated"), 0)} | {"final_observation": obs},
        )


class FinalObservationAfterReset(Walk):
    def step(self, key, state, action, params=None):
        *values, info = super().step(key, state, action, params)
        return *values, info | {"final_observation": values[0]}


class LimitTerminates(Walk):
    def is_truncated(self, state, params):
        return jnp.bool_(False)

    def step_env(self, key, state, action, params):
        obs, state, reward, _, info = super().step_env(key, state, action, params)
        return obs, state, reward, state.time >= params.max_steps_in_episode, info


class WritesIntoState(Walk):
    def step_env(self, key, state, action, params):
        state.bag["steps"] = state.bag["steps"] + 1
        return super().step_env(key, state, action, params)


class CountsTraces(Walk):
    traces = 0

    def step_env(self, *args):
        self.traces += 1
        obs, state, reward, terminated, info = super().step_env(*args)
        return obs, state, reward + self.traces, terminated, info


class PackForgets(Walk):
    def unpack(self, packed, params):
        return super().unpack(packed.at[2].set(0), params)


class StaleId(Walk):
    def step_env(self, key, state, action, params):
        obs, after, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, after, reward, terminated, info | {"state_id": state.position}


class IdTooLarge(Walk):
    num_states = 1


class FloatPicture(Walk):
    def render(self, state, params):
        return np.zeros((4, 40, 3))


class NoBool(Walk):
    def step_env(self, *args):
        obs, state, reward, terminated, info = super().step_env(*args)
        return obs, state, reward, terminated, info | {"success": reward}


def test_a_correct_environment_passes():
    check_environment(Walk(), Walk().default_params)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongDtype, "reset_env: int32.* expected float32"),
        (OutOfBounds, "is not in Box"),
        (WholeReward, "reward: .*int32"),
        (StateChangesType, "state of step_env, against reset_env: .position is float32"),
        (NoReset, "truncated, at a limit|against reset_env"),
        (FinalObservationAfterReset, "final_observation"),
        (LimitTerminates, "truncated, at a limit of 4"),
        (WritesIntoState, "wrote into the state"),
        (CountsTraces, "reward, against step_env|under vmap"),
        (PackForgets, "unpack"),
        (StaleId, "true successor"),
        (IdTooLarge, "expected 0 to 0"),
        (FloatPicture, "render: float64"),
        (NoBool, "success.* expected bool"),
    ],
)
def test_each_broken_promise_is_caught(broken, message):
    env = broken()
    with pytest.raises(AssertionError, match=message):
        check_environment(env, env.default_params)
