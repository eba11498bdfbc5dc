"""The action side of exploration: how an action is drawn from what the network says.

PPO hands an explorer its policy; a learner of action values hands it the greedy policy of the values, which keeps them
as ``policy.preferences``. An explorer's log-probability is that of the distribution it really drew from, so that PPO's
ratio stays correct; those that draw from none they could name are for learners of action values only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.rollout import Lanes
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.admissible import admissible_in

Schedule = Callable[[jax.Array], jax.Array]


class Explorer(NamedTuple):
    """Pure functions; ``es`` is the explorer's own state.

    Attributes:
        init: ``(key, num_envs) -> es``.
        act: ``(key, es, policy, lanes) -> (action [N, ...], log_prob f32[N], es)``; ``policy`` is a distrax
            distribution with batch shape [N]; where ``lanes.done`` an episode begins, and with it whatever lasts one.
        transform: ``(key, params, es) -> params``, called before every rollout (weight noise).
        discrete_only: static, True where ``act`` needs a categorical policy.
        values_only: static, True where only learners of action values may use it: ``log_prob`` is 0.
        per_head: static, True where ``policy`` must hold every head of an ensemble, with batch shape [E, N].
        adapt: ``(es, policy, acted) -> es``, called after every rollout with the policy over its observations, batch
            shape [T N], without and with what ``transform`` did; None where nothing adapts.
    """

    init: Callable[[jax.Array, int], Any]
    act: Callable[[jax.Array, Any, distrax.Distribution, Lanes], tuple[jax.Array, jax.Array, Any]]
    transform: Callable[[jax.Array, Any, Any], Any]
    discrete_only: bool = False
    values_only: bool = False
    per_head: bool = False
    adapt: Callable[[Any, distrax.Distribution, distrax.Distribution], Any] | None = None


def keep_params(key: jax.Array, params: Any, es: Any) -> Any:
    """The ``transform`` of an explorer without weight noise."""
    return params


def _stateless(act, discrete_only=False) -> Explorer:
    return Explorer(lambda key, num_envs: (), act, keep_params, discrete_only)


def scores_of(policy: distrax.Categorical) -> jax.Array:
    """f32[..., A], the action values of a greedy policy, or the logits of a stochastic one.

    They are -inf where an action is not admissible, which no temperature softens.
    """
    if isinstance(policy, distrax.Greedy):
        return policy.preferences
    able = admissible_in(policy)
    return policy.logits if able is None else jnp.where(able, policy.logits, -jnp.inf)


def uniform_share(rate, policy: distrax.Categorical) -> jax.Array | float:
    """``rate`` divided equally among the actions of a policy, or among those that are admissible, f32[..., A]."""
    able = admissible_in(policy)
    return rate / policy.num_categories if able is None else rate * able / able.sum(-1, keepdims=True)


def on_policy() -> Explorer:
    """Samples the policy itself; of action values the greedy action, ties broken at random."""

    def act(key, es, policy, lanes):
        action, log_prob = policy.sample_and_log_prob(seed=key)
        return action, log_prob, es

    return _stateless(act)


def uniform_mixture(epsilon: float | Schedule) -> Explorer:
    """With probability ``epsilon`` a uniform action instead; log-probabilities are the mixture's.

    Over action values this is epsilon-greedy.

    Args:
        epsilon: in [0, 1], or a function of the environment steps acted so far, ``i32[] -> f32[]``, such as one of
            optax's schedules.

    Raises:
        ValueError: ``epsilon`` is not a probability.
    """
    scheduled = callable(epsilon)
    if not scheduled:
        require_between(0.0, 1.0, epsilon=epsilon)

    def act(key, es, policy, lanes):
        rate = epsilon(es) if scheduled else epsilon
        probs = (1.0 - rate) * policy.probs + uniform_share(rate, policy)
        action, log_prob = distrax.Categorical(probs=jnp.asarray(probs)).sample_and_log_prob(seed=key)
        return action, log_prob, es + lanes.done.shape[0] if scheduled else es

    init = (lambda key, num_envs: jnp.int32(0)) if scheduled else (lambda key, num_envs: ())
    return Explorer(init, act, keep_params, discrete_only=True)


def boltzmann(temperature: float) -> Explorer:
    """Actions in proportion to ``exp(value / temperature)``, or ``exp(logit / temperature)`` of a stochastic policy.

    Raises:
        ValueError: ``temperature`` is not positive.
    """
    require_between(float(np.finfo(np.float32).tiny), np.inf, temperature=temperature)

    def act(key, es, policy, lanes):
        softened = distrax.Softmax(scores_of(policy), temperature)
        action, log_prob = softened.sample_and_log_prob(seed=key)
        return action, log_prob, es

    return _stateless(act, discrete_only=True)


class Held(NamedTuple):
    """``action``: i32[N], repeated for ``remaining``: i32[N] more steps."""

    action: jax.Array
    remaining: jax.Array


def zeta_cdf(mu: float, longest: int) -> jax.Array:
    """f32[longest], ``P(n <= 1 ... longest)`` of ``P(n) ~ n^-mu``, cut off and normalised."""
    weights = jnp.arange(1.0, longest + 1) ** -jnp.asarray(mu, jnp.float32)
    return jnp.cumsum(weights) / weights.sum()


def ez_greedy(epsilon: float, mu: float = 2.0, longest: int = 100) -> Explorer:
    """Dabney, Ostrovski and Barreto (2021), "Temporally-extended epsilon-greedy exploration".

    With probability ``epsilon`` a uniform action starts and is repeated for n steps, ``P(n) ~ n^-mu``; a repetition
    ends with its episode, and where the action is no longer admissible.

    Args:
        epsilon: probability of starting one, [0, 1].
        mu: exponent, (1, inf); 2 in the paper.
        longest: n is at most so many steps (10,000 in the paper, where the probability beyond 100 is 0.6 %).

    Raises:
        ValueError: an argument is out of its range.
    """
    require_between(0.0, 1.0, epsilon=epsilon)
    require_between(1.0, np.inf, mu=mu)
    require_at_least(1, longest=longest)

    def init(key, num_envs):
        return Held(jnp.zeros(num_envs, jnp.int32), jnp.zeros(num_envs, jnp.int32))

    def act(key, es, policy, lanes):
        key_greedy, key_start, key_action, key_length = jax.random.split(key, 4)
        shape = lanes.done.shape
        repeating = (es.remaining > 0) & ~lanes.done
        able = admissible_in(policy)
        if able is not None:
            repeating &= jnp.take_along_axis(able, es.action[:, None], -1)[:, 0]
        starts = ~repeating & (jax.random.uniform(key_start, shape) < epsilon)
        if able is not None:
            drawn = distrax.Categorical(probs=uniform_share(1.0, policy)).sample(seed=key_action)
        else:
            drawn = jax.random.randint(key_action, shape, 0, policy.num_categories)
        # Rounding may leave the last cumulative probability below 1 and a uniform above it.
        length = jnp.searchsorted(zeta_cdf(mu, longest), jax.random.uniform(key_length, shape), side="right") + 1
        held = jnp.where(starts, drawn, es.action)
        remaining = jnp.where(repeating, es.remaining - 1, jnp.where(starts, jnp.minimum(length, longest) - 1, 0))
        action = jnp.where(repeating | starts, held, policy.sample(seed=key_greedy))
        return action, jnp.zeros(shape), Held(held, remaining.astype(jnp.int32))

    return Explorer(init, act, keep_params, discrete_only=True, values_only=True)


def parameter_noise(
    delta: float | None = None, epsilon: float = 0.05, sigma: float = 0.05, factor: float = 1.01
) -> Explorer:
    """Plappert et al. (2018), "Parameter space noise for exploration", with the adaptive scale of section 3.

    Acts with a copy of the weights that Gaussian noise of standard deviation sigma was added to, one for each rollout
    of all environments (the paper: one an episode). After the rollout sigma grows by ``factor`` where the policies'
    mean distance ``KL(softmax Q || softmax Q~)`` is below delta, and else shrinks. The parameters of layer
    normalisation, which the method needs, are left alone.

    Args:
        delta: the distance aimed at, at least 0; the one of epsilon-greedy, ``-log(1 - eps + eps / A)``, by default.
        epsilon: of that default, [0, 1].
        sigma: the first standard deviation, at least 0.
        factor: at least 1; 1.01 in the paper.

    Raises:
        ValueError: an argument is out of its range.
    """
    require_between(0.0, 1.0, epsilon=epsilon)
    require_between(0.0, np.inf, sigma=sigma, delta=0.0 if delta is None else delta)
    require_between(1.0, np.inf, factor=factor)

    def transform(key, params, es):
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        noisy = [
            x if "LayerNorm" in jax.tree_util.keystr(path) else x + es * jax.random.normal(k, x.shape)
            for (path, x), k in zip(leaves, jax.random.split(key, len(leaves)), strict=True)
        ]
        return jax.tree.unflatten(structure, noisy)

    def act(key, es, policy, lanes):
        return policy.sample(seed=key), jnp.zeros(lanes.done.shape), es

    def adapt(es, policy, acted):
        aim = -jnp.log(1.0 - epsilon + epsilon / policy.num_categories) if delta is None else delta
        plain, perturbed = (distrax.Categorical(logits=scores_of(p)) for p in (policy, acted))
        distance = plain.kl_divergence(perturbed).mean()
        return jnp.where(distance < aim, es * factor, es / factor)

    return Explorer(
        lambda key, num_envs: jnp.float32(sigma), act, transform, discrete_only=True, values_only=True, adapt=adapt
    )


def bootstrapped() -> Explorer:
    """Osband, Blundell, Pritzel and Van Roy (2016), "Deep exploration via bootstrapped DQN".

    Every episode draws one head of the ensemble and is greedy with it.
    """

    def init(key, num_envs):
        return jnp.zeros(num_envs, jnp.int32)

    def act(key, es, policy, lanes):
        key_head, key_action = jax.random.split(key)
        values = policy.preferences
        head = jnp.where(lanes.done, jax.random.randint(key_head, es.shape, 0, values.shape[0]), es)
        chosen = distrax.Greedy(values[head, jnp.arange(es.shape[0])])
        return chosen.sample(seed=key_action), jnp.zeros(es.shape), head

    return Explorer(init, act, keep_params, discrete_only=True, values_only=True, per_head=True)
