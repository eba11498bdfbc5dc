"""AEGiS: asynchronous epsilon-greedy Bayesian optimisation.

De Ath, Everson and Fieldsend (2021), "Asynchronous epsilon-greedy Bayesian optimisation". Each point is chosen by

    the maximum of the posterior mean                              with probability 1 - 2 epsilon
    the maximum of a draw from the posterior                       with probability 2 epsilon eta
    a random point of the Pareto set of mean and deviation         otherwise

with ``epsilon = min(1/2, 1/sqrt(d))`` and eta = 1/2: in up to four dimensions nothing is greedy, in five every tenth
choice. The first choice of all is greedy where epsilon < 1/2, and the next q, of which none knows what the others
found, never are. Points that are being evaluated play no part: chance keeps the workers apart.

The authors' code finds the Pareto set by NSGA-II; here it is the front of the candidate points and of the ends of the
ways uphill on the mean. Their random features divide where they should multiply, among other slips: see
:mod:`purejaxexplore.blocks.gaussian_process` for the right ones. The greedy choice, the draw and the front's greedy end
are the maximum of one function each, so one search serves all three.
"""

import math

import flax.struct
import jax
import jax.numpy as jnp

from purejaxexplore.bandits.acquisition import FIRST_STEP
from purejaxexplore.bandits.bayes_opt import Rule
from purejaxexplore.blocks.box_search import SearchConfig, box_points, maximise, pareto_front, require_search
from purejaxexplore.blocks.gaussian_process import draw_path, mean_path, path_values, predict
from purejaxexplore.checks import choice, require_at_least, require_between

GREEDY, THOMPSON, EXPLORE = 0, 1, 2


@flax.struct.dataclass
class AEGiSConfig:
    """Attributes:
    epsilon: in [0, 1/2]; None: ``min(1/2, 1/sqrt(d))``; may be traced. With 0 all is greedy after the first choices.
    eta: share in [0, 1] of Thompson sampling in what is not greedy; may be traced.
    explore: ``"pareto"``, or ``"uniform"`` over the box, the authors' AEGiS-RS.
    num_features: cosines of a draw.
    search: of the maximum.
    """

    epsilon: float | None = None
    eta: float = 0.5
    explore: str = flax.struct.field(pytree_node=False, default="pareto")
    num_features: int = flax.struct.field(pytree_node=False, default=2000)
    search: SearchConfig = SearchConfig()


def aegis(config: AEGiSConfig) -> Rule:
    """AEGiS.

    Raises:
        ValueError: a setting is out of range.
    """
    if config.epsilon is not None:
        require_between(0.0, 0.5, epsilon=config.epsilon)
    require_between(0.0, 1.0, eta=config.eta)
    choice("explore", config.explore, ("pareto", "uniform"))
    require_at_least(1, num_features=config.num_features)
    require_search(config.search)

    def choose(key, knowledge):
        key_kind, key_path, key_points, key_starts, key_front = jax.random.split(key, 5)
        process, d = knowledge.process, knowledge.best.shape[0]
        epsilon = min(0.5, 1 / math.sqrt(d)) if config.epsilon is None else config.epsilon
        kind = draw_kind(key_kind, knowledge.started, knowledge.running.shape[0], epsilon, config.eta)
        drawn = draw_path(key_path, process, config.num_features)
        mean = mean_path(process, config.num_features)
        path = jax.tree.map(lambda a, b: jnp.where(kind == THOMPSON, a, b), drawn, mean)
        points = box_points(key_points, knowledge.best, config.search)
        step = FIRST_STEP * process.length
        maxima = maximise(key_starts, lambda x: path_values(process, path, x), points, step, config.search)
        if config.explore == "uniform":
            explored = jax.random.uniform(key_front, (d,))
        else:
            points = jnp.concatenate([maxima.x, points])
            front = pareto_front(*predict(process, points))
            explored = points[jax.random.categorical(key_front, jnp.where(front, 0.0, -jnp.inf))]
        return jnp.where(kind == EXPLORE, explored, maxima.x[maxima.value.argmax()])

    return choose


def draw_kind(key: jax.Array, started: jax.Array, workers: int, epsilon: jax.Array, eta: jax.Array) -> jax.Array:
    """i32[], ``GREEDY``, ``THOMPSON`` or ``EXPLORE``, for the choice after ``started`` others."""
    first, second = jax.random.uniform(key, (2,))
    greedy = ((started == 0) & (epsilon < 0.5)) | ((started > workers) & (first < 1 - 2 * epsilon))
    return jnp.where(greedy, GREEDY, jnp.where(second < eta, THOMPSON, EXPLORE))
