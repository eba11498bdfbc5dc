"""Reward streams: the environment's reward and bonuses, each with a discount and a value head of its own.

Burda, Edwards, Storkey and Klimov (2018), "Exploration by random network distillation", section 2.3.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

import jax

from purejaxexplore.bonuses.bonus import Bonus
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
