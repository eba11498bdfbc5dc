"""The queue of workers against a model in Python, the rules by their definitions, and both together."""

import heapq

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.algorithm import make_train
from purejaxexplore.bandits.acquisition import log_improvement
from purejaxexplore.bandits.aegis import EXPLORE, GREEDY, THOMPSON, draw_kind
from purejaxexplore.bandits.bayes_opt import DURATIONS, Knowledge, latin_hypercube
from purejaxexplore.blocks.box_search import SearchConfig
from purejaxexplore.blocks.gaussian_process import believe, fit_process, predict
from purejaxexplore.envs.bandits import bernoulli, landscape_world
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

SEARCH = SearchConfig(32, 2, 8)
SLOW = pytest.mark.slow
BRANIN = landscape_world("branin")
SMALL = b.BayesOptConfig(budget=9, workers=2, design=4)


def test_workers_are_sent_out_as_they_become_free():
    """Points count 1, 2, 3, ... so that the order of what is evaluated tells the order of the jobs."""
    q, design, budget = 3, 4, 14
    algorithm = b.bayes_opt(
        lambda key, knowledge: jnp.full(2, (knowledge.started + 1) / 100),
        BRANIN,
        b.BayesOptConfig(budget=budget, workers=q, design=design),
    )
    state, step = quick_jit(algorithm.init)(jax.random.key(0)), quick_jit(algorithm.step)
    queue, clock, order = [], 0.0, []
    for t in range(budget - design + q + 2):
        before = state
        state, metrics = step(jax.random.fold_in(jax.random.key(1), t), state)
        if len(order) < budget - design:
            if t >= q:
                clock, done = heapq.heappop(queue)
                order.append(done)
            worker = np.flatnonzero(np.asarray(before.due) != np.asarray(state.due))[0]
            heapq.heappush(queue, (float(state.due[worker]), t + 1))
        np.testing.assert_allclose(metrics["clock"], clock, rtol=1e-6)
        assert metrics["env_steps"] == design + len(order)
    assert order != sorted(order), "jobs overtake each other"
    np.testing.assert_allclose(state.x[design:, 0], np.array(order) / 100, rtol=1e-6)
    assert state.started == budget - design + q

    regrets = np.asarray(quick_jit(jax.vmap(lambda x: BRANIN.step(jnp.float32(0), jnp.int32(0), x)[2]))(state.x))
    np.testing.assert_allclose(metrics["simple_regret"], regrets.min(), rtol=1e-5)
    np.testing.assert_allclose(metrics["regret"], regrets.sum(), rtol=1e-5)
    np.testing.assert_allclose(metrics["best_value"], -0.39788736 - regrets.min(), rtol=1e-5)


def test_latin_hypercube_and_durations():
    @quick_jit
    def draws(key):
        keys = jax.random.split(key, 20_000)
        return latin_hypercube(key, 7, 3), {name: jax.vmap(draw)(keys) for name, draw in DURATIONS.items()}

    points, durations = jax.tree.map(np.asarray, draws(jax.random.key(0)))
    np.testing.assert_array_equal(np.sort((points * 7).astype(int), axis=0), np.arange(7)[:, None].repeat(3, 1))
    for name, lengths in durations.items():
        assert abs(lengths.mean() - 1) < 0.03 and (lengths >= 0).all(), name


def test_kinds_of_choices():
    @quick_jit
    def kinds(started, epsilon, eta):
        keys = jax.random.split(jax.random.key(0), 4000)
        return jax.vmap(lambda key: draw_kind(key, started, 4, epsilon, eta))(keys)

    def shares(started, epsilon, eta=0.5):
        return np.bincount(kinds(started, epsilon, eta), minlength=3)[[GREEDY, THOMPSON, EXPLORE]] / 4000

    np.testing.assert_array_equal(shares(0, 0.4), [1, 0, 0])
    np.testing.assert_allclose(shares(0, 0.5), [0, 0.5, 0.5], atol=0.03)
    np.testing.assert_allclose(shares(4, 0.2), [0, 0.5, 0.5], atol=0.03)
    np.testing.assert_allclose(shares(5, 0.2), [0.6, 0.2, 0.2], atol=0.03)
    np.testing.assert_allclose(shares(5, 0.2, 0.25), [0.6, 0.1, 0.3], atol=0.03)


