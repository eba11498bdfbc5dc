"""Selection weights: how promising a slot is as a place to return to.

The first group are formulas on visit counts; the second are rules ``archive -> f32[C]`` for
:func:`purejaxexplore.go_explore.go_explore`, which sets the weight of empty slots to 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.indices import find_slots
from purejaxexplore.archives.packing import packing
from purejaxexplore.checks import require_at_least


def count_weight(count: jax.Array, power: float = 0.5) -> jax.Array:
    """``1 / (count + 1)^power``: 2021 Go-Explore with power 0.5, on the number of visits."""
    return (count + 1.0) ** -power


def legacy_count(count: jax.Array, coefficient: float, power: float) -> jax.Array:
    """``coefficient / (count + 0.001)^power + 0.00001``: one sub-score of 2019 Go-Explore."""
    return coefficient * (count + 1e-3) ** -power + 1e-5


def steps_weight(count: jax.Array) -> jax.Array:
    """``1 / (1 + count / 2)``: policy-based Go-Explore, on the number of steps spent in the cell."""
    return 1.0 / (1.0 + 0.5 * count)


def dgm_weight(score: jax.Array, children: jax.Array, slope: float = 10.0, midpoint: float = 0.5) -> jax.Array:
    """``sigmoid(slope (score - midpoint)) / (1 + children)``: Darwin Gödel Machine, on scores in [0, 1]."""
    return jax.nn.sigmoid(slope * (score - midpoint)) / (1.0 + children)


def level_weight(level: jax.Array, filled: jax.Array, base: float = 0.1) -> jax.Array:
    """``base^(highest filled level - level)``: prefers cells of the highest game level, given ``level`` i32[C]."""
    highest = jnp.max(jnp.where(filled, level, jnp.iinfo(jnp.int32).min))
    return jnp.where(filled, jnp.asarray(base, jnp.float32) ** (highest - level), 0.0)


def no_knowledge(archive: Archive) -> jax.Array:
    """``1 / sqrt(seen + 1)``, Ecoffet, Huizinga, Lehman, Stanley, Clune (2021), "First return, then explore"."""
    return jax.lax.rsqrt(archive.seen + 1.0)


def sub_scores(
    archive: Archive,
    coefficients: tuple[float, float, float] = (0.1, 0.0, 0.3),
    powers: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> jax.Array:
    """1 + the sum of ``legacy_count`` over (chosen, fresh, seen), Ecoffet et al. (2019), "Go-Explore".

    The form is the paper's; its coefficients were tuned to each game, so give your own.
    """
    counts = (archive.chosen, archive.fresh, archive.seen)
    return 1.0 + sum(legacy_count(n, w, p) for n, w, p in zip(counts, coefficients, powers, strict=True))


class Knowledge(NamedTuple):
    """What an environment's ``knowledge(state, env_params)`` tells of the cell of a state, a tuple in this order.

    Attributes:
        level: i32, from 0 on.
        place: i32, a number of the place in [0, ``num_states``), the same whatever is carried.
        keys: i32, how much is carried.
        neighbours: i32[n, d], the cells beside this one with the same things carried, as by ``cell_key``.
        exists: bool[n], whether the world has a place there.
    """

    level: jax.Array
    place: jax.Array
    keys: jax.Array
    neighbours: jax.Array
    exists: jax.Array


def domain_knowledge(
    env: Any,
    env_params: Any,
    *,
    neighbour: float = 0.1,
    keys: float = 1.0,
    low_level: float = 0.1,
    max_levels: int = 8,
) -> Callable[[Archive], jax.Array]:
    """The weights of Ecoffet et al. (2021) for Montezuma's Revenge with domain knowledge, for hashed cells.

    ::

        W = low_level^(L_max - L) (1 / sqrt(seen + 1) + neighbour * missing neighbours + keys * [nobody had more keys])

    where L is the level of a cell, L_max the highest level known, a neighbour is missing while it has no record, and
    the last bracket is 1 unless there is a record of the same place and level with more keys. The published program
    counts a neighbour beyond the edge of the world as missing for ever; here it is not missing.

    Args:
        env: an environment with ``cell_key``, ``num_states`` and ``knowledge(state, env_params)``, see
            :class:`Knowledge`; the archive's cells are those of ``cell_key``.
        env_params: its parameters.
        neighbour: weight of each missing neighbour.
        keys: weight of carrying more than any other record of the place.
        low_level: factor for each level below the highest.
        max_levels: levels that are told apart; higher ones count as the last of them.

    Raises:
        ValueError: the environment has no knowledge, or a setting is out of range.
    """
    require_at_least(1, max_levels=max_levels)
    if not hasattr(env, "knowledge"):
        raise ValueError(f"env={type(env).__name__}: has no knowledge(state, params), which these weights need")
    unpack = packing(env, env_params)[1]
    know = jax.vmap(lambda packed: Knowledge(*env.knowledge(unpack(packed), env_params)))

    def weight(archive):
        known, filled = know(archive.payload.packed), archive.filled
        level = jnp.minimum(known.level, max_levels - 1)
        highest = jnp.max(jnp.where(filled, level, 0))
        place = jnp.where(filled, level * env.num_states + known.place, max_levels * env.num_states)
        most = jnp.zeros(max_levels * env.num_states, jnp.int32).at[place].max(known.keys, mode="drop")
        leads = known.keys >= most.at[place].get(mode="clip")

        asked = (known.exists & filled[:, None]).ravel()
        cell = known.neighbours.reshape(asked.size, -1)
        missing = asked & (find_slots(archive, cell, asked) == archive.capacity)
        missing = missing.reshape(known.exists.shape).sum(-1)
        return low_level ** (highest - level) * (no_knowledge(archive) + neighbour * missing + keys * leads)

    return weight


def uniform(archive: Archive) -> jax.Array:
    """Every known cell alike."""
    return jnp.ones_like(archive.score)


def start(archive: Archive) -> jax.Array:
    """No cell at all, so that every rollout starts a new episode: the baseline that never returns."""
    return jnp.zeros_like(archive.score)
