"""DIAYN: what is paid, whose skill it is, and that skills come to differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch
from purejaxexplore.bonuses.combine import add
from purejaxexplore.bonuses.counts import CountsConfig
from purejaxexplore.bonuses.diayn import DIAYNConfig, diayn
from purejaxexplore.bonuses.sofe import sofe
from purejaxexplore.learners.ppo import PPOConfig, Stream, ppo

CONFIG = DIAYNConfig(num_skills=4, hidden_sizes=(16,), learning_rate=3e-2, num_minibatches=1)
N = 16


def step_of(places, done=False) -> Step:
    """One step of N environments to the one-hot ``places i32[N]``."""
    obs = jax.nn.one_hot(places, 4)
    blank = jnp.zeros(N)
    done = jnp.broadcast_to(jnp.asarray(done), (N,))
    aux = {"state_id": jnp.asarray(places), "reset_state_id": jnp.asarray(places)}
    return Step(obs, blank.astype(jnp.int32), blank, obs, done, jnp.zeros(N, bool), obs, aux)


def stacked(*steps):
    return jax.tree.map(lambda *x: jnp.stack(x), *steps)


@pytest.fixture(scope="module")
def bonus():
    return diayn(CONFIG)


def test_skills_last_an_episode_and_the_reward_is_that_of_the_skill_acted_with(bonus):
    state = bonus.init(jax.random.key(0), stacked(step_of(jnp.arange(N) % 4)))
    np.testing.assert_array_equal(bonus.observe(state), np.eye(4)[state.mem])
    assert len(set(state.mem.tolist())) == 4
    done = jnp.arange(N) < 12
    after, raw = bonus.score(jax.random.key(1), state, step_of(jnp.arange(N) % 4, done))
    np.testing.assert_array_equal(after.mem[12:], state.mem[12:])
    assert (after.mem[:12] != state.mem[:12]).any()
    params = state.learn.params["params"]
    x = np.eye(4)[np.arange(N) % 4]
    hidden = np.maximum(x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"], 0)
    logits = hidden @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    q = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(raw, np.log(q[np.arange(N), state.mem]) + np.log(4), rtol=1e-4, atol=1e-5)
    assert np.abs(raw).max() < 0.2  # an untrained discriminator is at chance, which pays about 0


@pytest.mark.parametrize("tells", [True, False], ids=["place tells the skill", "shuffled"])
def test_a_discriminator_learns_what_can_be_told_and_pays_log_n(bonus, tells):
    rng = np.random.default_rng(0)
    state = bonus.init(jax.random.key(0), stacked(step_of(jnp.arange(N) % 4)))
    state = state._replace(mem=jnp.arange(N) % 4)
    update = jax.jit(bonus.update)
    for i in range(60):
        place = np.arange(N) % 4 if tells else rng.integers(0, 4, N)
        steps = stacked(*[step_of(jnp.asarray(place))] * 4)
        features = jnp.broadcast_to(bonus.observe(state), (4, N, 4))
        state, metrics = update(jax.random.key(i), state, Batch(steps, features))
    raw = np.asarray(bonus.score(jax.random.key(9), state, step_of(jnp.asarray(place)))[1]).mean()
    if tells:
        assert metrics["discriminator_accuracy"] == 1.0 and raw == pytest.approx(np.log(4), abs=0.1)
    else:
        assert metrics["discriminator_accuracy"] < 0.7 and raw < 0.5


def test_may_be_shown_the_number_of_the_state_alone():
    bonus = diayn(CONFIG.replace(num_states=5))
    assert bonus.needs_state_id and not diayn(CONFIG).needs_state_id
    state = bonus.init(jax.random.key(0), stacked(step_of(jnp.arange(N) % 4)))
    assert state.learn.params["params"]["Dense_0"]["kernel"].shape == (5, 16)


def test_among_several_that_show_something_each_is_handed_its_own_features(bonus):
    shown = sofe(CountsConfig(4))
    both = add([shown, bonus])
    steps = stacked(*[step_of(jnp.arange(N) % 4)] * 4)
    state = both.init(jax.random.key(0), steps)
    features = jnp.broadcast_to(both.observe(state), (4, N, 8))
    _, metrics = both.update(jax.random.key(0), state, Batch(steps, features))
    part = bonus.init(jax.random.key(0), steps)._replace(learn=state.learn[1], mem=state.mem[1])
    own = Batch(steps, jnp.broadcast_to(bonus.observe(part), (4, N, 4)))
    expected = bonus.update(jax.random.split(jax.random.key(0))[1], part, own)[1]
    np.testing.assert_allclose(metrics["discriminator_loss_1"], expected["discriminator_loss"], rtol=1e-6)


@pytest.mark.slow
def test_ppo_learns_skills_that_lead_to_different_places(corridor):
    env, env_params = corridor
    config = PPOConfig(num_envs=16, rollout_length=20, num_warmup_steps=4, learning_rate=1e-2, hidden_sizes=(32,))
    shown = Stream("shown", sofe(CountsConfig(6)), coef=0.0)
    skills = Stream("diayn", diayn(CONFIG.replace(num_skills=2, num_states=6)), gamma=0.95)
    algorithm = ppo(env, env_params, config, streams=(shown, skills))
    state = jax.jit(algorithm.init)(jax.random.key(0))
    step = jax.jit(algorithm.step)
    for i in range(60):
        state, metrics = step(jax.random.key(i), state)
    assert metrics["diayn_discriminator_accuracy"] > 0.75
    assert metrics["diayn_reward"] > 0.25


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_skills": 1}, "num_skills=1: expected a whole number of at least 2"),
        ({"num_states": -1}, "num_states=-1"),
        ({"num_epochs": 0}, "num_epochs=0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        diayn(CONFIG.replace(**settings))
