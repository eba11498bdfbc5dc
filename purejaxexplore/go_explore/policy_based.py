"""Policy-based Go-Explore: a goal-conditioned policy returns along a stored route and explores from its end.

Ecoffet, Huizinga, Lehman, Stanley and Clune (2021), "First return, then explore". Nothing is restored, so it also works
where every step is random. The archive keeps for each cell c the route of distinct cells that led to it. Each
iteration, N environments take T steps of episodes that are::

    return    to a cell c ~ W(c) = 1 / (1 + steps spent in c / 2), cell by cell along its route: reward 1 for every
              sub-goal (any of the next ``window``), 3 for the last, plus the clipped reward of the world
    explore   from there: half of the time by uniformly random actions, else by the policy with goals near by
    give up   after ``return_limit`` steps without a sub-goal, or ``explore_limit`` without a new cell

and meanwhile the policy's logits are divided by 1 + (heat excess)^2, where ``excess`` is the number of steps by which a
return is slower than its route, or that an exploration has gone beyond ``patience`` without a new cell. Then::

    update    every visited state is offered to its cell: higher score wins, then the shorter route
    learn     PPO on the steps of the returns (arrival ends the task, exploration is not learned from), plus, on steps
              of stored routes with the return R that their sub-goals would have paid, self-imitation (Oh et al., 2018)

What differs from the published program: routes are bounded and their loops are cut; self-imitation draws single steps
of routes of uniformly drawn cells into every minibatch instead of replaying whole trajectories in environments of
their own, and takes a cell by the state that its record was made in, which is exact where a cell is a state; equal
candidates are not told apart at random (the first is stored); the archive is updated, and goals are drawn from it,
once a rollout; the policy has no memory.
"""

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import archive as table
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.cells import CellFunction
from purejaxexplore.archives.weights import steps_weight
from purejaxexplore.blocks.episodes import coverage, mark_visited, no_state_visited, summarise
from purejaxexplore.blocks.gae import gae, stream_boundaries
from purejaxexplore.blocks.minibatches import minibatch_epochs
from purejaxexplore.blocks.rollout import Lanes, reset_lanes, rollout
from purejaxexplore.blocks.sampling import sample_slots
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.go_explore.routes import MAX_CELLS, FollowParams, FollowRoute, FollowState, Route, start_route
from purejaxexplore.learners.explorers import on_policy
from purejaxexplore.learners.losses import policy_loss, self_imitation_loss, value_loss
from purejaxexplore.learners.ppo_config import PPOConfig, actor_critic, require_plain_policy, require_ppo
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import memoryless, policy_of

_GOALS_A_LANE = 4  # cells drawn for each environment and rollout, of which its episodes take one


@struct.dataclass
class PolicyGoExploreConfig:
    """Settings; the defaults are the paper's for Atari, except for the sizes of tables. Those of PPO stand in ``ppo``.

    Attributes:
        ppo: learning rate, sizes, network ("mlp" or "table"), discount; there are no bonuses to warm up, so
            ``num_warmup_steps`` is not used.
        random_share: probability that an exploration is one of uniformly random actions.
        arrival: reward of the last sub-goal.
        clip: bound of the world's reward, added to that of the sub-goals.
        heat: rate at which the policy's temperature rises with ``excess``, a step; [0, inf).
        reach: distance within which an exploring policy is given goals, in the coordinates of ``position``.
        sil_policy, sil_value: coefficients of self-imitation.
        window: sub-goals that count when they are reached before their turn.
        patience: steps without a new cell after which an exploration heats up.
        return_limit, explore_limit: steps without a sub-goal, or without a new cell, after which an episode is cut.
        goal_steps: steps for which an exploring policy keeps a goal.
        num_cells: C, at most 32,767; None for the number of the environment's states.
        max_route: P, cells of a route; a cell that is farther is not stored (metric ``overlong``).
        sil_batch: steps of stored routes in every minibatch; 0 for PPO alone.
    """

    ppo: PPOConfig
    random_share: float = 0.5
    arrival: float = 3.0
    clip: float = 2.0
    heat: float = 0.01
    reach: float = 3.0
    sil_policy: float = 0.1
    sil_value: float = 0.01
    window: int = struct.field(pytree_node=False, default=10)
    patience: int = struct.field(pytree_node=False, default=50)
    return_limit: int = struct.field(pytree_node=False, default=1000)
    explore_limit: int = struct.field(pytree_node=False, default=1000)
    goal_steps: int = struct.field(pytree_node=False, default=4)
    num_cells: int | None = struct.field(pytree_node=False, default=None)
    max_route: int = struct.field(pytree_node=False, default=128)
    sil_batch: int = struct.field(pytree_node=False, default=64)


