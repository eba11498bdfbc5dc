"""Best-arm identification: proportions, evidence and decisions by hand, contracts, stopping, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import purejaxexplore as pjx
from purejaxexplore import bandits as b
from purejaxexplore.bandits import oracles
from purejaxexplore.bandits.lucb import confidence_bounds, exploration_rate
from purejaxexplore.bandits.sequential_halving import best_of, halving_plan
from purejaxexplore.bandits.track_and_stop import at_least, best_proportions, evidence
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.blocks.divergences import kl_bernoulli_shifted
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_algorithm, check_policy

WORLD = worlds.bernoulli((0.3, 0.6, 0.8))
GAUSS = worlds.gaussian((0.0, 0.5))
POLICIES = {
    "lucb": (lambda s: b.lucb(s, b.LUCBConfig()), WORLD),
    "kl_lucb": (lambda s: b.lucb(s, b.kl_lucb_config()), WORLD),
    "track_c": (lambda s: b.track_and_stop(s, b.TrackAndStopConfig(tracking="C")), WORLD),
    "track_d": (lambda s: b.track_and_stop(s, b.TrackAndStopConfig(divergence="gaussian")), GAUSS),
    "halving": (lambda s: b.sequential_halving(s, b.SequentialHalvingConfig(12)), WORLD),
}


@pytest.mark.parametrize("name", POLICIES)
def test_no_policy_uses_what_it_has_not_seen(name):
    make, world = POLICIES[name]
    check_policy(make(world.spec), world, num_pulls=14)


# Where proportions are all but tied, rounding decides: a loop and vmap then pull other arms. These have no ties.
@pytest.mark.parametrize("name", ["track_d", *(pytest.param(n, marks=pytest.mark.slow) for n in ("lucb", "halving"))])
def test_contract(name):
    make, world = POLICIES[name]
    check_algorithm(b.bandit(make(world.spec), world, pulls=6), num_steps=2)


SOLVE = jax.jit(best_proportions, static_argnums=1)


def kl(p, q):
    return float(oracles.bernoulli_divergence(np.clip(p, 1e-6, 1 - 1e-6), np.clip(q, 1e-6, 1 - 1e-6)))


def value_of(weights, means, d):
    """min_b of the characteristic time's definition, in float64."""
    best = int(np.argmax(means))
    terms = []
    for arm in range(len(means)):
        if arm != best:
            common = (weights[best] * means[best] + weights[arm] * means[arm]) / (weights[best] + weights[arm])
            terms.append(weights[best] * d(means[best], common) + weights[arm] * d(means[arm], common))
    return min(terms)


# The proportions that Garivier and Kaufmann print for the two instances of their experiments.
@pytest.mark.parametrize(
    ("means", "printed"),
    [
        ((0.5, 0.45, 0.43, 0.4), (0.417, 0.390, 0.136, 0.057)),
        ((0.3, 0.21, 0.2, 0.19, 0.18), (0.336, 0.251, 0.177, 0.132, 0.104)),
    ],
)
def test_best_proportions_are_the_published_ones_and_cannot_be_improved(means, printed):
    weights, time = SOLVE(jnp.array(means), "bernoulli", 1.0)
    np.testing.assert_allclose(weights, printed, atol=1e-3)
    best = value_of(np.asarray(weights, float), means, kl)
    assert float(time) == pytest.approx(1 / best, rel=2e-3)
    rng = np.random.default_rng(0)
    for _ in range(100):
        other = np.asarray(weights, float) * np.exp(0.2 * rng.standard_normal(len(means)))
        assert value_of(other / other.sum(), means, kl) <= best * (1 + 1e-3)


def test_proportions_of_gaussian_arms():
    weights, time = SOLVE(jnp.array([0.0, 0.5]), "gaussian", 1.0)
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=1e-4)
    assert float(time) == pytest.approx(8 / 0.5**2, rel=1e-3)
    means, sigma = np.array([1.0, 0.2, 0.7, -0.5]), 2.0
    weights, time = SOLVE(jnp.array(means), "gaussian", sigma)
    hardness = (2 * sigma**2 / np.array([0.3, 0.8, 0.3, 1.5]) ** 2).sum()
    assert hardness <= float(time) <= 2 * hardness
    best = value_of(np.asarray(weights, float), means, lambda p, q: (p - q) ** 2 / (2 * sigma**2))
    assert float(time) == pytest.approx(1 / best, rel=1e-3)
    tied = SOLVE(jnp.array([0.0, 0.0, -1.0, -1.0]), "gaussian", 1.0)[0]
    np.testing.assert_allclose(tied, [0.5, 0.5, 0.0, 0.0], atol=2e-3)
    for extreme in ([0.0] * 4, [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]):
        found = SOLVE(jnp.array(extreme), "bernoulli", 1.0)[0]
        assert np.isfinite(found).all() and float(found.sum()) == pytest.approx(1, abs=1e-4)


