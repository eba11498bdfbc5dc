"""The decisions of the policies against their published formulas, written again in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from purejaxexplore import bandits as b
from purejaxexplore.bandits import oracles
from purejaxexplore.bandits.exponential import LossState
from purejaxexplore.bandits.forgetting import DiscountedUCBConfig, SlidingWindowUCBConfig
from purejaxexplore.bandits.ids import least_ratio, regret_and_information
from purejaxexplore.bandits.mbe import refit
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.envs.bandits import bernoulli, gaussian, switching
from purejaxexplore.envs.bandits.world import Feedback, Observation

T, K = 120, 3
WORLD = bernoulli((0.3, 0.6, 0.8))


def play(policy, world=WORLD, pulls=T, seed=0):
    """``(observed actions i32[T], rewards f32[T], probabilities)`` of one run."""

    def pull(carry, noise):
        place, state = carry
        observation = world.observe(place)
        action, aux = policy.act(noise[1], state, observation)
        place, feedback, _ = world.step(noise[0], place, action)
        return (place, policy.update(state, observation, action, feedback, aux)), (action, feedback.reward, aux.prob)

    @jax.jit
    def run(key):
        keys = jax.random.split(key, 4)
        noise = world.noise(keys[0], pulls), policy.noise(keys[1], pulls)
        return jax.lax.scan(pull, (world.reset(keys[2]), policy.init(keys[3])), noise)[1]

    return jax.tree.map(np.asarray, run(jax.random.key(seed)))


def kl(p, q):
    return oracles.bernoulli_divergence(np.clip(p, 1e-6, 1 - 1e-6), np.clip(q, 1e-6, 1 - 1e-6))


def kl_quantile(mean, level):
    grid = np.linspace(mean, 1, 20_001)
    return grid[(kl(mean, grid) <= level).sum() - 1]


def ucb_v(m, n, v, t):
    return m + np.sqrt(2 * v * np.log(t) / n) + 3 * np.log(t) / n


FORMULAS = {
    "ucb1": (lambda s: b.ucb1(s, b.UCB1Config()), lambda m, n, v, t: m + np.sqrt(2 * np.log(t) / n)),
    "ucb_tuned": (
        b.ucb_tuned,
        lambda m, n, v, t: m + np.sqrt(np.log(t) / n * np.minimum(0.25, v + np.sqrt(2 * np.log(t) / n))),
    ),
    "ucb_v": (lambda s: b.ucb_v(s, b.UCBVConfig()), ucb_v),
    "moss": (
        lambda s: b.moss(s, b.MOSSConfig(T)),
        lambda m, n, v, t: m + np.sqrt(np.maximum(np.log(T / (K * n)), 0) / n),
    ),
    "kl_ucb": (
        lambda s: b.kl_ucb(s, b.KLUCBConfig(c=3.0)),
        lambda m, n, v, t: np.array(
            [kl_quantile(x, (np.log(t) + 3 * np.log(max(np.log(t), 1))) / y) for x, y in zip(m, n, strict=True)]
        ),
    ),
    "imed": (b.imed, lambda m, n, v, t: -(n * kl(m, m.max()) + np.log(n))),
    "bayes_ucb": (
        lambda s: b.bayes_ucb(s, b.BayesUCBConfig(T)),
        lambda m, n, v, t: stats.beta(1 + n * m, 1 + n * (1 - m)).ppf(1 - 1 / t),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_every_decision_has_the_largest_published_index(name):
    make, formula = FORMULAS[name]
    action, reward, _ = play(make(WORLD.spec))
    np.testing.assert_array_equal(action[:K], range(K))
    for t in range(K, T):
        own = [reward[:t][action[:t] == a] for a in range(K)]
        n = np.array([x.size for x in own])
        index = formula(np.array([x.mean() for x in own]), n, np.array([x.var() for x in own]), t + 1)
        assert index[action[t]] >= index.max() - 2e-4, f"{name} at pull {t}: {index}, played {action[t]}"


def test_imed_learns_from_all_that_is_shown():
    policy = b.imed(WORLD.spec._replace(feedback="full"))
    state, shown = policy.init(jax.random.key(0)), np.random.default_rng(0).random((6, K)) < [0.2, 0.5, 0.9]
    for t, value in enumerate(shown.astype(np.float32)):
        observation = Observation(jnp.zeros((K, 0)), jnp.ones(K, bool), jnp.int32(t))
        feedback = Feedback(jnp.asarray(value), jnp.arange(K) != t % K, jnp.float32(0), jnp.zeros(0), jnp.bool_(False))
        state = policy.update(state, observation, jnp.int32(0), feedback, None)
    n = np.full(K, 4)
    mean = np.array([[shown[t, a] for t in range(6) if t % K != a] for a in range(K)]).mean(1)
    np.testing.assert_allclose(state.mean, mean, atol=2e-6)
    np.testing.assert_allclose(state.log_n, np.log(n), rtol=1e-6)
    index = n * kl(mean, mean.max()) + np.log(n)
    action, _ = policy.act(None, state, observation)
    assert index[int(action)] <= index.min() + 1e-4


def test_forgetting_weighs_the_past_as_published():
    discount, window = 0.9, 20
    for make, factor in (
        (lambda s: b.discounted_ucb(s, DiscountedUCBConfig(discount)), 2),
        (lambda s: b.sliding_window_ucb(s, SlidingWindowUCBConfig(window)), 1),
    ):
        action, reward, _ = play(make(WORLD.spec))
        for t in range(K, T):
            age = np.arange(t - 1, -1, -1)
            weight = discount**age if factor == 2 else (age < window).astype(float)
            n = np.array([weight[action[:t] == a].sum() for a in range(K)])
            if (n == 0).any():
                assert n[action[t]] == 0
                continue
            mean = np.array([(weight * reward[:t])[action[:t] == a].sum() for a in range(K)]) / n
            total = n.sum() if factor == 2 else min(t + 1, window)
            index = mean + factor * np.sqrt(0.6 * np.log(total) / n)
            assert index[action[t]] >= index.max() - 1e-4, f"pull {t}: {index}, played {action[t]}"


def test_exponential_weights_of_a_short_game_by_hand():
    world = switching(K, T, gap=0.2)
    eta = np.sqrt(2 * np.log(K) / (T * K))
    for policy, extra in ((b.exp3, 0.0), (b.exp3_ix, eta / 2)):
        action, reward, prob = play(policy(world.spec, b.ExponentialConfig(T)), world)
        losses = np.zeros(K)
        for t in range(T):
            weight = np.exp(-eta * (losses - losses.min()))
            np.testing.assert_allclose(prob[t], weight / weight.sum(), atol=2e-5)
            losses[action[t]] += (1 - reward[t]) / (prob[t, action[t]] + extra)


def test_exp4_with_constant_experts_is_exp3():
    config = b.ExponentialConfig(T)
    plain = play(b.exp3(WORLD.spec, config))
    advised = play(b.exp4(WORLD.spec, config, lambda observation: jnp.eye(K), K))
    np.testing.assert_array_equal(plain[0], advised[0])
    np.testing.assert_allclose(plain[2], advised[2], atol=1e-6)


def test_hedge_and_exp3_s_by_hand():
    spec = bernoulli((0.3, 0.6, 0.8), feedback="full").spec
    policy = b.hedge(spec, b.ExponentialConfig(50))
    shown = Observation(jnp.zeros((K, 0)), jnp.ones(K, bool), jnp.int32(0))
    seen = Feedback(jnp.array([1.0, 0.5, 0.0]), jnp.ones(K, bool), 1.0, jnp.zeros(0), jnp.bool_(False))
    state = policy.update(LossState(jnp.zeros(K)), shown, 0, seen, b.Aux(jnp.full(K, 1 / 3)))
    np.testing.assert_allclose(state.losses, [0.0, 0.5, 1.0])
    prob = policy.act(jnp.float32(0.5), state, shown)[1].prob
    eta = np.sqrt(8 * np.log(K) / 50)
    np.testing.assert_allclose(prob, np.exp(-eta * state.losses) / np.exp(-eta * state.losses).sum(), rtol=1e-5)

    policy = b.exp3_s(WORLD.spec, b.EXP3SConfig(50, 2.0))
    gamma = np.sqrt(K * (2 * np.log(K * 50) + np.e) / ((np.e - 1) * 50))
    one = Feedback(jnp.array([jnp.nan, 0.5, jnp.nan]), jnp.arange(K) == 1, 0.5, jnp.zeros(0), jnp.bool_(False))
    state = policy.update(policy.init(None), shown, 1, one, b.Aux(jnp.full(K, 1 / 3)))
    weight = np.array([1, np.exp(min(gamma, 1) / K * 0.5 * 3), 1]) / K
    weight = weight + np.e / (50 * K) * weight.sum()
    prob = policy.act(jnp.float32(0.5), state, shown)[1].prob
    np.testing.assert_allclose(prob, (1 - min(gamma, 1)) * weight / weight.sum() + min(gamma, 1) / K, rtol=1e-4)


def test_successive_elimination_drops_only_what_is_surely_worse():
    config = b.SuccessiveEliminationConfig(T)
    action, reward, _ = play(b.successive_elimination(gaussian((0.0, 0.0, 3.0), sd=0.5).spec, config), pulls=60)
    assert set(action[:3]) == {0, 1, 2}
    action, reward, _ = play(b.successive_elimination(WORLD.spec, config))
    active = np.ones(K, bool)
    n, total = np.zeros(K), np.zeros(K)
    for t in range(T):
        assert active[action[t]] and n[action[t]] == n[active].min()
        n[action[t]] += 1
        total[action[t]] += reward[t]
        with np.errstate(all="ignore"):
            mean, radius = np.where(n > 0, total / n, 0), np.where(n > 0, np.sqrt(2 * np.log(T) / n), np.inf)
        active &= mean + radius >= (mean - radius)[active].max() - 1e-6


def test_explore_first_has_its_exact_regret():
    """Two Gaussian arms: the mean regret of 20,000 seeds equals the formula within three standard errors."""
    gap, horizon, each = 0.4, 200, 20
    world = gaussian((0.0, gap))
    policy = b.explore_first(world.spec, b.ExploreFirstConfig(horizon, each))
    algorithm = b.bandit(policy, world, pulls=horizon)

    def one(key):
        key_init, key_step = jax.random.split(key)
        return algorithm.step(key_step, algorithm.init(key_init))[1]["regret"]

    regret = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), 20_000)))
    expected = oracles.explore_first_regret(gap, horizon, each)
    assert abs(regret.mean() - expected) < 3 * regret.std() / np.sqrt(regret.size)
    assert regret.std() / np.sqrt(regret.size) < 0.01 * expected


def test_ids_minimises_its_ratio_over_all_pairs():
    rng = np.random.default_rng(0)
    for _ in range(3):
        regret, information = rng.random(K).astype(np.float32), rng.random(K).astype(np.float32) ** 3
        prob = np.asarray(least_ratio(jnp.array(regret), jnp.array(information)))
        found = (prob @ regret) ** 2 / (prob @ information)
        q = np.linspace(0, 1, 2001)
        best = min(
            ((q * regret[i] + (1 - q) * regret[j]) ** 2 / (q * information[i] + (1 - q) * information[j])).min()
            for i in range(K)
            for j in range(K)
        )
        assert prob.sum() == pytest.approx(1) and found <= best * (1 + 1e-4)
    samples = rng.random((50, K)).astype(np.float32)
    regret, information = regret_and_information(jnp.array(samples))
    best = samples.argmax(1)
    spread = [
        sum((best == a).mean() * (samples[best == a, k].mean() - samples[:, k].mean()) ** 2 for a in range(K))
        for k in range(K)
    ]
    np.testing.assert_allclose(information, spread, rtol=1e-4)
    np.testing.assert_allclose(regret, samples.max(1).mean() - samples.mean(0), rtol=1e-4)


def test_mbe_samples_are_those_of_reweighted_histories():
    """Mean and spread of the O(1) sample against 200,000 bootstraps that draw a weight for every reward."""
    rng = np.random.default_rng(0)
    rewards, pseudo, sd = rng.random(12).astype(np.float32), 0.5, np.sqrt(0.5)
    weights = 1 + sd * rng.normal(size=(200_000, 3, rewards.size))
    top = weights[:, 0] @ rewards + pseudo * weights[:, 1].sum(-1)
    bottom = weights[:, 0].sum(-1) + pseudo * (weights[:, 1] + weights[:, 2]).sum(-1)
    arms = new_arms(1, variance=True)
    for r in rewards:
        arms = see(arms, jnp.array([True]), jnp.array([r]))
    sample, clipped = jax.vmap(refit, (0, None, None, None))(rng.normal(size=(200_000, 2, 1)), arms, pseudo, sd)
    theirs = top / np.maximum(bottom, 0.1 * rewards.size)
    for quantile in (0.05, 0.5, 0.95):
        assert np.quantile(sample, quantile) == pytest.approx(np.quantile(theirs, quantile), abs=4e-3)
    assert not clipped.any()


def test_gaussian_thompson_samples_its_posterior():
    spec = gaussian((0.0, 0.0)).spec
    policy = b.gaussian_thompson(spec, b.GaussianThompsonConfig(sigma=2.0, prior_mean=1.0, prior_sd=0.5))
    arms = new_arms(2)
    for x in (3.0, 5.0):
        arms = see(arms, jnp.array([True, False]), jnp.array([x, jnp.nan]))
    shown = Observation(jnp.zeros((2, 0)), jnp.ones(2, bool), jnp.int32(2))
    normal = np.random.default_rng(0).normal(size=(100_000, 2)).astype(np.float32)
    action = jax.vmap(lambda z: policy.act(z, arms, shown)[0])(normal)
    # Precisions add: 4 + 2 / 4; N(8 / 6 = 4/3, ...) for the arm seen twice, N(1, 1/4) for the other.
    mean, var = (4 * 1.0 + 8.0 / 4) / 4.5, 1 / 4.5
    assert (action == 0).mean() == pytest.approx(stats.norm.cdf((mean - 1) / np.sqrt(var + 0.25)), abs=5e-3)


def test_late_feedback_is_the_same_feedback_later():
    """A delay of d pulls, and batches, against the policy run by hand on what had arrived."""
    for make, known in (
        (lambda p: b.delayed(p, 4), lambda t: max(t - 4, 0)),
        (lambda p: b.batched(p, 5), lambda t: t // 5 * 5),
    ):
        action, reward, _ = play(make(b.ucb1(WORLD.spec, b.UCB1Config())))
        for t in range(T):
            seen = known(t)
            n = np.bincount(action[:seen], minlength=K)
            total = np.bincount(action[:seen], reward[:seen], minlength=K)
            with np.errstate(all="ignore"):
                index = np.where(n > 0, total / n + np.sqrt(2 * np.log(t + 1) / n), np.inf)
            assert index[action[t]] >= index.max() - 1e-4 or not np.isfinite(index[action[t]])


def test_regret_of_ten_million_pulls_is_exact():
    """From whole counts; a running float32 sum of the same gaps is off by hundreds of pulls."""
    world = bernoulli((0.9, 0.3))
    algorithm = b.bandit(b.epsilon_greedy(world.spec, b.EpsilonGreedyConfig(0.8)), world, pulls=1_000_000)

    @jax.jit
    def run(key):
        def step(state, key):
            return algorithm.step(key, state)

        return jax.lax.scan(step, algorithm.init(key), jax.random.split(key, 10))

    state, metrics = run(jax.random.key(0))
    counts = np.asarray(state.counts, np.int64)
    assert counts.sum() == 10_000_000 == metrics["env_steps"][-1]
    gap = float(np.float32(0.9) - np.float32(0.3))
    assert float(metrics["regret"][-1]) == pytest.approx(gap * counts[1], rel=1e-6)
    naive = np.cumsum(np.full(counts[1], gap, np.float32), dtype=np.float32)[-1]
    assert abs(naive - gap * counts[1]) > 2e-4 * gap * counts[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: b.moss(s, b.MOSSConfig(2)), "horizon=2: expected at least 3"),
        (lambda s: b.explore_first(s, b.ExploreFirstConfig(10, 4)), "need 12 pulls"),
        (lambda s: b.explore_first(s, b.ExploreFirstConfig(2)), "horizon=2"),
        (lambda s: b.epsilon_greedy(s, b.EpsilonGreedyConfig(1.5)), "epsilon=1.5"),
        (lambda s: b.bayes_ucb(s, b.BayesUCBConfig(1)), "horizon=1"),
        (lambda s: b.exp3(s, b.ExponentialConfig(2)), "horizon=2"),
        (lambda s: b.hedge(s, b.ExponentialConfig(T)), "feedback='bandit': expected one of full"),
        (lambda s: b.exp4(s, b.ExponentialConfig(T), lambda o: jnp.ones((2, 2)), 2), r"advice of shape \(2, 2\)"),
        (lambda s: b.exp3_s(s, b.EXP3SConfig(T, -1.0)), "switches=-1.0"),
        (lambda s: b.beta_thompson(s, b.BetaThompsonConfig(prior_a=0.5)), "prior_a=0.5"),
        (lambda s: b.gaussian_thompson(s, b.GaussianThompsonConfig(sigma=0.0)), "sigma=0.0"),
        (lambda s: b.ids(s, b.IDSConfig(1)), "num_samples=1"),
        (lambda s: b.mbe(s, b.MBEConfig(low=1.0)), "expected low < high"),
        (lambda s: b.discounted_ucb(s, DiscountedUCBConfig(1.0)), "discount=1.0"),
        (lambda s: b.sliding_window_ucb(s, SlidingWindowUCBConfig(2)), "window=2"),
        (lambda s: b.delayed(b.imed(s._replace(horizon=10)), 10), "less than the 10 pulls"),
        (lambda s: b.delayed(b.imed(s), -1), "delay=-1"),
        (lambda s: b.batched(b.imed(s._replace(horizon=10)), 10), "size=10"),
        (lambda s: b.ucb1(s._replace(action="mask"), b.UCB1Config()), "chooses one arm"),
        (lambda s: b.ucb1(s._replace(num_arms=1), b.UCB1Config()), "num_arms=1"),
        (lambda s: b.imed(gaussian((0.0, 1.0)).spec), r"value_range=\(-inf, inf\)"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(WORLD.spec)
