"""The one interface of bandit policies.

Beside the four functions a policy names its randomness: the ``noise`` of a pull is drawn for many pulls in one call,
as that of a world is (:mod:`purejaxexplore.envs.bandits`). By default it is a key; a policy that needs a fixed number
of random numbers draws exactly those.

Random numbers are most of the cost of a pull. They come from JAX's default generator, Threefry: on CPU it is the
fastest that JAX has (10 ns a word on one core, 18 for ``rbg``) and the only one whose draws under ``vmap`` are those of
a loop, so that a seed's run does not depend on its neighbours. What is saved is their number: Beta Thompson sampling
draws one normal an arm (:mod:`purejaxexplore.blocks.betas`), and policies that draw nothing, none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, require_spec


class Aux(NamedTuple):
    """What ``act`` tells ``update`` and the logs.

    Attributes:
        prob: f32[K], the probability of each action given the past (of each arm being in the mask, for masks), as
            importance weights and off-policy evaluation need it; ``()`` where it has no closed form.
        extras: any pytree; a policy whose learning is random puts the keys for it here.
    """

    prob: Any = ()
    extras: Any = ()


class Policy(NamedTuple):
    """A learner for one seed.

    Attributes:
        spec: the worlds it is built for, static.
        init: ``key -> state``.
        act: ``(noise, state, observation) -> (action, Aux)``; changes nothing.
        update: ``(state, observation, action, feedback, aux) -> state``; uses ``feedback.value`` only where ``seen``.
        recommend: ``state -> action``, the final decision of pure exploration.
        noise: ``(key, n) -> noise [n, ...]``, the randomness of ``n`` pulls; by default a key for each.
        stopped: ``state -> bool[]``, True once a best-arm identification has ended, or None for a policy that never
            does. From then on nothing is pulled and nothing changes.
    """

    spec: Spec
    init: Callable[[jax.Array], Any]
    act: Callable[[Any, Any, Observation], tuple[jax.Array, Aux]]
    update: Callable[[Any, Observation, jax.Array, Feedback, Aux], Any]
    recommend: Callable[[Any], jax.Array]
    noise: Callable[[jax.Array, int], Any] = jax.random.split
    stopped: Callable[[Any], jax.Array] | None = None


def no_noise(key: jax.Array, n: int) -> tuple[()]:
    """The noise of a policy or a world that draws nothing."""
    return ()


def first_argmax(x: jax.Array) -> jax.Array:
    """i32[], the first index of the largest entry of f32[K], which holds no NaN.

    Whole numbers in the order of the floats are compared, because a CPU takes the largest of several at once only of
    whole numbers; ``argmax`` takes three times as long.
    """
    bits = jax.lax.bitcast_convert_type(jnp.asarray(x, jnp.float32) + 0.0, jnp.int32)  # + 0: -0 equals 0
    rank = jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    K = x.shape[-1]
    return jnp.where(rank == rank.max(-1, keepdims=True), jnp.arange(K, dtype=jnp.int32), K - 1).min(-1)


def one_hot(spec: Spec, action: jax.Array) -> jax.Array:
    """f32[K], the probabilities of a policy that is certain of its action."""
    return (jnp.arange(spec.num_arms) == action).astype(jnp.float32)


def require_index_world(spec: Spec, name: str, *, context: bool = False) -> Spec:
    """Returns ``spec``.

    Raises:
        TypeError: not a Spec.
        ValueError: the world's actions are not single arms, or it shows contexts and ``context`` is False, or shows
            none and ``context`` is True.
    """
    require_spec(spec)
    if spec.action != "index":
        raise ValueError(f"action={spec.action!r}: {name} chooses one arm, expected 'index'")
    if context and not spec.context_dim:
        raise ValueError(f"context_dim=0: {name} needs a context, expected at least 1")
    return spec


def require_unit_values(spec: Spec, name: str) -> None:
    """Raises ValueError unless all values lie in [0, 1], the range that ``name`` is stated for."""
    low, high = spec.value_range
    if low < 0 or high > 1:
        raise ValueError(
            f"value_range=({low:g}, {high:g}): {name} is stated for values in [0, 1]; rescale the world with"
            " envs.bandits.rescaled(world, low, high)"
        )


def require_horizon(horizon: float, num_arms: int) -> None:
    """Raises ValueError unless a horizon has a pull for every arm; traced values are not looked at."""
    if not isinstance(horizon, jax.core.Tracer) and not np.all(np.asarray(horizon) >= num_arms):
        raise ValueError(f"horizon={horizon!r}: expected at least {num_arms} pulls, one for each arm")


def draw_arm(uniform: jax.Array, prob: jax.Array) -> jax.Array:
    """i32[], an arm of probability ``prob`` f32[K], from one uniform number in [0, 1); never one of probability 0."""
    below = jnp.cumsum(prob)
    return (below <= uniform * below[-1]).sum(dtype=jnp.int32)
