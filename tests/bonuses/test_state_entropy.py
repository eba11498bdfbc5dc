"""Surprise, pseudo-counts and active pre-training against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.apt import APTConfig, apt
from purejaxexplore.bonuses.bonus import Batch, score_rollout
from purejaxexplore.bonuses.particles import flat_rows, random_encoder
from purejaxexplore.bonuses.pseudo_counts import PseudoCountsConfig, pseudo_counts
from purejaxexplore.bonuses.sofe import expose
from purejaxexplore.bonuses.state_entropy import StateEntropyConfig, gaussian_statistics, state_entropy

T, N, D = 10, 2, 3


def rollout(seed) -> Step:
    """Random observations; the episodes end after step 5, and the next ones start elsewhere."""
    rng = np.random.default_rng(seed)
    obs, start = (jnp.asarray(rng.normal(size=(T, N, D)), jnp.float32) for _ in range(2))
    done = jnp.zeros((T, N), bool).at[5].set(True)
    blank = jnp.zeros((T, N))
    before = jnp.concatenate([start[:1], jnp.where(done[..., None], start, obs)[:-1]])
    action = jnp.asarray(rng.integers(0, 2, (T, N)), jnp.int32)
    return Step(before, action, blank, obs, done, blank > 0, jnp.where(done[..., None], start, obs), {})


@pytest.fixture(scope="module")
def steps():
    return rollout(0)


def scored(bonus, steps):
    """``(state after init, raw)`` of a rollout that goes on where ``steps`` ended."""
    state = jax.jit(bonus.init)(jax.random.key(0), steps)
    return state, np.asarray(jax.jit(lambda s: score_rollout(jax.random.key(0), bonus, s, steps)[1])(state))


def episodes(steps, encode):
    """For each step of each lane: (t, lane, code of the successor, codes of the episode before it)."""
    codes, starts = np.asarray(encode(steps.next_obs)), np.asarray(encode(steps.reset_obs))
    for lane in range(N):
        seen = [starts[-1, lane]]
        for t in range(T):
            yield t, lane, codes[t, lane], np.array(seen)
            seen = [starts[t, lane]] if steps.done[t, lane] else [*seen, codes[t, lane]]


def test_surprise_is_the_negative_log_density_under_the_episode_so_far(steps):
    state, raw = scored(state_entropy(StateEntropyConfig(least_std=0.5, obs_clip=3.0)), steps)
    flat = np.asarray(steps.next_obs).reshape(-1, D)

    def encode(obs):
        return np.clip((np.asarray(obs) - flat.mean(0)) / flat.std(0), -3, 3)

    for t, lane, x, seen in episodes(steps, encode):
        variance = seen.var(0) + 0.25
        density = -0.5 * (np.square(x - seen.mean(0)) / variance + np.log(2 * np.pi * variance)).mean()
        assert raw[t, lane] == pytest.approx(-density, abs=1e-3)


def test_its_statistics_can_be_shown(steps):
    bonus = expose(state_entropy(), gaussian_statistics)
    state = bonus.init(jax.random.key(0), steps)
    shown = bonus.observe(state)
    assert shown.shape == (N, 2 * D + 1) and not bonus.defer
    np.testing.assert_array_equal(shown[:, D:], 0.0)  # one observation: no spread, log 1
    state, _ = bonus.score(jax.random.key(0), state, jax.tree.map(lambda x: x[0], steps))
    np.testing.assert_allclose(bonus.observe(state)[:, -1], np.log(2), rtol=1e-6)


def test_a_place_visited_n_times_has_a_pseudo_count_of_about_n():
    steps = rollout(1)
    here = jnp.zeros((T, N, D)).at[:, :, 0].set(2.0)
    steps = steps._replace(next_obs=here, reset_obs=here, terminated=jnp.zeros((T, N), bool))
    away = steps._replace(next_obs=jnp.asarray(np.random.default_rng(2).normal(size=(T, N, D)), jnp.float32))
    bonus = pseudo_counts(PseudoCountsConfig(feature_dim=4, hidden_sizes=(8,), num_neighbors=20, capacity=32))
    state = bonus.init(jax.random.key(0), away._replace(reset_obs=here))
    _, raw = score_rollout(jax.random.key(0), bonus, state, steps)
    np.testing.assert_allclose(raw[:, 0], np.arange(1, T + 1) ** -0.5, rtol=0.01)


def test_pseudo_counts_are_those_of_a_loop_over_episodes(steps):
    config = PseudoCountsConfig(feature_dim=4, hidden_sizes=(8,), num_neighbors=3, capacity=32)
    state, raw = scored(pseudo_counts(config), steps)
    encoder = random_encoder(4, (8,))
    distances = {lane: [] for lane in range(N)}
    for t, lane, x, seen in episodes(steps, lambda obs: encoder.encode(state.learn, flat_rows(obs, steps))):
        if len(seen) == 1:
            distances[lane] = []
        nearest = np.sort(np.square(seen - x).sum(-1))[:3]
        distances[lane] += list(nearest)
        relative = np.maximum(nearest / np.mean(distances[lane]) - 0.008, 0)
        similarity = np.sqrt((1e-4 / (relative + 1e-4)).sum()) + 1e-3
        assert raw[t, lane] == pytest.approx(1 / similarity if similarity <= 8 else 0.0, rel=1e-2)


def test_apt_pays_the_mean_distance_to_stored_observations_and_trains_its_encoder(steps):
    bonus = apt(APTConfig(num_actions=2, num_neighbors=4, feature_dim=4, hidden_sizes=(8,), capacity=20, num_stored=20))
    state, raw = scored(bonus, steps)
    weights = state.learn.encoder.params["encoder"]["params"]

    def encode(x):
        x = np.maximum(x @ weights["Dense_0"]["kernel"] + weights["Dense_0"]["bias"], 0)
        x = np.asarray(x @ weights["Dense_1"]["kernel"] + weights["Dense_1"]["bias"])
        x = x - x.mean(-1, keepdims=True)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    phi = encode(np.asarray(steps.next_obs).reshape(-1, D))
    nearest = np.sort(np.linalg.norm(phi[:, None] - phi, axis=-1), 1)[:, :4]  # the warm-up is this very rollout
    np.testing.assert_allclose(raw.reshape(-1), np.log1p(nearest.mean(1)), atol=2e-3)
    later, metrics = jax.jit(bonus.update)(jax.random.key(0), state, Batch(rollout(3), jnp.zeros((T, N, 0))))
    changed = jax.tree.map(lambda a, b: (a != b).any(), later.learn.encoder.params, state.learn.encoder.params)
    assert jax.tree.all(changed["encoder"]["params"]["Dense_0"]["kernel"]) and metrics["inverse_loss"] > 0
    stored = np.sort(np.asarray(later.learn.store.data), 0)
    np.testing.assert_allclose(stored, np.sort(np.asarray(rollout(3).next_obs).reshape(-1, D), 0))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: state_entropy(StateEntropyConfig(least_std=0.0)), "least_std=0.0"),
        (lambda: pseudo_counts(PseudoCountsConfig(capacity=0)), "capacity=0"),
        (lambda: pseudo_counts(PseudoCountsConfig(cluster_distance=-1.0)), "cluster_distance=-1.0"),
        (lambda: apt(APTConfig(2, capacity=5)), "capacity=5: expected a whole number of at least 128"),
        (lambda: apt(APTConfig(2, learning_rate=-1.0)), "learning_rate=-1.0"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()
