"""Every bonus keeps the six contracts, and each contract refuses a bonus that breaks it."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Batch, Bonus, BonusState, observe_nothing
from purejaxexplore.bonuses.build import bonus_factory, make_bonus, widths
from purejaxexplore.bonuses.combine import multiply, normalise, with_reward
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.bonuses.rnd import RNDConfig, rnd
from purejaxexplore.systems import BONUSES
from purejaxexplore.testing import check_bonus, random_steps

SMALL_RND = RNDConfig(feature_dim=4, target_sizes=(4,), predictor_sizes=(4,))
VARIANTS = {
    "lifelong counts": ("counts", {"episodic": False}, None),
    "salesman": ("counts", {"reward": "salesman"}, None),
    "normalised product": (
        "counts", {}, lambda bonus: normalise(multiply(bonus, rnd(SMALL_RND)), "return_std")
    ),
    "one head": ("rnd", {"keep_fraction": 0.5}, lambda bonus: with_reward(bonus, 2.0)),
}
"""Name -> (registered bonus, settings other than the defaults, what is made of it)."""


def shrunk(field):
    """The default of a config's field, with no size above 32 and no network of two hidden layers."""
    value = field.default
    if isinstance(value, int) and not isinstance(value, bool):
        return min(value, 32)
    if isinstance(value, tuple):
        return tuple(min(size, 8) for size in value[:1])
    if dataclasses.is_dataclass(value):
        return type(value)(**{inner.name: shrunk(inner) for inner in dataclasses.fields(value)})
    return value


def small(name, env, env_params, **settings):
    """A registered bonus with its defaults, shrunk."""
    fields = dataclasses.fields(bonus_factory(name)[1])
    defaults = {field.name: shrunk(field) for field in fields if field.default is not dataclasses.MISSING}
    return make_bonus(name, env, env_params, **{**defaults, **settings})


@pytest.fixture(scope="module")
def make_steps(corridor):
    """One function, and so one compiled program, for the rollouts of all checks."""
    return random_steps(*corridor)


DEAR = {"apt", "byol_explore", "diayn", "disagreement", "drnd", "girm", "icm", "ngu", "novel_d", "rdd", "ride"}
"""The eleven that take longest; these are checked by ``make test-all``."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in DEAR)) for name in (*BONUSES, *VARIANTS)]
)
def test_keeps_the_contracts(name, corridor, make_steps):
    registered, settings, change = VARIANTS.get(name, (name, {}, None))
    bonus = small(registered, *corridor, **settings)
    check_bonus(bonus if change is None else change(bonus), make_steps)


def test_widths_reach_the_networks_inside_a_bonus():
    ngu = widths("ngu", 7)
    assert set(ngu["hidden_sizes"]) == set(ngu["rnd"].predictor_sizes) == set(ngu["rnd"].target_sizes) == {7}
    assert len(ngu["rnd"].predictor_sizes) == len(RNDConfig().predictor_sizes)
    assert widths("counts", 7) == {}


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("rmd", {}, "bonus='rmd': expected one of .*; did you mean 'rnd'"),
        ("rnd", {"feature_dims": 3}, "setting of bonus 'rnd'='feature_dims': .*did you mean 'feature_dim'"),
        ("counts", {}, "bonus 'counts' needs num_states, which CartPole-v1 does not give: pass num_states="),
    ],
)
def test_a_bonus_by_its_name_refuses(name, settings, message, cartpole):
    with pytest.raises(ValueError, match=message):
        make_bonus(name, *cartpole, **settings)


def test_with_reward_adds_the_environments_reward(corridor):
    bonus = counts(CountsConfig(6))
    steps = random_steps(*corridor)(jax.random.key(0), 2, 32)
    state = bonus.init(jax.random.key(0), steps)
    steps = steps._replace(reward=jnp.arange(64.0).reshape(32, 2))
    raw = jnp.ones_like(steps.reward)
    batch = Batch(steps, jnp.zeros((*steps.reward.shape, 0)))
    _, shaped = with_reward(bonus, 2.0).shape(state, raw, batch)
    assert (shaped == raw + 2.0 * steps.reward).all()


def _bonus(score, *, mem=lambda steps: (), life=(), update=lambda key, state, batch: (state, {}), learn=()):
    def init(key, steps):
        return BonusState(learn=learn, life=life, mem=mem(steps), norm=jnp.zeros(steps.reward.shape[1]), t=jnp.int32(0))

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    return Bonus(init, lambda state: observe_nothing(state.norm.shape[0]), score, shape, update)


def _position(step: Step) -> jax.Array:
    return step.next_obs[:, 0]


def _never_cleared(key, state, step):
    return state._replace(mem=state.mem + 1), state.mem


def _compared_across_lanes(key, state, step):
    return state, _position(step) - _position(step)[0]


def _float_table_in_lane_order(key, state, step):
    life = 0.9 * state.life + step.next_obs[0, 0]
    return state._replace(life=life), _position(step)


def _writes_learn(key, state, step):
    return state._replace(learn=state.learn + 1), _position(step)


def _blind(key, state, step):
    return state, jnp.zeros(step.reward.shape)


def _infinite_at_zero(key, state, step):
    return state, 1 / jnp.abs(step.next_obs).sum(-1)


def _impure_score():
    calls = []

    def score(key, state, step):
        calls.append(None)
        return state, _position(step) + len(calls)

    return score


@pytest.mark.parametrize(
    "broken, message",
    [
        (_bonus(_never_cleared, mem=lambda steps: jnp.zeros(steps.reward.shape[1])), "episode isolation"),
        (_bonus(_compared_across_lanes), "deferral|equivariance"),
        (_bonus(_float_table_in_lane_order, life=jnp.zeros(())), "equivariance: life"),
        (_bonus(_writes_learn, learn=jnp.zeros(()))._replace(defer=False), "score may not write learn"),
        (_bonus(_blind, update=lambda k, s, batch: (s._replace(norm=s.norm + 1), {})), "update may not write norm"),
        (_bonus(_blind, update=lambda k, s, batch: (s._replace(learn=1), {})), "state after update"),
        (_bonus(_infinite_at_zero), "finite: zero observations"),
        (_bonus(_impure_score()), "deferral"),
        (_bonus(lambda k, s, step: (s, jnp.flip(_position(step)))), "deferral|equivariance"),
    ],
)
def test_refuses_what_breaks_a_contract(broken, message, make_steps):
    with pytest.raises(AssertionError, match=message):
        check_bonus(broken, make_steps)


def test_refuses_too_small_rollouts(corridor):
    with pytest.raises(ValueError, match="num_envs=1"):
        check_bonus(rnd(), random_steps(*corridor), num_envs=1)
