"""Reward streams: the environment's reward and bonuses, each with a discount and a value head of its own.

Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation", section 2.3.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.rollout import Step
from purejaxexplore.bonuses.bonus import Bonus, BonusState, batches, score_rollout
from purejaxexplore.checks import require_between


class Stream(NamedTuple):
    """One reward stream.

    Attributes:
        name: prefix of its metrics.
        bonus: None for the environment's own reward.
        gamma, lam: discount and trace parameter, [0, 1]; may be traced.
        coef: weight of its advantages, [0, inf), a number or a function of the iteration ``t: i32[] -> f32[]``.
        episodic: static; False for returns that continue over the ends of episodes.
    """

    name: str
    bonus: Bonus | None = None
    gamma: float = 0.99
    lam: float = 0.95
    coef: float | Callable[[jax.Array], jax.Array] = 1.0
    episodic: bool = True


def require_streams(env, streams: Sequence[Stream]) -> None:
    """Raises ValueError unless the streams have names of their own and ``env`` gives their bonuses what they need."""
    if len({stream.name for stream in streams}) != len(streams) or not streams:
        raise ValueError(f"streams={[s.name for s in streams]}: expected at least one, each with a name of its own")
    for stream in streams:
        require_between(0.0, 1.0, **{f"gamma of stream {stream.name!r}": stream.gamma})
        require_between(0.0, 1.0, **{f"lam of stream {stream.name!r}": stream.lam})
        if not callable(stream.coef):
            require_between(0.0, inf, **{f"coef of stream {stream.name!r}": stream.coef})
        if stream.bonus is not None and stream.bonus.needs_state_id and not hasattr(env, "state_id"):
            raise ValueError(
                f"stream {stream.name!r} needs numbered states, which {env.name} has not: wrap it in"
                " purejaxexplore.envs.wrappers.StateId(env, fn, num_states)"
            )


def coefs_at(streams: Sequence[Stream], t: jax.Array) -> jax.Array:
    """The streams' weights at iteration ``t``, f32[K]."""
    return jnp.stack([jnp.float32(stream.coef(t) if callable(stream.coef) else stream.coef) for stream in streams])


def features_of(bonuses: Sequence[Bonus], states: Sequence[BonusState], num_envs: int) -> jax.Array:
    """All that the bonuses show the policy, f32[N, F]."""
    shown = [bonus.observe(state) for bonus, state in zip(bonuses, states, strict=True)]
    return jnp.concatenate(shown, -1) if shown else jnp.zeros((num_envs, 0))


def score_online(key: jax.Array, bonuses: Sequence[Bonus], states: Sequence[BonusState], step: Step):
    """Scores one step with the bonuses that cannot wait: (states, raw scores, ``()`` for those that can)."""
    scored = [
        (state, ()) if bonus.defer else bonus.score(jax.random.fold_in(key, i), state, step)
        for i, (bonus, state) in enumerate(zip(bonuses, states, strict=True))
    ]
    return tuple(state for state, _ in scored), tuple(raw for _, raw in scored)


def pay(
    key: jax.Array, streams: Sequence[Stream], states: Sequence[BonusState], steps: Step, features: jax.Array, raw: Any
) -> tuple[tuple[BonusState, ...], jax.Array]:
    """Scores a rollout with the bonuses that waited and shapes all scores: (states, rewards f32[T, N, K]).

    Args:
        key: consumed.
        streams: K of them.
        states: of the bonuses, in the order of the streams.
        steps, features: the rollout [T, N].
        raw: what :func:`score_online` gave, [T, N] for each bonus; ``()`` where none was scored online.
    """
    bonuses = [stream.bonus for stream in streams if stream.bonus is not None]
    rewards, after = [], []
    keys = iter(jax.random.split(key, max(len(bonuses), 1)))
    shown = batches(bonuses, states, steps, features)
    waiting = iter(zip(states, raw or ((),) * len(bonuses), shown, strict=True))
    for stream in streams:
        if stream.bonus is None:
            rewards.append(steps.reward)
            continue
        state, scored, batch = next(waiting)
        if stream.bonus.defer:
            state, scored = score_rollout(next(keys), stream.bonus, state, steps)
        state, shaped = stream.bonus.shape(state, scored, batch)
        after.append(state)
        rewards.append(shaped)
    return tuple(after), jnp.stack(rewards, -1)


def learn(
    key: jax.Array, streams: Sequence[Stream], states: Sequence[BonusState], steps: Step, features: jax.Array
) -> tuple[tuple[BonusState, ...], dict[str, jax.Array]]:
    """Updates the bonuses with a rollout: (states, their metrics as ``STREAM_metric``)."""
    named = [stream for stream in streams if stream.bonus is not None]
    after, metrics = [], {}
    keys = jax.random.split(key, max(len(named), 1))
    shown = batches([stream.bonus for stream in named], states, steps, features)
    for stream, state, k, batch in zip(named, states, keys, shown, strict=False):
        state, learned = stream.bonus.update(k, state, batch)
        after.append(state)
        metrics |= {f"{stream.name}_{name}": value for name, value in learned.items()}
    return tuple(after), metrics
