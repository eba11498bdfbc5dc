"""The pair of functions itself: keys, make_train, per_seed, and the contract checker that must refuse offenders."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore.algorithm import MAX_STEPS, Algorithm, evaluate_key, init_key, scan_steps, step_key
from purejaxexplore.testing import check_algorithm


class Walk(NamedTuple):
    """``place: f32[]`` of a random walk and how many steps it made, i32[]."""

    place: jax.Array
    t: jax.Array


def walk(drift=0.0) -> Algorithm:
    def init(key):
        return Walk(jax.random.normal(key), jnp.int32(0))

    def step(key, state):
        state = Walk(state.place + drift + jax.random.normal(key), state.t + 1)
        return state, {"place": state.place, "env_steps": state.t}

    return Algorithm(init, step, lambda key, state: {"squared": state.place**2 + 0 * jax.random.normal(key)})


def test_make_train_is_init_and_then_every_step_with_its_own_key(key):
    state, metrics = jax.jit(pjx.make_train(walk(), 4))(key)
    place = jax.random.normal(init_key(key))
    for t in range(4):
        place = place + jax.random.normal(step_key(key, t))
        np.testing.assert_allclose(metrics["place"][t], place, rtol=1e-5)
    np.testing.assert_array_equal(metrics["env_steps"], [1, 2, 3, 4])
    assert state.t == 4


def test_a_seed_does_not_depend_on_how_many_run_beside_it(key):
    train = jax.jit(jax.vmap(pjx.make_train(walk(), 3)))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(5))
    np.testing.assert_array_equal(train(keys)[1]["place"][:2], train(keys[:2])[1]["place"])


def test_chunks_continue_one_another(key):
    algorithm = walk()
    whole, metrics = scan_steps(algorithm, key, algorithm.init(key), 0, 5)
    state, first = scan_steps(algorithm, key, algorithm.init(key), 0, 2)
    state, second = scan_steps(algorithm, key, state, 2, 3)
    np.testing.assert_array_equal(np.concatenate([first["place"], second["place"]]), metrics["place"])
    assert state.t == whole.t


def test_no_two_purposes_share_a_key(key):
    keys = [init_key(key), *(step_key(key, t) for t in (0, 1, 2**31, MAX_STEPS - 1))]
    keys += [evaluate_key(key, t) for t in (0, 1, 2**31)]
    words = np.stack([jax.random.key_data(k) for k in keys])
    assert len(np.unique(words, axis=0)) == len(keys)


@pytest.mark.parametrize("num_steps", [0, -1, 2.0, "3", MAX_STEPS + 1])
def test_make_train_refuses_a_bad_number_of_steps(num_steps):
    with pytest.raises(ValueError, match="num_steps=.*expected a whole number from 1"):
        pjx.make_train(walk(), num_steps)


def test_make_train_refuses_a_factory_and_says_what_to_call():
    with pytest.raises(TypeError, match=r"algorithm=<function walk.*call the factory first.*ppo\(env, "):
        pjx.make_train(walk, 3)
    with pytest.raises(TypeError, match="algorithm=3: expected a purejaxexplore.Algorithm"):
        pjx.make_train(3, 3)


def test_per_seed_draws_a_world_for_every_seed(key):
    algorithm = pjx.per_seed(lambda k: jax.random.uniform(k, minval=10.0, maxval=20.0), walk)
    states = jax.vmap(algorithm.init)(jax.random.split(key, 3))
    drifts, _ = states
    assert len(np.unique(drifts)) == 3
    (same, inner), metrics = jax.vmap(algorithm.step)(jax.random.split(key, 3), states)
    np.testing.assert_array_equal(same, drifts)
    np.testing.assert_allclose(
        inner.place - states[1].place, drifts + jax.vmap(jax.random.normal)(jax.random.split(key, 3)), rtol=1e-4
    )
    assert metrics["env_steps"].tolist() == [1, 1, 1]
    assert algorithm.evaluate is not None
    assert pjx.per_seed(jax.random.normal, lambda drift: walk(drift)._replace(evaluate=None)).evaluate is None


def test_the_contract_holds_for_the_walk_alone_and_with_a_world_a_seed():
    check_algorithm(walk())
    check_algorithm(pjx.per_seed(jax.random.normal, walk), key=jax.random.key(3))


def _stepping(step, init=lambda key: Walk(jax.random.normal(key), jnp.int32(0))):
    return Algorithm(init, step)


def _counter():
    calls = []

    def step(key, state):
        calls.append(None)
        return state, {"calls": jnp.float32(len(calls))}

    return step


@pytest.mark.parametrize(
    "offender, message",
    [
        (_stepping(lambda key, s: (s, {"place": jnp.zeros(2)})), "metric 'place' must be a scalar"),
        (_stepping(lambda key, s: (s, {"inner": {"place": s.place}})), "metric 'inner' must be a scalar"),
        (_stepping(lambda key, s: (s, [s.place])), "flat dict"),
        (_stepping(lambda key, s: (s._replace(t=s.t + 0.5), {})), r"the state after step.*\.t is float32"),
        (_stepping(lambda key, s: (s.place, {})), "the state after step"),
        (_stepping(lambda key, s: (s, {"a": jnp.log(s.place - 1e9)})), "metrics of the first chunk: .*'a'"),
        (_stepping(lambda key, s: (s._replace(place=s.place * jnp.nan), {})), "the state is NaN"),
        (_stepping(lambda key, s: (s, {}), lambda key: {"key": key}), "init stores the key it was given"),
        (_stepping(lambda key, s: ((s[0], key), {}), lambda key: (0, jax.random.split(key)[0])), "step stores"),
        (_stepping(lambda key, s: (jax.random.key_data(key), {}), lambda key: jnp.zeros(2, jnp.uint32)), "step stores"),
        (_stepping(_counter()), "step without jit"),
        (
            _stepping(lambda key, s: (s._replace(place=s.place + jnp.float32(np.random.normal())), {})),
            "step without jit",
        ),
    ],
)
def test_the_checker_refuses(offender, message):
    with pytest.raises(AssertionError, match=message):
        check_algorithm(offender)


def test_the_checker_refuses_a_factory_and_a_single_seed():
    with pytest.raises(TypeError, match="call the factory first"):
        check_algorithm(walk)
    with pytest.raises(ValueError, match="num_seeds=1"):
        check_algorithm(walk(), num_seeds=1)
