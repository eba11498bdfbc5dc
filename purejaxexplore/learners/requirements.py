"""What every learner here demands of a world, a network and an explorer, checked before anything compiles."""

from collections.abc import Sequence

import numpy as np
from gymnax.environments import spaces

from purejaxexplore.checks import choice, require_between
from purejaxexplore.learners.explorers import Explorer
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import ACTIVATIONS


def require_environment(env) -> None:
    """Raises TypeError unless ``env`` is an environment."""
    if not hasattr(env, "step_env"):
        raise TypeError(f"env={env!r}: expected a gymnax environment, e.g. env, env_params = make('KeyRooms')")


def require_numbered(env, env_params) -> int:
    """The number of actions; raises unless ``env`` is an environment with numbered states and discrete actions."""
    require_environment(env)
    if not hasattr(env, "state_id"):
        raise ValueError(f"env={env.name}: expected numbered states, env.state_id and env.num_states")
    space = env.action_space(env_params)
    if not isinstance(space, spaces.Discrete):
        raise ValueError(f"actions of {env.name}: expected a Discrete space, not {space!r}")
    return int(space.n)


def require_network(
    env, env_params, network: str, activation: str, streams: Sequence[Stream], known=("mlp", "cnn", "table")
) -> None:
    """Raises ValueError unless ``network`` exists and suits the observations and what the bonuses show."""
    choice("activation", activation, sorted(ACTIVATIONS))
    choice("network", network, known)
    space = env.observation_space(env_params)
    if network == "cnn" and (len(space.shape) != 3 or min(space.shape[:2]) < 3):
        raise ValueError(f"network='cnn' needs observations [H, W, C] of at least 3 x 3, not {space.shape}: use 'mlp'")
    if network == "table":
        if not isinstance(space, spaces.Discrete):
            raise ValueError(f"network='table' needs numbered observations: wrap {env.name} in ObserveStateId(env)")
        if any(stream.bonus is not None and not stream.bonus.defer for stream in streams):
            raise ValueError("network='table': expected no bonus that shows features to the policy")


def require_explorer(env, env_params, explorer: Explorer) -> None:
    """Raises ValueError unless the actions are of a kind that the learners know and the explorer can draw."""
    action_space = env.action_space(env_params)
    if isinstance(action_space, spaces.Discrete):
        return
    if not isinstance(action_space, spaces.Box) or len(action_space.shape) != 1:
        raise ValueError(f"actions of {env.name}: expected a Discrete space or a Box of one axis, not {action_space!r}")
    if explorer.discrete_only:
        raise ValueError(f"explorer is for discrete actions, but {env.name} has continuous ones: use on_policy()")


def require_bounded_actions(env, env_params) -> spaces.Box:
    """The action space; raises ValueError unless it is a Box of one axis with finite bounds."""
    space = env.action_space(env_params)
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"actions of {env.name}: expected a Box of one axis, not {space!r}")
    most = float(np.finfo(np.float32).max)
    require_between(-most, most, **{f"lowest action of {env.name}": space.low, f"highest of {env.name}": space.high})
    return space
