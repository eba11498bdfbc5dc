"""Every policy: contract, leaks in every kind of world, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.testing import check_algorithm, check_policy

T = 60
GRAPH = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], bool)
MEANS = (0.2, 0.5, 0.8)

UNIT = {
    "ucb1": lambda spec: b.ucb1(spec, b.UCB1Config()),
    "ucb_tuned": b.ucb_tuned,
    "ucb_v": lambda spec: b.ucb_v(spec, b.UCBVConfig()),
    "moss": lambda spec: b.moss(spec, b.MOSSConfig(T)),
    "kl_ucb": lambda spec: b.kl_ucb(spec, b.KLUCBConfig()),
    "imed": b.imed,
    "bayes_ucb": lambda spec: b.bayes_ucb(spec, b.BayesUCBConfig(T)),
    "explore_first": lambda spec: b.explore_first(spec, b.ExploreFirstConfig(T)),
    "epsilon_greedy": lambda spec: b.epsilon_greedy(spec, b.EpsilonGreedyConfig()),
    "decaying_epsilon_greedy": b.decaying_epsilon_greedy,
    "successive_elimination": lambda spec: b.successive_elimination(spec, b.SuccessiveEliminationConfig(T)),
    "beta_thompson": lambda spec: b.beta_thompson(spec, b.BetaThompsonConfig()),
    "gaussian_thompson": lambda spec: b.gaussian_thompson(spec, b.GaussianThompsonConfig()),
    "ids": lambda spec: b.ids(spec, b.IDSConfig(50)),
    "mbe": lambda spec: b.mbe(spec, b.MBEConfig()),
    "exp3": lambda spec: b.exp3(spec, b.ExponentialConfig(T)),
    "exp3_ix": lambda spec: b.exp3_ix(spec, b.ExponentialConfig(T)),
    "exp3_s": lambda spec: b.exp3_s(spec, b.EXP3SConfig(T)),
    "exp4": lambda spec: b.exp4(spec, b.ExponentialConfig(T), lambda observation: jnp.eye(3), 3),
    "tsallis_inf": b.tsallis_inf,
    "discounted_ucb": lambda spec: b.discounted_ucb(spec, b.DiscountedUCBConfig()),
    "sliding_window_ucb": lambda spec: b.sliding_window_ucb(spec, b.SlidingWindowUCBConfig(5)),
    "hedge": lambda spec: b.hedge(spec, b.ExponentialConfig(T)),
    "batched": lambda spec: b.batched(b.imed(spec), 4),
    "in_blocks": lambda spec: b.in_blocks(b.exp3(spec, b.ExponentialConfig(T)), 3),
    "delayed": lambda spec: b.delayed(b.tsallis_inf(spec), 3),
    "randomly_delayed": lambda spec: b.randomly_delayed(
        b.exp3(spec, b.ExponentialConfig(T)), lambda key: jax.random.randint(key, (), 0, 4), 3
    ),
}
ANY_RANGE = (
    "ucb1", "moss", "explore_first", "epsilon_greedy", "decaying_epsilon_greedy", "successive_elimination",
    "gaussian_thompson", "mbe",
)  # fmt: skip

WORLDS = {
    "bernoulli": worlds.bernoulli(MEANS),
    "full": worlds.bernoulli(MEANS, feedback="full"),
    "graph": worlds.bernoulli(MEANS, feedback=GRAPH),
    "gaussian": worlds.gaussian(MEANS),
    "clipped": worlds.rescaled(worlds.gaussian(MEANS), -1.0, 1.0, clip=True),
    "piecewise": worlds.piecewise(3, T, 2),
    "drifting": worlds.drifting(3),
    "switching": worlds.switching(3, T),
    "sinusoidal": worlds.sinusoidal(3, T, feedback=GRAPH),
    "trap": worlds.trap(3, T),
}


def suits(policy: str, world: str) -> bool:
    if policy == "hedge":
        return world == "full"
    if policy == "sliding_window_ucb" and WORLDS[world].spec.feedback != "bandit":
        return False
    return world != "gaussian" or policy in ANY_RANGE


# Compiling is what costs: all pairs run with "make reproduce", each policy and each world once in every run.
@pytest.mark.parametrize(
    "policy",
    ["gaussian_thompson", "tsallis_inf", "randomly_delayed"]
    + [
        pytest.param(policy, marks=pytest.mark.reproduction)
        for policy in UNIT
        if policy not in ("gaussian_thompson", "tsallis_inf", "randomly_delayed")
    ],
)
def test_contract(policy):
    world = WORLDS["full" if policy == "hedge" else "bernoulli"]
    check_algorithm(b.bandit(UNIT[policy](world.spec), world, pulls=2), num_steps=3)


def pairs():
    """Every pair; the fast ones are each policy in one world and each world with one policy."""
    for number, policy in enumerate(UNIT):
        own = {"hedge": "full", "sliding_window_ucb": "switching"}.get(policy, [*WORLDS][number % len(WORLDS)])
        if own == "gaussian" and policy not in ANY_RANGE:
            own = "graph"
        for world in WORLDS:
            yield pytest.param(policy, world, marks=() if world == own else pytest.mark.reproduction)


@pytest.mark.parametrize(("policy", "world"), pairs())
def test_no_policy_uses_what_it_has_not_seen(policy, world):
    if suits(policy, world):
        check_policy(UNIT[policy](WORLDS[world].spec), WORLDS[world], num_pulls=8)
    else:
        with pytest.raises(ValueError, match="value_range|feedback="):
            UNIT[policy](WORLDS[world].spec)
