"""Bonuses made from bonuses, against NumPy and against the known mistakes of public ports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.bonuses.bonus import Batch, Bonus, BonusState, observe_nothing, score_rollout
from purejaxexplore.bonuses.combine import add, anneal, clip, gate_first_visit, multiply, normalise, warmup
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.sofe import expose
from purejaxexplore.testing import check_bonus, random_steps

T, N = 6, 3


@pytest.fixture(scope="module")
def steps(corridor):
    return random_steps(*corridor)(jax.random.key(0), N, T)


def pays(of) -> Bonus:
    """A bonus without memory that pays ``of(step)``."""

    def init(key, steps):
        return BonusState(norm=jnp.zeros((steps.reward.shape[1], 0)), t=jnp.int32(0))

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def update(key, state, batch):
        return state, {"loss": jnp.float32(1.0)}

    return Bonus(
        init, lambda s: observe_nothing(s.norm.shape[0]), lambda key, s, step: (s, of(step)), shape, update
    )


PLACE, CLOCK = pays(lambda step: step.next_obs[:, 0]), pays(lambda step: step.next_obs[:, 1])


def rewards(bonus, steps, times=1):
    """The rewards of the same rollout, scored and shaped ``times`` times: f32[times, T, N], and the last state."""
    state, paid = bonus.init(jax.random.key(0), steps), []
    for _ in range(times):
        state, raw = score_rollout(jax.random.key(1), bonus, state, steps)
        state, reward = bonus.shape(state, raw, Batch(steps, jnp.zeros((T, N, 0))))
        paid.append(np.asarray(reward))
    return np.stack(paid), state


def test_add_and_multiply(steps):
    place, clock = np.asarray(steps.next_obs[..., 0]), np.asarray(steps.next_obs[..., 1])
    np.testing.assert_allclose(rewards(add([PLACE, CLOCK]), steps)[0][0], place + clock)
    np.testing.assert_allclose(rewards(add([PLACE, CLOCK], [2.0, 0.5]), steps)[0][0], 2 * place + 0.5 * clock)
    np.testing.assert_allclose(rewards(multiply(PLACE, CLOCK, PLACE), steps)[0][0], place * clock * place)


def test_parts_are_shaped_before_they_are_multiplied_and_the_product_after(steps):
    place, clock = np.asarray(steps.next_obs[..., 0]), np.asarray(steps.next_obs[..., 1])
    inside = rewards(multiply(PLACE, normalise(CLOCK, "std")), steps)[0][0]
    np.testing.assert_allclose(inside, place * clock / clock.std(), rtol=1e-4)
    outside = rewards(normalise(multiply(PLACE, CLOCK), "std"), steps)[0][0]
    np.testing.assert_allclose(outside, place * clock / (place * clock).std(), rtol=1e-4)


def test_metrics_of_parts_have_names_of_their_own(steps):
    both = add([PLACE, counts(CountsConfig(6))])
    state = both.init(jax.random.key(0), steps)
    _, metrics = both.update(jax.random.key(0), state, Batch(steps, jnp.zeros((T, N, 0))))
    assert set(metrics) == {"loss_0", "table_load_1"}


def test_a_combination_needs_and_shows_what_its_parts_do(steps):
    shown = expose(counts(CountsConfig(6)), lambda state: state.mem.astype(jnp.float32))
    both = multiply(PLACE, shown)
    assert both.needs_state_id and not both.defer and PLACE.defer
    state = both.init(jax.random.key(0), steps)
    np.testing.assert_array_equal(both.observe(state), shown.observe(shown.init(jax.random.key(0), steps)))
    assert multiply(PLACE, counts(CountsConfig(6))).defer and not multiply(PLACE, CLOCK).needs_state_id


def test_gate_pays_at_the_first_visit_of_an_episode_only(steps):
    paid = rewards(gate_first_visit(CLOCK, 6), steps)[0][0]
    visited, done = np.asarray(steps.aux["state_id"]), np.asarray(steps.done)
    for lane in range(N):
        seen = {int(steps.aux["reset_state_id"][-1, lane])}
        for t in range(T):
            new = visited[t, lane] not in seen
            assert paid[t, lane] == (steps.next_obs[t, lane, 1] if new else 0.0)
            seen.add(int(visited[t, lane]))
            if done[t, lane]:
                seen = {int(steps.aux["reset_state_id"][t, lane])}
    assert 0 < (paid > 0).sum() < paid.size


def test_return_std_filters_over_time_keeps_its_filter_and_scales_the_reward_itself(steps):
    """Public ports filter over environments, forget the filter, or pay the filtered reward in place of the reward."""
    clock = np.asarray(steps.next_obs[..., 1], np.float64)
    paid, _ = rewards(normalise(CLOCK, "return_std", gamma=0.9), steps, times=3)
    running, filtered = np.zeros(N), []
    for i in range(3):
        for row in clock:
            running = 0.9 * running + row
            filtered.append(running)
        np.testing.assert_allclose(paid[i], clock / np.std(filtered), rtol=1e-3)
    across = np.zeros(T)
    for column in clock.T:
        across = 0.9 * across + column
    assert abs(np.std(across) / np.std(filtered) - 1) > 0.1 and abs(clock.std() / np.std(filtered) - 1) > 0.5


def test_standardise_clip_subtracts_the_mean_and_clips_after(steps):
    """Public ports leave the mean in (the factor is always above 1) or clip before (it is always 1)."""
    clock = np.asarray(steps.next_obs[..., 1])
    factor = rewards(normalise(CLOCK, "standardise_clip", limit=2.0), steps)[0][0]
    expected = np.clip(1 + (clock - clock.mean()) / clock.std(), 1, 2)
    np.testing.assert_allclose(factor, expected, rtol=1e-4)
    assert (factor[clock < clock.mean()] == 1.0).all() and (factor == 2.0).any() and ((factor > 1) & (factor < 2)).any()


def test_mean_clip0_pays_only_above_the_mean(steps):
    clock = np.asarray(steps.next_obs[..., 1])
    paid = rewards(normalise(CLOCK, "mean_clip0"), steps)[0][0]
    np.testing.assert_allclose(paid, np.maximum(clock - clock.mean(), 0) / clock.std(), rtol=1e-4, atol=1e-6)


def test_clip_anneal_and_warmup(steps):
    clock = np.asarray(steps.next_obs[..., 1])
    np.testing.assert_array_equal(rewards(clip(CLOCK, 15.0, 25.0), steps)[0][0], np.clip(clock, 15, 25))
    annealed, state = rewards(anneal(CLOCK, lambda t: 0.5**t), steps, times=3)
    np.testing.assert_allclose(annealed, clock * np.array([1, 0.5, 0.25])[:, None, None])
    assert state.t == 3
    waited, _ = rewards(warmup(CLOCK, 2), steps, times=3)
    np.testing.assert_array_equal(waited, clock * np.array([0, 0, 1])[:, None, None])


@pytest.mark.parametrize(
    "make",
    [
        lambda: normalise(multiply(PLACE, counts(CountsConfig(6))), "return_std"),
        lambda: warmup(anneal(clip(add([counts(CountsConfig(6, episodic=False)), CLOCK]), 0, 9), lambda t: 0.9**t), 1),
        lambda: expose(gate_first_visit(PLACE, 6), lambda state: state.mem[1].astype(jnp.float32)),
    ],
    ids=["product", "sum", "exposed gate"],
)
def test_keeps_the_contracts(make, corridor):
    check_bonus(make(), random_steps(*corridor))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: add([]), "bonuses: expected at least one"),
        (lambda: add([PLACE], [1.0, 2.0]), r"coefs=\(1.0, 2.0\): expected 1, one a bonus"),
        (lambda: add([PLACE, CLOCK], [1.0, -2.0]), r"coefs\[1\]=-2.0: expected a number of at least 0"),
        (lambda: multiply(), "bonuses: expected at least one"),
        (lambda: normalise(PLACE, "return"), "how='return': expected one of .*did you mean 'return_std'"),
        (lambda: normalise(PLACE, "return_std", gamma=1.5), "gamma=1.5"),
        (lambda: normalise(PLACE, "standardise_clip", limit=0.5), "limit=0.5"),
        (lambda: clip(PLACE, 1.0, 0.0), "low=1.0, high=0.0: expected low <= high"),
        (lambda: warmup(PLACE, -1), "num_rollouts=-1"),
        (lambda: gate_first_visit(PLACE, 0), "num_states=0"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