def test_evidence_and_floor_by_hand():
    arms = new_arms(3)
    rewards = {0: [0, 1, 0, 0], 1: [1, 1, 0, 1, 1], 2: [1, 0]}
    for arm, values in rewards.items():
        for value in values:
            arms = see(arms, jnp.arange(3) == arm, jnp.full(3, float(value)))
    means, counts = [np.mean(v) for v in rewards.values()], np.array([len(v) for v in rewards.values()])
    expected = value_of(counts.astype(float), means, kl)
    assert float(evidence(arms, "bernoulli", 1.0)) == pytest.approx(expected, rel=1e-3)
    gaussian = value_of(counts.astype(float), means, lambda p, q: (p - q) ** 2 / 2 / 0.25)
    assert float(evidence(arms, "gaussian", 0.5)) == pytest.approx(gaussian, rel=1e-4)
    np.testing.assert_allclose(at_least(jnp.array([0.7, 0.3, 0.0]), 0.1), [0.65, 0.25, 0.1], atol=1e-4)
    np.testing.assert_allclose(at_least(jnp.array([0.2, 0.5, 0.3]), 0.1), [0.2, 0.5, 0.3], atol=1e-4)


def test_divergence_from_a_near_neighbour_is_exact():
    shift = np.array([1e-5, -1e-4, 1e-2, 0.3])
    exact = 0.4 * np.log(0.4 / (0.4 + shift)) + 0.6 * np.log(0.6 / (0.6 - shift))
    np.testing.assert_allclose(kl_bernoulli_shifted(jnp.float32(0.4), jnp.array(shift)), exact, rtol=2e-2)
    np.testing.assert_allclose(
        kl_bernoulli_shifted(jnp.float32(0.4), jnp.array(shift))[1:], exact[1:], rtol=2e-3
    )


def play(policy, world, pulls):
    """``(actions i32[T], rewards f32[T], stopped bool[T])`` of one run."""

    def pull(carry, noise):
        place, state = carry
        observation = world.observe(place)
        action, aux = policy.act(noise[1], state, observation)
        place, feedback, _ = world.step(noise[0], place, action)
        state = policy.update(state, observation, action, feedback, aux)
        return (place, state), (action, feedback.reward, policy.stopped(state))

    @jax.jit
    def run(key):
        keys = jax.random.split(key, 4)
        noise = world.noise(keys[0], pulls), policy.noise(keys[1], pulls)
        return jax.lax.scan(pull, (world.reset(keys[2]), policy.init(keys[3])), noise)[1]

    return jax.tree.map(np.asarray, run(jax.random.key(1)))


def test_lucb_pulls_the_leader_and_its_challenger_until_they_part():
    pulls, K, epsilon = 301, 3, 0.6
    action, reward, stopped = play(b.lucb(WORLD.spec, b.LUCBConfig(epsilon=epsilon)), WORLD, pulls)
    np.testing.assert_array_equal(action[:K], range(K))
    ended = False
    for t in range(K, pulls - 1, 2):
        n = np.bincount(action[:t], minlength=K)
        mean = np.bincount(action[:t], reward[:t], minlength=K) / n
        radius = np.sqrt(np.log(1.25 * K * t**4.0 / 0.1) / (2 * n))
        leader = int(mean.argmax())
        others = [arm for arm in range(K) if arm != leader]
        challenger = max(others, key=lambda arm: (mean + radius)[arm])
        assert mean[action[t]] >= mean[leader] - 1e-6
        if action[t] == leader:
            assert (mean + radius)[action[t + 1]] >= (mean + radius)[challenger] - 1e-5
            ended |= (mean - radius)[leader] >= (mean + radius)[challenger] - epsilon
            assert stopped[t - 1] == ended
    assert ended and not stopped[20]


def test_kl_bounds_invert_the_divergence():
    assert float(exploration_rate(50.0, 3, b.LUCBConfig())) == pytest.approx(np.log(1.25 * 3 * 50**4 / 0.1), rel=1e-5)
    practical = b.kl_lucb_config(rate="practical", delta=0.01)
    assert float(exploration_rate(50.0, 3, practical)) == pytest.approx(np.log((1 + np.log(50)) / 0.01), rel=1e-5)
    arms = see(
        see(new_arms(2), jnp.ones(2, bool), jnp.array([1.0, 0.0])), jnp.ones(2, bool), jnp.array([0.0, 0.0])
    )
    lower, upper = confidence_bounds(arms, 1.2, b.kl_lucb_config())
    assert kl(0.5, float(upper[0])) == pytest.approx(0.6, abs=1e-3)
    assert kl(0.5, float(lower[0])) == pytest.approx(0.6, abs=1e-3)
    assert float(lower[1]) == pytest.approx(0.0, abs=1e-5)
    assert -np.log(1 - float(upper[1])) == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("tracking", ["C", "D"])
