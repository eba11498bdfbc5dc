"""Bonuses made from bonuses.

A bonus made from several keeps the states of its parts side by side and scores them together; every part shapes its own
scores before they are combined. So ``multiply(a, normalise(b, "standardise_clip"))`` standardises one factor, and
``normalise(multiply(a, b), "return_std")`` the product. No combinator looks into what a part has learned.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.moments import RunningMoments, forward_filter, init_moments, merge_moments
from purejaxexplore.bonuses.bonus import Bonus, BonusState, batches, score_one, score_rollout
from purejaxexplore.bonuses.counts import CountsConfig, counts
from purejaxexplore.checks import choice, require_at_least, require_between


def add(bonuses: Sequence[Bonus], coefs: Sequence[float] | None = None) -> Bonus:
    """``sum_i coef_i r_i`` under one value head, with coefficients of 1 by default.

    Raises:
        ValueError: no bonus, a negative coefficient, or not one coefficient a bonus.
    """
    coefs = (1.0,) * len(bonuses) if coefs is None else tuple(coefs)
    if len(coefs) != len(bonuses):
        raise ValueError(f"coefs={coefs}: expected {len(bonuses)}, one a bonus")
    require_between(0.0, inf, **{f"coefs[{i}]": coef for i, coef in enumerate(coefs)})
    return _combine(bonuses, lambda rewards: sum(coef * r for coef, r in zip(coefs, rewards, strict=True)))


def multiply(*bonuses: Bonus) -> Bonus:
    """``prod_i r_i``, such as an episodic novelty times a lifelong one.

    Raises:
        ValueError: no bonus.
    """
    return _combine(bonuses, lambda rewards: jnp.stack(rewards).prod(0))


def gate_first_visit(bonus: Bonus, num_states: int, groups: np.ndarray | None = None) -> Bonus:
    """The bonus at the first visit of a state (or of its group) in an episode, 0 at every other.

    Zhang, Xu, Wang, Wu, Keutzer, Gonzalez and Tian (2021), "NovelD", section 3; the state an episode starts in is
    visited. Arguments and errors are those of :func:`~purejaxexplore.bonuses.counts.counts`.
    """
    return multiply(bonus, counts(CountsConfig(num_states, reward="salesman"), groups))


class Scaled(NamedTuple):
    """Statistics of :func:`normalise`: ``filter`` f32[N] and the ``moments`` of what it let through, f32[]."""

    filter: jax.Array
    moments: RunningMoments


NORMALISATIONS = {
    "return_std": lambda r, mean, std, limit: r / std,
    "std": lambda r, mean, std, limit: r / std,
    "mean_clip0": lambda r, mean, std, limit: jnp.maximum(r - mean, 0.0) / std,
    "standardise_clip": lambda r, mean, std, limit: jnp.clip(1.0 + (r - mean) / std, 1.0, limit),
}


def normalise(bonus: Bonus, how: str, gamma: float = 0.99, limit: float = 5.0) -> Bonus:
    """The bonus on a scale of its own making, by running moments that include the rollout being paid.

    Args:
        bonus: what is normalised.
        how: "return_std": ``r / std(F)``, ``F_t = gamma F_{t-1} + r_t`` (Burda et al., 2018); "std": ``r / std(r)``;
            "mean_clip0": ``max(r - mean, 0) / std`` (Guo et al., 2022, "BYOL-Explore"); "standardise_clip":
            ``clip(1 + (r - mean) / std, 1, limit)``, the lifelong factor of Badia et al. (2020), "Never give up".
        gamma: of the filter, [0, 1].
        limit: L of "standardise_clip", [1, inf).

    Raises:
        ValueError: an unknown ``how``, or a number out of its range.
    """
    choice("how", how, sorted(NORMALISATIONS))
    require_between(0.0, 1.0, gamma=gamma)
    require_between(1.0, inf, limit=limit)

    def own(state):
        return state._replace(norm=state.norm[0])

    def put(state, after):
        return after._replace(norm=(after.norm, state.norm[1]))

    def init(key, steps):
        state = bonus.init(key, steps)
        return state._replace(norm=(state.norm, Scaled(jnp.zeros(steps.reward.shape[1]), init_moments())))

    def score_all(key, state, steps):
        after, raw = score_rollout(key, bonus, own(state), steps)
        return put(state, after), raw

    def shape(state, raw, batch):
        after, reward = bonus.shape(own(state), raw, batch)
        carry, filtered = forward_filter(state.norm[1].filter, reward, gamma if how == "return_std" else 0.0)
        moments = merge_moments(state.norm[1].moments, filtered)
        normalised = NORMALISATIONS[how](reward, moments.mean, jnp.sqrt(moments.variance + 1e-8), limit)
        return after._replace(norm=(after.norm, Scaled(carry, moments))), normalised

    def update(key, state, batch):
        after, metrics = bonus.update(key, own(state), batch)
        return put(state, after), metrics

    def observe(state):
        return bonus.observe(own(state))

    return bonus._replace(
        init=init, observe=observe, score=score_one(score_all), shape=shape, update=update, rescore=None,
        score_all=score_all,
    )  # fmt: skip


def clip(bonus: Bonus, low: float, high: float) -> Bonus:
    """Rewards clipped to ``[low, high]``.

    Raises:
        ValueError: ``low > high``.
    """
    if low > high:
        raise ValueError(f"low={low}, high={high}: expected low <= high")
    return _changed(bonus, lambda reward, t: jnp.clip(reward, low, high))


def anneal(bonus: Bonus, schedule: Callable[[jax.Array], jax.Array]) -> Bonus:
    """Rewards times ``schedule(t)``, ``t: i32[]`` the rollouts paid before, such as an optax schedule."""
    return _changed(bonus, lambda reward, t: reward * schedule(t))


def warmup(bonus: Bonus, num_rollouts: int) -> Bonus:
    """No reward for the first ``num_rollouts`` rollouts, in which an untrained predictor would pay for noise.

    Raises:
        ValueError: ``num_rollouts`` is negative.
    """
    require_at_least(0, num_rollouts=num_rollouts)
    return _changed(bonus, lambda reward, t: jnp.where(t < num_rollouts, 0.0, reward))


def _changed(bonus: Bonus, change: Callable[[jax.Array, jax.Array], jax.Array]) -> Bonus:
    """The bonus with rewards ``change(reward f32[T, N], rollouts paid before i32[])``."""

    def shape(state, raw, batch):
        after, reward = bonus.shape(state, raw, batch)
        return after, change(reward, state.t)

    return bonus._replace(shape=shape, rescore=None)


def _combine(bonuses: Sequence[Bonus], pay: Callable[[Sequence[jax.Array]], jax.Array]) -> Bonus:
    """One bonus of several; ``raw`` and all parts of the state but ``t`` are tuples, one entry a bonus."""
    bonuses = tuple(bonuses)
    if not bonuses:
        raise ValueError("bonuses: expected at least one to combine")

    def part(state, i):
        return BonusState(state.learn[i], state.life[i], state.mem[i], state.norm[i], state.t)

    def joined(states):
        return BonusState(*(tuple(fields) for fields in list(zip(*states, strict=True))[:4]), states[0].t)

    def parts(state):
        return [(bonus, part(state, i)) for i, bonus in enumerate(bonuses)]

    def init(key, steps):
        keys = jax.random.split(key, len(bonuses))
        return joined([bonus.init(k, steps) for bonus, k in zip(bonuses, keys, strict=True)])

    def observe(state):
        return jnp.concatenate([bonus.observe(own) for bonus, own in parts(state)], -1)

    def score_all(key, state, steps):
        keys = jax.random.split(key, len(bonuses))
        scored = [score_rollout(k, bonus, own, steps) for (bonus, own), k in zip(parts(state), keys, strict=True)]
        return joined([after for after, _ in scored]), tuple(raw for _, raw in scored)

    def shape(state, raw, batch):
        seen = batches(bonuses, [own for _, own in parts(state)], batch.steps, batch.features)
        shaped = [bonus.shape(own, r, b) for (bonus, own), r, b in zip(parts(state), raw, seen, strict=True)]
        return joined([after for after, _ in shaped]), pay([reward for _, reward in shaped])

    def update(key, state, batch):
        keys = jax.random.split(key, len(bonuses))
        seen = batches(bonuses, [own for _, own in parts(state)], batch.steps, batch.features)
        updated = [bonus.update(k, own, b) for (bonus, own), k, b in zip(parts(state), keys, seen, strict=True)]
        metrics = {f"{name}_{i}": value for i, (_, own) in enumerate(updated) for name, value in own.items()}
        return joined([after for after, _ in updated]), metrics

    return Bonus(
        init,
        observe,
        score_one(score_all),
        shape,
        update,
        score_all=score_all,
        defer=all(bonus.defer for bonus in bonuses),
        needs_state_id=any(bonus.needs_state_id for bonus in bonuses),
        random_mem=any(bonus.random_mem for bonus in bonuses),
    )


def with_reward(bonus: Bonus, coef: float = 1.0) -> Bonus:
    """The bonus plus ``coef`` times the environment's reward, for one value head over both.

    Two heads with a discount and an episode flag of their own are the alternative: Burda, Edwards, Storkey and Klimov
    (2018), "Exploration by random network distillation", section 2.3.
    """

    def shape(state, raw, batch):
        state, shaped = bonus.shape(state, raw, batch)
        return state, shaped + coef * batch.steps.reward

    def rescore(key, state, steps):
        return bonus.rescore(key, state, steps) + coef * steps.reward

    return bonus._replace(shape=shape, rescore=None if bonus.rescore is None else rescore)
