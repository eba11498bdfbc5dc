"""DDPG's contract, iterations with DrM against NumPy and finite differences, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax import make
from gymnax.environments import environment, spaces

import purejaxexplore as pjx
from purejaxexplore.blocks.replay import sample_windows
from purejaxexplore.learners.ddpg import DDPGConfig, ddpg, expectile_loss, falling_noise, noisy
from purejaxexplore.learners.plasticity import adaptive_replay_ratio, drm
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit, require_same_types


@struct.dataclass
class SlideState:
    position: jax.Array
    time: jax.Array


@struct.dataclass
class SlideParams:
    max_steps_in_episode: int = 4


class Slide(environment.Environment):
    """Moves by ``action / 4`` in [-1/4, 3/4]; beyond 0.6 it pays 1 and terminates; else it pays the position."""

    @property
    def default_params(self):
        return SlideParams()

    def get_obs(self, state, params=None, key=None):
        return jnp.stack([state.position, 0.1 * state.time])

    def reset_env(self, key, params):
        state = SlideState(jax.random.uniform(key, minval=-0.5, maxval=0.5), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(self, key, state, action, params):
        state = SlideState(state.position + 0.25 * action[0], state.time + 1)
        out = state.position > 0.6
        reward = jnp.where(out, 1.0, state.position)
        return self.get_obs(state), state, reward, out, {}

    def action_space(self, params):
        return spaces.Box(-1.0, 3.0, (1,))

    def observation_space(self, params):
        return spaces.Box(-2.0, 2.0, (2,))


TINY = DDPGConfig(
    num_envs=2, rollout_length=4, num_updates=2, batch_size=8, replay_capacity=32, num_warmup_steps=6, n_step=3,
    hidden_sizes=(5,), activation="tanh", gamma=0.9, target_rate=0.25, learning_rate=0.01, first_noise=0.0,
    last_noise=0.0,
)  # fmt: skip
THERMOSTAT = drm(lambda age: jnp.float32(0.1), 2, most_exploited=0.9, exploit_sharpness=1.0)
# Of the first iteration one update counts, of the others both.
RULE = THERMOSTAT._replace(updates=lambda ps, num_updates: jnp.where(ps.t == 0, 1, num_updates))


def three_iterations(config, rule):
    """States before and after each of three iterations, and the metrics of each."""
    env = Slide()
    algorithm = ddpg(env, env.default_params, config, plasticity=rule)
    step, states, metrics = quick_jit(algorithm.step), [quick_jit(algorithm.init)(jax.random.key(0))], []
    for t in (1, 2, 3):
        state, told = step(jax.random.key(t), states[-1])
        states.append(state)
        metrics.append(told)
    return jax.tree.map(np.asarray, states), metrics


@pytest.fixture(scope="module")
def awake():
    return three_iterations(TINY, RULE)


def test_stores_the_true_successors_in_the_order_of_time(awake):
    stored, head = awake[0][2].replay.data, int(awake[0][2].replay.head)
    stored = jax.tree.map(lambda x: x[(head + np.arange(16)) % 16], stored)
    moved = stored.obs[..., 0] + 0.25 * (1.0 + 2.0 * stored.action[..., 0])
    written = stored.next_obs[..., 1] > 0
    assert written.sum() == 28 and (np.abs(stored.action) <= 1.0).all()
    np.testing.assert_allclose(stored.next_obs[..., 0][written], moved[written], atol=1e-5)
    np.testing.assert_array_equal(stored.terminated, stored.next_obs[..., 0] > 0.6)
    assert stored.terminated.any() and stored.truncated.any()
    np.testing.assert_array_equal(stored.truncated, np.isclose(stored.next_obs[..., 1], 0.4))


def plain(params):
    """``[(kernel, bias), ...]`` of an MLP with one hidden layer."""
    return [(np.float64(params["params"][f"Dense_{i}"][k])) for i in (0, 1) for k in ("kernel", "bias")]


def network(weights, x):
    return np.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3]


def gradient(loss, weights):
    """By central differences."""
    found = [np.zeros_like(x) for x in weights]
    for leaf, into in zip(weights, found, strict=True):
        for at in np.ndindex(leaf.shape):
            old = leaf[at]
            leaf[at] = old + 1e-6
            above = loss()
            leaf[at] = old - 1e-6
            into[at] = (above - loss()) / 2e-6
            leaf[at] = old
    return found


def test_the_updates_are_those_of_the_equations(awake):
    before, after, metrics = awake[0][1], awake[0][2], awake[1][1]
    rho, sigma = float(before.plasticity.rho), float(metrics["noise"])
    weight = 0.9 / (1 + np.exp(rho - 0.2))
    dormant = 0.8 / (1 + np.exp(-10 * (rho - 0.2)))
    assert sigma == pytest.approx(max(dormant, 0.1) if before.plasticity.awake >= 0 else dormant, rel=1e-4)
    assert metrics["exploitation"] == pytest.approx(weight, rel=1e-4)

    def of(tree, head):
        return plain(jax.tree.map(lambda x: x[head], tree))

    actor, value = plain(before.params.actor), plain(before.params.value)
    critics, targets = ([of(tree, head) for head in (0, 1)] for tree in (before.params.critics, before.target))
    opt = before.opt_state
    adam = {"actor": [plain(x) for x in opt.actor[1:]], "value": [plain(x) for x in opt.value[1:]]}
    adam["critics"] = [of(x, 0) + of(x, 1) for x in opt.critics[1:]]
    assert [state.count for state in opt] == [1, 1, 1]

    def descend(name, weights, loss, count):
        for leaf, grad, m, v in zip(weights, gradient(loss, weights), *adam[name], strict=True):
            m[...] = 0.9 * m + 0.1 * grad
            v[...] = 0.999 * v + 0.001 * grad**2
            leaf -= 0.01 * (m / (1 - 0.9**count)) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8)

    def least(twins, obs, action):
        return np.min([network(twin, np.concatenate([obs, action], 1))[:, 0] for twin in twins], 0)

    stored, losses = after.replay.data, []
    for number, key in enumerate(jax.random.split(jax.random.split(jax.random.key(2), 3)[1], 2)):
        key_draw, *keys = jax.random.split(key, 3)
        noise, imagined = (np.clip(sigma * np.asarray(jax.random.normal(k, (8, 1))), -0.3, 0.3) for k in keys)
        rows, lanes = sample_windows(key_draw, jax.tree.map(jnp.asarray, after.replay), 8, 3)
        returns, discounts, ends = [], [], []
        for window, lane in zip(np.asarray(rows), np.asarray(lanes), strict=True):
            returned, discount = 0.0, 1.0
            for row in window:
                returned += discount * stored.reward[row, lane]
                discount *= 0.9
                if stored.terminated[row, lane] or stored.truncated[row, lane]:
                    break
            returns.append(returned)
            discounts.append(discount * (not stored.terminated[row, lane]))
            ends.append(stored.next_obs[row, lane])
        end, start = np.float64(ends), (rows[:, 0], lanes)
        obs, action = np.float64(stored.obs[start]), np.float64(stored.action[start])
        next_action = np.clip(np.tanh(network(actor, end)) + noise, -1, 1)
        end_value = least(targets, end, next_action)
        best = least(critics, obs, action)

        def value_loss(best=best, obs=obs):
            error = best - network(value, obs)[:, 0]
            return (np.where(error < 0, 0.1, 0.9) * error**2).mean()

        descend("value", value, value_loss, 2 + number)
        y = np.array(returns) + np.array(discounts) * (weight * network(value, end)[:, 0] + (1 - weight) * end_value)

        def critic_loss(y=y, obs=obs, action=action):
            x = np.concatenate([obs, action], 1)
            return sum(((network(twin, x)[:, 0] - y) ** 2).mean() for twin in critics)

        losses.append(critic_loss())
        descend("critics", critics[0] + critics[1], critic_loss, 2 + number)
        mean = np.tanh(network(actor, obs))
        chosen = np.clip(mean + imagined, -1, 1)

        def actor_loss(obs=obs, shift=chosen - mean):
            return -least(critics, obs, np.tanh(network(actor, obs)) + shift).mean()

        descend("actor", actor, actor_loss, 2 + number)
        targets = [
            [0.75 * slow + 0.25 * fast for slow, fast in zip(*pair, strict=True)]
            for pair in zip(targets, critics, strict=True)
        ]
    np.testing.assert_allclose(metrics["value_loss"], np.mean(losses), rtol=1e-4)
    expected = {"actor": actor, "value": value, "critics": critics[0] + critics[1], "target": targets[0] + targets[1]}
    found = {
        "actor": plain(after.params.actor), "value": plain(after.params.value),
        "critics": of(after.params.critics, 0) + of(after.params.critics, 1),
        "target": of(after.target, 0) + of(after.target, 1),
    }  # fmt: skip
    for name, leaves in expected.items():
        for x, y in zip(found[name], leaves, strict=True):
            np.testing.assert_allclose(x, y, atol=2e-4, err_msg=name)


def test_counts_due_updates_and_perturbs_all_networks(awake):
    _, once, twice, thrice = awake[0]
    counts = [[opt.count for opt in state.opt_state] for state in (once, twice, thrice)]
    np.testing.assert_array_equal(counts, [[1] * 3, [3] * 3, [0] * 3])
    for old, new in zip((*twice.params, twice.target), (*thrice.params, thrice.target), strict=True):
        moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), old, new)
        assert max(jax.tree.leaves(moved)) > 0.05
    assert thrice.updates == 5 and [int(told["updates"]) for told in awake[1]] == [1, 2, 2]


@pytest.mark.slow
def test_without_its_mechanisms_drm_is_ddpg():
    nothing = drm(lambda age: jnp.float32(0.0), 2, most_kept=1.0, least_kept=1.0, most_noise=0.0, most_exploited=0.0)
    config = TINY.replace(first_noise=0.5)
    (*_, with_rule), (*_, told) = three_iterations(config, nothing)
    (*_, without), (*_, expected) = three_iterations(config, None)
    for name in ("actor", "critics"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
            getattr(with_rule.params, name), getattr(without.params, name),
        )  # fmt: skip
    assert without.params.value == () and with_rule.params.value != ()
    for name, value in expected.items():
        np.testing.assert_allclose(told[name], value, rtol=1e-4, err_msg=name)
    assert set(told) - set(expected) == {"dormant_ratio", "active_fraction", "updates", "exploitation"}


@pytest.mark.slow
def test_adaptive_replay_watches_the_critics():
    (*_, last), told = three_iterations(TINY, adaptive_replay_ratio(1, 1, tolerance=1.0))
    assert [int(metrics["updates"]) for metrics in told] == [1, 1, 2]
    assert last.updates == 4 and last.opt_state.actor.count == 4
    # The critics are watched: five units each, on eight samples.
    assert float(told[0]["active_fraction"]) * 80 == pytest.approx(round(float(told[0]["active_fraction"]) * 80))


def test_noise_falls_linearly_and_is_passed_through():
    config = DDPGConfig(first_noise=1.0, last_noise=0.2, noise_steps=100.0)
    found = [float(falling_noise(config, jnp.int32(t))) for t in (0, 50, 100, 300)]
    np.testing.assert_allclose(found, [1.0, 0.6, 0.2, 0.2], rtol=1e-6)
    mean, noise = jnp.asarray([0.0, 0.9, -0.9]), jnp.asarray([0.5, 0.5, -0.5])
    np.testing.assert_allclose(noisy(mean, noise), [0.5, 1.0, -1.0], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: noisy(x, noise).sum())(mean), 1.0)


def test_expectile_loss_is_least_at_the_expectile():
    targets = jnp.asarray([0.0, 0.0, 0.0, 1.0])
    assert expectile_loss(jnp.full(4, 0.5), targets, 0.9) == pytest.approx((3 * 0.1 * 0.25 + 0.9 * 0.25) / 4)
    grid = jnp.linspace(0.0, 1.0, 101)
    best = grid[jax.vmap(lambda v: expectile_loss(jnp.full(4, v), targets, 0.9))(grid).argmin()]
    assert best == pytest.approx(0.75)  # 0.9 (1 - v) = 3 * 0.1 v


@pytest.mark.parametrize("rule", [None, THERMOSTAT, adaptive_replay_ratio(1, 1)], ids=["none", "drm", "adaptive"])
def test_every_rule_keeps_its_types(rule):
    env = Slide()
    algorithm = ddpg(env, env.default_params, TINY, plasticity=rule)
    fresh = jax.eval_shape(algorithm.init, jax.random.key(0))
    after, _ = jax.eval_shape(algorithm.step, jax.random.key(0), fresh)
    require_same_types("the state after step, against that after init", after, fresh)


@pytest.mark.slow
def test_contract():
    env = Slide()
    check_algorithm(ddpg(env, env.default_params, TINY, plasticity=RULE), num_steps=2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"replay_capacity": 33}, "replay_capacity=33: expected a multiple of num_envs=2"),
        ({"num_warmup_steps": 3}, "num_warmup_steps=3: expected a whole number of at least 4"),
        ({"num_updates": 0}, "num_updates=0: expected a whole number of at least 1"),
        ({"expectile": 1.5}, r"expectile=1.5: expected a number in \[0, 1\]"),
        ({"noise_clip": -0.1}, "noise_clip=-0.1: expected a number of at least 0"),
        ({"noise_steps": 0.0}, "noise_steps=0.0: expected a number of at least 1"),
        ({"activation": "sine"}, "activation='sine'"),
    ],
)
def test_refuses_a_bad_config(change, message):
    with pytest.raises(ValueError, match=message):
        ddpg(*make("Pendulum-v1"), TINY.replace(**change))


def test_refuses_actions_that_are_no_bounded_box(cartpole):
    with pytest.raises(ValueError, match=r"actions of CartPole-v1: expected a Box of one axis, not Discrete\(2"):
        ddpg(*cartpole, TINY)
    env = Slide()
    env.action_space = lambda params: spaces.Box(-jnp.inf, 1.0, (1,))
    with pytest.raises(ValueError, match="lowest action of Slide=.*expected a number in"):
        ddpg(env, env.default_params, TINY)
    with pytest.raises(TypeError, match="env=.*expected a gymnax environment"):
        ddpg(None, None)


@pytest.mark.slow
def test_learns_to_hold_a_pendulum_up():
    env, params = pjx.make("gymnax/Pendulum-v1")
    config = DDPGConfig(
        num_envs=4, rollout_length=4, batch_size=64, hidden_sizes=(64, 64), noise_steps=8000.0, replay_capacity=8192,
        num_warmup_steps=128,
    )  # fmt: skip
    run = pjx.run(ddpg(env, params, config), 4, 500, progress=False)
    assert np.asarray(run.metrics["episode_return"])[:, -50:].mean() > -400  # uniform actions: about -1200
