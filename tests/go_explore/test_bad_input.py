"""What Go-Explore does with cells that are none: floats, NaNs, places outside the grid, and more than it can hold."""

import jax
import jax.numpy as jnp
import pytest

import purejaxexplore as pjx
from purejaxexplore.archives import cells
from purejaxexplore.go_explore import GoExploreConfig, go_explore
from tests.toy_envs import Corridor

TINY = GoExploreConfig(0.5, num_lanes=4, horizon=4, capacity=4, num_iterations=8)
ENV = Corridor(12)


def explorer(cell, **changes):
    return go_explore(ENV, ENV.default_params, TINY.replace(**changes), cell=cell)


@pytest.mark.parametrize(
    "cell, changes, message",
    [
        (lambda o, s, p: o, {}, r"cell returns float32\[2\]: expected integers \[d\]; quantise floats"),
        (lambda o, s, p: jnp.float32(jnp.nan), {}, r"cell returns float32\[1\]: expected integers"),
        (lambda o, s, p: jnp.zeros((2, 2), int), {}, r"cell returns int32\[2, 2\]: expected integers \[d\]"),
        (lambda o, s, p: jnp.zeros(2, int), {"index": "key"}, "cell returns 2 numbers: index='key' needs one id"),
    ],
)
def test_cells_that_are_no_vector_of_integers_are_refused(cell, changes, message):
    with pytest.raises(ValueError, match=message):
        explorer(cell, **changes)


def test_a_descriptor_that_is_nan_is_nowhere_and_one_outside_belongs_to_the_edge():
    def nan_on_the_right(observation, state, params):
        return jnp.where(observation[:1] > 2, jnp.nan, observation[:1])

    cell = cells.grid([1.0], [5.0], (4,), descriptor=nan_on_the_right)  # the start, at 0, lies outside
    algorithm = explorer(cell, index="key")

    @jax.jit
    def run(key):
        return jax.lax.scan(lambda s, k: algorithm.step(k, s), algorithm.init(key), jax.random.split(key, 8))[0]

    state = run(jax.random.key(0))
    assert state.archive.filled.tolist() == [True, True, False, False]  # 0 and 1, 2, and nothing beyond
    assert state.visited[3] and state.archive.overflow == 0


def test_a_full_archive_is_counted_warned_about_once_and_fails_a_run_only_if_asked():
    algorithm = explorer(cells.exact)  # more observations than the four slots
    with pytest.warns(UserWarning, match="archive full in 2 of 2 seeds, see the metric overflow: raise cap") as said:
        runs = pjx.run(algorithm, 2, 8, chunk=2, progress=False)
    assert sum("archive full" in str(warning.message) for warning in said) == 1
    overflow = runs.metrics.overflow.values
    assert (overflow[:, -1] > 0).all() and (overflow[:, 1:] >= overflow[:, :-1]).all()
    with pytest.raises(OverflowError, match="archive full in . of 2 seeds.* by iteration"):
        pjx.run(algorithm, 2, 8, chunk=2, progress=False, on_full="raise")
    with pytest.raises(ValueError, match="on_full='rais': expected one of report, raise, ignore; did you mean 'raise'"):
        pjx.run(algorithm, 2, 8, on_full="rais")
