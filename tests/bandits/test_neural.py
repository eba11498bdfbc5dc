"""NeuralUCB and neural Thompson sampling: their widths by hand, contracts, what they learn, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from purejaxexplore import bandits as b
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.nets import MLP
from purejaxexplore.testing import check_algorithm, check_policy

SMALL = b.NeuralConfig(nu=0.5, width=4, num_updates=1, batch_size=4, capacity=6)
SHARED, OWN = worlds.linear(3, 2), worlds.linear(3, 2, shared=False)


def test_the_width_is_the_norm_of_the_gradient():
    """By finite differences, after some pulls."""
    policy = b.neural_ucb(SHARED.spec, SMALL)
    state = policy.init(jax.random.key(0))
    state = state._replace(z=state.z + jnp.arange(state.z.size) / 10)
    observation = SHARED.observe(SHARED.reset(jax.random.key(1)))
    network = MLP((4,), 1, "relu", 1.0)
    flat, restore = ravel_pytree(state.params)
    flat = np.asarray(flat, np.float64)

    def predict(flat):
        return np.asarray(network.apply(restore(jnp.asarray(flat, jnp.float32)), observation.context))[:, 0]

    h = 1e-2  # the network is piecewise linear in every single weight
    moves = h * np.eye(flat.size)
    gradient = np.stack([(predict(flat + move) - predict(flat - move)) / (2 * h) for move in moves], 1)
    width = 0.5 * np.sqrt((gradient**2 / np.asarray(state.z)).sum(1) / 4)
    action, aux = policy.act((), state, observation)
    scores = predict(flat) + width
    assert action == scores.argmax()
    assert aux.prob[action] == 1
    # Thompson sampling moves every score by its own normal number of widths.
    normal = jnp.array([3.0, -3.0, 0.0])
    sampled, _ = b.neural_thompson(SHARED.spec, SMALL).act(normal, state, observation)
    assert sampled == (predict(flat) + width * np.asarray(normal)).argmax()


def test_a_pull_adds_its_squared_gradient_and_is_remembered():
    policy = b.neural_ucb(OWN.spec, SMALL)
    key_world, key_policy = jax.random.split(jax.random.key(0))
    state, world_state = policy.init(key_policy), OWN.reset(key_world)
    noises = OWN.noise(jax.random.key(1), 8)
    update, step = jax.jit(policy.update), jax.jit(OWN.step)
    for t in range(8):
        observation = OWN.observe(world_state)
        action, aux = policy.act((), state, observation)
        world_state, feedback, _ = step(noises[t], world_state, action)
        learnt = update(state, observation, action, feedback, aux)
        # The output layer of another arm is not touched: its entries of Z stay.
        moved = np.asarray(learnt.z > state.z)
        assert 0 < moved.sum() < moved.size
        np.testing.assert_array_equal(learnt.context[t % 6], observation.context)
        assert learnt.value[t % 6] == feedback.reward
        assert learnt.n == t + 1
        state = learnt


def test_it_learns_what_is_not_linear():
    world = worlds.cosine(3, 3, sd=0.05)
    config = b.NeuralConfig(nu=0.1, width=32, num_updates=4, batch_size=32, capacity=400, learning_rate=3e-3)
    regrets = {}
    for name, policy in (
        ("neural", b.neural_ucb(world.spec, config)),
        ("linear", b.lin_ucb(world.spec, b.LinUCBConfig(0.1))),
    ):
        run = jax.jit(jax.vmap(b.collect(policy, world, 400, b.lin_ucb_support(world.spec, b.LinUCBConfig()))))
        regret = run(jax.random.split(jax.random.key(0), 4)).regret
        regrets[name] = np.asarray(regret)[:, 200:].mean()
    assert regrets["neural"] < 0.5 * regrets["linear"]


@pytest.mark.parametrize("world", [SHARED, OWN], ids=["shared", "own"])
def test_no_policy_uses_what_it_has_not_seen(world):
    check_policy(b.neural_ucb(world.spec, SMALL), world, num_pulls=5)
    check_policy(b.neural_thompson(world.spec, SMALL), world, num_pulls=5)


@pytest.mark.slow
def test_contract():
    check_algorithm(b.bandit(b.neural_thompson(SHARED.spec, SMALL), SHARED, pulls=2), num_steps=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b.neural_ucb(worlds.bernoulli((0.1, 0.2)).spec, SMALL), "needs a context"),
        (lambda: b.neural_ucb(SHARED.spec, SMALL.replace(nu=-1.0)), "nu=-1.0"),
        (lambda: b.neural_thompson(SHARED.spec, SMALL.replace(width=0)), "width=0"),
        (lambda: b.neural_ucb(worlds.linear(3, 2, feedback="full").spec, SMALL), "feedback='full'"),
        (lambda: worlds.cosine(3, 0), "dim=0"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
