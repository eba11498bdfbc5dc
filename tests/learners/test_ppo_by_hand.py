"""One iteration of PPO equals the same iteration written out from the published equations."""

import jax
import jax.numpy as jnp
import numpy as np
import ppo_by_hand as by_hand
import pytest

from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.learners.ppo import PPOConfig, ppo
from purejaxexplore.learners.streams import Stream

SMALL = PPOConfig(
    num_envs=4, rollout_length=12, num_epochs=2, num_minibatches=2, num_warmup_steps=2, hidden_sizes=(8, 8),
    learning_rate=1e-3, gamma=0.9, gae_lambda=0.8, max_grad_norm=0.3,
)  # fmt: skip
T = SMALL.rollout_length


def iterate(algorithm, alter=lambda state: state):
    """(state before, its step key, state after, metrics, the recorded rollout as NumPy with ``done [T, N]``)."""
    key = jax.random.key(7)
    before = alter(jax.jit(algorithm.init)(jax.random.key(3)))
    after, metrics = jax.jit(algorithm.step)(key, before)
    rollout = {name: np.asarray(x) for name, x in after.explorer["kept"].items()}
    rollout["done"] = np.concatenate([rollout["start"][1:], np.asarray(after.lanes.done)[None]])
    rollout["next_acted"] = np.concatenate([rollout["obs"][1:], np.asarray(after.lanes.obs)[None]])
    return before, key, after, metrics, rollout


def compare(before, key, after, metrics, rollout, advantages, targets, values, config, rate):
    """The learner's parameters and metrics against those fitted by hand."""
    rows = by_hand.shuffled_rows(key, config, advantages.size)
    params, expected = by_hand.fit(before.params, rollout, values, advantages, targets, rows, config, rate)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=0), after.params, params)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-4, after.params, before.params)
    assert jax.tree.all(moved)
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, atol=1e-5, rtol=1e-4, err_msg=name)


def test_is_the_update_of_purejaxrl_on_cartpole(cartpole):
    env, params = cartpole
    config = SMALL.replace(bootstrap_truncation=False, anneal_iterations=10.0)
    algorithm = ppo(env, params, config, explorer=by_hand.recorder(T, (4,)))

    def about_to_fall(state):
        world = state.lanes.env_state
        world = world.replace(theta=world.theta.at[0].set(0.2), theta_dot=world.theta_dot.at[0].set(0.2))
        lanes = state.lanes._replace(env_state=world, obs=jax.vmap(env.get_obs)(world))
        return state._replace(lanes=lanes, t=jnp.int32(3))

    before, key, after, metrics, rollout = iterate(algorithm, about_to_fall)
    done = rollout["done"].astype(float)
    assert done.any() and rollout["start"][0].all()
    values = np.asarray(by_hand.tower(before.params, "critic_tower", rollout["obs"]), np.float64)[..., 0]
    last = np.asarray(by_hand.tower(before.params, "critic_tower", rollout["next_acted"][-1]), np.float64)[..., 0]
    next_values = np.concatenate([values[1:], last[None]])
    rewards = np.ones_like(values)  # CartPole pays 1 at every step
    advantages = by_hand.advantages_of(rewards, values, next_values, done, done, 0.9, 0.8)
    targets = advantages + values
    log_probs = by_hand.log_softmax(by_hand.tower(before.params, "actor_tower", rollout["obs"]))
    taken = np.take_along_axis(np.asarray(log_probs), rollout["action"][..., None], -1)[..., 0]
    np.testing.assert_allclose(rollout["log_prob"], taken, atol=1e-5)
    rate = 1e-3 * (1 - 3 / 10)
    compare(before, key, after, metrics, rollout, advantages, targets[..., None], values[..., None], config, rate)
    assert metrics["extrinsic_reward"] == 1.0
    assert metrics["extrinsic_explained_variance"] == pytest.approx(1 - advantages.var() / targets.var(), abs=1e-4)
    assert (metrics["episodes"], metrics["env_steps"]) == (done.sum(), 4 * 4 * T)


def corridor_by_hand(rollout):
    """What the corridor answers to the recorded actions: (position reached, true successors, terminated, truncated)."""
    position, time = rollout["obs"][..., 0], rollout["obs"][..., 1] / 10
    reached = np.clip(position + 2 * rollout["action"] - 1, 0, 5)
    return reached, np.stack([reached, 10 * (time + 1)], -1).astype(np.float32), reached == 5, time + 1 >= 5


