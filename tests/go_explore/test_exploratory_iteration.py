"""ExIt: the sorting domain, group advantages, priorities, and which histories each source trains on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.archives import archive as table
from purejaxexplore.archives.indices import lowest_slots
from purejaxexplore.go_explore.exploratory_iteration import (
    ExItConfig,
    exploratory_iteration,
    group_advantages,
    priorities,
    refresh,
    relative_distance,
)
from purejaxexplore.go_explore.revisions import sorting
from purejaxexplore.testing import check_algorithm

SMALL = ExItConfig(
    num_groups=4, group_size=4, capacity=6, depth=2, hidden_sizes=(8,), num_eval_tasks=5, num_eval_turns=4,
    new_probability=0.5,
)  # fmt: skip


def test_sorting_by_swaps():
    domain = sorting(4)
    assert domain.num_actions == 1 + 6
    attempt = jnp.array([2, 1, 0, 3])
    assert domain.quality(attempt) == 0.0
    assert domain.revise(attempt, 0).tolist() == [2, 1, 0, 3]
    after = [domain.revise(attempt, a) for a in range(1, 7)]  # pairs 01 02 03 12 13 23
    assert after[1].tolist() == [0, 1, 2, 3] and domain.quality(after[1]) == 1.0
    assert after[3].tolist() == [2, 0, 1, 3]
    assert domain.quality(jnp.array([0, 1, 3, 2])) == 0.5
    assert domain.observe(attempt).reshape(4, 4).argmax(1).tolist() == [2, 1, 0, 3]


def test_held_out_tasks_are_tasks_of_their_own():
    domain = sorting(4, held_out=0.25)
    keys = jax.random.split(jax.random.key(0), 600)
    trained, held = ({tuple(x) for x in np.asarray(jax.vmap(f)(keys))} for f in (domain.base, domain.held_out))
    assert len(trained) == 18 and len(held) == 6 and not trained & held


def test_advantages_are_standardised_within_each_group_and_zero_where_all_are_equal():
    got = group_advantages(jnp.array([[0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    np.testing.assert_allclose(got[0], np.array([-0.25, -0.25, -0.25, 0.75]) / np.sqrt(3 / 16), rtol=1e-5)
    assert got[1].tolist() == [0.0] * 4


def test_distance_from_the_centroid_relative_to_the_groups_mean():
    apart = jnp.array([[[0.0, 0.0], [0.0, 0.0], [3.0, 0.0]], [[1.0, 1.0]] * 3])
    got = relative_distance(apart)  # centroid (1, 0): distances 1, 1, 2
    np.testing.assert_allclose(got, [[0.75, 0.75, 1.5], [1, 1, 1]])


def buffer_of(scores):
    archive = table.init(jnp.int32(0), 4)
    slots = jnp.arange(len(scores))
    return table.write(archive, slots, slots >= 0, score=jnp.asarray(scores), payload=slots)


def test_priorities_are_shrunk_to_their_mean_and_empty_slots_have_none():
    np.testing.assert_allclose(priorities(buffer_of([0.0, 0.3, 0.6]), 0.5), [0.15, 0.3, 0.45, 0.0], rtol=1e-6)


def test_a_history_used_twice_keeps_the_higher_priority_and_the_lowest_leave():
    buffer = refresh(buffer_of([0.1, 0.2, 0.3, 0.4]), jnp.array([1, 1, 3, 4]), jnp.array([0.15, 0.05, 0.0, 9.0]))
    np.testing.assert_allclose(buffer.score, [0.1, 0.15, 0.3, 0.0])
    place, _ = lowest_slots(buffer, jnp.array([0.2, 0.01]), jnp.ones(2, bool))
    assert place.tolist() == [3, 4]  # 0.2 takes the place of 0.0; 0.01 is stored nowhere


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"diversity": True}, {"source": "uniform"}])
def test_contract(change):
    check_algorithm(exploratory_iteration(sorting(3), SMALL.replace(**change)), num_steps=1)


@pytest.fixture(scope="module")
def trained():
    """source -> metrics {name: [T]} and final state, 12 iterations."""
    results = {}
    for source in ("variance", "base", "episodes"):
        algorithm = exploratory_iteration(sorting(4), SMALL.replace(source=source))

        @jax.jit
        def run(key, algorithm=algorithm):
            return jax.lax.scan(
                lambda state, key: algorithm.step(key, state), algorithm.init(key), jax.random.split(key, 12)
            )

        results[source] = run(jax.random.key(0))
    return results


def test_each_source_gives_its_histories(trained):
    _, metrics = trained["episodes"]
    assert metrics["depth"].tolist() == [0.0, 1.0] * 6 and metrics["buffered"][-1] == 0
    _, metrics = trained["base"]
    assert (metrics["depth"] == 0).all() and (metrics["new"] == 1).all()
    state, metrics = trained["variance"]
    assert metrics["depth"].max() > 0 and 0 < metrics["new"].mean() < 1
    assert metrics["buffered"].tolist() == [4] + [6] * 11
    assert metrics["env_steps"].tolist() == [16 * (t + 1) for t in range(12)]


def test_the_buffer_holds_what_was_reached_with_the_variance_of_its_group(trained):
    state, _ = trained["variance"]
    turns = state.buffer.payload
    assert (turns.depth >= 1).all() and (state.buffer.score >= 0).all()
    assert (jnp.sort(turns.history, 1) == jnp.arange(4)).all()  # permutations all of them


def test_learns_to_sort_three_numbers():
    config = SMALL.replace(num_groups=16, group_size=8, learning_rate=0.02, num_eval_tasks=64, capacity=32)
    algorithm = exploratory_iteration(sorting(3, held_out=0.2), config)

    @jax.jit
    def run(key):
        steps = jax.lax.scan(lambda s, k: algorithm.step(k, s), algorithm.init(key), jax.random.split(key, 150))
        return algorithm.evaluate(key, steps[0])

    solved = run(jax.random.key(1))
    assert solved["solved"] > 0.9 and solved["solved"] >= solved["solved_half"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"source": "newest"}, "source='newest': expected one of variance, uniform, base, episodes"),
        ({"group_size": 1}, "group_size=1: expected a whole number of at least 2"),
        ({"capacity": 0}, "capacity=0"),
        ({"new_probability": 1.5}, "new_probability=1.5"),
        ({"num_eval_turns": 5}, "num_eval_turns=5: expected an even number"),
    ],
)
def test_refuses_a_bad_config(change, message):
    with pytest.raises(ValueError, match=message):
        exploratory_iteration(sorting(3), SMALL.replace(**change))


@pytest.mark.parametrize("arguments, message", [({"n": 9}, "n=9: expected"), ({"n": 3, "held_out": 0.0}, "held_out=0")])
def test_refuses_a_bad_domain(arguments, message):
    with pytest.raises(ValueError, match=message):
        sorting(**arguments)
