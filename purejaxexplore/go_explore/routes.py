"""Routes: the distinct cells on the way to a place, and a world in which an agent is led along one and then explores.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), "First return, then explore", policy-based Go-Explore. An episode
has two parts. First the cells of a stored route are its sub-goals, one after the other; standing on any of the next
``window`` of them counts for all before it (the soft trajectory). From the last cell on it explores, until it has found
nothing new for a while.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from purejaxexplore.archives.cells import CellFunction
from purejaxexplore.archives.packing import like
from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.wrappers import Wrapper

MAX_CELLS = 2**15 - 1  # a cell's id fits 16 bits, and so do the steps of a route, which stop counting there


class Route(NamedTuple):
    """A way without loops through at most ``P`` cells; what lies beyond ``length`` is void.

    Attributes:
        cells: i16[P], distinct cells in the order of the way, the start first.
        actions: u8[P], the action by which cell i was left for cell i + 1.
        times: i16[P], steps from the start to cell i, loops not counted.
        gains: f32[P], clipped extrinsic reward in cell i and on entering it.
        length: i32, number of cells.
    """

    cells: jax.Array
    actions: jax.Array
    times: jax.Array
    gains: jax.Array
    length: jax.Array


def start_route(cell: jax.Array, max_length: int) -> Route:
    """The route of ``P = max_length`` places that has only the cell i32[] in which the episode starts."""
    empty = Route(
        cells=jnp.zeros(max_length, jnp.int16),
        actions=jnp.zeros(max_length, jnp.uint8),
        times=jnp.zeros(max_length, jnp.int16),
        gains=jnp.zeros(max_length),
        length=jnp.int32(1),
    )
    return empty._replace(cells=empty.cells.at[0].set(cell.astype(jnp.int16)))


def extend(route: Route, dwell: jax.Array, cell: jax.Array, action: jax.Array, gain: jax.Array):
    """The route after one more step, which led to ``cell`` i32[].

    A cell that is on the route already cuts the loop: the route ends there again. Otherwise the cell is appended, if
    there is room.

    Args:
        route: not empty.
        dwell: i32, steps since the agent came to the last cell of the route.
        cell, action, gain: where the step led, by which action, with which reward.

    Returns:
        ``(route, dwell, new, lost)``: whether the cell was not on the route, and whether it found no room.
    """
    P = route.cells.shape[0]
    cell, place = cell.astype(jnp.int16), jnp.arange(P)
    on_route = (route.cells == cell) & (place < route.length)
    new = ~on_route.any()
    lost = new & (route.length == P)
    last, appended = route.length - 1, new & ~lost
    at = jnp.where(appended, route.length, jnp.where(new, last, on_route.argmax()))
    stays = at == last
    dwell = dwell + 1
    here, left = place == at, place == last
    time = jnp.minimum(route.times[last] + dwell, MAX_CELLS)
    grown = Route(
        cells=jnp.where(here & appended, cell, route.cells),
        actions=jnp.where(left & appended, action.astype(jnp.uint8), route.actions),
        times=jnp.where(here & appended, time.astype(jnp.int16), route.times),
        gains=jnp.where(here & appended, gain, route.gains + jnp.where(here & stays, gain, 0.0)),
        length=at + 1,
    )
    return grown, jnp.where(stays, dwell, 0), new, lost


def progress(cells: jax.Array, length: jax.Array, place: jax.Array, cell: jax.Array, window: int) -> jax.Array:
    """The next sub-goal, i32, of who stands in ``cell`` and has had sub-goal ``place`` of ``cells`` i16[P]."""
    number = jnp.arange(cells.shape[0])
    reached = (cells == cell.astype(jnp.int16)) & (number < jnp.minimum(place + window, length))
    return jnp.maximum(place, jnp.max(jnp.where(reached, number + 1, 0)))


class FollowState(NamedTuple):
    """An episode that first returns and then explores.

    Attributes:
        env_state: the environment's.
        cell: i32, where it is.
        position: f32[d], where that is.
        route: the :class:`Route` that it has gone itself.
        dwell: i32, steps since it came to the end of that.
        lost: bool, a cell of this episode found no room on the route.
        score: f32, sum of the rewards.
        aim: i16[P], cells of the route that it follows.
        aim_times: i16[P], their times.
        aim_length: i32, their number.
        place: i32, number of the next sub-goal; ``aim_length`` while exploring.
        since: i32, steps since the last sub-goal (returning) or since the last new cell (exploring).
        goal: f32[d], the position that it is asked to go to.
        held: i32, steps since an exploring agent was given its goal.
        random: bool, it explores by random actions.
    """

    env_state: Any
    cell: jax.Array
    position: jax.Array
    route: Route
    dwell: jax.Array
    lost: jax.Array
    score: jax.Array
    aim: jax.Array
    aim_times: jax.Array
    aim_length: jax.Array
    place: jax.Array
    since: jax.Array
    goal: jax.Array
    held: jax.Array
    random: jax.Array

    @property
    def exploring(self) -> jax.Array:
        """bool, it has arrived."""
        return self.place >= self.aim_length

    @property
    def excess(self) -> jax.Array:
        """i32, steps by which a return is slower than the route it follows; of an exploration, ``since``."""
        following = jnp.clip(self.place, 0, self.aim.shape[-1] - 1)[..., None]
        before = jnp.maximum(following - 1, 0)
        due = jnp.take_along_axis(self.aim_times, following, -1) - jnp.take_along_axis(self.aim_times, before, -1)
        return jnp.where(self.exploring, self.since, jnp.maximum(self.since - due[..., 0], 0))


@struct.dataclass
class FollowParams:
    """What is known at the beginning of a rollout, and the rules.

    Attributes:
        params: the environment's.
        routes: :class:`Route` of every cell, arrays [C, ...].
        positions: f32[C, d], where they are.
        known: bool[C], which have a route.
        goals: i32[M], cells; an episode returns to one of them.
        clip: rewards are clipped to [-clip, clip] before a route remembers them.
        random_share: probability that an exploration is one of random actions.
        return_limit, explore_limit: steps without a sub-goal, or without a new cell, after which an episode is cut.
        window: sub-goals that can be reached before their turn.
        goal_steps: an exploring agent is given a new goal after so many steps ...
        reach: ... at most this far from where it is, in each coordinate.
    """

    params: Any
    routes: Route
    positions: jax.Array
    known: jax.Array
    goals: jax.Array
    clip: float = 2.0
    random_share: float = 0.5
    return_limit: int = 1000
    explore_limit: int = 1000
    window: int = 10
    goal_steps: int = 4
    reach: float = 3.0


class FollowRoute(Wrapper):
    """The world of an agent that is led along a route; rewards stay as they are.

    A timed-out episode is truncated. The observation shows the way to the goal beside the environment's own: as
    coordinates ``clip((goal - position) / reach, -1, 1)`` appended to it, or, for a table, as one number
    ``state_id 3^d + direction``, where a direction is the sign of each rounded coordinate.

    Args:
        env: actions are discrete.
        cell: ``(observation, state, params) -> i32``, in [0, num_cells).
        position: ``(observation, state, params) -> [d]``, in units in which neighbouring cells are about 1 apart.
        max_route: ``P``.
        table: show numbers; needs ``state_id``.

    Raises:
        TypeError: the actions are not discrete, at most 256 of them, or a table for an environment that does not number
            its states.
        ValueError: ``max_route`` is not positive.
    """

    def __init__(self, env: Environment, cell: CellFunction, position: Callable, max_route: int, table: bool):
        super().__init__(env)
        require_at_least(2, max_route=max_route)
        params = env.default_params
        space = env.action_space(params)
        if not isinstance(space, spaces.Discrete) or space.n > 256:
            raise TypeError(f"actions of {env.name}: expected a Discrete space of at most 256, not {space!r}")
        if table and not hasattr(env, "state_id"):
            raise TypeError(f"{env.name} does not number its states: wrap it in StateId first, or use network='mlp'")
        self._cell, self._position, self.max_route, self.table = cell, position, max_route, table
        shape = jax.eval_shape(lambda key: position(*env.reset_env(key, params), params), jax.random.key(0)).shape
        self.num_coordinates = shape[0]

    def inner_state(self, state: FollowState) -> Any:
        return state.env_state

    def inner_params(self, params: FollowParams) -> Any:
        return params.params

    def where(self, obs: Any, env_state: Any, params: Any) -> tuple[jax.Array, jax.Array]:
        """The cell i32 and the position f32[d] of a state of the environment; ``params`` are the environment's."""
        cell = jnp.asarray(self._cell(obs, env_state, params), jnp.int32).reshape(())
        return cell, jnp.asarray(self._position(obs, env_state, params), jnp.float32)

    def own_view(self, obs: Any, env_state: Any, params: Any) -> jax.Array:
        """What the policy sees of a state apart from the goal; ``params`` are the environment's."""
        return self._env.state_id(env_state, params) if self.table else jnp.ravel(obs).astype(jnp.float32)

    def without_goal(self, shown: jax.Array) -> jax.Array:
        """The own view in an observation."""
        return shown // 3**self.num_coordinates if self.table else shown[..., : -self.num_coordinates]

    def show(self, view: jax.Array, position: jax.Array, goal: jax.Array, reach: jax.Array) -> jax.Array:
        """The observation: own view [...], positions and goals f32[..., d]."""
        way = goal - position
        if not self.table:
            return jnp.concatenate([view, jnp.clip(way / reach, -1.0, 1.0)], -1)
        digits = jnp.sign(jnp.round(way)).astype(jnp.int32) + 1
        return view * 3**self.num_coordinates + digits @ 3 ** jnp.arange(self.num_coordinates)

    def reset_env(self, key, params):
        key_env, key_goal, key_explore = jax.random.split(key, 3)
        obs, env_state = self._env.reset_env(key_env, params.params)
        env_state = jax.tree.map(jnp.asarray, env_state)
        cell, position = self.where(obs, env_state, params.params)
        chosen = params.goals[jax.random.randint(key_goal, (), 0, params.goals.shape[0])]
        aim, times, length = (x[chosen] for x in (params.routes.cells, params.routes.times, params.routes.length))
        state = FollowState(
            env_state=env_state, cell=cell, position=position, route=start_route(cell, self.max_route),
            dwell=jnp.int32(0), lost=jnp.bool_(False), score=jnp.float32(0.0), aim=aim, aim_times=times,
            aim_length=length, place=progress(aim, length, jnp.int32(0), cell, params.window), since=jnp.int32(0),
            goal=position, held=jnp.int32(0), random=jnp.bool_(False),
        )  # fmt: skip
        state = self._directed(key_explore, state, jnp.bool_(True), params)
        return self.show(self.own_view(obs, env_state, params.params), position, state.goal, params.reach), state

    def step_env(self, key, state, action, params):
        key_env, key_explore = jax.random.split(key)
        obs, env_state, reward, terminated, info = super().step_env(key_env, state, action, params)
        env_state = like(env_state, state.env_state)
        cell, position = self.where(obs, env_state, params.params)
        gain = jnp.clip(jnp.asarray(reward, jnp.float32), -params.clip, params.clip)
        route, dwell, new, lost = extend(state.route, state.dwell, cell, action, gain)
        place = progress(state.aim, state.aim_length, state.place, cell, params.window)
        advanced, arrived = place > state.place, ~state.exploring & (place >= state.aim_length)
        found = new & ~params.known[jnp.clip(cell, 0, params.known.shape[0] - 1)]
        state = state._replace(
            env_state=env_state, cell=cell, position=position, route=route, dwell=dwell,
            lost=state.lost | lost, score=state.score + reward, place=place, held=state.held + 1,
            since=jnp.where(jnp.where(state.exploring, found, advanced), 0, state.since + 1),
        )  # fmt: skip
        state = self._directed(key_explore, state, arrived, params)
        shown = self.show(self.own_view(obs, env_state, params.params), position, state.goal, params.reach)
        return shown, state, reward, terminated, info

    def is_truncated(self, state, params):
        limit = jnp.where(state.exploring, params.explore_limit, params.return_limit)
        return super().is_truncated(state, params) | (state.since >= limit)

    def observation_space(self, params):
        if self.table:
            return spaces.Discrete(self.num_states * 3**self.num_coordinates)
        size = prod(super().observation_space(params).shape) + self.num_coordinates
        return spaces.Box(-jnp.inf, jnp.inf, (size,), jnp.float32)

    def _directed(self, key, state: FollowState, begins, params) -> FollowState:
        """The state with the goal of its next step; ``begins``: an exploration would begin now."""
        key_mode, key_goal = jax.random.split(key)
        next_cell = state.aim[jnp.clip(state.place, 0, self.max_route - 1)]
        exploring = state.exploring
        begins = begins & exploring
        fresh = begins | (state.held >= params.goal_steps)
        nearby = state.position + params.reach * jax.random.uniform(key_goal, state.position.shape, minval=-1.0)
        sought = jnp.where(fresh, nearby, state.goal)
        return state._replace(
            goal=jnp.where(exploring, sought, params.positions[next_cell]),
            held=jnp.where(fresh, 0, state.held),
            random=jnp.where(begins, jax.random.bernoulli(key_mode, params.random_share), state.random),
        )
