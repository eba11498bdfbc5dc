"""The value of a policy from what another one logged: importance weights and a model of the rewards.

A log holds contexts, the action ``a`` taken with probability ``p(a | x)``, and its reward ``r``; ``pi`` is the policy
to be valued and ``w = pi(a | x) / p(a | x)``:

    direct         mean of sum_a pi(a | x) m(x, a)                    as good as the model m
    ips            mean of w r                                        unbiased; Horvitz and Thompson (1952), "A
                                                                      generalization of sampling without replacement
                                                                      from a finite universe"
    snips          sum of w r / sum of w                              small bias, far less variance; Swaminathan and
                                                                      Joachims (2015), "The self-normalized estimator
                                                                      for counterfactual learning"
    doubly_robust  mean of sum_a pi(a | x) m(x, a) + w (r - m(x, a))  unbiased, less variance the better m; Dudik,
                                                                      Langford and Li (2011), "Doubly robust policy
                                                                      evaluation and learning"
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_between


class OffPolicyValue(NamedTuple):
    """Estimates f32[] of the mean reward.

    Attributes:
        direct, ips, snips, doubly_robust: as above.
        effective_samples: ``(sum w)^2 / sum w^2``, how many samples of the policy itself the log is worth, roughly.
    """

    direct: jax.Array
    ips: jax.Array
    snips: jax.Array
    doubly_robust: jax.Array
    effective_samples: jax.Array


def off_policy_value(
    action: jax.Array,
    reward: jax.Array,
    logged: jax.Array,
    target: jax.Array,
    model: jax.Array | None = None,
    *,
    most: float = jnp.inf,
) -> OffPolicyValue:
    """The estimates of a log of n pulls; ``vmap`` over logs.

    Args:
        action: i32[n].
        reward: f32[n].
        logged: f32[n], the probability with which ``action`` was taken, above 0.
        target: f32[n, K], the probabilities of the policy to be valued.
        model: f32[n, K], predicted rewards that were not fitted to this log; 0 by default, which makes
            ``doubly_robust`` equal ``ips``.
        most: weights are cut at this, above 0; below infinity the estimates are biased.

    Raises:
        ValueError: shapes disagree, an action or a probability is out of range, or ``most`` is not positive.
    """
    n, K = jnp.shape(target) if jnp.ndim(target) == 2 else (None, None)
    shapes = {"action": jnp.shape(action), "reward": jnp.shape(reward), "logged": jnp.shape(logged)}
    if n is None or any(shape != (n,) for shape in shapes.values()):
        raise ValueError(f"target {jnp.shape(target)}, {shapes}: expected [n, K], and [n] of all others")
    if model is not None and jnp.shape(model) != (n, K):
        raise ValueError(f"model {jnp.shape(model)}: expected {(n, K)}, as target")
    require_between(float(np.finfo(np.float32).tiny), np.inf, most=most)
    if not isinstance(logged, jax.core.Tracer) and not np.all((np.asarray(logged) > 0) & (np.asarray(logged) <= 1)):
        raise ValueError("logged: expected probabilities in (0, 1]; actions that cannot be logged cannot be valued")
    if not isinstance(target, jax.core.Tracer):
        shares = np.asarray(target)
        if not np.all(shares >= 0) or not np.allclose(shares.sum(1), 1.0, atol=1e-3):
            raise ValueError("target: expected probabilities that sum to 1 for every pull")
    if not isinstance(action, jax.core.Tracer) and not np.all((np.asarray(action) >= 0) & (np.asarray(action) < K)):
        raise ValueError(f"action: expected numbers from 0 to {K - 1}")
    model = jnp.zeros((n, K)) if model is None else model
    rows = jnp.arange(n)
    weight = jnp.minimum(target[rows, action] / logged, most)
    predicted = (target * model).sum(1)
    weighted = weight * reward
    return OffPolicyValue(
        direct=predicted.mean(),
        ips=weighted.mean(),
        snips=weighted.sum() / jnp.maximum(weight.sum(), 1e-30),
        doubly_robust=(predicted + weight * (reward - model[rows, action])).mean(),
        effective_samples=jnp.square(weight.sum()) / jnp.maximum(jnp.square(weight).sum(), 1e-30),
    )
