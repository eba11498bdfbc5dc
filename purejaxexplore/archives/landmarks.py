"""Landmarks and the ways between them: a bounded list of places on the one archive, and what it costs to walk from each
to each.

Nodes are slots of an :class:`~.archive.Archive`; edges are two matrices, f32[C, C] of costs (the running mean of the
steps that walks took, inf where nobody has walked) and i32[C, C] of how many walks that were. An edge is drawn only
where somebody walked: two places on both sides of a wall are near each other and not connected. Shortest ways come from
the cost matrix by Floyd (1962, "Algorithm 97: shortest path"), for which C is some hundreds at most.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.archives import archive as table
from purejaxexplore.archives.archive import Archive


class Landmarks(NamedTuple):
    """A graph of at most C places.

    Attributes:
        nodes: Archive; ``seen`` counts visits, ``desc`` (where allocated) is the place f32[C, D], ``n`` counts the
            nodes ever added and ``overflow`` those for which there was no room.
        cost: f32[C, C], of walking the edge; 0 on the diagonal, inf where there is no edge.
        walks: i32[C, C], walks that ``cost`` is the mean of.
    """

    nodes: Archive
    cost: jax.Array
    walks: jax.Array

    @property
    def filled(self) -> jax.Array:
        """bool[C], which slots hold a landmark."""
        return self.nodes.filled


def init(payload: Any, capacity: int, place_size: int | None = None) -> Landmarks:
    """A graph without nodes.

    Args:
        payload: what is kept of a node, a pytree of arrays or shapes without the slot axis; ``()`` for nothing.
        capacity: C.
        place_size: D, numbers that describe a place; None allocates no descriptors.

    Raises:
        ValueError: ``capacity`` is not positive.
    """
    nodes = table.init(payload, capacity, ("seen",), place_size)
    cost = jnp.where(jnp.eye(capacity, dtype=bool), 0.0, jnp.inf)
    return Landmarks(nodes, cost, jnp.zeros((capacity, capacity), jnp.int32))


def nearest(landmarks: Landmarks, place: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The landmark nearest to ``place`` f32[D] in a straight line, and its distance; (0, inf) where there is none."""
    squared = jnp.square(landmarks.nodes.desc - place).sum(-1)
    squared = jnp.where(landmarks.filled, squared, jnp.inf)
    node = jnp.argmin(squared).astype(jnp.int32)
    return node, jnp.sqrt(squared[node])


def add(
    landmarks: Landmarks, where: jax.Array, payload: Any = (), place: jax.Array | None = None
) -> tuple[Landmarks, jax.Array]:
    """A new node without edges, in the first free slot.

    Args:
        landmarks: the graph.
        where: bool, whether to add it.
        payload: of the node.
        place: f32[D], where the graph has descriptors.

    Returns:
        The graph and the slot i32; C if nothing was added, for which ``overflow`` counts a want of room.
    """
    nodes = landmarks.nodes
    free = ~nodes.filled
    room = where & free.any()
    slot = jnp.argmax(free).astype(jnp.int32)
    described = {} if place is None else {"desc": place[None]}
    nodes = table.write(
        nodes, slot[None], room[None], score=jnp.zeros(1), seen=jnp.zeros(1, jnp.int32),
        payload=jax.tree.map(lambda x: x[None], payload), **described,
    )  # fmt: skip
    nodes = nodes._replace(n=nodes.n + room, overflow=nodes.overflow + (where & ~room))
    return landmarks._replace(nodes=nodes), jnp.where(room, slot, nodes.capacity)


def visit(landmarks: Landmarks, node: jax.Array, where: jax.Array) -> Landmarks:
    """Counts a visit of ``node`` i32."""
    seen = landmarks.nodes.seen.at[node].add(jnp.asarray(where, jnp.int32), mode="drop")
    return landmarks._replace(nodes=landmarks.nodes._replace(seen=seen))


