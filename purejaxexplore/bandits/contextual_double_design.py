"""C-DouExpDes: good policies for many contextual linear bandits that share a low-dimensional representation.

Du, Huang and Sun (2023), "Multi-task representation learning for pure exploration in linear bandits", section 5. M
tasks pay ``phi(s, a)^T theta_m`` plus noise, ``theta_m = B w_m`` with one unknown B f32[d, k]; the context s comes
from an unknown distribution, the same for all tasks. The aim is a policy for every task whose value is within epsilon
of the best. Phase t aims at ``epsilon = 2^-t`` with fresh pulls:

1. The distribution of the contexts is estimated from those of all earlier pulls (in the first phase, of 64 d looks).
2. Every task plays a sampling policy that is E-optimal under it, in batches of p pulls, T_t batches. With ``theta~``
   the least-squares estimate from one batch of random contexts, B is estimated by the k leading eigenvectors of the
   mean of ``theta~ theta~^T - sigma^2 (X^T X)^-1``.
3. Every task plays ``N = c sigma^2 rho ln(2 M / delta_t) / epsilon^2`` pulls of a sampling policy that is G-optimal in
   the k dimensions ``B^T phi``, of value rho (k, for a perfect design), and estimates w_m by least squares.

The policy of a task is greedy: ``argmax_a phi(s, a)^T B w_m``. As in :mod:`purejaxexplore.bandits.double_design`, the
theorem's dependence on M and epsilon is kept and its constants are settings. Doubling the accuracy phase by phase is
ours; the paper does one phase, at the epsilon wanted.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.bandits.double_design import leading_basis, projector_distance
from purejaxexplore.blocks.designs import RIDGE, least_squares_draw
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.representations import ContextualTasks


@flax.struct.dataclass
class ContextualDesignConfig:
    """Attributes:
    rank: k, at least 1 and at most d; not looked at without a representation.
    delta: probability in (0, 1) that some task's policy misses the accuracy of a phase; may be traced.
    sd: sigma, of the rewards' noise; may be traced.
    batch_factor: p / d, pulls of a batch of stage 2 for each dimension.
    feature_factor: c_1, batches are ``c_1 k sigma^2 rho_E / (p M epsilon^2)``, rho_E the value of the E-optimal
        sampling policy; may be traced.
    sample_factor: c, of the pulls of stage 3; may be traced.
    design_steps: of Frank and Wolfe, for both designs.
    representation: ``"learned"``; ``"known"``: the true B, without stage 2; ``"none"``: each task by itself in d
        dimensions.
    """

    rank: int = flax.struct.field(pytree_node=False)
    delta: float = 0.05
    sd: float = 1.0
    batch_factor: int = flax.struct.field(pytree_node=False, default=8)
    feature_factor: float = 32.0
    sample_factor: float = 8.0
    design_steps: int = flax.struct.field(pytree_node=False, default=200)
    representation: str = flax.struct.field(pytree_node=False, default="learned")


class ContextualDesignState(NamedTuple):
    """Attributes:
    contexts: f32[S], how often each was met.
    basis: f32[d, k], the estimate of B.
    parameters: f32[M, d], the estimates ``B w_m``; 0 before the first phase.
    feature_pulls: f32[], of each task, before stage 3.
    pulls: f32[], of each task, in stage 3.
    phase: i32[], phases done.
    """

    contexts: jax.Array
    basis: jax.Array
    parameters: jax.Array
    feature_pulls: jax.Array
    pulls: jax.Array
    phase: jax.Array


def contextual_double_design(tasks: ContextualTasks, config: ContextualDesignConfig) -> Algorithm:
    """One step is one phase, which halves epsilon, from 1/2.

    Metrics: ``env_steps`` (pulls of all tasks), ``pulls_per_task``, ``feature_pulls`` (of each task, part of it),
    ``simple_regret`` and ``worst_simple_regret`` (what a greedy policy's expected reward lacks to the best policy's,
    mean and largest of the tasks), ``target`` (epsilon), ``projector_error`` (largest singular value of the
    difference of the projectors on the estimated and the true span; 0 where nothing is estimated), ``phase``.

    Raises:
        TypeError: ``tasks`` is not ContextualTasks.
        ValueError: a setting is out of range, or features, chances, basis and parameters do not fit together.
    """
    if not isinstance(tasks, ContextualTasks):
        raise TypeError(
            f"tasks={type(tasks).__name__}: expected ContextualTasks(features, chances, basis, parameters)"
        )
    choice("representation", config.representation, ("learned", "known", "none"))
    require_at_least(1, rank=config.rank, batch_factor=config.batch_factor, design_steps=config.design_steps)
    require_between(1e-12, 1 - 1e-6, delta=config.delta)
    require_between(0.0, np.inf, sd=config.sd)
    require_between(1e-6, np.inf, feature_factor=config.feature_factor, sample_factor=config.sample_factor)
    S, A, d = tasks.features.shape
    M = tasks.parameters.shape[0]
    if config.rank > d:
        raise ValueError(f"rank={config.rank}: expected at most {d}, the dimension of the features")
    if tasks.parameters.shape != (M, d) or tasks.chances.shape != (S,):
        found = f"parameters of shape {tasks.parameters.shape}, chances of {tasks.chances.shape}"
        raise ValueError(f"{found}: expected (M, {d}) and ({S},), as the features are")
    learns = config.representation == "learned"
    batch = config.batch_factor * d
    looks = -(-64 * d // M)
    start = {"learned": jnp.eye(d)[:, : config.rank], "known": tasks.basis, "none": jnp.eye(d)}[
        config.representation
    ]
    means = jnp.einsum("sad,md->msa", tasks.features, tasks.parameters)

    def meet(key, policy, number):
        """How often each context and action comes in ``number`` f32[] pulls: f32[S, A]."""
        chance = (tasks.chances[:, None] * policy).ravel()
        return jax.random.multinomial(key, number, chance / chance.sum()).reshape(S, A)

    def init(key):
        met = meet(key, jnp.full((S, A), 1 / A), jnp.float32(looks * M)).sum(1)
        zero = jnp.float32(0.0)
        return ContextualDesignState(met, start, jnp.zeros((M, d)), jnp.float32(looks), zero, jnp.int32(0))

    def step(key, state):
        key_features, key_cells, key_values = jax.random.split(key, 3)
        phase = state.phase + 1
        epsilon = 0.5**phase
        chances = state.contexts / state.contexts.sum()
        basis, contexts, feature_pulls = state.basis, state.contexts, jnp.float32(0.0)
        if learns:
            policy, spread = spectral_policy(tasks.features, chances, config.design_steps)
            wanted = config.feature_factor * config.rank * config.sd**2 * spread / (batch * M * epsilon**2)
            batches = jnp.maximum(jnp.ceil(wanted), 1.0)
            basis, met = recover_basis(
                key_features, tasks, means, lambda key: meet(key, policy, jnp.float32(batch)), batches, config.rank,
                config.sd,
            )  # fmt: skip
            contexts, feature_pulls = contexts + met, batches * batch
        low = tasks.features @ basis
        policy, spread = uniform_policy(low, chances, config.design_steps)
        confidence = jnp.log(2 * M * 2 * phase**2 / config.delta)
        number = jnp.ceil(config.sample_factor * config.sd**2 * spread * confidence / epsilon**2)

        def estimate(key_cells, key_values, mean):
            counts = meet(key_cells, policy, number)
            weights = estimate_from(key_values, low, counts, mean, config.sd)
            return basis @ weights, counts.sum(1)

        keys = jax.random.split(key_cells, M), jax.random.split(key_values, M)
        parameters, met = jax.vmap(estimate)(*keys, means)
        new = ContextualDesignState(
            contexts + met.sum(0),
            basis,
            parameters,
            state.feature_pulls + feature_pulls,
            state.pulls + number,
            phase,
        )
        greedy = jnp.einsum("sad,md->msa", tasks.features, parameters).argmax(-1)
        earned = jnp.take_along_axis(means, greedy[..., None], axis=-1)[..., 0]
        regret = (means.max(-1) - earned) @ tasks.chances
        return new, {
            "env_steps": M * (new.feature_pulls + new.pulls),
            "pulls_per_task": new.feature_pulls + new.pulls,
            "feature_pulls": new.feature_pulls,
            "simple_regret": regret.mean(),
            "worst_simple_regret": regret.max(),
            "target": epsilon,
            "projector_error": projector_distance(basis, tasks.basis) if learns else jnp.float32(0.0),
            "phase": phase,
        }

    return Algorithm(init, step)


def spectral_policy(features: jax.Array, chances: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """The E-optimal sampling policy f32[S, A] for features f32[S, A, d], and ``1 / lambda_min`` of its information."""

    def respond(policy, t):
        bottom = jnp.linalg.eigh(information(features, chances, policy))[1][:, 0]
        best = jax.nn.one_hot(jnp.square(features @ bottom).argmax(1), features.shape[1])
        step = 2 / (t + 2.0)
        return (1 - step) * policy + step * best, None

    uniform = jnp.full(features.shape[:2], 1 / features.shape[1])
    policy, _ = jax.lax.scan(respond, uniform, jnp.arange(1, steps + 1))
    return policy, 1 / jnp.linalg.eigvalsh(information(features, chances, policy))[0]


def uniform_policy(features: jax.Array, chances: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """The G-optimal sampling policy f32[S, A], and its value: the largest ``x^T V^-1 x`` of a context that was met."""
    S, A, d = features.shape
    flat = features.reshape(S * A, d)
    met = jnp.repeat(chances > 0, A)

    def worst(policy):
        inverse = jnp.linalg.inv(information(features, chances, policy))
        size = jnp.where(met, ((flat @ inverse) * flat).sum(1), -jnp.inf)
        return inverse @ flat[size.argmax()], size.max()

    def respond(policy, t):
        along, _ = worst(policy)
        best = jax.nn.one_hot(jnp.square(features @ along).argmax(1), A)
        step = 2 / (t + 2.0)
        return (1 - step) * policy + step * best, None

    policy, _ = jax.lax.scan(respond, jnp.full((S, A), 1 / A), jnp.arange(d, d + steps))
    return policy, worst(policy)[1]


def information(features: jax.Array, chances: jax.Array, policy: jax.Array) -> jax.Array:
    """``E x x^T`` f32[d, d] of a pull."""
    return jnp.einsum("sa,sad,sae->de", chances[:, None] * policy, features, features)


def estimate_from(
    key: jax.Array, features: jax.Array, counts: jax.Array, means: jax.Array, sd: jax.Array
) -> jax.Array:
    """A draw f32[d] of the ridge estimate from ``counts`` f32[S, A] pulls of ``means`` f32[S, A]."""
    arms = features.reshape(-1, features.shape[-1])
    return least_squares_draw(key, arms, counts.ravel(), means.ravel(), sd)


def recover_basis(
    key: jax.Array,
    tasks: ContextualTasks,
    means: jax.Array,
    draw_counts,
    batches: jax.Array,
    rank: int,
    sd: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """``(basis f32[d, k], contexts met f32[S])`` from ``batches`` f32[] batches of every task.

    Args:
        key: consumed.
        tasks, means: the worlds, and their expected rewards f32[M, S, A].
        draw_counts: ``key -> f32[S, A]``, the pulls of one batch.
        batches: number of batches of each task.
        rank: k.
        sd: of the noise.
    """
    S, A, d = tasks.features.shape
    M = tasks.parameters.shape[0]
    flat = tasks.features.reshape(S * A, d)

    def one(key, mean):
        key_counts, key_values = jax.random.split(key)
        counts = draw_counts(key_counts)
        estimate = estimate_from(key_values, tasks.features, counts, mean, sd)
        inverse = jnp.linalg.inv((flat.T * counts.ravel()) @ flat + RIDGE * jnp.eye(d))
        return jnp.outer(estimate, estimate) - sd**2 * inverse, counts.sum(1)

    def add(number, carry):
        moment, met = carry
        more, contexts = jax.vmap(one)(jax.random.split(jax.random.fold_in(key, number), M), means)
        return moment + more.mean(0), met + contexts.sum(0)

    start = jnp.zeros((d, d)), jnp.zeros(S)
    moment, met = jax.lax.fori_loop(0, batches.astype(jnp.int32), add, start)
    return leading_basis(moment / batches, rank), met
