"""Two learners in a matrix game: exact gaps, an equilibrium that is known, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.bandits.self_play import duality_gap, player_spec, self_play
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_algorithm

PENNIES = jnp.array([[1.0, 0.0], [0.0, 1.0]])
GAME = jnp.array([[0.6, 0.2, 0.5], [0.3, 0.7, 0.1]])


def players(feedback: str, horizon: int):
    rule = b.hedge if feedback == "full" else b.exp3
    specs = [player_spec(n, feedback) for n in GAME.shape]
    return [rule(spec, b.ExponentialConfig(horizon=horizon)) for spec in specs]


def test_the_gap_by_hand():
    """Always the same pair of matching pennies: the loser would win everything by switching."""
    gap, row, column = duality_gap(PENNIES, jnp.array([[10, 0], [0, 0]]))
    assert (float(gap), float(row), float(column)) == (1.0, 0.0, 10.0)
    assert float(duality_gap(PENNIES, jnp.full((2, 2), 5))[0]) == 0.0


def test_a_small_regret_of_a_long_game_keeps_its_digits():
    """Ten million rounds, 37 by the worse row: 0.01 lost in each; the sums themselves round to whole numbers."""
    payoff = jnp.array([[0.91, 0.91], [0.9, 0.9]])
    _, row, column = duality_gap(payoff, jnp.array([[10_000_000, 0], [37, 0]]))
    assert abs(float(row) - 0.37) < 1e-4 and float(column) == 0.0


def test_contract_and_the_sum_of_regrets():
    algorithm = self_play(*players("bandit", 200), GAME, pulls=4)
    check_algorithm(algorithm, num_steps=3)


def test_two_hedges_find_the_value_of_the_game():
    """Against the value of a linear programme; the gap is the mean of both regrets."""
    from scipy.optimize import linprog

    K, L = GAME.shape
    found = linprog(
        [*np.zeros(K), -1.0], A_ub=np.c_[-np.asarray(GAME).T, np.ones(L)], b_ub=np.zeros(L),
        A_eq=[[1.0] * K + [0.0]], b_eq=[1.0], bounds=[(0, None)] * K + [(None, None)],
    )  # fmt: skip
    train = make_train(self_play(*players("full", 4000), GAME, pulls=4000), 1)
    metrics = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 8))[1]
    total = np.asarray(metrics["row_regret"] + metrics["column_regret"])
    np.testing.assert_allclose(metrics["duality_gap"], total / 4000, rtol=1e-5)
    assert np.all(metrics["duality_gap"] < 0.06)
    assert np.all(abs(np.asarray(metrics["reward"]) - found.x[-1]) < 0.03)


def test_bad_input_is_refused_in_one_line():
    row, column = players("full", 10)
    with pytest.raises(TypeError, match="column=type"):
        self_play(row, int, GAME)
    with pytest.raises(ValueError, match=r"payoff of shape \(3, 2\)"):
        self_play(row, column, GAME.T)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        self_play(row, column, 2 * GAME)
    with pytest.raises(ValueError, match="pulls=0"):
        self_play(row, column, GAME, pulls=0)
    with pytest.raises(ValueError, match="feedback"):
        graph = worlds.bernoulli((0.1, 0.2))
        self_play(row._replace(spec=graph.spec._replace(feedback="graph")), column, GAME)
