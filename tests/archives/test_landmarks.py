"""Landmarks: shortest ways against a slow search, and what is added, walked and merged, by hand."""

import heapq

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives import landmarks as graph
from purejaxexplore.archives.landmarks import Landmarks
from purejaxexplore.testing.trees import quick_jit

INF = jnp.inf

add, connect, visit, nearest, merge_closest, shortest, shorten, follow = map(
    quick_jit,
    (
        graph.add, graph.connect, graph.visit, graph.nearest, graph.merge_closest, graph.shortest, graph.shorten,
        graph.next_node,
    ),
)  # fmt: skip


def search(cost, source):
    """Dijkstra (1959)."""
    found, heap = np.full(len(cost), np.inf), [(0.0, source)]
    while heap:
        here, node = heapq.heappop(heap)
        if here < found[node]:
            found[node] = here
            for other in np.flatnonzero(np.isfinite(cost[node])):
                heapq.heappush(heap, (here + cost[node, other], int(other)))
    return found


@pytest.fixture(scope="module")
def random_costs():
    rng = np.random.default_rng(0)
    edges = np.triu(rng.random((12, 12)) < 0.18, 1)
    cost = np.where(edges, rng.integers(1, 9, (12, 12)), np.inf)
    cost = np.minimum(cost, cost.T)
    np.fill_diagonal(cost, 0)
    return cost


def test_shortest_ways(random_costs):
    found = np.asarray(shortest(jnp.asarray(random_costs, jnp.float32)))
    wanted = np.stack([search(random_costs, node) for node in range(12)])
    np.testing.assert_array_equal(found, wanted)
    assert np.isinf(wanted).any() and np.isfinite(wanted).sum() > 60  # the example has both


def test_one_more_edge_and_the_way_node_by_node(random_costs):
    cost = jnp.asarray(random_costs, jnp.float32)
    before = shortest(cost)
    a, b = np.argwhere(np.isinf(np.asarray(before)))[0]
    joined = cost.at[a, b].set(2.0).at[b, a].set(2.0)
    distance = shorten(before, a, b, 2.0)
    np.testing.assert_array_equal(distance, shortest(joined))
    np.testing.assert_array_equal(shorten(before, a, b, INF), before)
    for source, target in np.argwhere(np.isfinite(np.asarray(distance))):
        way = [source]
        while way[-1] != target:
            way.append(int(follow(joined, distance, way[-1], target)))
            assert len(way) <= 12
        assert sum(float(joined[i, j]) for i, j in zip(way[:-1], way[1:], strict=True)) == distance[source, target]
    lonely = np.argwhere(np.isinf(np.asarray(distance)))[0]
    assert follow(joined, distance, *lonely) == lonely[0]


def walked(capacity, places, walks):
    """A graph of ``places`` with (a, b, steps) of ``walks``."""
    chart = graph.init((), capacity, 2)
    for place in places:
        chart, _ = add(chart, True, place=jnp.array(place))
    for a, b, steps in walks:
        chart = connect(chart, a, b, jnp.float32(steps), True)
    return chart


def test_nodes_and_walks_by_hand():
    chart = graph.init((), 3, 2)
    assert nearest(chart, jnp.zeros(2)) == (0, INF)
    chart, slot = add(chart, False, place=jnp.array([9.0, 9.0]))
    assert slot == 3 and not chart.filled.any() and chart.nodes.overflow == 0
    chart = walked(3, [(0.0, 0.0), (3.0, 4.0), (6.0, 8.0)], [(0, 1, 4), (1, 0, 8), (1, 2, 5), (2, 2, 7)])
    node, distance = nearest(chart, jnp.array([3.0, 3.0]))
    assert (node, distance) == (1, 1.0)
    np.testing.assert_array_equal(chart.cost, [[0, 6, INF], [6, 0, 5], [INF, 5, 0]])
    np.testing.assert_array_equal(chart.walks, [[0, 2, 0], [2, 0, 1], [0, 1, 0]])
    same = connect(chart, 0, 2, jnp.float32(1), False)
    np.testing.assert_array_equal(same.cost, chart.cost)
    full, slot = add(chart, True, place=jnp.zeros(2))
    assert slot == 3 and full.nodes.overflow == 1 and full.nodes.n == 3
    seen = visit(visit(chart, 1, True), 2, False).nodes.seen
    assert seen.tolist() == [0, 1, 0]


def test_the_closest_two_become_one():
    places = [(float(i), 0.0) for i in range(4)]
    chart = walked(4, places, [(0, 1, 8), (1, 3, 2), (1, 2, 6), (2, 3, 4), (2, 3, 8), (0, 3, 1000)])
    for node, visits in enumerate((1, 2, 3, 4)):
        for _ in range(visits):
            chart = visit(chart, node, True)
    joined, *slots = merge_closest(chart, True)  # 1 and 3, by the edge of cost 2
    assert slots == [1, 3]
    assert joined.filled.tolist() == [True, True, True, False]
    assert joined.nodes.seen.tolist() == [1, 6, 3, 0]
    wanted = [[0, 504, INF, INF], [504, 0, 6, INF], [INF, 6, 0, INF], [INF, INF, INF, 0]]
    np.testing.assert_array_equal(joined.cost, wanted)  # 2 to the joint one: (6 + 4 + 8) / 3
    np.testing.assert_array_equal(joined.walks, [[0, 2, 0, 0], [2, 0, 3, 0], [0, 3, 0, 0], [0, 0, 0, 0]])
    again, slot = add(joined, True, place=jnp.array([9.0, 0.0]))
    assert slot == 3 and again.nodes.seen[3] == 0 and again.nodes.desc[3, 0] == 9
    for given, where in ((chart, False), (walked(3, places[:3], []), True)):  # not wanted; no edges
        unchanged, *slots = merge_closest(given, where)
        assert jax.tree.all(jax.tree.map(jnp.array_equal, unchanged, given))
        assert slots == [given.nodes.capacity] * 2


def test_a_graph_may_keep_more_than_places():
    chart: Landmarks = graph.init(jax.ShapeDtypeStruct((3,), jnp.float32), 2)
    chart, slot = add(chart, True, jnp.array([1.0, 2.0, 3.0]))
    assert chart.nodes.desc is None and chart.nodes.payload[slot].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="capacity=0"):
        graph.init((), 0)
