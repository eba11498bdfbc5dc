"""DouExpDes: the best arm of many linear bandits that share a low-dimensional representation.

Du, Huang and Sun (2023), "Multi-task representation learning for pure exploration in linear bandits". M tasks have
parameters ``theta_m = B w_m`` in R^d with one unknown B f32[d, k], k << d. Phase t aims at gaps of ``D = 2^-t``, with
``delta_t = delta / (2 t^2)``:

1. Every task plays a batch of p arms, rounded from an E-optimal design, T_t times. With ``theta~`` the least-squares
   estimate from one batch, B is estimated by the k leading eigenvectors of ``mean theta~ theta~^T - sigma^2 (X^T
   X)^-1`` over all batches of all tasks.
2. Every task by itself, in k dimensions: ``N = c sigma^2 rho ln(4 n^2 M / delta_t) / D^2`` pulls of an XY-optimal
   design for the differences of its remaining arms ``B^T x``, of value rho; an arm is dropped when another is
   estimated to be better by more than D.

Two designs share the work: d dimensions are paid for once, together, and each task pays for k. Here ``T_t = c_1 k
sigma^2 rho_E / (p M D^2)``, at least ``1 + (d + 1) / M``: the theorem's dependence on M and D without its powers ``k^4
rho_E^2`` and logarithms, which no experiment can pay, and c = 8 and p = 4 d in place of 32 (1 + zeta) and 180 d /
zeta^2. Noise is Gaussian, so least-squares estimates are drawn and not simulated pull by pull, which changes nothing.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.designs import RIDGE, least_squares_draw, round_design, spectral_design, transductive_design
from purejaxexplore.blocks.gammas import gamma_fixed
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.representations import LinearTasks


@flax.struct.dataclass
class DoubleDesignConfig:
    """Attributes:
    rank: k, at least 1 and at most d; not looked at without a representation.
    delta: probability in (0, 1) that some task ends with a wrong arm; may be traced.
    sd: sigma, of the rewards' noise; may be traced.
    batch_factor: p / d, pulls of the first design's batch for each dimension; 180 / zeta^2 = 18,000 in the theorem.
    feature_factor: c_1, of the number of batches; may be traced.
    sample_factor: c, of the second design's pulls; 32 (1 + zeta) = 35.2 in the theorem; may be traced.
    design_steps: of Frank and Wolfe, for every design.
    representation: ``"learned"``; ``"known"``: the true B, without stage 1; ``"none"``: each task by itself in d
        dimensions.
    allocation: ``"designed"``, or ``"uniform"`` over the arms in both stages.
    """

    rank: int = flax.struct.field(pytree_node=False)
    delta: float = 0.05
    sd: float = 1.0
    batch_factor: int = flax.struct.field(pytree_node=False, default=4)
    feature_factor: float = 4.0
    sample_factor: float = 8.0
    design_steps: int = flax.struct.field(pytree_node=False, default=200)
    representation: str = flax.struct.field(pytree_node=False, default="learned")
    allocation: str = flax.struct.field(pytree_node=False, default="designed")


class DoubleDesignState(NamedTuple):
    """Attributes:
    design: f32[n], proportions of the first design.
    spread: f32[], its value rho_E, the norm of the inverse information matrix.
    basis: f32[d, k], the estimate of B.
    active: bool[M, n], arms that are left.
    feature_pulls: f32[], of each task, in stage 1.
    pulls: f32[M], of each task, in stage 2.
    phase: i32[], phases done.
    """

    design: jax.Array
    spread: jax.Array
    basis: jax.Array
    active: jax.Array
    feature_pulls: jax.Array
    pulls: jax.Array
    phase: jax.Array


def double_design(tasks: LinearTasks, config: DoubleDesignConfig) -> Algorithm:
    """One step is one phase; nothing happens once every task has one arm left.

    To draw tasks for every seed: ``per_seed(linear_tasks(100, 16, 2, 40), lambda tasks: double_design(tasks,
    config))``.

    Metrics: ``env_steps`` (pulls of all tasks), ``pulls_per_task``, ``feature_pulls`` (of each task, part of it),
    ``solved`` (share of the tasks with one arm left), ``error`` (share of the tasks that dropped their best arm),
    ``projector_error`` (largest singular value of the difference of the projectors on the estimated and the true
    span; 0 where nothing is estimated), ``phase``.

    Raises:
        TypeError: ``tasks`` is not LinearTasks.
        ValueError: a setting is out of range, or arms, basis and parameters do not fit together.
    """
    if not isinstance(tasks, LinearTasks):
        raise TypeError(f"tasks={type(tasks).__name__}: expected LinearTasks(arms, basis, parameters)")
    choice("representation", config.representation, ("learned", "known", "none"))
    choice("allocation", config.allocation, ("designed", "uniform"))
    require_at_least(1, rank=config.rank, batch_factor=config.batch_factor, design_steps=config.design_steps)
    require_between(1e-12, 1 - 1e-6, delta=config.delta)
    require_between(0.0, np.inf, sd=config.sd)
    require_between(1e-6, np.inf, feature_factor=config.feature_factor, sample_factor=config.sample_factor)
    n, d = tasks.arms.shape
    M = tasks.parameters.shape[0]
    if config.rank > d:
        raise ValueError(f"rank={config.rank}: expected at most {d}, the dimension of the arms")
    if tasks.parameters.shape != (M, d) or tasks.basis.shape[0] != d:
        raise ValueError(
            f"parameters of shape {tasks.parameters.shape}: expected (M, {d}), as the arms are in {d} dimensions"
        )
    means = tasks.parameters @ tasks.arms.T
    learns = config.representation == "learned"
    designed = config.allocation == "designed"
    batch = config.batch_factor * d
    start = {"learned": jnp.eye(d)[:, : config.rank], "known": tasks.basis, "none": jnp.eye(d)}[
        config.representation
    ]

    def init(key):
        design = spectral_design(tasks.arms, config.design_steps if designed and learns else 0)
        zero = jnp.float32(0.0)
        return DoubleDesignState(*design, start, jnp.ones((M, n), bool), zero, jnp.zeros(M), jnp.int32(0))

    def step(key, state):
        key_features, key_tasks = jax.random.split(key)
        phase = state.phase + 1
        gap = 0.5**phase
        delta = config.delta / (2 * phase**2)
        basis, feature_pulls = state.basis, jnp.float32(0.0)
        if learns:
            least = 1 + -(-(d + 1) // M)
            wanted = config.feature_factor * config.rank * state.spread * config.sd**2 / (batch * M * gap**2)
            batches = jnp.maximum(jnp.ceil(wanted), least)
            counts = round_design(state.design, jnp.float32(batch))
            basis = recover_basis(key_features, tasks, counts, batches, config.rank, config.sd)
            feature_pulls = batches * batch

        def eliminate(key, active, mean):
            arms = tasks.arms @ basis
            design = transductive_design(arms, active, config.design_steps if designed else 0)
            confidence = jnp.log(4 * n**2 * M / delta)
            number = jnp.ceil(config.sample_factor * config.sd**2 * design.value * confidence / gap**2)
            number = jnp.maximum(number, config.batch_factor * basis.shape[1])
            weights = least_squares_draw(key, arms, round_design(design.weights, number), mean, config.sd)
            score = arms @ weights
            best = jnp.where(active, score, -jnp.inf).max()
            return active & (score >= best - gap), number

        active, number = jax.vmap(eliminate)(jax.random.split(key_tasks, M), state.active, means)
        open_tasks = state.active.sum(1) > 1
        new = DoubleDesignState(
            state.design,
            state.spread,
            basis,
            jnp.where(open_tasks[:, None], active, state.active),
            state.feature_pulls + feature_pulls,
            state.pulls + jnp.where(open_tasks, number, 0.0),
            phase,
        )
        new = jax.tree.map(lambda new, old: jnp.where(open_tasks.any(), new, old), new, state)
        best = jnp.take_along_axis(new.active, means.argmax(1)[:, None], axis=1)[:, 0]
        return new, {
            "env_steps": M * new.feature_pulls + new.pulls.sum(),
            "pulls_per_task": new.feature_pulls + new.pulls.mean(),
            "feature_pulls": new.feature_pulls,
            "solved": (new.active.sum(1) == 1).mean(),
            "error": (~best).mean(),
            "projector_error": projector_distance(new.basis, tasks.basis) if learns else jnp.float32(0.0),
            "phase": new.phase,
        }

    return Algorithm(init, step)


def recover_basis(
    key: jax.Array, tasks: LinearTasks, counts: jax.Array, batches: jax.Array, rank: int, sd: jax.Array
) -> jax.Array:
    """The estimate f32[d, k] of the common basis from ``batches`` f32[] batches of ``counts`` f32[n] pulls of every
    task.

    The estimates of one task's batches are ``theta + L z``, ``L L^T = sigma^2 (X^T X)^-1``: the mean of their outer
    products is that of their mean, plus the scatter around it, which over all tasks is a Wishart matrix of ``M (batches
    - 1)`` degrees of freedom, drawn by Bartlett's decomposition.
    """
    key_mean, key_gamma, key_normal = jax.random.split(key, 3)
    M, d = tasks.parameters.shape
    factor = jnp.linalg.cholesky((tasks.arms.T * counts) @ tasks.arms + RIDGE * jnp.eye(d))
    spread = sd * jax.scipy.linalg.solve_triangular(factor, jnp.eye(d), lower=True).T
    mean = tasks.parameters + jax.random.normal(key_mean, (M, d)) @ spread.T / jnp.sqrt(batches)
    freedom = M * (batches - 1) - jnp.arange(d)
    diagonal = jnp.sqrt(2 * gamma_fixed(key_gamma, freedom / 2, tries=3))
    bartlett = jnp.tril(jax.random.normal(key_normal, (d, d)), -1) + jnp.diag(diagonal)
    scatter = spread @ bartlett
    moment = mean.T @ mean / M + scatter @ scatter.T / (M * batches) - spread @ spread.T
    return leading_basis(moment, rank)


def leading_basis(moment: jax.Array, rank: int) -> jax.Array:
    """The eigenvectors f32[d, k] of the largest eigenvalues; the largest entry of each is positive.

    Eigenvectors have no sign: this one does not depend on rounding.
    """
    basis = jnp.linalg.eigh(moment)[1][:, -rank:]
    return basis * jnp.sign(jnp.take_along_axis(basis, jnp.abs(basis).argmax(0)[None], axis=0))


def projector_distance(first: jax.Array, second: jax.Array) -> jax.Array:
    """The largest singular value of the difference of the projectors on the spans of two orthonormal bases."""
    return jnp.abs(jnp.linalg.eigvalsh(first @ first.T - second @ second.T)).max()