def test_tracking_keeps_to_the_proportions_and_forces_exploration(tracking):
    weights = (0.7, 0.3, 0.0)
    config = b.TrackAndStopConfig(delta=1e-9, weights=jnp.array(weights), tracking=tracking)
    action, _, _ = play(b.track_and_stop(WORLD.spec, config), WORLD, 400)
    counts = np.cumsum(action[:, None] == np.arange(3), axis=0)
    t = np.arange(1, 401)
    if tracking == "D":
        assert (counts.min(1) >= np.sqrt(t) - 1.5 - 1).all()
    expected = 400 * np.array(weights)
    np.testing.assert_allclose(counts[-1], expected, atol=25)
    assert counts[-1].min() >= 15


def test_halving_pulls_as_planned_and_keeps_the_better_half():
    assert halving_plan(5, 60) == [(5, 4), (3, 6), (2, 10)]
    world = worlds.bernoulli((0.1, 0.9, 0.3, 0.2, 0.8))
    action, reward, stopped = play(b.sequential_halving(world.spec, b.SequentialHalvingConfig(60)), world, 58)
    left, start = np.arange(5), 0
    for size, each in halving_plan(5, 60):
        assert left.size == size and not stopped[start]
        block = slice(start, start + size * each)
        np.testing.assert_array_equal(np.bincount(action[block], minlength=5)[left], each)
        means = np.bincount(action[block], reward[block], minlength=5)[left] / each
        left = np.sort(left[np.argsort(-means, kind="stable")[: -(-size // 2)]])
        start += size * each
    assert stopped[start - 1] and not stopped[start - 2] and start == 58
    kept = best_of(jnp.array([0.5, 0.5, 0.7, 0.9]), jnp.array([True, True, True, False]), 2)
    np.testing.assert_array_equal(kept, [True, False, True, False])


@pytest.fixture(scope="module")
def stopping():
    """Pulls until it stops and errors of 100 seeds on two Gaussian arms half a standard deviation apart, delta 0.1."""
    world, found = worlds.gaussian(worlds.shuffled((0.0, 0.5))), {}
    for name, policy, limit in (
        ("track", b.track_and_stop(world.spec, b.TrackAndStopConfig(divergence="gaussian")), 1000),
        ("lucb", b.lucb(world.spec, b.LUCBConfig(sigma=1.0)), 5000),
    ):
        run = pjx.run(b.bandit(policy, world, pulls=limit), 100, 1, progress=False)
        last = {
            name: np.asarray(run.metrics[name])[:, -1] for name in ("env_steps", "simple_regret", "stopped")
        }
        assert last["stopped"].all()
        found[name] = last["env_steps"], (last["simple_regret"] > 0).mean()
    return found


@pytest.mark.slow
def test_stops_early_and_seldom_wrong(stopping):
    bound = 32 * float(oracles.bernoulli_divergence(0.1, 0.9))
    pulls, error = stopping["track"]
    assert bound <= pulls.mean() <= 4 * bound
    assert error <= stats.binom(100, 0.1).ppf(0.999) / 100
    assert stopping["lucb"][1] <= 0.1 and stopping["lucb"][0].mean() > 1.5 * pulls.mean()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: b.lucb(s, b.LUCBConfig(delta=0.0)), "delta=0.0"),
        (lambda s: b.lucb(s, b.LUCBConfig(epsilon=-1.0)), "epsilon=-1.0"),
        (lambda s: b.lucb(s, b.LUCBConfig(power=0.5)), "power=0.5"),
        (lambda s: b.lucb(s, b.LUCBConfig(divergence="poisson")), "divergence='poisson'"),
        (lambda s: b.lucb(s, b.LUCBConfig(rate="slow")), "rate='slow'"),
        (lambda s: b.lucb(GAUSS.spec, b.kl_lucb_config()), "value_range"),
        (lambda s: b.track_and_stop(GAUSS.spec, b.TrackAndStopConfig()), "value_range"),
        (lambda s: b.track_and_stop(s, b.TrackAndStopConfig(delta=1.0)), "delta=1.0"),
        (lambda s: b.track_and_stop(s, b.TrackAndStopConfig(tracking="E")), "tracking='E'"),
        (lambda s: b.track_and_stop(s, b.TrackAndStopConfig(threshold="none")), "threshold='none'"),
        (
            lambda s: b.track_and_stop(s, b.TrackAndStopConfig(weights=jnp.ones(2) / 2)),
            r"weights of shape \(2,\)",
        ),
        (lambda s: b.track_and_stop(s._replace(action="mask"), b.TrackAndStopConfig()), "chooses one arm"),
        (lambda s: b.sequential_halving(s, b.SequentialHalvingConfig(5)), "budget=5: expected at least 6"),
        (lambda s: b.sequential_halving(s, b.SequentialHalvingConfig(0)), "budget=0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(WORLD.spec)
