"""CMA-MEGA: with gradients of fitness and descriptor, search only for the coefficients with which to add them.

Fontaine and Nikolaidis (2021), "Differentiable quality diversity" (MEGA, "MAP-Elites via a gradient arborescence").
At the search point theta, with g_0 the gradient of the fitness and g_1, g_2 those of the descriptor, each divided by
its length:

    c_i       ~  N(mu, Sigma)  in R^3                      i = 1 ... lambda, by CMA-ES
    theta_i    =  theta + |c_i0| g_0 + c_i1 g_1 + c_i2 g_2
    offer all theta_i and theta to the archive, rank the theta_i by what they improve
    mu, Sigma <-  CMA-ES told the ranks of c_i
    theta     <-  theta + eta (sum_r w_r theta_(r) - theta)

Where nothing was improved, or CMA-ES is spent, theta becomes a random elite and the search starts again at mu = 0.

What differs: theta itself is offered in the same batch as its branches; no Adam.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks import cma_es
from purejaxexplore.blocks.cma_es import CMAState
from purejaxexplore.blocks.words import normals, uniforms, words_for_normals
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.quality_diversity import rankers
from purejaxexplore.quality_diversity import repertoire as elites
from purejaxexplore.quality_diversity.evolution import Verdict, learn
from purejaxexplore.quality_diversity.repertoire import Repertoire

_EPSILON = 1e-8  # added to the length of a gradient


@flax.struct.dataclass
class CMAMEGAConfig:
    """Settings; the defaults are the paper's for the linear projection.

    Attributes:
        sigma: first step size of the coefficients, in units of the solution, positive.
        learning_rate: ``eta``, positive.
        offset: the smallest possible fitness, subtracted from every score in the QD-score.
        bins: cells along each coordinate of the descriptor.
        num_emitters: ``E``, search points.
        num_samples: ``lambda``, branches of a search point, at least 2.
    """

    sigma: float = 10.0
    learning_rate: float = 1.0
    offset: float = 0.0
    bins: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(100, 100))
    num_emitters: int = flax.struct.field(pytree_node=False, default=1)
    num_samples: int = flax.struct.field(pytree_node=False, default=36)


class CMAMEGAState(NamedTuple):
    """Attributes:
    repertoire: the elites.
    theta: f32[E, n], the search points.
    emitters: CMAState of [E, ...] over R^(1 + D).
    env_steps: i32, evaluations; a gradient counts as the one evaluation at its search point.
    restarts: i32, of all search points together.
    """

    repertoire: Repertoire
    theta: jax.Array
    emitters: CMAState
    env_steps: jax.Array
    restarts: jax.Array


def directions(evaluate: Callable, theta: jax.Array) -> jax.Array:
    """Unit gradients f32[E, 1 + D, n] of fitness and descriptor at ``theta`` f32[E, n]; a zero gradient stays zero."""

    def outputs(solution):
        fitness, descriptor = evaluate(solution[None])
        return jnp.concatenate([fitness, descriptor[0]])

    gradient = jax.vmap(jax.jacrev(outputs))(theta)
    return gradient / (jnp.linalg.norm(gradient, axis=-1, keepdims=True) + _EPSILON)


def branch(theta: jax.Array, direction: jax.Array, coefficients: jax.Array) -> jax.Array:
    """``theta + |c_0| g_0 + sum_j c_j g_j``: theta [E, n], direction [E, k, n], coefficients [E, lambda, k]."""
    ascending = coefficients.at[..., 0].set(jnp.abs(coefficients[..., 0]))
    return theta[:, None] + jnp.einsum("elk,ekn->eln", ascending, direction)


def cma_mega(
    domain: Any,
    config: CMAMEGAConfig,
    *,
    ranker: rankers.Ranker = rankers.two_stage,
    initial: Callable[[jax.Array, int], jax.Array] | None = None,
) -> Algorithm:
    """CMA-MEGA on a differentiable domain.

    Args:
        domain: see :mod:`purejaxexplore.envs.domains`.
        config: the settings.
        ranker: default the paper's.
        initial: ``(key, E) -> f32[E, n]``, the first search points; default the domain's ``sample``.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is one generation. Metrics as of CMA-ME.

    Raises:
        TypeError: ``domain`` is not a domain.
        ValueError: a setting is out of range.
    """
    elites.require_domain(domain, config.bins)
    require_at_least(1, num_emitters=config.num_emitters)
    require_at_least(2, num_samples=config.num_samples)
    require_between(1e-12, float("inf"), sigma=config.sigma, learning_rate=config.learning_rate)
    initial = domain.sample if initial is None else initial
    E, L, n, k = config.num_emitters, config.num_samples, domain.num_genes, 1 + len(domain.low)

    def fresh():
        return jax.vmap(lambda mean: cma_es.init(mean, config.sigma))(jnp.zeros((E, k)))

    def init(key):
        theta = initial(key, E)
        return CMAMEGAState(elites.empty(domain, config.bins), theta, fresh(), jnp.int32(0), jnp.int32(0))

    def step(key, state):
        words = jax.random.bits(key, (E + words_for_normals(E * L * k),), jnp.uint32)
        emitters = jax.vmap(cma_es.decompose)(state.emitters)
        z = normals(words[E:], E * L * k).reshape(E, L, k)
        coefficients = jax.vmap(cma_es.ask)(emitters, z)
        branches = elites.clip(domain, branch(state.theta, directions(domain.evaluate, state.theta), coefficients))

        batch = jnp.concatenate([branches.reshape(E * L, n), state.theta])
        repertoire, offered = elites.offer(state.repertoire, domain, config.bins, batch)
        offered = jax.tree.map(lambda x: x[: E * L], offered)
        improved = (offered.info.status > 0).reshape(E, L).sum(1)
        verdict = Verdict(None, ranker(offered.fitness, offered.info), improved, improved == 0)
        emitters, spent, weights = learn(emitters, coefficients, verdict)
        restart = verdict.restart | spent

        mean = jnp.einsum("el,eln->en", weights, branches)
        theta = state.theta + config.learning_rate * (mean - state.theta)
        theta = jnp.where(restart[:, None], elites.elites(repertoire, uniforms(words[:E])), theta)
        state = CMAMEGAState(
            repertoire=repertoire,
            theta=theta,
            emitters=jax.vmap(cma_es.choose)(restart, fresh(), emitters),
            env_steps=state.env_steps + E * (L + 1),
            restarts=state.restarts + restart.sum(dtype=jnp.int32),
        )
        metrics = elites.measure(repertoire, state.env_steps, config.offset)
        return state, metrics | {"restarts": state.restarts}

    return Algorithm(init, step)
