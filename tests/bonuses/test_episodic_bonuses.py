"""E3B, RIDE, NovelD and NGU: what they remember of an episode, against NumPy, and the mistakes of public ports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rollouts import batch_of, steps_of

from purejaxexplore.blocks.moments import RunningMoments
from purejaxexplore.bonuses.bonus import score_rollout
from purejaxexplore.bonuses.e3b import E3BConfig, absorb, e3b
from purejaxexplore.bonuses.episode_memory import begin_memory, episodic_novelty
from purejaxexplore.bonuses.ngu import NGUConfig, lifelong_factor, ngu
from purejaxexplore.bonuses.novel_d import NovelDConfig, novel_d
from purejaxexplore.bonuses.ride import RIDEConfig, ride
from purejaxexplore.bonuses.rnd import RNDConfig, rnd

RND = RNDConfig(feature_dim=4, target_sizes=(8,), predictor_sizes=(8,), learning_rate=1e-2)
T, N, D = 8, 2, 3


def random_rollout(seed, ends=0.2):
    """A rollout with ends; states are numbered by chance."""
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, T, N, D))
    done = rng.random((T, N)) < ends
    state_id, start_id = rng.integers(0, 5, (2, T, N))
    reset_obs = np.where(done[..., None], rng.normal(size=(T, N, D)), next_obs)
    return steps_of(
        obs, next_obs, rng.integers(0, 2, (T, N)), None, done, reset_obs, state_id=state_id, start_id=start_id
    )


# E3B


def test_one_hot_features_are_counted():
    """phi seen n times before scores ``1 / (lambda + n)``."""
    inverse = jnp.broadcast_to(jnp.eye(3) / 0.1, (1, 3, 3))
    seen = np.zeros(3)
    for state in (0, 1, 0, 0, 2, 1, 0):
        inverse, score = absorb(inverse, jnp.eye(3)[None, state])
        np.testing.assert_allclose(score[0], 1.0 / (0.1 + seen[state]), rtol=1e-4)
        seen[state] += 1


def test_the_update_stays_the_inverse_over_a_thousand_repeated_features():
    """float32 against float64; features of length sqrt(d), as public ports have them, are off by far more."""
    d = 16
    bank = np.random.default_rng(0).normal(size=(5, d))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    order = np.random.default_rng(1).integers(0, 5, 1000)
    first = jnp.broadcast_to(jnp.eye(d) / 0.1, (1, d, d))
    inverse, scores = jax.lax.scan(absorb, first, jnp.asarray(bank[order], jnp.float32)[:, None])
    exact = 0.1 * np.eye(d) + sum(np.outer(bank[i], bank[i]) for i in order)
    expected = bank[0] @ np.linalg.solve(exact, bank[0])
    assert absorb(inverse, jnp.asarray(bank[:1], jnp.float32))[1][0] == pytest.approx(expected, rel=0.02)
    assert scores.min() >= 0.0
    np.testing.assert_array_equal(inverse[0], inverse[0].T)


@pytest.fixture(scope="module")
def elliptical():
    bonus = e3b(E3BConfig(2, feature_dim=4, hidden_sizes=(6,)))
    warmup, steps = random_rollout(0), random_rollout(1)
    state = bonus.init(jax.random.key(0), warmup)
    after, raw = score_rollout(jax.random.key(1), bonus, state, steps)
    return bonus, warmup, steps, state, after, np.asarray(raw)


def embedder(params):
    encoder = jax.tree.map(np.asarray, params["encoder"]["params"])

    def embed(x):
        x = np.sign(x) * np.log1p(np.abs(x))
        x = np.maximum(x @ encoder["Dense_0"]["kernel"] + encoder["Dense_0"]["bias"], 0)
        x = x @ encoder["Dense_1"]["kernel"] + encoder["Dense_1"]["bias"]
        x = x - x.mean()
        return x / np.sqrt((x**2).sum() + 1e-6)

    return embed


def test_e3b_is_the_mahalanobis_length_in_this_episode(elliptical):
    """Successors are scored, the first step too, and the observation an episode begins with is in the memory."""
    bonus, warmup, steps, state, after, raw = elliptical
    embed = embedder(state.learn.params)
    for lane in range(N):
        start = embed(np.asarray(warmup.reset_obs[-1, lane]))
        covariance = 0.1 * np.eye(4) + np.outer(start, start)
        for t in range(T):
            phi = embed(np.asarray(steps.next_obs[t, lane]))
            np.testing.assert_allclose(raw[t, lane], phi @ np.linalg.solve(covariance, phi), rtol=2e-2, atol=1e-4)
            covariance += np.outer(phi, phi)
            if steps.done[t, lane]:
                start = embed(np.asarray(steps.reset_obs[t, lane]))
                covariance = 0.1 * np.eye(4) + np.outer(start, start)
        np.testing.assert_allclose(after.mem[lane], np.linalg.inv(covariance), rtol=2e-2, atol=2e-2)


def test_e3bs_update_trains_the_encoder_and_leaves_the_memory(elliptical):
    bonus, _, steps, state, after, _ = elliptical
    trained, metrics = bonus.update(jax.random.key(0), after, batch_of(steps))
    np.testing.assert_array_equal(trained.mem, after.mem)
    assert np.isfinite(metrics["inverse_loss"])
    kernels = [s.learn.params["encoder"]["params"]["Dense_0"]["kernel"] for s in (state, trained)]
    assert not np.array_equal(*kernels)


# RIDE and NovelD


def episodic_counts(steps, first_start):
    """N_ep of every successor, the current visit included, by a loop."""
    visits = np.zeros((T, N))
    for lane in range(N):
        table = np.eye(5)[first_start[lane]]
        for t in range(T):
            table[steps.aux["state_id"][t, lane]] += 1
            visits[t, lane] = table[steps.aux["state_id"][t, lane]]
            if steps.done[t, lane]:
                table = np.eye(5)[steps.aux["reset_state_id"][t, lane]]
    return visits


def test_ride_is_the_move_in_features_over_the_root_of_visits():
    bonus = ride(RIDEConfig(2, 5, feature_dim=4, hidden_sizes=(6,)))
    warmup, steps = random_rollout(0), random_rollout(1)
    state = bonus.init(jax.random.key(0), warmup)
    _, raw = score_rollout(jax.random.key(1), bonus, state, steps)
    seen = np.asarray(warmup.next_obs).reshape(-1, D)
    encoder = jax.tree.map(np.asarray, state.learn.params["inverse"]["encoder"]["params"])

    def embed(x):
        x = np.clip((np.asarray(x) - seen.mean(0)) / np.maximum(seen.std(0), 0.1), -5, 5)
        x = np.maximum(x @ encoder["Dense_0"]["kernel"] + encoder["Dense_0"]["bias"], 0)
        return x @ encoder["Dense_1"]["kernel"] + encoder["Dense_1"]["bias"]

    visits = episodic_counts(steps, np.asarray(warmup.aux["reset_state_id"][-1]))
    moved = np.linalg.norm(embed(steps.next_obs) - embed(steps.obs), axis=-1)
    np.testing.assert_allclose(raw, moved / np.sqrt(visits), rtol=2e-3)
    assert visits.max() > 1
    without = ride(RIDEConfig(2, 5, feature_dim=4, hidden_sizes=(6,), episodic=False))
    np.testing.assert_allclose(score_rollout(jax.random.key(1), without, state, steps)[1], moved, rtol=2e-3)


def test_rides_forward_loss_reaches_the_encoder():
    steps = random_rollout(2)
    bonus = ride(RIDEConfig(2, 5, inverse_weight=0.0, feature_dim=4, hidden_sizes=(6,)))
    state = bonus.init(jax.random.key(0), steps)
    after, _ = bonus.update(jax.random.key(1), state, batch_of(steps))
    kernels = [s.learn.params["inverse"]["encoder"]["params"]["Dense_0"]["kernel"] for s in (state, after)]
    assert not np.array_equal(*kernels)


@pytest.fixture(scope="module")
def crossing():
    return novel_d(NovelDConfig(5, rnd=RND)), rnd(RND)


def test_novel_d_pays_the_gain_in_novelty_at_first_visits(crossing):
    bonus, inner = crossing
    warmup, steps = random_rollout(0), random_rollout(1)
    state = bonus.init(jax.random.key(0), warmup)
    after, raw = score_rollout(jax.random.key(1), bonus, state, steps)
    reached = score_rollout(jax.random.key(1), inner, state._replace(mem=()), steps)[1]
    left = score_rollout(jax.random.key(1), inner, state._replace(mem=()), steps._replace(next_obs=steps.obs))[1]
    visits = episodic_counts(steps, np.asarray(warmup.aux["reset_state_id"][-1]))
    expected = np.maximum(np.asarray(reached) - 0.5 * np.asarray(left), 0) * (visits == 1)
    np.testing.assert_allclose(raw, expected, rtol=1e-3, atol=1e-5)
    assert (visits > 1).any() and (expected > 0).any()
    without = novel_d(NovelDConfig(5, rnd=RND, episodic=False))
    again = score_rollout(jax.random.key(1), without, state, steps)[1]
    np.testing.assert_allclose(again, np.maximum(np.asarray(reached) - 0.5 * np.asarray(left), 0), rtol=1e-3, atol=1e-5)
    # A public port forgets the visits at the end of a rollout: the same states again must then pay nothing.
    shaped, _ = bonus.shape(after, raw, batch_of(steps))
    unended = steps._replace(terminated=jnp.zeros_like(steps.terminated))
    once, _ = score_rollout(jax.random.key(1), bonus, shaped, unended)
    assert not np.any(score_rollout(jax.random.key(1), bonus, once, unended)[1])


def test_both_the_goal_and_the_start_become_familiar_to_novel_d(crossing):
    """RND trains on successors, of which the start is none; ports that train on ``obs`` never see the goal instead."""
    bonus, inner = crossing
    rng = np.random.default_rng(6)
    start, goal, between = np.eye(D)[0] * 3, np.eye(D)[1] * 3, 0.1 * rng.normal(size=(T, N, D))
    done = np.zeros((T, N), bool)
    done[[3, 7]] = True
    next_obs = np.where(done[..., None], goal, between)
    obs = np.concatenate([between[:1], np.where(done[..., None], start, between)[:-1]])
    steps = steps_of(obs, next_obs, None, None, done, np.where(done[..., None], start, next_obs), state_id=done * 1)
    state = bonus.init(jax.random.key(0), random_rollout(0))

    def errors(state):
        ends = steps_of(np.zeros((1, 2, D)), np.stack([start, goal])[None])
        return np.asarray(score_rollout(jax.random.key(0), inner, state._replace(mem=()), ends)[1])[0]

    before = errors(state)
    update = jax.jit(lambda state, key: bonus.update(key, state, batch_of(steps))[0])
    for i in range(150):
        state = update(state, jax.random.key(i))
    assert np.all(errors(state) < 0.1 * before)


# NGU


def papers_kernel(starts, phi, begun, done, config, capacity):
    """Algorithm 1 by loops over environments and steps, with lists for memories: the novelty, and what is left."""
    novelty, left = np.zeros(done.shape), []
    for lane, start in enumerate(starts):
        memory, total, count = [start], 0.0, 0
        for t in range(len(done)):
            point = phi[t, lane]
            distances = np.sort(np.square(np.stack(memory[-capacity:]) - point).sum(-1))[: config.num_neighbors]
            total, count = total + distances.sum(), count + len(distances)
            relative = np.maximum(distances / (total / count + 1e-8) - config.cluster_distance, 0)
            similarity = np.sqrt((config.kernel_epsilon / (relative + config.kernel_epsilon)).sum()) + config.constant
            novelty[t, lane] = 0.0 if similarity > config.max_similarity else 1 / similarity
            memory.append(point)
            if done[t, lane]:
                memory, total, count = [begun[t, lane]], 0.0, 0
        left.append((memory, total, count))
    return novelty, left


@pytest.mark.parametrize("capacity, ends", [(50, 0.0), (50, 0.2), (4, 0.1), (1, 0.3), (7, 1.0)])
def test_episodic_novelty_is_the_papers_kernel_rollout_after_rollout(capacity, ends):
    """Episodes go on from rollout to rollout, several may end in one, and a full memory forgets the oldest."""
    config = NGUConfig(2, num_neighbors=3, max_similarity=1.2)
    rng = np.random.default_rng(0)
    lanes, steps, rollouts = 6, 9, 3
    places = rng.normal(size=(12, 3)).astype(np.float32)  # seen again and again
    starts = places[rng.integers(0, 12, lanes)]
    phi, begun = places[rng.integers(0, 12, (2, rollouts * steps, lanes))]
    done = rng.random((rollouts * steps, lanes)) < ends
    expected, left = papers_kernel(starts, phi, begun, done, config, capacity)
    memory = begin_memory(jnp.asarray(starts), capacity)
    follow = jax.jit(lambda memory, *rollout: episodic_novelty(memory, *rollout, config))
    for part in np.split(np.arange(rollouts * steps), rollouts):
        memory, novelty = follow(memory, phi[part], begun[part], done[part])
        np.testing.assert_allclose(novelty, expected[part], rtol=2e-3)
    assert (expected == 0).any() and (expected > 0).any() or capacity == 1 or ends == 1.0
    for lane, (points, total, count) in enumerate(left):
        slots = np.zeros((capacity, 3))
        for number, point in enumerate(points):
            slots[number % capacity] = point
        np.testing.assert_array_equal(memory.points[lane], slots.astype(np.float32))
        assert memory.pushed[lane] == len(points) and memory.distance_count[lane] == count
        assert memory.distance_sum[lane] == pytest.approx(total, rel=1e-4)


def test_a_place_seen_again_pays_little_and_one_seen_often_nothing():
    config = NGUConfig(2, num_neighbors=4, max_similarity=1.9)
    here, there = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    phi = jnp.asarray(np.stack([there, *[here] * 5])[:, None])
    memory = begin_memory(jnp.asarray(here)[None], 8)
    far, *rewards = episodic_novelty(memory, phi, phi, jnp.zeros((6, 1), bool), config)[1][:, 0]
    assert far > 50 and rewards[0] < 1.01 and rewards[0] > rewards[1] > rewards[2] and rewards[-1] == 0.0


def test_the_lifelong_factor_subtracts_the_mean_and_is_clipped():
    """A public port computes ``1 + error / std``, which is never 1; an older one is 1 throughout."""
    moments = RunningMoments(jnp.float32(10.0), jnp.float32(4.0), jnp.float32(40.0))  # mean 4, std 2
    factor = lifelong_factor(moments, jnp.array([4.0, 1.0, 6.0, 100.0]), 5.0)
    np.testing.assert_allclose(factor, [1.0, 1.0, 2.0, 5.0], rtol=1e-5)


def test_ngu_is_the_product_with_statistics_of_before_the_rollout():
    nets = RND.replace(normalise=False)
    config = NGUConfig(2, feature_dim=4, hidden_sizes=(6,), capacity=6, num_neighbors=3, rnd=nets)
    bonus, inner = ngu(config), rnd(nets)
    warmup, steps = random_rollout(0), random_rollout(1)
    state = bonus.init(jax.random.key(0), warmup)
    inner_state = state._replace(learn=state.learn.rnd, norm=state.norm.rnd, mem=())
    errors = np.asarray(score_rollout(jax.random.key(0), inner, inner_state, steps)[1])
    spread = RunningMoments(jnp.float32(1.0), jnp.float32(errors.mean()), jnp.float32(errors.var()))
    state = state._replace(norm=state.norm._replace(novelty=spread))
    after, raw = score_rollout(jax.random.key(1), bonus, state, steps)
    shaped, reward = bonus.shape(after, raw, batch_of(steps))
    embed = embedder(state.learn.encoder.params)
    factor = np.clip(1 + (errors - errors.mean()) / errors.std(), 1, 5)
    seen = (warmup.reset_obs[-1], steps.next_obs, steps.reset_obs)
    embedded = [np.apply_along_axis(embed, -1, np.asarray(obs)) for obs in seen]
    episodic, _ = papers_kernel(*embedded, np.asarray(steps.done), config, 6)
    np.testing.assert_allclose(reward, episodic * factor, rtol=5e-3)
    np.testing.assert_allclose(shaped.norm.novelty.count, 1 + T * N)
    np.testing.assert_allclose(shaped.norm.novelty.mean, errors.mean(), rtol=1e-3)


@pytest.mark.parametrize(
    "make, config, message",
    [
        (e3b, E3BConfig(2, ridge=0.0), "ridge=0.0: expected a number of at least 1e-06"),
        (e3b, E3BConfig(2, feature_dim=1), "feature_dim=1: expected a whole number of at least 2"),
        (ride, RIDEConfig(2, 0), "num_states=0"),
        (ride, RIDEConfig(2, 3, forward_weight=-1.0), "forward_weight=-1.0"),
        (novel_d, NovelDConfig(3, alpha=2.0), r"alpha=2.0: expected a number in \[0, 1\]"),
        (novel_d, NovelDConfig(3, rnd=RNDConfig(feature_dim=0)), "feature_dim=0"),
        (ngu, NGUConfig(2, capacity=0), "capacity=0"),
        (ngu, NGUConfig(2, max_factor=0.5), "max_factor=0.5: expected a number of at least 1"),
    ],
)
def test_refuses(make, config, message):
    with pytest.raises(ValueError, match=message):
        make(config)
