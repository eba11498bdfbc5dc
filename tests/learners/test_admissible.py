"""Actions that are not admissible are neither drawn nor valued, in a corridor with barred ways."""

from types import SimpleNamespace

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces
from toy_envs import Corridor

from purejaxexplore.envs.wrappers import EpisodeStatistics, ObserveStateId
from purejaxexplore.learners.admissible import AdmissibleCategorical, AdmissibleGreedy, admissible_of
from purejaxexplore.learners.dqn import DQNConfig, bootstrap, dqn
from purejaxexplore.learners.evaluation import greedy_policy
from purejaxexplore.learners.explorers import boltzmann, ez_greedy, on_policy, uniform_mixture
from purejaxexplore.learners.guides import guided, short_listed, tabulated
from purejaxexplore.learners.ppo import PPOConfig, ppo
from purejaxexplore.learners.random_policy import random_policy
from purejaxexplore.testing.trees import quick_jit

ABLE = np.array([[0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
"""Left, right and waiting in each cell; in the fourth nothing is admissible, so everything is."""
N, KEY = 4000, jax.random.key(0)
CONFIG = DQNConfig(
    num_envs=4, rollout_length=8, num_updates=4, batch_size=16, replay_capacity=256, num_warmup_steps=16,
    network="table", learning_rate=0.1, gamma=0.9, huber_delta=1e6, target_period=1.0,
)  # fmt: skip


class Barred(Corridor):
    """The corridor, its cells numbered, with a third action that waits; ``ABLE`` tells what is admissible."""

    def admissible_actions(self, obs):
        return jnp.asarray(ABLE)[obs]

    def get_obs(self, state, params=None, key=None):
        return state.position

    def step_env(self, key, state, action, params):
        moved = super().step_env(key, state, action, params)
        stayed = super().step_env(key, state, 0, params)[1]._replace(position=state.position)
        waits = action == 2
        state = jax.tree.map(lambda a, b: jnp.where(waits, a, b), stayed, moved[1])
        arrived = state.position == self.length - 1
        info = {"success": arrived, "state_id": state.position}
        return state.position, state, arrived.astype(jnp.float32), arrived, info

    def action_space(self, params):
        return spaces.Discrete(3)

    def observation_space(self, params):
        return spaces.Discrete(self.length)


@pytest.fixture(scope="module")
def barred():
    env = Barred(6)
    return env, env.default_params.replace(max_steps_in_episode=20)


def admissible(cell):
    row = ABLE[cell]
    return row if row.any() else ~row


def test_dqn_neither_draws_nor_values_what_is_not_admissible(barred):
    """Values of 100 where actions are not admissible stay where they are and reach no other value."""
    able = np.array([admissible(cell) for cell in range(6)])
    algorithm = dqn(*barred, CONFIG, explorer=uniform_mixture(0.5))
    state, step = quick_jit(algorithm.init)(KEY), quick_jit(algorithm.step)
    table = jnp.where(able.reshape(1, 6, 3), 0.0, 100.0)
    state = state._replace(params={"params": {"table": table}}, target={"params": {"table": table}})
    for t in range(12):
        state, metrics = step(jax.random.key(t), state)
        assert metrics["value_loss"] < 2.0
    stored = jax.tree.map(np.asarray, state.replay.data)
    assert able[stored.obs, stored.action].all() and state.replay.size == 64
    drawn = np.zeros((6, 3), bool)
    drawn[stored.obs, stored.action] = True
    assert (drawn[:5] == able[:5]).all()  # and all that is was drawn; the last cell ends the episode
    after = np.asarray(state.params["params"]["table"])[0]
    assert (after[~able] == 100.0).all() and np.abs(after[able]).max() < 2.0
    greedy = greedy_policy(*barred, CONFIG)(None, state, jnp.arange(6))
    np.testing.assert_array_equal(greedy, np.where(able, after, -np.inf).argmax(1))


class Paying(Barred):
    """Pays 1 for every action that is not admissible and nothing else."""

    def step_env(self, key, state, action, params):
        obs, state_after, _, done, info = super().step_env(key, state, action, params)
        rows = jnp.asarray([admissible(cell) for cell in range(6)])
        return obs, state_after, jnp.where(rows[state.position, action], 0.0, 1.0), done, info


PPO = PPOConfig(num_envs=4, rollout_length=8, num_epochs=2, num_minibatches=2, network="table", entropy_coef=1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda *world: ppo(*world, PPO),
        lambda *world: ppo(*world, PPO, explorer=uniform_mixture(0.5)),
        lambda *world: ppo(*world, PPO.replace(network="mlp", gru_size=4)),
        lambda *world: random_policy(*world, num_envs=4, rollout_length=8),
    ],
    ids=["ppo", "ppo with a mixture", "recurrent ppo", "random"],
)
def test_nothing_is_paid_for_what_is_never_done(barred, make):
    algorithm = make(Paying(6), barred[1])
    state, step = quick_jit(algorithm.init)(KEY), quick_jit(algorithm.step)
    for t in range(8):
        state, metrics = step(jax.random.key(t), state)
        assert metrics["episode_return"] == 0.0 and all(np.isfinite(x).all() for x in jax.tree.leaves(metrics))
    assert metrics["episodes"] > 0
    if hasattr(state, "params"):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))
        assert metrics["entropy"] <= np.log(3)


