"""DGM's parent selection and the landscapes it is compared on, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore.archives import archive as table
from purejaxexplore.archives.weights import dgm_weight
from purejaxexplore.go_explore.bit_landscapes import nk, skill_ladder, trap
from purejaxexplore.go_explore.dgm import DGMConfig, Variant, dgm, mutate, parent_weight
from purejaxexplore.testing import check_algorithm

SMALL = DGMConfig(capacity=16, num_children=3)


def archive_of(scores, children):
    archive = table.init(jax.ShapeDtypeStruct((), jnp.int32), 6, ("node", "chosen"))
    n = len(scores)
    archive = table.write(archive, jnp.arange(n), jnp.ones(n, bool), score=jnp.array(scores), payload=jnp.arange(n),
                          chosen=jnp.array(children))  # fmt: skip
    return archive._replace(n=jnp.int32(n))


def bits(text):
    return jnp.array([c == "1" for c in text.replace(" ", "")])


@pytest.mark.slow
def test_contract():
    check_algorithm(dgm(nk(8, 2), SMALL))


def test_weights_by_hand():
    scores, children = jnp.array([0.5, 0.9, 0.1]), jnp.array([0, 3, 1])
    expected = [0.5, 1 / (1 + np.exp(-4)) / 4, 1 / (1 + np.exp(4)) / 2]
    np.testing.assert_allclose(dgm_weight(scores, children), expected, rtol=1e-6)
    archive = archive_of([0.5, 0.9, 0.1, 1.0], [0, 3, 1, 0])
    plain = SMALL.replace(rescale=False)
    np.testing.assert_allclose(parent_weight(archive, plain), [*expected, 0, 0, 0], rtol=1e-6)  # a perfect one: never
    archive = archive_of([0.25, 0.5, 0.75], [0, 3, 1])  # 0, 1/2 and 1 when rescaled
    expected = [1 / (1 + np.exp(5)), 0.5 / 4, 1 / (1 + np.exp(-5)) / 2]
    np.testing.assert_allclose(parent_weight(archive, SMALL), [*expected, 0, 0, 0], rtol=1e-5)


def test_baselines_by_hand():
    archive = archive_of([0.25, 0.75, 0.75, 0.5], [0, 0, 0, 0])
    for rule, weight in (("best", [0, 1, 0, 0]), ("last", [0, 0, 0, 1]), ("uniform", [1, 1, 1, 1])):
        assert parent_weight(archive, SMALL, rule).tolist() == [*weight, 0, 0]
    done = archive_of([1.0, 1.0], [0, 0])
    assert parent_weight(done, SMALL).tolist() == [1, 1, 0, 0, 0, 0]


def test_landscapes_by_hand():
    assert trap(2).score((), bits("0000 1111")) == (0.75 + 1) / 2
    assert trap(2).score((), bits("0100 0111")) == (0.5 + 0) / 2
    ladder, empty = skill_ladder(), jnp.zeros(32, bool)
    for on, value in (
        ([], 0.1), ([0], 0.07), ([8], 0.1), ([0, 8], 0.17), ([1, 9], 0.07), ([0, 8, 1, 9], 0.24), ([20], 0.1),
        (range(16), 0.66),
    ):  # fmt: skip
        assert ladder.score((), empty.at[jnp.array(list(on), int)].set(True)) == pytest.approx(value), on


def test_nk_is_the_mean_of_its_table():
    landscape = nk(6, 2)
    which, values = map(np.asarray, landscape.sample(jax.random.key(0)))
    assert all(which[i, 0] == i and len(set(which[i])) == 3 for i in range(6)) and values.shape == (6, 8)
    string = np.array([1, 0, 1, 1, 0, 1], bool)
    expected = np.mean([values[i, string[a] + 2 * string[b] + 4 * string[c]] for i, (a, b, c) in enumerate(which)])
    assert landscape.score((which, values), jnp.array(string)) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="k=6"):
        nk(6, 6)


def test_the_operator_changes_as_many_bits_as_it_says():
    def distance(rate):
        parent = Variant(jnp.zeros(32, bool), jnp.float32(rate), jnp.bool_(False))
        child = jax.vmap(lambda key: mutate(key, parent, SMALL))(jax.random.split(jax.random.key(0), 2000))
        return np.asarray(child.bits.sum(1)), np.asarray(child.rate)

    changed, rate = distance(1.0)
    assert np.all(changed == 1) and rate.min() == 1.0 and 0.1 < np.log(rate[rate > 1]).std() < 0.3
    changed, rate = distance(4.0)
    assert abs(changed.mean() - 4) < 0.15 and np.exp(np.log(rate).mean()) == pytest.approx(4, 0.05)


def test_the_archive_is_a_family_tree_and_forgets_only_when_full():
    algorithm = dgm(trap(3), SMALL.replace(break_probability=0.4))
    state = algorithm.init(jax.random.key(0))
    step = jax.jit(algorithm.step)
    for t in range(6):
        state, metrics = step(jax.random.fold_in(jax.random.key(1), t), state)
    archive = jax.tree.map(np.asarray, state.archive)
    assert metrics["variants"] == 16 and metrics["overflow"] == 3 and metrics["env_steps"] == 19
    assert archive.node[0] == -1 and np.all(archive.node[1:] < 1 + np.arange(15) // 3 * 3)
    np.testing.assert_array_equal(archive.chosen, np.bincount(archive.node[1:], minlength=16))
    broken = archive.payload.broken
    assert broken.any() and not broken[0] and np.all(archive.score[broken] == 0)
    assert np.all(broken[1:][broken[archive.node[1:]]])  # inherited
    assert metrics["childless"] == np.mean(archive.chosen == 0)


def test_patience_pays_on_the_ladder():
    config = SMALL.replace(capacity=257, num_children=2, rate_spread=0.0)
    best = {}
    for rule in ("dgm", "best"):
        runs = pjx.run(dgm(skill_ladder(), config, rule=rule), 12, 128, progress=False)
        best[rule] = np.asarray(runs.metrics["best_score"])[:, -1]
    assert np.allclose(best["best"], 0.1) and best["dgm"].mean() > 0.12


@pytest.mark.parametrize(
    "settings, named",
    [({"capacity": 0}, "capacity=0"), ({"rate": 0.5}, "rate=0.5"), ({"break_probability": 2.0}, "break_probability=2")],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        dgm(trap(2), SMALL.replace(**settings))


def test_bad_rules_are_named():
    with pytest.raises(ValueError, match="rule='bst'.*did you mean 'best'"):
        dgm(trap(2), SMALL, rule="bst")
