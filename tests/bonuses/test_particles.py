"""Particle bonuses against brute force in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.knn import farthest_found, nearest
from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch, score_rollout
from purejaxexplore.bonuses.particles import Particles, init_fifo, push, push_sample, random_encoder
from purejaxexplore.bonuses.re3 import RE3Config, re3
from purejaxexplore.bonuses.revd import REVDConfig, discrepancy, revd, thinned
from purejaxexplore.bonuses.rise import RISEConfig, rise

T, N, D, K = 8, 2, 3, 3
SMALL = {"feature_dim": 4, "hidden_sizes": (8,), "num_neighbors": K}


def steps_of(next_obs) -> Step:
    """A rollout with true successors ``next_obs f32[T, N, D]`` that never ends."""
    next_obs = jnp.asarray(next_obs, jnp.float32)
    blank = jnp.zeros(next_obs.shape[:2])
    never = jnp.zeros(next_obs.shape[:2], bool)
    return Step(next_obs + 1e3, blank.astype(jnp.int32), blank, next_obs, never, never, next_obs + 1e3, {})


def batch_of(steps) -> Batch:
    return Batch(steps, jnp.zeros((*steps.reward.shape, 0)))


def normal(seed, shape=(T, N, D)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("size", [3, 20])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_nearest_is_brute_force_in_few_and_in_many_dimensions(size, exclude_self):
    ref, mask = normal(0, (30, size)) + 50.0, np.random.default_rng(1).random(30) < 0.6
    query = ref[:12] if exclude_self else normal(2, (12, size)) + 50.0
    distance = np.linalg.norm(query[:, None] - ref, axis=-1)
    distance[:, ~mask] = np.inf
    if exclude_self:
        distance[np.arange(12), np.arange(12)] = np.inf
    found = nearest(jnp.asarray(ref), jnp.asarray(mask), jnp.asarray(query), 5, exclude_self, chunk=7)
    np.testing.assert_allclose(found, np.sort(distance, 1)[:, :5], rtol=1e-4)


def test_duplicates_are_at_distance_zero_and_empty_places_at_infinity():
    ref = jnp.ones((4, 20))
    found = nearest(ref, jnp.array([True, True, False, False]), ref[:1], 3)
    assert found.tolist() == [[0.0, 0.0, float("inf")]]
    assert farthest_found(found).tolist() == [0.0]
    assert farthest_found(nearest(ref, jnp.zeros(4, bool), ref[:1], 3)).tolist() == [0.0]


def test_the_store_holds_the_newest():
    fifo, kept = init_fifo(5, 1), []
    for start in range(0, 12, 3):
        x = np.arange(start, start + 3)
        fifo, kept = push(fifo, jnp.asarray(x, jnp.float32)[:, None]), [*kept, *x][-5:]
        assert sorted(fifo.data[fifo.mask][:, 0].tolist()) == sorted(kept)
    assert fifo.size == 5
    drawn = push_sample(jax.random.key(0), init_fifo(8, 1), jnp.arange(20.0)[:, None], 6)
    assert drawn.size == 6 and len(set(drawn.data[:6, 0].tolist())) == 6
    assert push_sample(jax.random.key(0), init_fifo(8, 1), jnp.arange(4.0)[:, None], 6).size == 4


def test_the_encoder_is_frozen_and_distances_are_of_order_one():
    encoder, scales = random_encoder(16, (32,)), []
    for offset, scale in ((0.0, 1.0), (100.0, 30.0)):
        obs = offset + scale * normal(3, (100, 2, D))
        frozen = encoder.init(jax.random.key(0), steps_of(obs))
        phi = np.asarray(encoder.encode(frozen, jnp.asarray(obs))).reshape(200, 16)
        scales.append(np.linalg.norm(phi[:, None] - phi, axis=-1).mean())
    assert 0.5 < scales[0] < 2 and scales[1] == pytest.approx(scales[0], rel=0.05)


@pytest.mark.parametrize(
    "make, pay",
    [
        (lambda: re3(RE3Config(**SMALL)), np.log1p),
        (lambda: rise(RISEConfig(alpha=0.25, **SMALL)), lambda d: d**0.75),
    ],
    ids=["re3", "rise"],
)
def test_pays_by_the_distance_to_the_kth_of_earlier_rollouts(make, pay):
    bonus = make()
    first, second = steps_of(normal(4)), steps_of(normal(5))
    state = bonus.init(jax.random.key(0), first)
    encoder, store = state.learn
    encode = random_encoder(4, (8,)).encode
    memory = np.asarray(encode(encoder, first.next_obs)).reshape(-1, 4)
    for _ in range(2):  # what a rollout adds counts for the next one only
        phi = np.asarray(encode(encoder, second.next_obs)).reshape(-1, 4)
        kth = np.sort(np.linalg.norm(phi[:, None] - memory, axis=-1), 1)[:, K - 1]
        _, raw = score_rollout(jax.random.key(1), bonus, state, second)
        np.testing.assert_allclose(raw.reshape(-1), pay(kth), rtol=1e-3, atol=1e-3)
        state, metrics = bonus.update(jax.random.key(2), state, batch_of(second))
        memory = np.concatenate([memory, phi])
        assert metrics == {}
    jax.tree.map(np.testing.assert_array_equal, state.learn.encoder, encoder)
    assert store.size == T * N and state.learn.store.size == 3 * T * N


def test_the_order_of_the_store_is_no_matter():
    bonus = re3(RE3Config(**SMALL, capacity=T * N, num_stored=T * N))
    state, steps = bonus.init(jax.random.key(0), steps_of(normal(4))), steps_of(normal(5))
    _, raw = score_rollout(jax.random.key(0), bonus, state, steps)
    store = state.learn.store
    order = np.random.default_rng(0).permutation(T * N)
    shuffled = state._replace(learn=Particles(state.learn.encoder, store._replace(data=store.data[order])))
    np.testing.assert_allclose(score_rollout(jax.random.key(0), bonus, shuffled, steps)[1], raw, rtol=1e-6)


def test_a_state_seen_over_and_over_pays_nothing():
    bonus = re3(RE3Config(**SMALL))
    state = bonus.init(jax.random.key(0), steps_of(np.ones((T, N, D))))
    same, new = steps_of(np.ones((T, N, D))), steps_of(normal(6))
    assert np.all(score_rollout(jax.random.key(0), bonus, state, same)[1] == 0.0)
    assert np.all(score_rollout(jax.random.key(0), bonus, state, new)[1] > 0.0)


def test_revd_by_brute_force_and_against_the_rollout_before():
    alpha, floor = 0.5, 1e-3
    config = REVDConfig(alpha=alpha, least_distance=floor, capacity=T, **SMALL)
    bonus = revd(config)
    rollouts = [steps_of(normal(seed)) for seed in range(3)]
    state = bonus.init(jax.random.key(0), rollouts[0])
    encode = random_encoder(4, (8,)).encode
    for before, now in zip(rollouts, rollouts[1:], strict=False):
        old, phi = (np.asarray(encode(state.learn, r.next_obs)) for r in (before, now))
        _, raw = score_rollout(jax.random.key(1), bonus, state, now)
        assert not np.any(raw)
        state, reward = bonus.shape(state, raw, batch_of(now))
        for lane in range(N):
            outer = np.sort(np.linalg.norm(phi[:, None, lane] - old[:, lane], axis=-1), 1)[:, K - 1]
            inner = np.sort(np.linalg.norm(phi[:, None, lane] - phi[:, lane], axis=-1), 1)  # column 0 is itself
            expected = inner[:, 1].mean() * (outer / np.maximum(inner[:, K], floor)) ** (1 - alpha)
            np.testing.assert_allclose(reward[:, lane], expected, rtol=2e-3)


def test_revd_stays_bounded_where_a_state_is_visited_over_and_over():
    """A denominator of 1e-11, as in public code, pays a hundred thousand times more for such a state."""
    phi = jnp.concatenate([jnp.zeros((6, 2)), jnp.array([[1.0, 0.0], [0.0, 1.0]])])
    reward = discrepancy(phi, phi + 1.0, jnp.ones(8, bool), K, 0.5, 1e-3)
    assert np.isfinite(reward).all() and reward.max() < 20
    assert discrepancy(phi, phi + 1.0, jnp.ones(8, bool), K, 0.5, 1e-11).max() > 1e4


def test_thinning_is_even_in_time_and_pads():
    phi = jnp.arange(10.0).reshape(10, 1, 1)
    assert thinned(phi, 5).data[0, :, 0].tolist() == [0, 2, 4, 6, 8]
    few = thinned(phi[:3], 5)
    assert few.size.tolist() == [3] and few.data[0, :, 0].tolist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: re3(RE3Config(num_neighbors=0)), "num_neighbors=0"),
        (lambda: re3(RE3Config(capacity=2)), "capacity=2: expected a whole number of at least 128"),
        (lambda: re3(RE3Config(feature_dim=0)), "feature_dim=0"),
        (lambda: rise(RISEConfig(alpha=1.5)), "alpha=1.5"),
        (lambda: revd(REVDConfig(least_distance=0.0)), "least_distance=0.0"),
        (lambda: revd(REVDConfig(capacity=2)), "capacity=2: expected a whole number of at least 5"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()


