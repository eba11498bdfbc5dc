"""Marginal gains: telescoping, diminishing, and against determinants in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.sofe import expose
from purejaxexplore.bonuses.submodular import (
    CoverageGainConfig,
    InformationGainConfig,
    coverage_gain,
    information_gain,
)

S, T = 12, 9
RNG = np.random.default_rng(0)
PATCHES = RNG.random((S, 20)) < 0.2
WEIGHTS = RNG.random(20).astype(np.float32)
POINTS = RNG.normal(size=(S, 2))
KERNEL = np.exp(-0.5 * np.square(POINTS[:, None] - POINTS).sum(-1))
NOISE = 0.05


def steps_of(visited, done=False, starts=None) -> Step:
    """Rollouts ``i32[T, N]`` whose episodes began where they are at time 0; after ``done`` they begin at ``starts``."""
    visited = jnp.asarray(visited, jnp.int32)
    blank, never, done = jnp.zeros(visited.shape), jnp.zeros(visited.shape, bool), jnp.broadcast_to(done, visited.shape)
    aux = {"state_id": visited, "reset_state_id": visited if starts is None else jnp.where(done, starts, visited)}
    return Step(blank[..., None], visited, blank, blank[..., None], done, never, blank[..., None], aux)


def covered(states) -> float:
    return WEIGHTS[PATCHES[sorted(set(states))].any(0)].sum()


def information(states) -> float:
    """Of measurements at ``states``, one each time."""
    K = KERNEL[np.ix_(states, states)]
    return 0.5 * np.linalg.slogdet(np.eye(len(states)) + K / NOISE)[1]


CASES = {
    "coverage": (coverage_gain(CoverageGainConfig(S), PATCHES, WEIGHTS), covered),
    "information": (information_gain(InformationGainConfig(S, NOISE, capacity=T + 1), KERNEL), information),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """``(bonus, set function, gains of trajectories i32[T + 1, N] -> f32[T, N])``."""
    bonus, value = CASES[request.param]

    @jax.jit
    def gains(trajectories):
        state = bonus.init(jax.random.key(0), steps_of(trajectories[:1]))
        return score_rollout(jax.random.key(0), bonus, state, steps_of(trajectories[1:]))[1]

    return bonus, value, lambda trajectories: np.asarray(gains(jnp.asarray(trajectories, jnp.int32)))


def test_gains_are_the_increments_of_the_set_function_and_telescope(case):
    _, value, gains = case
    trajectories = np.random.default_rng(1).integers(0, S, (T + 1, 2))
    paid = gains(trajectories)
    for lane in range(2):
        values = [value(list(trajectories[: t + 1, lane])) for t in range(T + 1)]
        np.testing.assert_allclose(paid[:, lane], np.diff(values), atol=1e-4)
        assert paid[:, lane].sum() == pytest.approx(values[-1] - values[0], abs=1e-4)


def test_gains_diminish_as_the_set_grows(case):
    """``F(A + s) - F(A) >= F(B + s) - F(B)`` for random A within B: s comes early, or late in the same trajectory."""
    _, _, gains = case
    trajectories = np.random.default_rng(2).integers(0, S, (T + 1, 40))
    early = gains(trajectories)[0]
    late = gains(np.concatenate([trajectories[:1], trajectories[2:], trajectories[1:2]]))[-1]
    assert (early >= late - 1e-4).all() and (early > late + 1e-3).any()


def test_the_same_state_again_covers_nothing():
    bonus = coverage_gain(CoverageGainConfig(S))
    state = bonus.init(jax.random.key(0), steps_of([[3]]))
    _, raw = score_rollout(jax.random.key(0), bonus, state, steps_of([[3], [4], [4], [3], [5]]))
    assert raw[:, 0].tolist() == [0, 1, 0, 0, 1]


def test_measurements_beyond_the_capacity_change_nothing():
    bonus = information_gain(InformationGainConfig(S, NOISE, capacity=2), KERNEL)
    state = bonus.init(jax.random.key(0), steps_of([[0]]))
    after, raw = score_rollout(jax.random.key(0), bonus, state, steps_of([[1], [2], [2]]))
    assert raw[1, 0] == raw[2, 0] and after.mem.size.tolist() == [2]


@pytest.mark.parametrize("name", CASES)
def test_an_episode_that_begins_within_a_rollout_has_gains_of_its_own(name):
    bonus, value = CASES[name]
    rng = np.random.default_rng(3)
    visited, starts = rng.integers(0, S, (2, 3 * T, 2))
    done = rng.random(visited.shape) < 0.2
    done[T - 1 :: T] = True  # no episode is longer than the memory
    state = bonus.init(jax.random.key(0), steps_of(starts[:1]))
    steps = steps_of(visited, done, starts)
    _, paid = jax.jit(lambda state: score_rollout(jax.random.key(0), bonus, state, steps))(state)
    for lane in range(2):
        episode = [starts[0, lane]]
        for t in range(3 * T):
            gain = value([*episode, visited[t, lane]]) - value(episode)
            assert paid[t, lane] == pytest.approx(gain, abs=1e-3)
            episode = [starts[t, lane]] if done[t, lane] else [*episode, visited[t, lane]]
    assert done.sum() > 6  # by chance too, not only where the memory would be full


def test_what_is_covered_can_be_shown():
    bonus = expose(coverage_gain(CoverageGainConfig(S)), lambda state: state.mem.astype(jnp.float32))
    state = bonus.init(jax.random.key(0), steps_of([[3, 5]]))
    np.testing.assert_array_equal(bonus.observe(state), np.eye(S)[[3, 5]])


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: coverage_gain(CoverageGainConfig(0)), "num_states=0"),
        (lambda: coverage_gain(CoverageGainConfig(3), PATCHES), r"patches of shape \(12, 20\): expected \(3, C\)"),
        (lambda: coverage_gain(CoverageGainConfig(S), PATCHES, WEIGHTS[:3]), r"weights of shape \(3,\)"),
        (lambda: coverage_gain(CoverageGainConfig(S), PATCHES, -WEIGHTS), "the least of weights=-0.9.*: expected a"),
        (lambda: information_gain(InformationGainConfig(S, 0.0)), "noise_variance=0.0"),
        (lambda: information_gain(InformationGainConfig(3), KERNEL), r"kernel of shape \(12, 12\): expected \(3, 3\)"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
