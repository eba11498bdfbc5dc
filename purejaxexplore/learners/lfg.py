"""LFG: Shah, Equi, Osinski, Xia, Ichter and Levine (2023), "Navigation with large language models: semantic guesswork
as a heuristic for planning".

An agent maps an unknown house and goes to a frontier of what it knows. Clusters of frontiers are described by the
things seen near them, a language model votes which of them are likely and which unlikely to lead to the thing looked
for, and the votes are a heuristic, so that bad advice costs distance only::

    score_q = w_p pos_q - w_n neg_q - distance(x, q),        go to argmax_q, and plan again after k steps
    pos_q, neg_q: shares of n answers that name cluster q when asked for the likeliest and for the unlikeliest

Once the thing is seen the agent goes straight there. A scorer is any function from clusters to votes; :func:`ask` draws
the answers of one whose preferences are known. Different from the paper: grids, and votes on the largest clusters only.
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.grids import mapping
from purejaxexplore.envs.grids.semantic_house import KINDS
from purejaxexplore.envs.grids.squares import DOWN_RIGHT, distances


class Clusters(NamedTuple):
    """The largest clusters of frontiers, Q of them.

    Attributes:
        valid: bool[Q], which there are.
        mask: bool[Q, H, W], their cells.
        distance: i32[Q], moves to the nearest cell of each over what is known.
        things: i32[Q, K], things of each kind that are known near each.
    """

    valid: jax.Array
    mask: jax.Array
    distance: jax.Array
    things: jax.Array


Scorer = Callable[[jax.Array, Clusters, jax.Array], tuple[jax.Array, jax.Array]]
"""``(key, clusters, goal i32[]) -> (pos f32[Q], neg f32[Q])``."""


@struct.dataclass
class LFGConfig:
    """Attributes:
    likely, unlikely: w_p and w_n, moves, at least 0; 300 and 150 in the paper, whose cells measure 5 cm (15 and 7.5 m).
    distance: weight of the distance, at least 0; 0 follows advice alone.
    num_clusters: Q, the largest ones, which advice is asked on.
    near: things within so many rows and columns of a cluster's centre describe it.
    replan: k, moves between two plans.
    num_plans: plans of an episode, which ends after ``replan * num_plans`` moves at the latest.
    num_episodes: an iteration.
    """

    likely: float = 30.0
    unlikely: float = 15.0
    distance: float = 1.0
    num_clusters: int = struct.field(pytree_node=False, default=12)
    near: int = struct.field(pytree_node=False, default=5)
    replan: int = struct.field(pytree_node=False, default=6)
    num_plans: int = struct.field(pytree_node=False, default=60)
    num_episodes: int = struct.field(pytree_node=False, default=32)


def label(cells: jax.Array) -> jax.Array:
    """Connected components of ``cells: bool[H, W]``, diagonals included: the least flat index of each, i32[H, W].

    H W where no cell is set.
    """
    far = cells.size
    own = jnp.where(cells, jnp.arange(far).reshape(cells.shape), far)

    def least(labels):
        padded = jnp.pad(labels, 1, constant_values=far)
        rows = jnp.minimum(jnp.minimum(padded[:-2], padded[1:-1]), padded[2:])
        around = jnp.minimum(jnp.minimum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        return jnp.where(cells, around, far)

    def spread(carry):
        labels, _ = carry
        after = least(labels)
        return after, (after != labels).any()

    return jax.lax.while_loop(lambda carry: carry[1], spread, (own, jnp.bool_(True)))[0]


def cluster(frontiers: jax.Array, away: jax.Array, things: jax.Array, config: LFGConfig, num_kinds: int) -> Clusters:
    """The ``num_clusters`` largest clusters; of equal ones the first in the order of cells.

    Args:
        frontiers: bool[H, W].
        away: i32[H, W], moves from the agent.
        things: i32[H, W], the kind of the known thing on each cell, -1 for none.
        config: numbers of clusters, and what is near.
        num_kinds: K.
    """
    height, width = frontiers.shape
    labels = label(frontiers & (away < frontiers.size)).reshape(-1)
    sizes = jnp.zeros(height * width, jnp.int32).at[labels].add(1, mode="drop")
    size, names = jax.lax.top_k(sizes, config.num_clusters)
    valid = size > 0
    mask = valid[:, None] & (labels == names[:, None])
    distance = jnp.where(mask, away.reshape(-1), height * width).min(1)
    rows, columns = np.divmod(np.arange(height * width), width)
    count = jnp.maximum(size, 1)
    centre_y, centre_x = (jnp.where(mask, z, 0).sum(1) / count for z in (rows, columns))
    beside = (abs(rows - centre_y[:, None]) <= config.near) & (abs(columns - centre_x[:, None]) <= config.near)
    kinds = things.reshape(-1)[:, None] == jnp.arange(num_kinds)
    counts = beside.astype(jnp.int32) @ kinds.astype(jnp.int32)
    return Clusters(valid, mask.reshape(-1, height, width), distance, counts)


def ask(key: jax.Array, preferences: jax.Array, valid: jax.Array, num_answers: int) -> jax.Array:
    """Shares f32[Q] of ``num_answers`` answers drawn from the softmax of ``preferences f32[Q]`` over ``valid`` ones."""
    logits = jnp.where(valid, preferences, -jnp.inf)
    logits = jnp.where(valid.any(), logits, 0.0)
    answers = jax.random.categorical(key, logits, shape=(num_answers,))
    return (answers[:, None] == jnp.arange(len(valid))).mean(0)


def scores(pos: jax.Array, neg: jax.Array, clusters: Clusters, config: LFGConfig) -> jax.Array:
    """``w_p pos - w_n neg - w_d distance`` of the valid clusters, -inf of the others, f32[Q]."""
    score = config.likely * pos - config.unlikely * neg - config.distance * clusters.distance
    return jnp.where(clusters.valid, score, -jnp.inf)


def lfg(env, env_params, scorer: Scorer, config: LFGConfig | None = None) -> Algorithm:
    """LFG as an :class:`Algorithm`; one step is ``num_episodes`` episodes, and its state counts them.

    Args:
        env, env_params: a SemanticHouse.
        scorer: gives the votes.
        config: weights and sizes.

    Returns:
        An algorithm whose metrics are ``env_steps``, ``success``, ``spl`` (success weighted by the shortest way over
        the way taken; Anderson et al., 2018, "On evaluation of embodied navigation agents") and ``episode_length``.

    Raises:
        ValueError: a size is not positive or a weight negative.
        TypeError: ``env`` has no things to look for.
    """
    config = LFGConfig() if config is None else config
    if not hasattr(env_params, "things") or not hasattr(env_params, "goal_place"):
        raise TypeError(f"env={env!r}: expected a house with things in it, such as make('SemanticHouse')")
    sizes = ("num_clusters", "near", "replan", "num_plans", "num_episodes")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_between(0.0, inf, likely=config.likely, unlikely=config.unlikely, distance=config.distance)
    shortest = env.shortest_ways(env_params)

    def target(key, state):
        """Where to go: bool[H, W]."""
        level = state.level
        known, walls = mapping.inside(state.known), env_params.walls[level]
        free = known & ~walls
        here = jnp.zeros_like(free).at[state.y, state.x].set(True)
        things = jnp.where(known, env_params.things[level], -1)
        found = clusters_of(free, here, known, walls, things)
        pos, neg = scorer(key, found, env_params.goal[level])
        chosen = found.mask[jnp.argmax(scores(pos, neg, found, config))]
        goal = jnp.zeros_like(free).at[tuple(env_params.goal_place[level])].set(True)
        return jnp.where((goal & known).any(), goal, chosen), free

    def clusters_of(free, here, known, walls, things):
        return cluster(mapping.frontiers(known, walls) & ~here, distances(free, here), things, config, len(KINDS))

    def episode(key):
        key_reset, key_plans = jax.random.split(key)
        _, state = env.reset_env(key_reset, env_params)

        def plan(carry, key):
            state, moves, success = carry
            goal, free = target(key, state)
            far = jnp.pad(distances(free, goal), 1, constant_values=free.size + 1)

            def move(carry, _):
                state, moves, success = carry
                at = far[state.y + 1, state.x + 1]
                beside = far[state.y + 1 + DOWN_RIGHT[:, 0], state.x + 1 + DOWN_RIGHT[:, 1]]
                going = ~success & (at > 0) & (at < free.size)
                _, after, _, done, _ = env.step_env(key, state, jnp.argmin(beside), env_params)
                state = jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state)
                return (state, moves + going, success | going & done), None

            return jax.lax.scan(move, (state, moves, success), None, config.replan)[0], None

        start = (state, jnp.int32(0), jnp.bool_(False))
        (state, moves, success), _ = jax.lax.scan(plan, start, jax.random.split(key_plans, config.num_plans))
        way = shortest[state.level]
        return success, moves, success * way / jnp.maximum(jnp.maximum(moves, way), 1)

    def init(key):
        return jnp.int32(0)

    def step(key, env_steps):
        success, moves, spl = jax.vmap(episode)(jax.random.split(key, config.num_episodes))
        env_steps += moves.sum(dtype=jnp.int32)
        metrics = {"success": success.mean(), "spl": spl.mean(), "episode_length": moves.mean()}
        return env_steps, {"env_steps": env_steps, **metrics}

    return Algorithm(init, step)
