"""How explorers draw actions, against their published rules."""

from types import SimpleNamespace

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import zeta

from purejaxexplore.learners.explorers import (
    boltzmann,
    bootstrapped,
    ez_greedy,
    on_policy,
    parameter_noise,
    uniform_mixture,
    zeta_cdf,
)
from purejaxexplore.nets import ActionValues, NoisyDense

N = 4000


def lanes(done=False):
    return SimpleNamespace(done=jnp.full(N, done))


def greedy(*values):
    return distrax.Greedy(jnp.broadcast_to(jnp.asarray(values, jnp.float32), (N, len(values))))


def shares(action, num_actions):
    return np.bincount(action, minlength=num_actions) / len(action)


def test_greedy_actions_break_ties_at_random():
    action, *_ = on_policy().act(jax.random.key(0), (), greedy(1.0, 0.0, 1.0), lanes())
    np.testing.assert_allclose(shares(action, 3), [0.5, 0.0, 0.5], atol=0.03)


def test_a_schedule_of_epsilon_counts_environment_steps():
    explorer = uniform_mixture(lambda steps: jnp.where(steps < N, 1.0, 0.0))
    es = explorer.init(jax.random.key(0), N)
    first, _, es = explorer.act(jax.random.key(1), es, greedy(0.0, 1.0), lanes())
    second, log_prob, es = explorer.act(jax.random.key(2), es, greedy(0.0, 1.0), lanes())
    np.testing.assert_allclose(shares(first, 2), [0.5, 0.5], atol=0.03)
    assert es == 2 * N and (second == 1).all() and np.allclose(log_prob, 0.0)


@pytest.mark.parametrize("policy", [greedy(0.0, 1.0), distrax.Categorical(logits=jnp.tile(jnp.arange(2.0), (N, 1)))])
def test_boltzmann_draws_in_proportion_to_exponentiated_values(policy):
    action, log_prob, _ = boltzmann(0.5).act(jax.random.key(0), (), policy, lanes())
    expected = np.exp([0.0, 2.0]) / np.exp([0.0, 2.0]).sum()
    np.testing.assert_allclose(shares(action, 2), expected, atol=0.03)
    np.testing.assert_allclose(np.exp(log_prob), expected[action], rtol=1e-5)


def test_repetitions_last_as_long_as_the_zeta_distribution_says():
    cdf = np.asarray(zeta_cdf(2.0, 100))
    assert 1 - cdf[0] == pytest.approx(1 - 1 / zeta(2.0), abs=0.005) and cdf[-1] == pytest.approx(1.0)
    explorer = ez_greedy(1.0)
    _, _, es = explorer.act(jax.random.key(1), explorer.init(jax.random.key(0), N), greedy(1.0, 0.0), lanes())
    lengths = np.asarray(es.remaining) + 1
    weights = np.arange(1.0, 101) ** -2
    np.testing.assert_allclose(np.bincount(lengths, minlength=101)[1:5] / N, (weights / weights.sum())[:4], atol=0.03)


def test_a_started_action_is_repeated_until_it_ends_or_the_episode_does():
    explorer = ez_greedy(0.3, longest=5)
    act = jax.jit(lambda key, es, done: explorer.act(key, es, greedy(9.0, 0.0, 0.0), lanes(done)))
    es = explorer.init(jax.random.key(0), N)
    left, held = np.zeros(N, int), np.zeros(N, int)
    for t in range(8):
        done = t == 5
        action, log_prob, es = act(jax.random.fold_in(jax.random.key(1), t), es, done)
        repeats = (left > 0) & (not done)
        np.testing.assert_array_equal(np.asarray(action)[repeats], held[repeats])
        np.testing.assert_array_equal(np.asarray(es.remaining)[repeats], left[repeats] - 1)
        chosen = np.asarray(action)[~repeats]
        assert np.mean(chosen == 0) == pytest.approx(0.8, abs=0.06) and (log_prob == 0).all()
        left, held = np.asarray(es.remaining), np.asarray(es.action)
        assert left.max() <= 4
    free = ez_greedy(0.0)
    action, _, es = free.act(jax.random.key(0), free.init(jax.random.key(0), N), greedy(0.0, 1.0), lanes())
    assert (action == 1).all() and (es.remaining == 0).all()