class Known(NamedTuple):
    """The payload of the archive: what the policy sees in a cell, and where the cell is, f32[d]."""

    view: jax.Array
    position: jax.Array


class PolicyGoExploreState(NamedTuple):
    """The learner, its worlds and what it has found.

    Attributes:
        params, opt_state: of the network and of Adam.
        lanes: the N environments.
        archive: Archive of :class:`Known`; ``seen`` counts the steps spent in a cell.
        routes: :class:`Route`, arrays [C, ...]: the way to every cell, of length 0 where there is none.
        visited: bool[num_states], states ever visited; bool[0] where the environment does not number its states.
        found: bool, an episode ever completed the task.
        returned: f32, share of the returns that arrived, of the last rollout in which one ended.
        overlong: i32, steps whose state was too far to be stored.
        t: i32, iterations done.
    """

    params: Any
    opt_state: Any
    lanes: Lanes
    archive: Archive
    routes: Route
    visited: jax.Array
    found: jax.Array
    returned: jax.Array
    overlong: jax.Array
    t: jax.Array


class Acted(NamedTuple):
    """What is known of a step when it is taken, [T, N, ...].

    Attributes:
        state: the :class:`FollowState`, without the environment's.
        log_prob: f32, of the heated policy.
        temperature: f32, by which its logits were divided.
    """

    state: FollowState
    log_prob: jax.Array
    temperature: jax.Array


class Samples(NamedTuple):
    """What PPO's loss needs, [T, N, ...]; ``weight`` is 1 for the steps of returns, else 0."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    temperature: jax.Array
    values: jax.Array
    advantages: jax.Array
    targets: jax.Array
    weight: jax.Array


class RouteSteps(NamedTuple):
    """Steps of stored routes: what the policy would have seen, action, discounted return f32[B], valid bool[B]."""

    obs: jax.Array
    action: jax.Array
    returns: jax.Array
    valid: jax.Array


def temperature_of(state: FollowState, heat, patience) -> jax.Array:
    """``1 + (heat excess)^2``, f32[N]."""
    excess = jnp.where(state.exploring, jnp.maximum(state.excess - patience, 0), state.excess)
    return 1.0 + jnp.square(heat * excess)


def route_returns(route: Route, gamma, arrival) -> jax.Array:
    """Discounted return f32[P] of following a route from each of its cells; 0 at its end and beyond.

    ``R_i = sum_{j > i} gamma^(t_j - t_i - 1) (gain_j + 1, or gain_j + arrival at the last cell)``.
    """
    number, last = jnp.arange(route.cells.shape[0]), route.length - 1
    paid = jnp.where(number == last, arrival, 1.0) + route.gains
    times = route.times.astype(jnp.float32)

    gaps = jnp.maximum(jnp.roll(times, -1) - times, 1.0)

    def back(after, inputs):
        paid_next, gap, valid = inputs
        total = jnp.where(valid, gamma ** (gap - 1.0) * (paid_next + gamma * after), 0.0)
        return total, total

    inputs = (jnp.roll(paid, -1), gaps, number < last)
    return jax.lax.scan(back, jnp.float32(0.0), inputs, reverse=True)[1]


def replace_routes(routes: Route, slot: jax.Array, win: jax.Array, offered: Route) -> Route:
    """The routes [C, ...] after an insertion of candidates [B, ...], of which those that ``win`` are stored."""
    C = routes.length.shape[0]
    lane = jnp.full(C, -1, jnp.int32).at[jnp.where(win, slot, C)].set(jnp.arange(slot.shape[0]), mode="drop")

    def take(old, new):
        return jnp.where((lane >= 0).reshape(-1, *[1] * (old.ndim - 1)), new[jnp.maximum(lane, 0)], old)

    return jax.tree.map(take, routes, offered)


def weighted_mean(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean of ``x`` f32[B] over ``weight`` f32[B]; 0 where no weight is positive."""
    return (x * weight).sum() / jnp.maximum(weight.sum(), 1e-8)


