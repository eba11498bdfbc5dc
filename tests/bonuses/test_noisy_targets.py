"""RDD and DRND: pseudo-counts from noisy targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rollouts import batch_of, dense, leaky_relu, steps_of

from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.drnd import DRNDConfig, deal, distributional_error, drnd
from purejaxexplore.bonuses.rdd import RDDConfig, rdd
from purejaxexplore.bonuses.rnd import RNDConfig

D = 3
NETS = RNDConfig(feature_dim=8, target_sizes=(4,), predictor_sizes=(), whiten=False, num_minibatches=1)


def visits_of(states) -> object:
    """A rollout of one lane through the one-hot ``states``."""
    obs = np.eye(D)[np.asarray(states)][:, None]
    return steps_of(obs, obs)


@pytest.fixture(scope="module")
def both():
    """(bonus, state, the targets' outputs in NumPy) of RDD and of DRND with three nets."""
    steps = visits_of([0, 1, 2])
    x = np.asarray(steps.next_obs)
    noisy, many = rdd(RDDConfig(rnd=NETS)), drnd(DRNDConfig(num_targets=3, rnd=NETS))
    states = [bonus.init(jax.random.key(0), steps) for bonus in (noisy, many)]
    one = dense(states[0].learn.fitted.target, x, leaky_relu)
    three = np.stack(
        [dense(jax.tree.map(lambda p, i=i: p[i], states[1].learn.target), x, leaky_relu) for i in range(3)]
    )
    return steps, (noisy, states[0], one), (many, states[1], three)


def test_rdds_score_is_the_distance_to_the_mean_and_draws_nothing(both):
    steps, (bonus, state, mean), _ = both
    prediction = dense(state.learn.average, np.asarray(steps.next_obs), leaky_relu)
    _, raw = score_rollout(jax.random.key(0), bonus, state, steps)
    np.testing.assert_allclose(raw, np.square(prediction - mean).mean(-1), rtol=1e-3)
    np.testing.assert_array_equal(raw, score_rollout(jax.random.key(9), bonus, state, steps)[1])


def test_drnds_score_is_the_papers(both):
    steps, _, (bonus, state, targets) = both
    prediction = dense(state.learn.predictor, np.asarray(steps.next_obs), leaky_relu)
    mean, mean_square = targets.mean(0), np.square(targets).mean(0)
    ratio = np.clip((prediction**2 - mean**2) / (mean_square - mean**2), 0, 1)
    expected = 0.9 * np.square(prediction - mean).sum(-1) + 0.1 * np.sqrt(ratio).mean(-1)
    _, raw = score_rollout(jax.random.key(0), bonus, state, steps)
    np.testing.assert_allclose(raw, expected, rtol=2e-3)


def test_drnds_root_is_clamped():
    """The second-moment estimate is negative in a third of the draws; its bare root is not a number."""
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(10, 500, 8))
    mean_of_two = targets[rng.integers(0, 10, (2, 500)), np.arange(500)].mean(0)
    bare = mean_of_two**2 - targets.mean(0) ** 2
    assert 0.1 < (bare < 0).mean() < 0.6
    moments = targets.mean(0), np.square(targets).mean(0)
    score = distributional_error(*(jnp.asarray(x, jnp.float32) for x in (mean_of_two, *moments)), 0.0)
    assert np.isfinite(score).all() and score.max() <= 1.0
    same = distributional_error(*jnp.ones((3, 1, 2)), 0.9)  # nets that agree
    assert np.isfinite(same).all()


@pytest.mark.parametrize("num_rows", [2, 3, 8])
def test_drnd_deals_every_row_to_every_net_equally_often(num_rows):
    nets, rows = jnp.array([10.0, 20.0, 30.0]), jnp.arange(num_rows, dtype=jnp.float32)[:, None]
    keys = jax.random.split(jax.random.key(0), 3000)
    dealt = jax.vmap(lambda key: deal(jnp.add, key, nets, rows))(keys)[..., 0] - rows[:, 0]
    for net in nets:
        np.testing.assert_allclose((dealt == net).mean(0), 1 / 3, atol=0.035)  # four standard errors
    shares = np.stack([(dealt == net).sum(1) for net in nets])
    assert shares.max() <= -(-num_rows // 3)


def train(bonus, state, steps, updates):
    update = jax.jit(lambda state, key: bonus.update(key, state, batch_of(steps))[0])
    for i in range(updates):
        state = update(state, jax.random.key(i))
    return state


def test_every_gradient_step_draws_anew(both):
    steps, (bonus, state, _), _ = both
    after = [bonus.update(jax.random.key(i), state, batch_of(steps))[0].learn.average for i in (0, 1)]
    assert not np.array_equal(*(jax.tree.leaves(params)[-1] for params in after))


@pytest.mark.slow
def test_a_constant_step_has_a_floor_and_a_decaying_one_or_a_mean_has_not(both):
    """Why the 1/n of the theory is not seen with plain Adam."""
    steps = both[0]
    nets = NETS.replace(learning_rate=0.05)
    errors = {}
    for name, config in {
        "constant": RDDConfig(rnd=nets),
        "decaying": RDDConfig(rnd=nets.replace(decay=0.05)),
        "mean": RDDConfig(polyak=0.98, rnd=nets),
        "without noise": RDDConfig(noise=0.0, rnd=nets),
    }.items():
        bonus = rdd(config)
        state = train(bonus, bonus.init(jax.random.key(0), steps), steps, 400)
        errors[name] = float(np.mean(score_rollout(jax.random.key(0), bonus, state, steps)[1]))
    assert errors["decaying"] < 0.5 * errors["constant"] and errors["mean"] < 0.5 * errors["constant"]
    assert errors["without noise"] < 0.1 * errors["decaying"]


def test_the_scored_copy_is_the_mean_of_the_weights(both):
    steps = both[0]
    bonus = rdd(RDDConfig(polyak=0.75, rnd=NETS))
    state = bonus.init(jax.random.key(0), steps)
    after, _ = bonus.update(jax.random.key(1), state, batch_of(steps))
    jax.tree.map(
        lambda mean, old, new: np.testing.assert_allclose(mean, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-7),
        after.learn.average, state.learn.average, after.learn.fitted.predictor,
    )  # fmt: skip


@pytest.mark.parametrize(
    "make, config, message",
    [
        (rdd, RDDConfig(noise=-1.0), "noise=-1.0: expected a number of at least 0"),
        (rdd, RDDConfig(polyak=1.5), r"polyak=1.5: expected a number in \[0, 1\]"),
        (drnd, DRNDConfig(num_targets=1), "num_targets=1: expected a whole number of at least 2"),
        (drnd, DRNDConfig(alpha=-0.1), "alpha=-0.1"),
        (drnd, DRNDConfig(rnd=RNDConfig(num_epochs=0)), "num_epochs=0"),
    ],
)
def test_refuses(make, config, message):
    with pytest.raises(ValueError, match=message):
        make(config)