def connect(landmarks: Landmarks, a: jax.Array, b: jax.Array, cost: jax.Array, where: jax.Array) -> Landmarks:
    """Adds a walk between nodes ``a`` and ``b`` to the mean cost of their edge, in both directions."""
    walks = landmarks.walks[a, b] + 1
    old = jnp.where(walks > 1, landmarks.cost[a, b], 0.0)
    mean = old + (cost - old) / walks
    capacity = landmarks.nodes.capacity
    ends = jnp.where(where & (a != b), jnp.stack([a, b]), capacity)
    return landmarks._replace(
        cost=landmarks.cost.at[ends, ends[::-1]].set(mean, mode="drop"),
        walks=landmarks.walks.at[ends, ends[::-1]].set(walks, mode="drop"),
    )


def merge_closest(landmarks: Landmarks, where: jax.Array) -> tuple[Landmarks, jax.Array, jax.Array]:
    """Joins the two nodes with the cheapest edge between them, so that a full list has room for a new one.

    What is kept is the node in the lower slot, with the visits of both and the edges of both: the mean of all walks
    where both had one. A graph without edges stays as it is.

    Returns:
        The graph, the slot that was kept and the one that is free now, i32; both C if nothing was merged.
    """
    nodes, cost, walks = landmarks
    capacity = nodes.capacity
    upper = jnp.triu(jnp.ones((capacity, capacity), bool), 1)
    cheapest = jnp.argmin(jnp.where(upper, cost, jnp.inf))
    keep, drop = cheapest // capacity, cheapest % capacity
    where = where & (cost[keep, drop] < jnp.inf) & (keep != drop)

    both = walks[keep] + walks[drop]
    total = jnp.where(walks[keep] > 0, walks[keep] * cost[keep], 0.0)
    total += jnp.where(walks[drop] > 0, walks[drop] * cost[drop], 0.0)
    mean = jnp.where(both > 0, total / jnp.maximum(both, 1), jnp.inf).at[keep].set(0.0).at[drop].set(jnp.inf)
    both = both.at[keep].set(0).at[drop].set(0)
    nowhere = jnp.full(capacity, jnp.inf).at[drop].set(0.0)
    joined_cost = cost.at[keep].set(mean).at[:, keep].set(mean).at[drop].set(nowhere).at[:, drop].set(nowhere)
    joined_walks = walks.at[keep].set(both).at[:, keep].set(both).at[drop].set(0).at[:, drop].set(0)
    seen = nodes.seen.at[keep].add(nodes.seen[drop]).at[drop].set(0)
    joined = Landmarks(
        nodes._replace(score=nodes.score.at[drop].set(-jnp.inf), seen=seen), joined_cost, joined_walks
    )
    landmarks = jax.tree.map(lambda new, old: jnp.where(where, new, old), joined, landmarks)
    return landmarks, *(jnp.where(where, slot, capacity).astype(jnp.int32) for slot in (keep, drop))


def shortest(cost: jax.Array) -> jax.Array:
    """The cost of the shortest way from each node to each, f32[C, C]; inf where there is none."""

    def through(k, distance):
        return jnp.minimum(distance, distance[:, k, None] + distance[k])

    return jax.lax.fori_loop(0, cost.shape[0], through, cost)


def shorten(distance: jax.Array, a: jax.Array, b: jax.Array, cost: jax.Array) -> jax.Array:
    """:func:`shortest` after an edge between ``a`` and ``b`` came about, or became cheaper, in O(C^2).

    An edge that became dearer leaves ``distance`` too small: those need :func:`shortest`.
    """
    forth, back = distance[:, a, None] + distance[b], distance[:, b, None] + distance[a]
    return jnp.minimum(distance, cost + jnp.minimum(forth, back))


def next_node(cost: jax.Array, distance: jax.Array, source: jax.Array, target: jax.Array) -> jax.Array:
    """The node after ``source`` on a shortest way to ``target``, i32; ``source`` itself at the target or without a way.

    Args:
        cost: f32[C, C], symmetric.
        distance: f32[C, C], of :func:`shortest`.
        source, target: i32.
    """
    total = (cost[source] + distance[target]).at[source].set(jnp.inf)
    after = jnp.argmin(total).astype(jnp.int32)
    return jnp.where((total[after] < jnp.inf) & (source != target), after, source)