@pytest.fixture(scope="module")
def on_the_corridor(corridor):
    """The same iteration with and without bootstrapping through truncation."""
    return {
        fixed: iterate(ppo(*corridor, SMALL.replace(bootstrap_truncation=fixed), explorer=by_hand.recorder(T)))
        for fixed in (True, False)
    }


def corridor_advantages(rollout, before, fixed):
    reached, successors, terminated, truncated = corridor_by_hand(rollout)
    np.testing.assert_array_equal(rollout["done"], terminated | truncated)
    values = np.asarray(by_hand.tower(before.params, "critic_tower", rollout["obs"]), np.float64)[..., 0]
    next_values = np.asarray(by_hand.tower(before.params, "critic_tower", successors), np.float64)[..., 0]
    done = terminated | truncated
    stop = terminated if fixed else done
    return values, by_hand.advantages_of((reached == 5).astype(float), values, next_values, stop, done, 0.9, 0.8)


@pytest.mark.parametrize("fixed", [True, False])
def test_bootstraps_through_truncation_when_asked(on_the_corridor, fixed):
    before, key, after, metrics, rollout = on_the_corridor[fixed]
    values, advantages = corridor_advantages(rollout, before, fixed)
    targets = (advantages + values)[..., None]
    config = SMALL.replace(bootstrap_truncation=fixed)
    compare(before, key, after, metrics, rollout, advantages, targets, values[..., None], config, 1e-3)


def test_truncation_changes_the_targets_of_truncated_episodes_only(on_the_corridor):
    (before, *_, rollout), (other, *_, same) = on_the_corridor[True], on_the_corridor[False]
    jax.tree.map(np.testing.assert_array_equal, before.params, other.params)
    for name in rollout:
        np.testing.assert_array_equal(rollout[name], same[name])
    _, _, terminated, truncated = corridor_by_hand(rollout)
    only_truncated = truncated & ~terminated
    assert only_truncated.any() and not only_truncated.all()
    fixed, plain = (corridor_advantages(rollout, before, f)[1] for f in (True, False))
    changed = ~np.isclose(fixed, plain)
    for n in range(4):
        for t in range(T):
            end = next((u for u in range(t, T) if rollout["done"][u, n]), None)
            assert changed[t, n] == (end is not None and only_truncated[end, n])


def test_two_streams_are_weighed_by_their_coefficients(corridor):
    def schedule(t):
        return 0.5 + 0.25 * t

    streams = [
        Stream("extrinsic", None, 0.9, 0.8, coef=2.0),
        Stream("novelty", counts(CountsConfig(6, episodic=False)), 0.7, 0.6, coef=schedule, episodic=False),
    ]
    algorithm = ppo(*corridor, SMALL, streams=streams, explorer=by_hand.recorder(T))
    before, key, after, metrics, rollout = iterate(algorithm, lambda state: state._replace(t=jnp.int32(2)))
    values, extrinsic = corridor_advantages(rollout, before, True)
    reached = corridor_by_hand(rollout)[0].astype(int)
    table, paid = np.asarray(before.bonuses[0].life).astype(float), np.zeros(reached.shape)
    for t, row in enumerate(reached):
        table += np.bincount(row, minlength=6)
        paid[t] = table[row] ** -0.5
    np.testing.assert_array_equal(after.bonuses[0].life, table)
    both = np.asarray(by_hand.tower(before.params, "critic_tower", rollout["obs"]), np.float64)
    next_both = np.asarray(by_hand.tower(before.params, "critic_tower", rollout["next_acted"]), np.float64)
    never = np.zeros(reached.shape)
    novelty = by_hand.advantages_of(paid, both[..., 1], next_both[..., 1], never, never, 0.7, 0.6)
    advantages = np.stack([extrinsic, novelty], -1)
    np.testing.assert_allclose(values, both[..., 0])
    compare(before, key, after, metrics, rollout, advantages @ [2.0, 1.0], advantages + both, both, SMALL, 1e-3)
    assert metrics["novelty_reward"] == pytest.approx(paid.mean(), rel=1e-5)
    assert metrics["env_steps"] == 4 * (2 + 3 * T)
