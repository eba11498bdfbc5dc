"""WGE by hand: lattices, the workflow policy's gradient, the ring of successes, and what exploration stays within."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.algorithm import make_train
from purejaxexplore.envs.tokens import form_fill
from purejaxexplore.learners.wge import Successes, WGEConfig, element_policy, keep, returns_to_go, wge
from purejaxexplore.learners.workflows import demonstrate, induce, play, reinforce
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

KEY = jax.random.key(0)
TINY = WGEConfig(
    num_explore=4, num_play=4, replay_capacity=64, num_updates=2, batch_size=8, size=8, num_eval=4, learning_rate=1e-2
)


@pytest.fixture(scope="module")
def form():
    env = form_fill.FormFill(num_elements=8, num_boxes=0)
    return env, env.default_params


@pytest.fixture(scope="module")
def demos(form):
    env, params = form

    def sample(key):
        demos = demonstrate(key, env, params, env.right_actions, 6, 5)
        return demos, induce(env, demos)

    return jax.tree.map(np.asarray, quick_jit(sample)(KEY))


def test_demonstrations_succeed_and_end(demos):
    demos, _ = demos
    assert demos.success.all() and demos.valid.sum(0).tolist() == [4] * 6 and demos.reward.sum(0).tolist() == [1] * 6


def test_a_lattice_holds_every_step_that_the_action_satisfies(form, demos):
    """Against a slow count from the page: any element, its tag, its label, like it, and beside a label."""
    env, _ = form
    demos, lattice = demos
    assert not lattice[:, 4].any()
    for d, t in ((0, 0), (3, 2), (5, 3)):
        page = jax.tree.map(lambda x, t=t, d=d: x[t, d], demos.state)
        kind, label, row, column, typed, _ = map(np.asarray, env._page(page))
        element, verb = divmod(int(demos.action[t, d]), 4)
        ways = {0, 1 + kind[element], 5 + label[element], (20 if typed[element] >= 0 else 24) + kind[element]}
        beside = np.maximum(abs(row - row[element]), abs(column - column[element])) == 1
        ways |= set(28 + label[beside])
        assert np.flatnonzero(lattice[d, t]).tolist() == sorted(4 * way + verb for way in ways)


def test_a_label_leads_to_the_right_input_wherever_it_is(form, demos):
    """"Type field k into what has this label" is satisfied by one action on a page with that word, and by none else."""
    env, _ = form
    demos, _ = demos
    page = jax.tree.map(lambda x: x[0, 1], demos.state)
    for field in range(3):
        for word in range(3):
            constraint = 4 * (5 + 3 * field + word) + 1 + field
            satisfied = np.asarray(env.satisfying(page, constraint))
            if word != page.words[field]:
                assert not satisfied.any()
                continue
            place = int(np.flatnonzero(page.order == field)[0])
            assert np.flatnonzero(satisfied).tolist() == [4 * place + 1 + field]
            assert env.right_actions(page)[4 * place + 1 + field]


def test_an_observation_comes_apart(form):
    env, params = form
    obs, _ = env.reset_env(KEY, params)
    elements, goal = env.elements(obs)
    np.testing.assert_array_equal(jnp.concatenate([elements.reshape(-1), goal]), obs)
    assert elements.shape == (8, 26) and (elements[:, :4].sum(1) == 1).all() and goal.sum() == 3
    assert (elements[:, :4].argmax(1) == form_fill.BUTTON).sum() == 2


def test_reinforce_by_hand():
    """Two demonstrations of two steps; three episodes, one of which ended after its first step."""
    rng = np.random.default_rng(0)
    psi, baseline = rng.normal(size=(2, 2, 3)).astype(np.float32), np.array([[0.5, -0.2], [0.1, 0.3]], np.float32)
    lattice = np.array([[[1, 1, 0], [1, 1, 1]], [[0, 1, 1], [1, 0, 1]]], bool)
    demo, chosen = np.array([0, 0, 1]), np.array([[0, 1, 2], [2, 0, 0]])
    valid, outcome = np.array([[1, 1, 1], [1, 0, 1]], bool), np.array([1.0, -1.0, -1.0], np.float32)
    expected, moved = psi.astype(float), baseline.astype(float)
    for d in range(2):
        for t in range(2):
            own = [n for n in range(3) if demo[n] == d and valid[t, n]]
            p = np.exp(psi[d, t]) * lattice[d, t]
            p /= p.sum()
            steps = [(outcome[n] - baseline[d, t]) * (np.eye(3)[chosen[t, n]] - p) for n in own]
            expected[d, t] += 0.7 * np.mean(steps, 0)
            moved[d, t] += 0.1 * (outcome[own].mean() - baseline[d, t])
    after, v = reinforce(psi, baseline, lattice, demo, chosen, valid, outcome, 0.7, 0.1)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    np.testing.assert_allclose(v, moved, atol=1e-6)


def test_the_ring_keeps_the_newest_successes():
    ring = Successes(jnp.zeros((4, 1)), jnp.zeros(4, jnp.int32), jnp.int32(0), jnp.int32(0))
    steps = jnp.arange(1, 7)
    for kept in ([1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 0]):
        ring = keep(ring, steps[:, None].astype(jnp.float32), steps, jnp.array(kept, bool))
    assert ring.action.tolist() == [4, 3, 5, 2] and ring.obs[:, 0].tolist() == [4, 3, 5, 2]
    assert (int(ring.head), int(ring.size)) == (1, 4)


def test_returns_to_go():
    np.testing.assert_allclose(returns_to_go(jnp.array([[0.0], [1.0], [4.0]]), 0.5)[:, 0], [1.5, 3, 4])


def test_episodes_end_where_nothing_can_be_done(form):
    env, params = form

    def act(key, t, last, obs, state):
        return jnp.int32(0), t < last, ()

    played = quick_jit(lambda: play(KEY, env, params, 3, 4, act, jnp.array([0, 2, 9])))()
    assert played.valid.sum(0).tolist()[:1] == [0] and played.valid[:, 1].tolist() == [True, True, False, False]


def test_every_element_is_scored_alike(form):
    """Permuting the elements permutes the scores of their actions and leaves the value."""
    env, params = form
    network, policy = element_policy(env, params, 8)
    obs, _ = env.reset_env(KEY, params)
    elements, goal = env.elements(obs)
    weights = jax.tree.map(lambda x: x + 0.1, network.init(KEY, elements, goal))
    order = np.random.default_rng(0).permutation(8)
    logits, value = network.apply(weights, elements, goal)
    shuffled, same = network.apply(weights, elements[order], goal)
    np.testing.assert_allclose(shuffled.reshape(8, 4), logits.reshape(8, 4)[order], atol=1e-5)
    assert same == pytest.approx(float(value), abs=1e-5)


@pytest.mark.slow
def test_contract_of_wge(form, demos):
    check_algorithm(wge(*form, demos[1], TINY))


@pytest.mark.slow
def test_contract_of_actor_critic_alone(form, demos):
    check_algorithm(wge(*form, demos[1], TINY.replace(num_explore=0)))


@pytest.mark.slow
def test_exploration_within_a_lattice_succeeds_and_the_policy_learns_from_it(form, demos):
    """Uniform actions submit a right page once in 4,000 episodes."""
    env, _ = form
    config = TINY.replace(num_explore=64, num_play=8, replay_capacity=512, batch_size=64, size=16, num_eval=128)
    algorithm = wge(*form, demos[1], config)

    def train(key):
        state, metrics = make_train(algorithm, 80)(key)
        return metrics, algorithm.evaluate(key, state)

    metrics, final = jax.jit(train)(KEY)
    assert np.mean(metrics["explore_success"]) > 10 * env.uniform_success()
    assert metrics["workflow_entropy"][-1] < metrics["workflow_entropy"][0]
    assert all(np.isfinite(values).all() for values in metrics.values())
    assert final["success"] > 0.3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_play": 0}, "num_play=0"),
        ({"gamma": 1.5}, "gamma=1.5"),
        ({"horizon": 4}, r"lattice of shape \(6, 5, 172\): expected \(demonstrations, at most 4, 172\)"),
        ({"replay_capacity": 8}, "replay_capacity=8: expected at least the 20 steps"),
    ],
)
def test_wge_refuses(form, demos, change, message):
    with pytest.raises(ValueError, match=message):
        wge(*form, demos[1], TINY.replace(**change))


def test_wge_needs_workflow_steps(corridor, demos):
    with pytest.raises(TypeError, match="expected a world with workflow steps, such as make"):
        wge(*corridor, demos[1], TINY)