def policy_go_explore(
    env,
    env_params,
    config: PolicyGoExploreConfig,
    *,
    position: Callable[[Any, Any, Any], jax.Array],
    cell: CellFunction | None = None,
    weight: Callable[[Archive], jax.Array] = lambda archive: steps_weight(archive.seen),
) -> Algorithm:
    """Policy-based Go-Explore.

    Args:
        env, env_params: the world; its actions are discrete. With ``ppo.network="table"`` the policy is shown the
            number of the state and the direction of the goal.
        config: the settings.
        position: ``(observation, state, env_params) -> [d]``: where a state is, in units in which neighbouring cells
            are about 1 apart. The policy is shown the way from there to the position of its goal.
        cell: ``(observation, state, env_params) -> i32`` in [0, num_cells); default the number of the state.
        weight: ``archive -> f32[C]``, with which cells are drawn to return to.

    Returns:
        An :class:`Algorithm`; a step is one rollout and its update. Metrics: ``env_steps``, ``episodes``,
        ``episode_return`` (of the world), ``episode_length``, ``success`` (of episodes), ``found`` (1 once the task was
        completed), ``cells``, ``coverage`` (where states are numbered), ``best_score``, ``accepted`` (in this
        rollout), ``overlong``, ``return_success`` (share of returns that came to the very cell that was their goal),
        ``skipped`` (share of passed sub-goals that were jumped over by the soft trajectory), ``exploring`` (share of
        steps), ``temperature`` (mean), ``policy_loss``, ``value_loss``, ``entropy``, ``sil_loss``.

    Raises:
        TypeError: no environment, actions that are not discrete, or states that are not numbered where they must be.
        ValueError: a setting is out of range, or as :func:`~purejaxexplore.learners.ppo.ppo`.
    """
    hyper = config.ppo
    C = _require(env, config, cell)
    cell = (lambda observation, state, params: env.state_id(state, params)) if cell is None else cell
    world = FollowRoute(env, cell, position, config.max_route, hyper.network == "table")
    N, T, P = hyper.num_envs, hyper.rollout_length, config.max_route
    nowhere = jax.tree.map(lambda x: jnp.zeros((C, *x.shape), x.dtype), start_route(jnp.int32(0), P))
    rules = FollowParams(
        params=env_params, routes=nowhere, positions=jnp.zeros((C, world.num_coordinates)), known=jnp.zeros(C, bool),
        goals=jnp.zeros(N * _GOALS_A_LANE, jnp.int32), clip=config.clip, random_share=config.random_share,
        return_limit=config.return_limit, explore_limit=config.explore_limit, window=config.window,
        goal_steps=config.goal_steps, reach=config.reach,
    )  # fmt: skip
    require_ppo(world, rules, hyper, (Stream("extrinsic"),), on_policy())
    network = actor_critic(world, rules, hyper, 1)
    adam = optax.chain(optax.clip_by_global_norm(hyper.max_grad_norm), optax.scale_by_adam(eps=hyper.adam_eps))
    num_actions = network.num_outputs
    numbered = hasattr(env, "state_id")

    def policy_at(params, obs, temperature):
        policy = policy_of(network, params, memoryless(network, params, obs))
        return type(policy)(logits=policy.logits / temperature[..., None])

    def value(params, obs):
        return network.apply(params, memoryless(network, params, obs), method="critic")

    def informed(key, archive: Archive, routes: Route) -> FollowParams:
        """The world of a rollout: what the archive knows at its beginning."""
        goals = sample_slots(key, jnp.where(archive.filled, weight(archive), 0.0), N * _GOALS_A_LANE)
        return rules.replace(routes=routes, positions=archive.payload.position, known=archive.filled, goals=goals)

    def act_by(params):
        def act(key, carry, lanes):
            key_policy, key_random = jax.random.split(key)
            state = lanes.env_state
            temperature = temperature_of(state, config.heat, config.patience)
            action, log_prob = policy_at(params, lanes.obs, temperature).sample_and_log_prob(seed=key_policy)
            blind = jax.random.randint(key_random, (N,), 0, num_actions)
            action = jnp.where(state.exploring & state.random, blind, action)
            return carry, action, Acted(state._replace(env_state=()), log_prob, temperature)

        return act

    def remember(archive: Archive, routes: Route, obs, state: FollowState):
        """Offers B states to their cells: (archive, routes, number stored)."""
        route = state.route
        last = (route.length - 1)[:, None]
        steps = jnp.take_along_axis(route.times, last, 1)[:, 0].astype(jnp.int32) + state.dwell
        archive = archive._replace(seen=archive.seen.at[state.cell].add(1, mode="drop"))
        payload = Known(world.without_goal(obs), state.position)
        archive, info = table.insert(archive, state.cell, state.score, payload, tie=steps, valid=~state.lost)
        return archive, replace_routes(routes, info.slot, info.win, route), info.win.sum(dtype=jnp.int32)

    def init(key):
        key_reset, key_net = jax.random.split(key)
        lanes = reset_lanes(key_reset, world, rules, N)
        view = jax.eval_shape(world.without_goal, lanes.obs)
        known = Known(jax.ShapeDtypeStruct(view.shape[1:], view.dtype), lanes.env_state.position[0])
        archive, routes, _ = remember(table.init(known, C, ("tie", "seen")), nowhere, lanes.obs, lanes.env_state)
        visited = no_state_visited(env)
        if numbered:
            visited = mark_visited(visited, jax.vmap(world.state_id, (0, None))(lanes.env_state, rules))
        blank = jnp.zeros((N, 0))
        params = network.init(key_net, blank, lanes.obs, blank, lanes.done)
        return PolicyGoExploreState(
            params=params, opt_state=adam.init(params), lanes=lanes, archive=archive, routes=routes, visited=visited,
            found=jnp.bool_(False), returned=jnp.float32(0.0), overlong=jnp.int32(0), t=jnp.int32(0),
        )  # fmt: skip

    def route_steps(key, archive: Archive, routes: Route) -> RouteSteps:
        """One step each of ``sil_batch`` routes of uniformly drawn cells."""
        key_slot, key_step = jax.random.split(key)
        longer = (routes.length > 1).astype(jnp.float32)
        slot = sample_slots(key_slot, longer, config.sil_batch)
        valid = slot < C
        route = jax.tree.map(lambda x: x[jnp.minimum(slot, C - 1)], routes)
        step = jax.random.randint(key_step, slot.shape, 0, jnp.maximum(route.length - 1, 1))
        returns = jax.vmap(route_returns, (0, None, None))(route, hyper.gamma, config.arrival)

        def at(column, place):
            return jnp.take_along_axis(column, place[:, None], 1)[:, 0]

        here, there = (at(route.cells, place).astype(jnp.int32) for place in (step, step + 1))
        positions = archive.payload.position
        obs = world.show(archive.payload.view[here], positions[here], positions[there], config.reach)
        return RouteSteps(obs, at(route.actions, step).astype(jnp.int32), at(returns, step), valid)

    def loss_fn(params, batch: Samples, shown: RouteSteps):
        weight = batch.weight / jnp.maximum(batch.weight.mean(), 1e-8)
        policy = policy_at(params, batch.obs, batch.temperature)
        advantages = batch.advantages
        if hyper.normalise_advantages:
            mean = weighted_mean(advantages, weight)
            spread = jnp.sqrt(weighted_mean(jnp.square(advantages - mean), weight))
            advantages = (advantages - mean) / (spread + 1e-8)
        # Steps without weight (random actions among them, whose log-probability is none) pay nothing.
        values, old = (
            jnp.where(weight[:, None] > 0, v, batch.targets) for v in (value(params, batch.obs), batch.values)
        )
        ratio = jnp.exp(jnp.where(weight > 0, policy.log_prob(batch.action) - batch.log_prob, 0.0))
        value_term = value_loss(values, old, batch.targets, hyper.clip_ratio, hyper.clip_values)
        terms = {
            "policy_loss": policy_loss(ratio, advantages * weight, hyper.clip_ratio),
            "value_loss": value_term / jnp.maximum(batch.weight.mean(), 1e-8),
            "entropy": weighted_mean(policy.entropy(), weight),
            "sil_loss": jnp.float32(0.0),
        }
        if config.sil_batch:
            log_prob = policy_at(params, shown.obs, jnp.ones(config.sil_batch)).log_prob(shown.action)
            terms["sil_loss"] = self_imitation_loss(
                log_prob, value(params, shown.obs)[:, 0], shown.returns, shown.valid,
                config.sil_policy, config.sil_value,
            )  # fmt: skip
        total = terms["policy_loss"] + hyper.value_coef * terms["value_loss"] - hyper.entropy_coef * terms["entropy"]
        return total + terms["sil_loss"], terms

    def fit(key, state: PolicyGoExploreState, samples: Samples):
        def update(key, carry, batch):
            params, opt_state = carry
            shown = route_steps(key, state.archive, state.routes) if config.sil_batch else None
            grads, terms = jax.grad(loss_fn, has_aux=True)(params, batch, shown)
            updates, opt_state = adam.update(grads, opt_state)
            params = jax.tree.map(lambda p, u: p - hyper.learning_rate * u, params, updates)
            return (params, opt_state), terms

        rows = jax.tree.map(lambda x: x.reshape((T * N, *x.shape[2:])), samples)
        carry = (state.params, state.opt_state)
        (params, opt_state), terms = minibatch_epochs(
            key, update, carry, rows, hyper.num_epochs, hyper.num_minibatches
        )
        return state._replace(params=params, opt_state=opt_state), jax.tree.map(jnp.mean, terms)

    def samples_of(state: PolicyGoExploreState, steps, acted: Acted, arrived, passed) -> Samples:
        values, successors, acted_next = (value(state.params, x) for x in (steps.obs, steps.next_obs, steps.reset_obs))
        ended = steps.terminated | arrived
        next_values, stop, cut = stream_boundaries(ended, steps.truncated, successors, acted_next, (True,))
        subgoals = jnp.where(arrived, config.arrival, (passed > 0).astype(jnp.float32))
        rewards = (jnp.clip(steps.reward, -config.clip, config.clip) + subgoals)[..., None]
        advantages = gae(rewards, values, next_values, stop, cut, hyper.gamma, hyper.gae_lambda)
        weight = (~acted.state.exploring).astype(jnp.float32)
        return Samples(
            steps.obs, steps.action, acted.log_prob, acted.temperature,
            values, advantages[..., 0], advantages + values, weight,
        )  # fmt: skip

    def step(key, state: PolicyGoExploreState):
        key_goals, key_collect, key_fit = jax.random.split(key, 3)
        rules_now = informed(key_goals, state.archive, state.routes)
        lanes, _, steps, finished, acted, _ = rollout(
            key_collect, world, rules_now, state.lanes, (), act_by(state.params), T
        )
        before = acted.state
        exploring = before.exploring
        place = jnp.concatenate([before.place[1:], lanes.env_state.place[None]])
        # What the next row says of the same episode is what this step reached; of its last step there is no next row.
        arrived = ~exploring & ~steps.done & (place >= before.aim_length)
        failed = ~exploring & steps.done
        passed = jnp.where(~exploring & ~steps.done, place - before.place, 0)
        samples = samples_of(state, steps, acted, arrived, passed)

        flat = jax.tree.map(lambda x: x.reshape((T * N, *x.shape[2:])), (steps.obs, before))
        archive, routes, accepted = remember(state.archive, state.routes, *flat)
        state, learned = fit(key_fit, state._replace(archive=archive, routes=routes), samples)

        episodes, episode_metrics = summarise(lanes.episodes, finished)
        visited = mark_visited(state.visited, steps.aux["state_id"]) if numbered else state.visited
        ends = (arrived | failed).sum()
        t = state.t + 1
        state = state._replace(
            lanes=lanes._replace(episodes=episodes),
            visited=visited,
            found=state.found | finished.success.any(),
            returned=jnp.where(ends > 0, arrived.sum() / jnp.maximum(ends, 1), state.returned),
            overlong=state.overlong + before.lost.sum(dtype=jnp.int32),
            t=t,
        )
        metrics = {
            "env_steps": N * T * t,
            **episode_metrics,
            "found": state.found.astype(jnp.float32),
            "cells": archive.filled.sum(dtype=jnp.int32),
            "best_score": archive.score.max(),
            "accepted": accepted,
            "overlong": state.overlong,
            "return_success": state.returned,
            "skipped": jnp.maximum(passed - 1, 0).sum() / jnp.maximum(passed.sum(), 1),
            "exploring": exploring.mean(),
            "temperature": acted.temperature.mean(),
            **learned,
        }
        return state, metrics | ({"coverage": coverage(env, visited)} if numbered else {})

    return Algorithm(init, step)