def test_every_episode_is_greedy_with_one_head():
    explorer = bootstrapped()
    values = jnp.broadcast_to(jnp.eye(3)[:, None], (3, N, 3))  # head i prefers action i
    es = explorer.init(jax.random.key(0), N)
    first, _, es = explorer.act(jax.random.key(1), es, distrax.Greedy(values), lanes(True))
    second, _, es = explorer.act(jax.random.key(2), es, distrax.Greedy(values), lanes())
    np.testing.assert_allclose(shares(first, 3), np.full(3, 1 / 3), atol=0.03)
    np.testing.assert_array_equal(first, second)
    third, _, _ = explorer.act(jax.random.key(3), es, distrax.Greedy(values), lanes(True))
    assert np.mean(third == second) == pytest.approx(1 / 3, abs=0.03)


def test_parameter_noise_spares_layer_normalisation_and_follows_the_distance():
    net = ActionValues(3, 1, 1, hidden_sizes=(4,), layer_norm=True)
    params = net.init(jax.random.key(0), jnp.zeros((1, 2)), jnp.zeros((1, 0)))
    explorer = parameter_noise(sigma=0.5, epsilon=0.1)
    noisy = explorer.transform(jax.random.key(1), params, explorer.init(jax.random.key(0), N))
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), noisy, params)["params"]
    assert moved["LayerNorm_0"] == {"scale": 0.0, "bias": 0.0}
    assert min(jax.tree.leaves([moved["Dense_0"], moved["Dense_1"]])) > 0.0
    wide = parameter_noise().transform(jax.random.key(1), {"kernel": jnp.zeros(N)}, jnp.float32(0.3))["kernel"]
    assert wide.std() == pytest.approx(0.3, rel=0.05)

    aim = -np.log(1 - 0.1 + 0.1 / 2)  # that of epsilon-greedy with two actions
    for gap, factor in ((0.2, 1.01), (2.0, 1 / 1.01)):
        distance = np.log(np.cosh(gap / 2))  # KL(uniform || softmax of the gap)
        assert (distance < aim) == (factor > 1)
        assert explorer.adapt(0.5, greedy(0.0, 0.0), greedy(0.0, gap)) == pytest.approx(0.5 * factor)
    assert parameter_noise(delta=10.0).adapt(1.0, greedy(0.0, 0.0), greedy(0.0, 2.0)) == pytest.approx(1.01)


def test_noisy_layers_have_factorised_noise_of_the_published_size():
    layer, x = NoisyDense(3, 0.5), jnp.broadcast_to(jnp.asarray([1.0, -2.0, 0.5, 0.0]), (N, 4))
    params = layer.init(jax.random.key(0), x[:1])
    p = {name: np.asarray(leaf) for name, leaf in params["params"].items()}
    assert np.abs(p["kernel"]).max() <= 0.5 and (p["kernel_scale"] == 0.25).all() and (p["bias_scale"] == 0.25).all()
    mean = x[0] @ p["kernel"] + p["bias"]
    np.testing.assert_allclose(layer.apply(params, x)[0], mean, atol=1e-6)  # noise off
    y = np.asarray(layer.apply(params, x, rngs={"noise": jax.random.key(1)}))
    np.testing.assert_allclose(y.mean(0), mean, atol=0.05)
    # Var f(e) = E|e| = sqrt(2 / pi), so the kernel adds s^2 |x|^2 2 / pi and the bias s^2 sqrt(2 / pi).
    expected = 0.25**2 * (5.25 * 2 / np.pi + np.sqrt(2 / np.pi))
    np.testing.assert_allclose(y.var(0), expected, rtol=0.12)
    assert np.abs(np.corrcoef(y[:-1, 0], y[1:, 0])[0, 1]) < 0.06  # every row has noise of its own


def test_refuses_what_is_out_of_range():
    for make, message in (
        (lambda: uniform_mixture(-0.1), "epsilon=-0.1"),
        (lambda: boltzmann(0.0), "temperature=0.0"),
        (lambda: ez_greedy(2.0), "epsilon=2.0"),
        (lambda: ez_greedy(0.1, mu=0.5), "mu=0.5: expected a number of at least 1"),
        (lambda: ez_greedy(0.1, longest=0), "longest=0"),
        (lambda: parameter_noise(sigma=-1.0), "sigma=-1.0"),
        (lambda: parameter_noise(factor=0.5), "factor=0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
