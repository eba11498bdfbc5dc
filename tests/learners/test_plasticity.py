"""Dormancy and its rules against hand-worked numbers, and inside DQN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_envs import Corridor

from purejaxexplore.learners.dqn import DQNConfig, dqn
from purejaxexplore.learners.explorers import uniform_mixture
from purejaxexplore.learners.plasticity import (
    active_fraction,
    adaptive_replay_ratio,
    cleared,
    dormant_ratio,
    drm,
    shrink_perturb,
)

LAYERS = [jnp.asarray([[[2.0, 0.0, -0.02], [2.0, 0.0, 0.02]]]), jnp.zeros((1, 2, 1))]


def layers(rho):
    """100 units of which the first ``100 rho`` are dormant."""
    return [jnp.broadcast_to(jnp.arange(100) >= 100 * rho, (1, 3, 100)).astype(jnp.float32)]


def test_shares_of_dormant_and_of_active_units():
    # Means 2, 0, 0.02; the layer's mean 0.673, a fortieth of which is 0.017. The dead layer is dormant.
    assert dormant_ratio(LAYERS, 0.025) == pytest.approx(2 / 4)
    assert dormant_ratio(LAYERS, 0.05) == pytest.approx(3 / 4)
    assert active_fraction(LAYERS) == pytest.approx(3 / 8)


def test_shrinking_mixes_with_fresh_weights():
    mixed = shrink_perturb({"w": jnp.asarray([1.0, 2.0])}, {"w": jnp.asarray([0.0, 4.0])}, 0.75)
    np.testing.assert_allclose(mixed["w"], [0.75, 2.5])


def test_the_thermostat_wakes_once_and_then_follows_its_schedule():
    rule = drm(lambda age: jnp.where(age < 2, 0.5, 0.1), 2)
    ps, noise, kept = rule.init(), [], []
    for rho in (0.6, 0.3, 0.1, 0.0, 0.5, 0.0):
        ps = rule.observe(ps, layers(rho))
        noise.append(float(rule.noise(ps)))
        kept.append(float(rule.keep(ps)))
    dormant = 0.8 / (1 + np.exp(-10 * (np.array([0.6, 0.3, 0.1, 0.0, 0.5, 0.0]) - 0.2)))
    assert ps.awake == 3  # and dozing off later does not change that
    expected = [*dormant[:2], 0.5, 0.5, dormant[4], max(0.1, dormant[5])]
    np.testing.assert_allclose(noise, expected, rtol=1e-5)
    # At every second iteration clip(1 - 2 rho, 0.2, 0.9): rho is 0.3, 0 and 0 there.
    np.testing.assert_allclose(kept, [1.0, 0.4, 1.0, 0.9, 1.0, 0.9], rtol=1e-5)
    deep = rule.observe(rule.observe(rule.init(), layers(0.9)), layers(0.9))
    assert rule.keep(deep) == pytest.approx(0.2)


def test_the_awake_exploit_and_the_dormant_do_not():
    rule = drm(lambda age: jnp.float32(0.0), 2)
    found = [float(rule.exploit(rule.observe(rule.init(), layers(rho)))) for rho in (0.0, 0.19, 0.2, 0.21, 1.0)]
    np.testing.assert_allclose(found, 0.6 / (1 + np.exp(50 * (np.array([0.0, 0.19, 0.2, 0.21, 1.0]) - 0.2))), atol=1e-5)
    assert rule.watched == "actor" and adaptive_replay_ratio(1, 1).watched == "critic"


def test_optimisers_are_cleared_with_perturbed_weights_only():
    old, blank = {"mu": jnp.ones(2)}, {"mu": jnp.zeros(2)}
    assert cleared(old, blank, 1.0)["mu"].all() and not cleared(old, blank, 0.9)["mu"].any()


def test_updates_rise_once_the_active_fraction_has_settled():
    rule = adaptive_replay_ratio(2, 2, tolerance=0.01)
    ps, counted = rule.init(), []
    for rho in (0.0, 0.2, 0.3, 0.3, 0.2, 0.4, 0.9, 0.9):  # means of pairs 0.1, 0.3, 0.3, 0.9
        ps = rule.observe(ps, layers(rho))
        counted.append(int(rule.updates(ps, 8)))
    assert counted == [2, 2, 2, 2, 2, 8, 8, 8]


@pytest.fixture(scope="module")
def corridor_config():
    return DQNConfig(
        num_envs=2, rollout_length=4, num_updates=3, batch_size=8, replay_capacity=32, num_warmup_steps=6,
        hidden_sizes=(8,), target_period=2.0,
    )  # fmt: skip


def two_iterations(algorithm):
    step, state = jax.jit(algorithm.step), jax.jit(algorithm.init)(jax.random.key(0))
    once, first = step(jax.random.key(1), state)
    twice, second = step(jax.random.key(2), once)
    return (state, once, twice), (first, second)


def test_dqn_counts_only_the_updates_that_are_due(corridor_config):
    env = Corridor(6)
    algorithm = dqn(env, env.default_params, corridor_config, plasticity=adaptive_replay_ratio(1, 1, tolerance=1.0))
    (_, once, twice), (first, second) = two_iterations(algorithm)
    # The first check has nothing to compare with, the second settles: one update an iteration until then.
    assert (first["updates"], second["updates"]) == (1, 1) and twice.updates == 2 and twice.plasticity.high
    assert once.opt_state[1].count[0] == 1 and twice.opt_state[1].count[0] == 2
    same = jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), twice.target, twice.params)
    assert jax.tree.all(same)  # the second update was the one that copies
    assert not np.array_equal(*(jax.tree.leaves(tree)[0] for tree in (once.target, once.params)))


def test_dqn_acts_with_the_noise_and_perturbs_the_weights(corridor_config):
    env = Corridor(6)
    config = corridor_config.replace(learning_rate=0.0, rollout_length=8)
    rule = drm(lambda age: jnp.float32(0.0), 1, most_kept=0.5)
    (fresh, once, twice), (first, second) = two_iterations(
        dqn(env, env.default_params, config, plasticity=rule, explorer=uniform_mixture(0.0))
    )
    before, after = (jax.tree.leaves(tree.params) for tree in (fresh, once))
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))  # nothing was observed yet
    assert once.opt_state[1].count[0] == 3 and twice.opt_state[1].count[0] == 0
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), twice.params, once.params)
    assert max(jax.tree.leaves(moved)) > 0.01
    jax.tree.map(np.testing.assert_array_equal, twice.params, twice.target)
    rho = float(first["dormant_ratio"])
    assert first["noise"] == pytest.approx(0.8 / (1 + np.exp(-10 * (rho - 0.2))), rel=1e-4)


def test_refuses_what_is_out_of_range(corridor):
    for make, message in (
        (lambda: drm(lambda age: 0.0, 0), "period=0"),
        (lambda: drm(lambda age: 0.0, 1, most_kept=1.5), "most_kept=1.5"),
        (lambda: drm(lambda age: 0.0, 1, threshold=-1.0), "threshold=-1.0"),
        (lambda: drm(lambda age: 0.0, 1, most_exploited=2.0), "most_exploited=2.0"),
        (lambda: adaptive_replay_ratio(0, 1), "first=0"),
        (lambda: adaptive_replay_ratio(1, 1, tolerance=-1.0), "tolerance=-1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
