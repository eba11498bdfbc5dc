"""Bayesian optimisation by asynchronous workers: the loop, whatever rule chooses the points.

``bayes_opt(rule, world, config)`` is an algorithm; rules are in :mod:`purejaxexplore.bandits.acquisition` and
:mod:`purejaxexplore.bandits.aegis`. q workers evaluate points, each for a random time. Whenever one is done, the
Gaussian process is fitted to all values so far and the rule sends that worker to another point, knowing where the
others are but not what they will find. With one worker this is the usual sequential loop.

One step is one event: while workers are free, one is sent out; from then on the earliest job ends and its worker is
sent out again. So after a Latin hypercube of D points, which is evaluated first and takes no time, ``budget`` values
are known after ``budget - D + q`` steps, and nothing changes in further ones. The simulated clock is that of De Ath,
Everson and Fieldsend (2021), whose durations have mean 1.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.gaussian_process import GaussianProcess, fit_process
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.world import World, require_spec

DURATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "half_normal": lambda key: math.sqrt(math.pi / 2) * jnp.abs(jax.random.normal(key)),
    "exponential": jax.random.exponential,
    "pareto": lambda key: 0.8 * jax.random.pareto(key, 5.0),
    "constant": lambda key: jnp.float32(1.0),
}
"""How long a job takes, all of mean 1; constant ones make the workers take turns."""


@flax.struct.dataclass
class BayesOptConfig:
    """Attributes:
    budget: N, evaluations with those of the design; 200 in De Ath et al.
    workers: q, at least 1.
    design: D, points of the Latin hypercube, 1 to ``budget``; None: 2 d.
    duration: one of ``DURATIONS``.
    noise: variance of a value's noise over that of the function, at least 1e-5, below which float32 may fail; may be
        traced.
    shortest: least length of the kernel, in (0, 1]; 1e-4 in De Ath et al., where below 0.01 all points are strangers.
    """

    budget: int = flax.struct.field(pytree_node=False, default=200)
    workers: int = flax.struct.field(pytree_node=False, default=4)
    design: int | None = flax.struct.field(pytree_node=False, default=None)
    duration: str = flax.struct.field(pytree_node=False, default="half_normal")
    noise: float = 1e-4
    shortest: float = flax.struct.field(pytree_node=False, default=0.01)


class Knowledge(NamedTuple):
    """What a rule knows when it chooses a point.

    Attributes:
        process: fitted to the values so far, which are to be maximised.
        best: f32[d], the point of the largest of them.
        running: f32[q, d], the points of all workers.
        is_running: bool[q], the workers that are busy; the one to be sent out is not.
        started: i32[], points that the rule chose before.
    """

    process: GaussianProcess
    best: jax.Array
    running: jax.Array
    is_running: jax.Array
    started: jax.Array


Rule = Callable[[jax.Array, Knowledge], jax.Array]
"""``(key, Knowledge) -> f32[d]``, the next point, in the unit box."""


class BayesOptState(NamedTuple):
    """Attributes:
    world: its state.
    x: f32[N, d], points evaluated, in the unit box.
    y: f32[N], their values.
    n: i32[], how many.
    running: f32[q, d], the points of the workers.
    due: f32[q], when they are done; -1: free.
    started: i32[], points that the rule chose.
    clock: f32[], mean durations.
    regret: f32[], of all evaluations.
    least: f32[], smallest regret.
    """

    world: Any
    x: jax.Array
    y: jax.Array
    n: jax.Array
    running: jax.Array
    due: jax.Array
    started: jax.Array
    clock: jax.Array
    regret: jax.Array
    least: jax.Array


def bayes_opt(rule: Rule, world: World, config: BayesOptConfig) -> Algorithm:
    """Workers in ``world``, sent out by ``rule``. The design and the durations depend on the seed alone.

    Metrics: ``env_steps`` (evaluations that are done), ``best_value``, ``simple_regret`` (the smallest regret of an
    evaluation), ``regret`` (of all evaluations), ``clock``, ``length`` (fitted to the values so far).

    Raises:
        TypeError: ``rule`` is not a function, or ``world`` not a World.
        ValueError: actions are not points, or a setting is out of range.
    """
    if not callable(rule):
        raise TypeError(f"rule={type(rule).__name__}: expected a function, e.g. aegis(AEGiSConfig())")
    if not isinstance(world, World):
        raise TypeError(f"world={type(world).__name__}: expected a World, e.g. landscape_world('branin')")
    spec = require_spec(world.spec)
    if spec.action != "point":
        raise ValueError(f"action={spec.action!r}: bayes_opt evaluates points, expected 'point'")
    low, high = np.array(spec.low, np.float32), np.array(spec.high, np.float32)
    d = low.size
    require_at_least(1, workers=config.workers, budget=config.budget)
    design = 2 * d if config.design is None else config.design
    require_at_least(1, design=design)
    if design > config.budget:
        raise ValueError(f"design={design}: expected at most {config.budget}, the budget")
    choice("duration", config.duration, tuple(DURATIONS))
    require_between(1e-5, np.inf, noise=config.noise)
    require_between(1e-6, 1.0, shortest=config.shortest)
    N, q = config.budget, config.workers

    def evaluate(noise, state, point):
        """The state after ``point`` f32[d] of the unit box; beyond the budget nothing is kept."""
        moved, feedback, regret = world.step(noise, state.world, low + (high - low) * point)
        return state._replace(
            world=moved,
            x=state.x.at[state.n].set(point, mode="drop"),
            y=state.y.at[state.n].set(feedback.value[0], mode="drop"),
            n=state.n + 1,
            regret=state.regret + regret,
            least=jnp.minimum(state.least, regret),
        )

    def init(key):
        key_world, key_design, key_noise = jax.random.split(key, 3)
        zero = jnp.int32(0)
        state = BayesOptState(
            world.reset(key_world), jnp.zeros((N, d)), jnp.zeros(N), zero, jnp.zeros((q, d)), jnp.full(q, -1.0),
            zero, jnp.float32(0.0), jnp.float32(0.0), jnp.float32(jnp.inf),
        )  # fmt: skip
        given = world.noise(key_noise, design), latin_hypercube(key_design, design, d)
        return jax.lax.scan(lambda state, item: (evaluate(item[0], state, item[1]), None), state, given)[0]

    def step(key, state):
        key_noise, key_rule, key_duration = jax.random.split(key, 3)
        worker = state.due.argmin()
        ends = state.due[worker] >= 0
        noise = jax.tree.map(lambda x: x[0], world.noise(key_noise, 1))
        done = evaluate(noise, state, state.running[worker])._replace(clock=state.due[worker])
        new = jax.tree.map(lambda new, old: jnp.where(ends, new, old), done, state)

        seen = jnp.arange(N) < new.n
        process = fit_process(new.x, new.y, seen, noise=config.noise, shortest=config.shortest)
        best = new.x[jnp.where(seen, new.y, -jnp.inf).argmax()]
        others = (new.due >= 0) & (jnp.arange(q) != worker)
        point = rule(key_rule, Knowledge(process, best, new.running, others, new.started))
        new = new._replace(
            running=new.running.at[worker].set(point),
            due=new.due.at[worker].set(new.clock + DURATIONS[config.duration](key_duration)),
            started=new.started + 1,
        )
        new = jax.tree.map(lambda new, old: jnp.where(state.n < N, new, old), new, state)
        return new, {
            "env_steps": new.n,
            "best_value": jnp.where(jnp.arange(N) < new.n, new.y, -jnp.inf).max(),
            "simple_regret": new.least,
            "regret": new.regret,
            "clock": new.clock,
            "length": process.length,
        }

    return Algorithm(init, step)


def latin_hypercube(key: jax.Array, num: int, dim: int) -> jax.Array:
    """f32[num, dim]: in every dimension one point in each of ``num`` equal parts of [0, 1]."""
    key_order, key_place = jax.random.split(key)
    part = jnp.argsort(jax.random.uniform(key_order, (num, dim)), axis=0)
    return (part + jax.random.uniform(key_place, (num, dim))) / num