def _require(env, config: PolicyGoExploreConfig, cell) -> int:
    """The number of cells.

    Raises:
        TypeError, ValueError: as :func:`policy_go_explore`.
    """
    if not hasattr(env, "step_env"):
        raise TypeError(f"env={env!r}: expected a gymnax environment, e.g. env, env_params = make('KeyRooms')")
    if cell is None and not hasattr(env, "state_id"):
        raise TypeError(f"{env.name} does not number its states: pass cell=, for instance cells.grid(low, high, bins)")
    num_cells = config.num_cells
    if num_cells is None:
        if cell is not None:
            raise ValueError("num_cells=None: expected the number of cells of the function given as cell=")
        num_cells = env.num_states
    require_at_least(1, num_cells=num_cells)
    if num_cells > MAX_CELLS or (cell is None and num_cells < env.num_states):
        least = env.num_states if cell is None else 1
        raise ValueError(f"num_cells={num_cells}: expected {least} to {MAX_CELLS}")
    sizes = ("window", "return_limit", "explore_limit", "goal_steps")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, patience=config.patience, sil_batch=config.sil_batch)
    require_at_least(2, max_route=config.max_route)
    require_between(0.0, 1.0, random_share=config.random_share)
    coefficients = ("arrival", "clip", "heat", "reach", "sil_policy", "sil_value")
    require_between(0.0, inf, **{name: getattr(config, name) for name in coefficients})
    if config.ppo.network == "cnn":
        raise ValueError("network='cnn': expected 'mlp' or 'table', the goal is shown as numbers")
    require_plain_policy(config.ppo)
    if not config.ppo.bootstrap_truncation:
        raise ValueError("bootstrap_truncation=False: expected True, truncation is always bootstrapped here")
    anneal = config.ppo.anneal_iterations
    if isinstance(anneal, jax.core.Tracer) or anneal != 0:
        raise ValueError(f"anneal_iterations={anneal}: expected 0, the learning rate is constant here")
    return num_cells
