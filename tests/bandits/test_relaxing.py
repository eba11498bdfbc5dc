"""The solver's world against a plain SOR, and the policies that learn to relax it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.bandits.relaxing import chebyshev
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.relaxation import HIGHEST, LOWEST, count_iterations, laplacian
from purejaxexplore.testing import check_algorithm, check_policy


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return worlds.iteration_table(4, 6, 5, 3, directory=tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def world(table):
    return worlds.relaxation(table, "high")


def test_iterations_are_those_of_the_textbook():
    matrix = laplacian(3) + 0.1 * np.eye(9)
    assert matrix[4].tolist() == [0, -1, 0, -1, 4.1, -1, 0, -1, 0]
    rhs = np.random.default_rng(1).normal(size=(9, 2))
    for omega in (1.0, 1.3):
        x, counts = np.zeros((9, 2)), np.zeros(2, int)
        for _ in range(200):
            counts += np.linalg.norm(rhs - matrix @ x, axis=0) >= 1e-8 * np.linalg.norm(rhs, axis=0)
            for i in range(9):  # one sweep, in place
                others = matrix[i] @ x - matrix[i, i] * x[i]
                x[i] += omega * ((rhs[i] - others) / matrix[i, i] - x[i])
        np.testing.assert_array_equal(count_iterations(matrix, omega, rhs), counts)


def test_a_counted_table_is_read_again(tmp_path, table):
    first = worlds.iteration_table(2, 3, 2, 1, directory=tmp_path)
    (file,) = tmp_path.iterdir()
    np.save(file, first.iterations + 1)
    again = worlds.iteration_table(2, 3, 2, 1, directory=tmp_path)
    np.testing.assert_array_equal(again.iterations, first.iterations + 1)
    assert table.iterations.shape == (6, 5, 3)
    first, last = table.iterations.mean(-1)[[0, -1], 0]
    assert last < 0.9 * first, "a larger shift is an easier system"


def test_the_world_pays_what_the_table_says(table, world):
    run = jax.jit(b.collect(b.cheb_cb(world.spec, b.ChebCBConfig(LOWEST, HIGHEST)), world, 60,
                            b.lin_ucb_support(world.spec, b.LinUCBConfig())))(jax.random.key(0))  # fmt: skip
    borders = (table.shifts[1:] + table.shifts[:-1]) / 2
    rows = np.searchsorted(borders.astype(np.float32), np.asarray(run.context[:, 0]))
    assert len(set(rows)) > 2
    for row, action, reward, regret in zip(rows, run.action, run.reward, run.regret, strict=True):
        assert 1 - reward in table.iterations[row, action]
        means = table.iterations[row].mean(-1)
        np.testing.assert_allclose(regret, means[action] - means.min(), rtol=1e-5, atol=1e-4)


def test_chebyshev_polynomials():
    x = np.linspace(-1, 1, 7)
    expected = np.polynomial.chebyshev.chebvander(x, 5)
    np.testing.assert_allclose(jax.vmap(lambda x: chebyshev(x, 6))(jnp.asarray(x)), expected, atol=1e-5)


def test_bins_learn_apart(world):
    policy = b.in_bins(b.scaled_tsallis_inf(world.spec), LOWEST, HIGHEST, 3)
    state = policy.init(jax.random.key(0))
    observation = world.observe(world.reset(jax.random.key(1)))._replace(context=jnp.array([LOWEST + 0.25]))
    feedback = worlds.Feedback(jnp.full(5, jnp.nan).at[2].set(-7.0), jnp.arange(5) == 2, jnp.float32(-7.0),
                               jnp.zeros(0), jnp.bool_(False))  # fmt: skip
    aux = b.Aux(jnp.full(5, 0.2))
    learnt = policy.update(state, observation, jnp.int32(2), feedback, aux)
    np.testing.assert_array_equal(learnt.n, [0, 1, 0])
    np.testing.assert_allclose(learnt.mean, [0, 7, 0])
    np.testing.assert_allclose(learnt.losses[1], [0, 0, 35, 0, 0], rtol=1e-6)


def test_cheb_cb_follows_the_context():
    """Two arms whose costs cross: the better one of either side is played after a while."""

    def reset(key):
        return jnp.float32(0.5), jnp.int32(0)

    def means(state):
        return -10.0 * jnp.array([1.5 + state[0], 1.5 - state[0]])

    def step(noise, state, action):
        value = means(state) + 0.5 * jax.random.normal(noise, (2,))
        feedback = worlds.Feedback(jnp.where(jnp.arange(2) == action, value, jnp.nan), jnp.arange(2) == action,
                                   value[action], jnp.zeros(0), jnp.bool_(False))  # fmt: skip
        following = jax.random.uniform(jax.random.fold_in(noise, 1), minval=-1.0)
        return (following, state[1] + 1), feedback, means(state).max() - means(state)[action]

    spec = worlds.Spec(2, context_dim=1, value_range=(-np.inf, 0.0), stationary=False)
    crossing = worlds.World(spec, reset, lambda s: worlds.Observation(s[0][None], jnp.ones(2, bool), s[1]), step, means)
    policy = b.cheb_cb(spec, b.ChebCBConfig(degrees=3))
    run = jax.jit(b.collect(policy, crossing, 400, b.lin_ucb_support(spec, b.LinUCBConfig())))(jax.random.key(0))
    right = np.asarray(run.regret <= 0)
    assert right[200:].mean() > 0.9
    assert right[200:].mean() > right[:20].mean()


@pytest.mark.slow
def test_contracts(world):
    config = b.ChebCBConfig(LOWEST, HIGHEST, degrees=3)
    for policy in (b.in_bins(b.scaled_tsallis_inf(world.spec), LOWEST, HIGHEST, 2), b.cheb_cb(world.spec, config)):
        check_policy(policy, world, num_pulls=6)
    check_algorithm(b.bandit(b.cheb_cb(world.spec, config), world, pulls=2), num_steps=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda world: worlds.iteration_table(0), "grid=0"),
        (lambda world: worlds.iteration_table(2, 2, 1), "num_arms=1"),
        (lambda world: b.cheb_cb(world.spec, b.ChebCBConfig(degrees=0)), "degrees=0"),
        (lambda world: b.cheb_cb(world.spec, b.ChebCBConfig(low=1.0, high=0.0)), "low < high"),
        (lambda world: b.scaled_tsallis_inf(worlds.bernoulli((0.1, 0.2)).spec), "at most 0"),
        (lambda world: b.in_bins(b.tsallis_inf(worlds.bernoulli((0.1, 0.2)).spec), 0, 1, 2), "one scalar context"),
        (lambda world: b.in_bins(b.scaled_tsallis_inf(world.spec), 0, 1, 0), "num_bins=0"),
    ],
)
def test_bad_input_is_refused(world, make, message):
    with pytest.raises(ValueError, match=message):
        make(world)
