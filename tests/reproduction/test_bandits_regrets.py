"""Regrets of the bandit policies against bounds, published numbers, and independent measurements of the presets."""

import math

import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore import bandits as b
from purejaxexplore.bandits import oracles
from purejaxexplore.envs.bandits import bandit_bench, bernoulli, gaussian, shuffled, uniform_means

pytestmark = pytest.mark.reproduction


def final(policy, world, horizon, seeds=1000):
    """Regret f32[seeds] after ``horizon`` pulls, and the share of seeds without the best arm in the second half."""
    run = pjx.run(b.bandit(policy, world, pulls=horizon), seeds, 1, progress=False)
    regret = np.asarray(run.metrics["regret"])[:, -1]
    return regret, (np.asarray(run.metrics["last_best"])[:, -1] <= horizon / 2).mean()


POLICIES = {
    "ucb1": lambda spec: b.ucb1(spec, b.UCB1Config(2.0)),
    "ucb(1/2)": lambda spec: b.ucb1(spec, b.UCB1Config(0.5)),
    "ucb_tuned": b.ucb_tuned,
    "moss": lambda spec: b.moss(spec, b.MOSSConfig(spec.horizon)),
    "kl_ucb": lambda spec: b.kl_ucb(spec, b.KLUCBConfig()),
    "gaussian_thompson": lambda spec: b.gaussian_thompson(spec, b.GaussianThompsonConfig()),
    "beta_thompson": lambda spec: b.beta_thompson(spec, b.BetaThompsonConfig()),
    "mbe": lambda spec: b.mbe(spec, b.MBEConfig()),
}
# Mean pseudo-regret of 1,000 seeds of an independent prototype, with a standard error of at most 1.2.
MEASURED = {
    (5, "easy"): (43.9, 16.7, 10.7, 19.1, 15.2, 14.7, 14.6, 14.0),
    (5, "hard"): (88.1, 39.5, 25.2, 37.7, 39.1, 31.9, 32.0, 29.1),
    (20, "easy"): (122.6, 72.8, 48.2, 59.6, 65.0, 64.9, 61.9, 61.5),
    (20, "hard"): (177.3, 141.7, 103.8, 103.7, 139.2, 122.7, 121.2, 113.0),
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("num_arms", "level"), MEASURED)
def test_presets_of_bandit_bench(num_arms, level, name):
    world = bandit_bench("bernoulli", num_arms, level)
    regret, _ = final(POLICIES[name](world.spec), world, world.spec.horizon)
    expected = MEASURED[num_arms, level][[*POLICIES].index(name)]
    error = math.hypot(regret.std() / math.sqrt(regret.size), 1.2)
    print(f"{num_arms} arms, {level}, {name}: {regret.mean():.1f}, measured {expected}")
    assert abs(regret.mean() - expected) <= 3 * error


def test_regrets_stay_below_their_bounds_and_uniform_play_does_not():
    means, horizon = (0.75, 0.25, 0.25, 0.25, 0.25), 2000
    world = bernoulli(shuffled(means), horizon=horizon)
    uniform, _ = final(b.epsilon_greedy(world.spec, b.EpsilonGreedyConfig(1.0)), world, horizon, 200)
    ucb1, _ = final(POLICIES["ucb1"](world.spec), world, horizon, 200)
    moss, _ = final(POLICIES["moss"](world.spec), world, horizon, 200)
    assert ucb1.mean() < oracles.ucb1_bound(means, horizon) < uniform.mean()
    assert moss.mean() < oracles.moss_bound(5, horizon)
    assert uniform.mean() == pytest.approx(0.4 * horizon, rel=0.02)


def test_thompson_sampling_keeps_its_bayesian_bound_and_no_policy_beats_the_minimax_bound():
    horizon, K = 1000, 5
    world = bernoulli(uniform_means(K), horizon=horizon)
    regret, _ = final(POLICIES["beta_thompson"](world.spec), world, horizon)
    assert regret.mean() < oracles.thompson_bayes_bound(K, horizon)
    gap = math.sqrt(K / horizon)
    for sigma_policy in (
        lambda s: b.ucb1(s, b.UCB1Config(2.0)),
        lambda s: b.gaussian_thompson(s, b.GaussianThompsonConfig(sigma=1.0)),
        lambda s: b.moss(s, b.MOSSConfig(horizon, sigma=1.0)),
    ):
        worst = 0.0
        for factor in (0.5, 1.0, 2.0):
            hard = gaussian(shuffled([factor * gap, *[0.0] * (K - 1)]), horizon=horizon)
            worst = max(worst, final(sigma_policy(hard.spec), hard, horizon, 200)[0].mean())
        assert worst > oracles.minimax_gaussian(K, horizon)


def test_greed_fails_to_find_the_best_arm_and_exploration_does_not():
    """Half of the greedy runs never recover, though their mean regret on 20 hard arms is below that of UCB."""
    world = bandit_bench("bernoulli", 5, "hard")
    regret, failures = final(b.epsilon_greedy(world.spec, b.EpsilonGreedyConfig(0.0)), world, 1000)
    assert 0.4 < failures < 0.6 and regret.mean() == pytest.approx(99.7, abs=12)
    assert final(POLICIES["ucb(1/2)"](world.spec), world, 1000)[1] < 0.02
