"""Several CMA-ES emitters that illuminate one archive: the step that CMA-ME and CMA-MAE share.

One generation of E emitters with lambda samples each:

    x          ~  N(m_e, sigma_e^2 C_e)                  e = 1 ... E, all evaluated and offered in one batch
    judge         which samples are accepted, by which values they are ranked, how many become parents
    CMA-ES        learns from the ranks
    restart       at a random elite with a fresh covariance, where an emitter is spent

Samples are clipped to the box of the domain before they are evaluated, and CMA-ES learns from the clipped ones.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks import cma_es
from purejaxexplore.blocks.cma_es import CMAState
from purejaxexplore.blocks.words import normals, uniforms, words_for_normals
from purejaxexplore.checks import choice, require_at_least
from purejaxexplore.quality_diversity import repertoire as elites
from purejaxexplore.quality_diversity.rankers import ranks
from purejaxexplore.quality_diversity.repertoire import Offer, Repertoire


class EvolutionState(NamedTuple):
    """Attributes:
    repertoire: the elites.
    emitters: CMAState of [E, ...].
    thr: f32[C], soft thresholds; None for an algorithm without.
    env_steps: i32, evaluations.
    restarts: i32, of all emitters together.
    """

    repertoire: Repertoire
    emitters: CMAState
    thr: jax.Array | None
    env_steps: jax.Array
    restarts: jax.Array


class Verdict(NamedTuple):
    """What a judge makes of a generation.

    Attributes:
        thr: the new thresholds, or None.
        values: tuple of [E * lambda], what the samples are ranked by, the most important first.
        num_parents: i32[E].
        restart: bool[E], emitters to restart whatever CMA-ES says.
    """

    thr: jax.Array | None
    values: tuple[jax.Array, ...]
    num_parents: jax.Array
    restart: jax.Array


Judge = Callable[[jax.Array | None, Offer], Verdict]


def evolution(
    domain: Any, config: Any, judge: Judge, thr: jax.Array | None, initial: Callable[[jax.Array, int], jax.Array] | None
) -> Algorithm:
    """The algorithm of a judge; see :func:`~purejaxexplore.quality_diversity.cma_me.cma_me` for the arguments.

    Raises:
        TypeError: ``domain`` is not a domain.
        ValueError: a setting is out of range.
    """
    elites.require_domain(domain, config.bins)
    require_at_least(1, num_emitters=config.num_emitters, generations=config.generations)
    require_at_least(2, num_samples=config.num_samples)
    choice("form", config.form, cma_es.FORMS)
    initial = domain.sample if initial is None else initial
    E, L, n = config.num_emitters, config.num_samples, domain.num_genes
    B = E * L

    def fresh(means):
        return jax.vmap(lambda mean: cma_es.init(mean, config.sigma, config.form))(means)

    def init(key):
        means = initial(key, E)
        repertoire, _ = elites.offer(elites.empty(domain, config.bins), domain, config.bins, means)
        return EvolutionState(repertoire, fresh(means), thr, jnp.int32(E), jnp.int32(0))

    def generation(state, words):
        z = normals(words[E:], B * n).reshape(E, L, n)
        samples = elites.clip(domain, jax.vmap(cma_es.ask)(state.emitters, z))
        repertoire, offered = elites.offer(state.repertoire, domain, config.bins, samples.reshape(B, n))
        verdict = judge(state.thr, offered)
        emitters, spent, _ = learn(state.emitters, samples, verdict)
        restart = verdict.restart | spent
        elsewhere = fresh(elites.elites(repertoire, uniforms(words[:E])))
        emitters = jax.vmap(cma_es.choose)(restart, elsewhere, emitters)
        restarts = state.restarts + restart.sum(dtype=jnp.int32)
        return EvolutionState(repertoire, emitters, verdict.thr, state.env_steps + B, restarts), None

    def step(key, state):
        state = state._replace(emitters=jax.vmap(cma_es.decompose)(state.emitters))
        words = jax.random.bits(key, (config.generations, E + words_for_normals(B * n)), jnp.uint32)
        state, _ = jax.lax.scan(generation, state, words)
        metrics = elites.measure(state.repertoire, state.env_steps, config.offset)
        return state, metrics | {"restarts": state.restarts}

    return Algorithm(init, step)


def learn(emitters: CMAState, samples: jax.Array, verdict: Verdict) -> tuple[CMAState, jax.Array, jax.Array]:
    """Tells CMA-ES of every emitter the ranks of its ``samples`` f32[E, lambda, n].

    Returns:
        The emitters; bool[E], which of them are spent; f32[E, lambda], the weight of each sample.
    """
    E, L, n = samples.shape
    values = tuple(value.reshape(E, L) for value in verdict.values)
    rank = jax.vmap(ranks)(values)
    told = jax.vmap(cma_es.tell)(emitters, samples, rank, verdict.num_parents)
    best, worst = (
        jnp.stack([jnp.where(rank == place, value, 0).sum(1) for value in values], 1) for place in (0, L - 1)
    )
    weights = jax.vmap(lambda mu, order: cma_es.rates(n, L, mu).weights[order])(verdict.num_parents, rank)
    return told, jax.vmap(cma_es.has_stopped)(told, best, worst), weights
