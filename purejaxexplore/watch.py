"""The best trajectory of a stored run of Go-Explore, stepped once more from what the run keeps.

A run can be watched when its config says which world it explored and with which settings::

    pjx.run(go_explore(env, params, settings), 20, 1000, out="runs/pyramid",
            config={"world": {"name": "Pyramid", "lives": 1}, "go_explore": settings})

``world`` holds the arguments of :func:`purejaxexplore.make`, or is only its name.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.archives import cells
from purejaxexplore.archives.trajectory import Replay
from purejaxexplore.envs import make
from purejaxexplore.go_explore.explore import GoExploreConfig, go_explore, replay
from purejaxexplore.runner import load

_EXAMPLE = 'config={"world": {"name": "KeyRooms"}, "go_explore": settings}'


class Trajectory(NamedTuple):
    """A trajectory that a stored run found.

    Attributes:
        env, env_params: the world.
        seed: number of the seed that found it.
        score: its score.
        replay: its actions, rewards and states.
    """

    env: Any
    env_params: Any
    seed: int
    score: float
    replay: Replay


def best_trajectory(directory: str | os.PathLike) -> Trajectory:
    """The highest score of all seeds, then the fewest steps.

    Raises:
        ValueError: the directory holds no run, its config does not say which world it explored and with which
            settings, or nothing has been saved yet.
    """
    directory = Path(directory)
    config = load(directory).config
    made = config["config"] if isinstance(config.get("config"), dict) else {}
    missing = [name for name in ("world", "go_explore") if name not in made]
    if missing or config["over"]:
        lacks = f"a config without {missing[0]!r}" if missing else "a sweep"
        raise ValueError(f"directory={str(directory)!r} holds {lacks}: expected run(..., {_EXAMPLE})")
    world = {"name": made["world"]} if isinstance(made["world"], str) else dict(made["world"])
    env, env_params = make(world.pop("name"), **world)
    settings = GoExploreConfig(**made["go_explore"])
    # The cells say where a record lies, not what it holds: any will do to read the state.
    runs = load(directory, go_explore(env, env_params, settings, cell=cells.exact))
    if runs.state is None:
        raise ValueError(f"directory={str(directory)!r}: nothing has been saved yet; wait for the first checkpoint")
    score, length = np.asarray(runs.state.best.score), np.asarray(runs.state.best.length)
    lane = int(np.lexsort((length, -score))[0])
    state = jax.tree.map(lambda leaf: leaf[lane], runs.state)
    root = jax.random.wrap_key_data(jnp.asarray(config["key"]["data"], jnp.uint32), impl=config["key"]["impl"])
    seed = config["first_seed"] + lane
    found = replay(env, env_params, settings, state, state.best.node, jax.random.fold_in(root, seed))
    return Trajectory(env, env_params, seed, float(score[lane]), found)


def pictures(trajectory: Trajectory, every: int = 1) -> np.ndarray:
    """Every ``every``-th state of a trajectory and the last, drawn: ``u8[T, H, W, 3]``.

    Raises:
        ValueError: the world cannot be drawn, or ``every`` is below 1.
    """
    env, env_params = trajectory.env, trajectory.env_params
    if not hasattr(env, "render"):
        raise ValueError(f"env={env.name}: has no render, so there is nothing to watch")
    if every < 1:
        raise ValueError(f"every={every!r}: expected 1 or more steps")
    length = len(trajectory.replay.rewards) + 1
    shown = np.unique(np.append(np.arange(0, length, every), length - 1))
    draw = jax.jit(lambda state: env.render(state, env_params))
    states = [jax.tree.map(lambda leaf, t=t: leaf[t], trajectory.replay.states) for t in shown]
    return np.stack([np.asarray(draw(state)) for state in states])
