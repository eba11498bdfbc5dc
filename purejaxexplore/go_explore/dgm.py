"""The parent selection of the Darwin Gödel Machine: keep every variant, return to the good ones that had few children.

Zhang, Hu, Lu, Lange and Clune (2025), "Darwin Gödel Machine: open-ended evolution of self-improving agents". Of an
archive that forgets nothing, parents are drawn with probability proportional to

    w_i = s_i h_i,    s_i = 1 / (1 + exp(-10 (a_i - 1/2))),    h_i = 1 / (1 + children_i),

with a_i the score of variant i. What the language model is there, a program that rewrites itself, is here a bit string
that carries its own mutation operator, the number of bits it changes, which is mutated too.

What differs from the paper: the objects that evolve; scores may be rescaled to [0, 1] between the archive's lowest and
highest, without which the sigmoid is flat where all scores lie far from 1/2.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.archives import archive as table
from purejaxexplore.archives.archive import Archive
from purejaxexplore.archives.weights import dgm_weight
from purejaxexplore.blocks.sampling import sample_slots
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.go_explore.bit_landscapes import Landscape

RULES = ("dgm", "best", "last", "uniform")


@flax.struct.dataclass
class DGMConfig:
    """Settings; those of the selection are the paper's.

    Attributes:
        slope: of the sigmoid, at least 0.
        midpoint: score at which the sigmoid is 1/2.
        perfect: variants of at least this score are no parents any more.
        rate: at least 1, bits that the first variant's operator changes on average: one, and each other by chance.
        rate_spread: standard deviation of a mutation of the logarithm of the rate; 0 keeps the operator.
        max_rate: what the rate grows to at most.
        break_probability: in [0, 1], that a child is broken: it scores 0, and so do all its descendants.
        num_children: children an iteration.
        capacity: ``C``, variants that the archive holds; once it is full, children are forgotten.
        rescale: whether scores are rescaled by the archive's lowest and highest before the sigmoid.
    """

    slope: float = 10.0
    midpoint: float = 0.5
    perfect: float = 1.0
    rate: float = 1.0
    rate_spread: float = 0.2
    max_rate: float = 8.0
    break_probability: float = 0.0
    num_children: int = flax.struct.field(pytree_node=False, default=2)
    capacity: int = flax.struct.field(pytree_node=False, default=1024)
    rescale: bool = flax.struct.field(pytree_node=False, default=True)


class Variant(NamedTuple):
    """What evolves, the payload of the archive: bits bool[n], the rate of its own operator f32, broken bool."""

    bits: jax.Array
    rate: jax.Array
    broken: jax.Array


class DGMState(NamedTuple):
    """Everything that a run knows.

    Attributes:
        archive: Archive of :class:`Variant`, in order of birth; ``chosen`` counts children, ``node`` is the slot of the
            parent, -1 for the first variant.
        landscape: parameters of the landscape.
        t: i32, iterations done.
    """

    archive: Archive
    landscape: tuple
    t: jax.Array


def parent_weight(archive: Archive, config: DGMConfig, rule: str = "dgm") -> jax.Array:
    """Weights f32[C] of parents by the paper's rule, or all on the best (the first of equals), on the last, or equal.

    Only when all variants are perfect are perfect ones parents, all alike.
    """
    filled = archive.filled
    if rule == "dgm":
        score = archive.score
        if config.rescale:
            low = jnp.min(jnp.where(filled, score, jnp.inf))
            span = jnp.max(score) - low
            score = jnp.where(span > 0, (score - low) / span, 1.0)
        weight = dgm_weight(score, archive.chosen, config.slope, config.midpoint)
    elif rule == "best":
        weight = jnp.arange(archive.capacity) == jnp.argmax(archive.score)
    elif rule == "last":
        weight = jnp.arange(archive.capacity) == jnp.minimum(archive.n, archive.capacity) - 1
    else:
        weight = jnp.ones(archive.capacity)
    weight = jnp.where(filled & (archive.score < config.perfect), weight, 0.0)
    return jnp.where(weight.sum() > 0, weight, filled.astype(jnp.float32))


def mutate(key: jax.Array, parent: Variant, config: DGMConfig) -> Variant:
    """A child: one bit changes, each other with the probability that makes ``rate`` of them on average."""
    key_one, key_others, key_rate, key_break = jax.random.split(key, 4)
    n = parent.bits.shape[-1]
    one = jnp.arange(n) == jax.random.randint(key_one, (), 0, n)
    others = jax.random.bernoulli(key_others, (parent.rate - 1) / max(n - 1, 1), (n,))
    rate = parent.rate * jnp.exp(config.rate_spread * jax.random.normal(key_rate))
    broken = parent.broken | jax.random.bernoulli(key_break, config.break_probability)
    return Variant(parent.bits ^ (one | others), jnp.clip(rate, 1.0, config.max_rate), broken)


def dgm(landscape: Landscape, config: DGMConfig, *, rule: str = "dgm") -> Algorithm:
    """Open-ended search with the parent selection of the Darwin Gödel Machine.

    Args:
        landscape: what is searched; every seed draws its own.
        config: the settings.
        rule: one of ``RULES``: the paper's, or the baselines of :func:`parent_weight`.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is one iteration of ``num_children`` children, whose
        parents do not see each other's. Metrics: ``env_steps`` (variants evaluated), ``best_score``, ``mean_score``,
        ``variants`` (in the archive), ``childless`` (share of them), ``overflow`` (children forgotten).

    Raises:
        ValueError: a setting is out of range.
    """
    choice("rule", rule, RULES)
    require_at_least(1, num_children=config.num_children, capacity=config.capacity)
    require_between(0, np.inf, slope=config.slope, rate_spread=config.rate_spread)
    require_between(1, np.inf, rate=config.rate, max_rate=config.max_rate)
    require_between(0, 1, break_probability=config.break_probability)
    B = config.num_children

    def score(params, variant):
        return jnp.where(variant.broken, 0.0, landscape.score(params, variant.bits))

    def append(archive, variants, scores, parent):
        """Stores variants at the end, and counts them as children of their parents, where there is room."""
        slot = archive.n + jnp.arange(parent.shape[0])
        room = slot < archive.capacity
        archive = table.write(archive, slot, room, score=scores, payload=variants, node=parent)
        nobody = archive.capacity
        chosen = archive.chosen.at[jnp.where(room & (parent >= 0), parent, nobody)].add(1, mode="drop")
        overflow = archive.overflow + jnp.sum(~room, dtype=jnp.int32)
        return archive._replace(chosen=chosen, n=archive.n + parent.shape[0], overflow=overflow)

    def init(key):
        key_landscape, key_start = jax.random.split(key)
        params = landscape.sample(key_landscape)
        first = Variant(landscape.start(key_start), jnp.asarray(config.rate, jnp.float32), jnp.bool_(False))
        archive = table.init(first, config.capacity, ("node", "chosen"))
        batch = jax.tree.map(lambda x: x[None], first)
        archive = append(archive, batch, score(params, first)[None], jnp.full(1, -1, jnp.int32))
        return DGMState(archive, params, jnp.int32(0))

    def step(key, state):
        key_parent, key_child = jax.random.split(key)
        archive = state.archive
        parent = sample_slots(key_parent, parent_weight(archive, config, rule), B)
        parents = jax.tree.map(lambda column: column[parent], archive.payload)
        children = jax.vmap(mutate, (0, 0, None))(jax.random.split(key_child, B), parents, config)
        scores = jax.vmap(score, (None, 0))(state.landscape, children)
        archive = append(archive, children, scores, parent)
        state = DGMState(archive, state.landscape, state.t + 1)

        filled = archive.filled
        variants = filled.sum(dtype=jnp.int32)
        return state, {
            "env_steps": 1 + B * state.t,
            "best_score": archive.score.max(),
            "mean_score": jnp.sum(jnp.where(filled, archive.score, 0.0)) / variants,
            "variants": variants,
            "childless": jnp.sum(filled & (archive.chosen == 0)) / variants,
            "overflow": archive.overflow,
        }

    return Algorithm(init, step)