def test_improvement_far_out():
    from scipy.integrate import quad
    from scipy.stats import norm

    places = (2.0, 0.0, -3.0, -7.9, -8.1, -20.0)
    values, slopes = quick_jit(jax.vmap(jax.value_and_grad(log_improvement)))(jnp.array(places))
    for z, value in zip(places, values, strict=True):
        exact = np.log(quad(lambda u, z=z: u * np.exp(z * u - u * u / 2), 0, np.inf)[0]) + norm.logpdf(z)
        np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-3)
    assert np.isfinite(slopes).all() and (np.diff(slopes) > 0).all()


RUNNING, LINE = jnp.array([[0.0], [0.75]]), jnp.linspace(0, 1, 1001)[:, None]
GRID = np.linspace(0, 1, 1001)


def two_values():
    """A process of length 0.2 that saw two values in a line, the right one larger, and where it saw them."""
    x, y = jnp.zeros((6, 1)).at[:2, 0].set(jnp.array([0.2, 0.5])), jnp.zeros(6).at[:2].set(jnp.array([0.0, 1.0]))
    process = fit_process(x, y, jnp.arange(6) < 2, noise=1e-4)._replace(length=jnp.float32(0.2))
    return believe(process, jnp.zeros((0, 1)), jnp.zeros(0, bool)), x  # factorised for that length


def chosen(rule, process, best, keys, busy=True):
    """Twelve choices, with another worker at 0.75 if ``busy``."""
    knowledge = Knowledge(process, best, RUNNING, jnp.array([False, busy]), jnp.int32(0))
    return jax.vmap(lambda key: rule(key, knowledge)[0])(keys)


def test_rules_choose_what_they_say():
    @quick_jit
    def choices(keys):
        process, x = two_values()

        def mixed(epsilon, eta):
            rule = b.aegis(b.AEGiSConfig(epsilon=epsilon, eta=eta, num_features=64, search=SEARCH))
            return chosen(rule, process, x[1], keys)

        def bound(busy):
            return chosen(b.gp_ucb(b.GPUCBConfig(search=SEARCH)), process, x[1], keys, busy)

        points = *jax.vmap(mixed)(*jnp.array([[0.0, 0.5, 0.5], [0.5, 0.0, 1.0]])), *jax.vmap(bound)(jnp.arange(2) > 0)
        believed = believe(process, RUNNING, jnp.array([False, True]))
        return points, predict(process, LINE), predict(believed, LINE)

    points, (mean, sd), (_, sd_then) = jax.tree.map(np.asarray, choices(jax.random.split(jax.random.key(0), 12)))
    greedy, front, drawn, alone, beside = points
    assert all((x >= 0).all() and (x <= 1).all() for x in points)
    np.testing.assert_allclose(greedy, GRID[mean.argmax()], atol=0.02)
    assert drawn.std() > 0.05, "draws differ"
    at = np.round(front * 1000).astype(int)
    assert not ((mean > mean[at][:, None] + 0.05) & (sd > sd[at][:, None] + 0.05)).any() and len(set(at)) > 4
    root = np.sqrt(2 / 5 * np.log(32 * np.pi**2 / 0.6))
    np.testing.assert_allclose(alone, GRID[(mean + root * sd).argmax()], atol=0.03)
    np.testing.assert_allclose(beside, GRID[(mean + root * sd_then).argmax()], atol=0.03)
    assert abs(alone.mean() - beside.mean()) > 0.04, "what another worker will tell is not asked again"


