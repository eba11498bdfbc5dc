"""Adversarial surprise: the game against a world in which all is known beforehand, its rules by hand, its contract."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment, EnvParams

from purejaxexplore.learners.adversarial_surprise import (
    CONTROL,
    EXPLORE,
    AdversarialSurpriseConfig,
    adversarial_surprise,
    explore_rewards,
    own_ends,
)
from purejaxexplore.learners.ppo import PPOConfig
from purejaxexplore.testing import check_algorithm
from purejaxexplore.testing.trees import quick_jit

H, ROUNDS, N, CLASSES = 4, 4, 3, 3
TINY = AdversarialSurpriseConfig(
    ppo=PPOConfig(
        num_envs=N, rollout_length=H * ROUNDS, num_epochs=1, num_minibatches=2, hidden_sizes=(4,), learning_rate=0.01
    ),
    least_probability=0.01,
    num_rounds=ROUNDS,
)
PATTERN = np.random.default_rng(0).integers(0, CLASSES, (64, 2))


class FilmState(NamedTuple):
    """``time`` and last ``action``, i32[]."""

    time: jax.Array
    action: jax.Array


@struct.dataclass
class FilmParams(EnvParams):
    """``length``: steps after which a film terminates."""

    max_steps_in_episode: int = H * ROUNDS
    length: int = 10**6


class Film(Environment):
    """Shows the two classes of PATTERN[time] whatever one does; the first is replaced by the action if ``live``."""

    def __init__(self, live=False):
        super().__init__()
        self.live = live

    @property
    def default_params(self):
        return FilmParams()

    def reset_env(self, key, params):
        state = FilmState(jnp.int32(0), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(self, key, state, action, params):
        state = FilmState(state.time + 1, action)
        ended = state.time >= params.length
        return self.get_obs(state), state, jnp.float32(1.0), ended, {}

    def get_obs(self, state, params=None, key=None):
        classes = jnp.asarray(PATTERN)[state.time]
        classes = classes.at[0].set(jnp.where(self.live, state.action, classes[0]))
        return jax.nn.one_hot(classes, CLASSES)

    def action_space(self, params=None):
        return spaces.Discrete(2)

    def observation_space(self, params=None):
        return spaces.Box(0.0, 1.0, (2, CLASSES), jnp.float32)


def log_probabilities(length: int, game_long: bool) -> np.ndarray:
    """What Control is paid in a game of Film, f64[rounds of Control, paid steps], undivided."""
    time, seen, paid = 0, [], []
    for clock in range(H * ROUNDS):
        turn, within = clock // H, clock % H
        if turn % 2 == CONTROL and within == 0 and not game_long:
            seen = []
        time += 1
        if turn % 2 == CONTROL and within >= H / 2:
            shares = [np.mean([s[c] == PATTERN[time][c] for s in seen]) if seen else 1 / CLASSES for c in range(2)]
            paid.append(np.log(np.maximum(shares, 0.01)).sum())
            seen = [*seen, PATTERN[time]]
        if time >= length:
            time, seen = 0, []
    return np.array(paid).reshape(ROUNDS // 2, -1)


@pytest.mark.parametrize("game_long", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_game_in_a_film_pays_what_counting_says(game_long):
    config = TINY.replace(game_long_buffer=game_long)

    @quick_jit
    def play(key, params):
        algorithm = adversarial_surprise(Film(), params, config)
        return algorithm.step(key, algorithm.init(key))[1]

    for length in (10**6, 11):
        metrics = play(jax.random.key(0), FilmParams(length=length))
        paid = log_probabilities(length, game_long)
        assert float(metrics["log_probability"]) == pytest.approx(paid.mean(), rel=1e-5)
        assert float(metrics["control_return"]) == pytest.approx(paid.sum(1).mean() / paid.std(), rel=1e-3)
        assert float(metrics["explore_return"]) == pytest.approx(-float(metrics["control_return"]), rel=1e-6)


def test_the_game_is_zero_sum_round_by_round():
    control = jnp.asarray(np.random.default_rng(1).normal(size=(3, H, N)), jnp.float32)
    explore = explore_rewards(control)
    np.testing.assert_array_equal(explore[:, -1], -control.sum(1))
    assert not explore[:, :-1].any()


def test_a_players_return_runs_over_the_others_rounds_and_not_over_ends():
    nothing = np.zeros((2, H, 1), bool)
    ends = np.asarray(own_ends(jnp.asarray(nothing), jnp.asarray(nothing)))
    assert ends.sum() == 2 and ends[:, 1, -1].all()  # only the game's last round has no successor

    during_control = nothing.copy()
    during_control[0, 1] = True
    ends = np.asarray(own_ends(jnp.asarray(nothing), jnp.asarray(during_control)))[..., 0]
    assert ends[EXPLORE, 0].tolist() == [False, False, False, True]
    assert ends[CONTROL, 0].tolist() == [False, True, False, False]

    during_explore = nothing.copy()
    during_explore[1, 0] = True
    ends = np.asarray(own_ends(jnp.asarray(during_explore), jnp.asarray(nothing)))[..., 0]
    assert ends[EXPLORE].sum() == 2 and ends[EXPLORE, 1, 0]
    assert ends[CONTROL, 0].tolist() == [False, False, False, True]


@pytest.mark.slow
def test_contract():
    check_algorithm(adversarial_surprise(Film(live=True), FilmParams(length=11), TINY), num_steps=2)


@pytest.mark.slow
def test_control_learns_to_be_predictable():
    """Its action is what is seen next: a Control that repeats itself is paid the most, and Explore can do nothing."""
    config = TINY.replace(
        ppo=PPOConfig(num_envs=16, rollout_length=H * ROUNDS, learning_rate=0.01, hidden_sizes=(16,))
    )
    algorithm = adversarial_surprise(Film(live=True), FilmParams(), config)
    step, state = jax.jit(algorithm.step), algorithm.init(jax.random.key(0))
    found = []
    for t in range(60):
        state, metrics = step(jax.random.key(t), state)
        found.append(float(metrics["log_probability"]))
    assert np.mean(found[-5:]) > np.mean(found[:5]) + 0.5


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_rounds": 3}, "num_rounds=3: expected an even number that divides rollout_length=16"),
        ({"num_rounds": 6}, "num_rounds=6: expected an even number that divides rollout_length=16"),
        ({"least_probability": 0.0}, "least_probability=0.0: expected"),
        ({"unpaid_share": 1.0}, "unpaid_share=1.0: expected"),
        ({"ppo": TINY.ppo.replace(num_minibatches=5)}, "num_minibatches=5 does not divide half of"),
        ({"ppo": TINY.ppo.replace(gru_size=4)}, "gru_size=4: expected 0"),
        ({"ppo": TINY.ppo.replace(rollout_length=32)}, "rollout_length=32: expected a game no longer than .*=16"),
    ],
)
def test_refuses_a_bad_config(change, message):
    with pytest.raises(ValueError, match=message):
        adversarial_surprise(Film(), FilmParams(), TINY.replace(**change))


def test_refuses_what_is_no_world_or_has_no_classes(monkeypatch):
    with pytest.raises(TypeError, match="env=None: expected a gymnax environment"):
        adversarial_surprise(None, None)
    monkeypatch.setattr(Film, "observation_space", lambda self, params: spaces.Box(0.0, 1.0, (1,), jnp.float32))
    with pytest.raises(ValueError, match=r"observations of shape \(1,\): expected one-hot classes"):
        adversarial_surprise(Film(), FilmParams(), TINY)