def test_probabilities_and_entropy_are_of_what_is_left():
    logits, able = jnp.asarray([0.0, 1.0, 5.0]), jnp.asarray([True, True, False])
    left = distrax.Categorical(logits=logits[:2])
    policy = AdmissibleCategorical(logits, able)
    np.testing.assert_allclose(policy.probs, [*left.probs, 0.0], rtol=1e-6)
    np.testing.assert_allclose(policy.entropy(), left.entropy(), rtol=1e-6)

    def gradient(policy_of, logits):
        return jax.grad(lambda x: policy_of(x).entropy() + policy_of(x).log_prob(0))(logits)

    expected = gradient(lambda x: distrax.Categorical(logits=x), logits[:2])
    masked = gradient(lambda x: AdmissibleCategorical(x, able), logits)
    np.testing.assert_allclose(masked, [*expected, 0.0], rtol=1e-5, atol=1e-7)


def test_targets_take_the_best_admissible_value():
    values = jnp.asarray([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])  # [A, K]
    chooser = jnp.asarray([[1.0, 3.0], [2.0, 2.0], [9.0, 9.0]])
    able, coefs = jnp.asarray([True, True, False]), jnp.asarray([1.0, -2.0])
    np.testing.assert_array_equal(bootstrap(values, chooser, coefs, True, able), [2.0, 20.0])
    np.testing.assert_array_equal(bootstrap(values, chooser, coefs, False, able), [2.0, 10.0])
    np.testing.assert_array_equal(bootstrap(values, chooser, coefs, False), [3.0, 30.0])


def test_wrappers_pass_on_what_they_show(barred):
    env, _ = barred
    able = admissible_of(EpisodeStatistics(env))(jnp.asarray([1, 3]))
    np.testing.assert_array_equal(able, [[True, True, False], [True, True, True]])
    assert admissible_of(ObserveStateId(env)) is None and admissible_of(Corridor(6)) is None


@pytest.mark.parametrize("told", [jnp.ones(2, bool), jnp.ones(3), [True] * 3])
def test_a_mask_of_another_kind_is_refused(barred, told):
    env = Barred(6)
    env.admissible_actions = lambda obs: told
    for make in (lambda *world: dqn(*world, CONFIG), ppo, random_policy):
        with pytest.raises(ValueError, match=r"admissible_actions of .*: gives .*, expected bool\[3\]"):
            make(env, barred[1])


POLICY = AdmissibleGreedy(
    jnp.broadcast_to(jnp.asarray([1.0, 0.0, 2.0, 9.0]), (N, 4)), jnp.asarray([True, True, True, False])
)
LANES = SimpleNamespace(done=jnp.zeros(N, bool), obs=jnp.zeros(N, jnp.int32), env_state=jnp.zeros(N, jnp.int32))