@pytest.mark.slow
def test_improvement_counts_on_what_others_will_find():
    @quick_jit
    def choices(keys):
        process, x = two_values()
        believed = believe(process, RUNNING, jnp.array([False, True]))
        rule = b.expected_improvement(b.ExpectedImprovementConfig(SEARCH))
        return chosen(rule, process, x[1], keys), predict(believed, LINE)

    points, (mean, sd) = jax.tree.map(np.asarray, choices(jax.random.split(jax.random.key(0), 12)))
    gain = np.log(sd) + np.asarray(log_improvement((mean - mean[[200, 500, 750]].max()) / sd))
    np.testing.assert_allclose(points, GRID[gain.argmax()], atol=0.03)


@pytest.mark.parametrize(
    ("rule", "world"),
    [
        pytest.param(b.random_search(), BRANIN, id="random"),
        pytest.param(b.aegis(b.AEGiSConfig(num_features=8, search=SEARCH)), BRANIN, id="aegis", marks=SLOW),
        pytest.param(
            b.aegis(b.AEGiSConfig(explore="uniform", num_features=8, search=SEARCH)), BRANIN, id="rs", marks=SLOW
        ),
        pytest.param(b.gp_thompson(b.GPThompsonConfig(8, SEARCH)), BRANIN, id="thompson", marks=SLOW),
        pytest.param(b.gp_ucb(b.GPUCBConfig(search=SEARCH)), BRANIN, id="ucb", marks=SLOW),
        # On a smooth function deviations are small differences, and rounding moves the best place to improve.
        pytest.param(
            b.expected_improvement(b.ExpectedImprovementConfig(SEARCH)),
            landscape_world("ackley", 1),
            id="improvement",
            marks=SLOW,
        ),
    ],
)
def test_contract(rule, world):
    check_algorithm(b.bayes_opt(rule, world, SMALL), num_steps=4, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_it_finds_what_chance_does_not():
    config, search = b.BayesOptConfig(budget=30, workers=2), SearchConfig(128, 4, 10)
    rules = b.expected_improvement(b.ExpectedImprovementConfig(search)), b.random_search()
    keys = jax.random.split(jax.random.key(0), 8)
    found = [
        quick_jit(jax.vmap(make_train(b.bayes_opt(rule, BRANIN, config), 28)))(keys)[1]["simple_regret"][:, -1]
        for rule in rules
    ]
    assert np.median(found[0]) < 0.3 * np.median(found[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b.bayes_opt(b.random_search(), bernoulli((0.1, 0.2)), SMALL), "expected 'point'"),
        (lambda: b.bayes_opt(b.random_search(), BRANIN, SMALL.replace(design=10)), "design=10"),
        (lambda: b.bayes_opt(b.random_search(), BRANIN, SMALL.replace(workers=0)), "workers=0"),
        (lambda: b.bayes_opt(b.random_search(), BRANIN, SMALL.replace(duration="pareeto")), "pareto"),
        (lambda: b.bayes_opt(b.random_search(), BRANIN, SMALL.replace(noise=0.0)), "noise=0.0"),
        (lambda: b.bayes_opt(b.random_search(), BRANIN, SMALL.replace(shortest=2.0)), "shortest=2.0"),
        (lambda: b.aegis(b.AEGiSConfig(epsilon=0.6)), "epsilon=0.6"),
        (lambda: b.aegis(b.AEGiSConfig(eta=2.0)), "eta=2.0"),
        (lambda: b.aegis(b.AEGiSConfig(explore="front")), "explore='front'"),
        (lambda: b.aegis(b.AEGiSConfig(num_features=0)), "num_features=0"),
        (lambda: b.gp_thompson(b.GPThompsonConfig(num_features=0)), "num_features=0"),
        (lambda: b.gp_ucb(b.GPUCBConfig(delta=0.0)), "delta=0.0"),
        (lambda: b.gp_ucb(b.GPUCBConfig(shrink=0.0)), "shrink=0.0"),
        (lambda: b.expected_improvement(b.ExpectedImprovementConfig(SearchConfig(3))), "num_candidates=3"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_kinds_are_refused():
    with pytest.raises(TypeError, match="expected a function"):
        b.bayes_opt(b.AEGiSConfig(), BRANIN, SMALL)
    with pytest.raises(TypeError, match="expected a World"):
        b.bayes_opt(b.random_search(), "branin", SMALL)