def shares(explorer, policy=POLICY):
    action, log_prob, _ = explorer.act(KEY, explorer.init(KEY, N), policy, LANES)
    found = np.bincount(action, minlength=4) / N
    if not explorer.values_only:
        np.testing.assert_allclose(np.exp(log_prob), PROBABILITIES[explorer][np.asarray(action)], rtol=1e-5)
    return found


class FourWays:
    """Enough of a world for a guide: four actions."""

    name = "FourWays"

    def action_space(self, params):
        return SimpleNamespace(n=4)

    def reset_env(self, key, params):
        return jnp.int32(0), jnp.int32(0)


def guide(*probabilities):
    with np.errstate(divide="ignore"):
        return tabulated(np.log([probabilities]), lambda obs, state: obs)


SOFT = np.exp([0.5, 0.0, 1.0, -np.inf]) / np.exp([0.5, 0.0, 1.0, -np.inf]).sum()
PROBABILITIES = {
    on_policy(): np.array([0.0, 0.0, 1.0, 0.0]),
    uniform_mixture(0.6): np.array([0.2, 0.2, 0.6, 0.0]),
    boltzmann(2.0): SOFT,
    guided(guide(0.1, 0.3, 0.0, 0.6), FourWays(), None, 0.4): np.array([0.1, 0.3, 0.6, 0.0]),
    guided(guide(0.0, 0.0, 0.0, 1.0), FourWays(), None, 0.3): np.array([0.1, 0.1, 0.8, 0.0]),
    short_listed(guide(0.0, 0.1, 0.3, 0.6), FourWays(), None, 0.5, 1, 2.0): 0.5 * SOFT + [0.0, 0.0, 0.5, 0.0],
}


@pytest.mark.parametrize("explorer", PROBABILITIES, ids=range(len(PROBABILITIES)))
def test_explorers_draw_admissible_actions(explorer):
    np.testing.assert_allclose(shares(explorer), PROBABILITIES[explorer], atol=0.03)


@pytest.mark.parametrize(
    "explorer", [boltzmann(1e12), short_listed(guide(0.1, 0.1, 0.2, 0.6), FourWays(), None, 0.5, 3, 1e12)], ids=range(2)
)
def test_no_temperature_makes_an_action_admissible(explorer):
    policy = AdmissibleCategorical(POLICY.preferences, POLICY.admissible)
    action, log_prob, _ = explorer.act(KEY, explorer.init(KEY, N), policy, LANES)
    found = np.bincount(action, minlength=4) / N
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3, 0.0], atol=0.03)
    np.testing.assert_allclose(np.exp(log_prob), 1 / 3, rtol=1e-4)


def test_a_repetition_ends_where_its_action_is_barred():
    explorer = ez_greedy(1.0, longest=5)
    np.testing.assert_allclose(shares(explorer), [1 / 3, 1 / 3, 1 / 3, 0.0], atol=0.03)
    _, _, es = explorer.act(KEY, explorer.init(KEY, N), POLICY, LANES)
    next_policy = AdmissibleGreedy(POLICY.preferences, jnp.asarray([False, True, True, False]))
    action, _, _ = explorer.act(jax.random.key(1), es, next_policy, LANES)
    going_on = np.asarray((es.remaining > 0) & (es.action != 0))
    assert set(np.unique(action)) == {1, 2} and (np.asarray(action == es.action)[going_on]).all()


def test_where_everything_is_admissible_nothing_changes():
    values = jax.random.normal(KEY, (N, 4))
    free, plain = AdmissibleGreedy(values, jnp.ones((N, 4), bool)), distrax.Greedy(values)
    for explorer in (uniform_mixture(0.25), boltzmann(1.0)):
        drawn = [explorer.act(KEY, (), policy, LANES)[0] for policy in (free, plain)]
        np.testing.assert_array_equal(*drawn)
