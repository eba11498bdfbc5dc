"""Rules of Bayesian optimisation: GP-UCB, Thompson sampling, expected improvement, and chance.

All choose the point of the box that maximises a function of the Gaussian process, and all know of the points that are
being evaluated what GP-BUCB knows: the deviations are those that the process will have, its mean stays as it is.

* ``gp_ucb``: ``mean(x) + sqrt(beta_t / 5) sd(x)``, ``beta_t = 2 ln(M t^2 pi^2 / (6 delta))`` for M points and the t-th
  choice. Srinivas, Krause, Kakade and Seeger (2010), "Gaussian process optimization in the bandit setting", who divide
  by five in their experiments; Desautels, Krause and Burdick (2014), "Parallelizing exploration-exploitation tradeoffs
  in Gaussian process bandit optimization".
* ``gp_thompson``: a draw from the posterior; that of every worker differs, so nothing need be said of the others.
  Kandasamy et al. (2018), "Parallelised Bayesian optimisation via Thompson sampling".
* ``expected_improvement``: ``sd(x) (phi(z) + z Phi(z))``, ``z = (mean(x) - best) / sd(x)``, over the best value
  measured or believed in: the Kriging believer. Jones, Schonlau and Welch (1998), "Efficient global optimization of
  expensive black-box functions"; Ginsbourger, Le Riche and Carraro (2010), "Kriging is well-suited to parallelize
  optimization".
* ``random_search``: uniform.
"""

from math import log, pi

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from purejaxexplore.bandits.bayes_opt import Knowledge, Rule
from purejaxexplore.blocks.box_search import SearchConfig, box_points, maximise, require_search
from purejaxexplore.blocks.gaussian_process import believe, draw_path, path_values, predict
from purejaxexplore.checks import require_at_least, require_between

FIRST_STEP = 0.2
"""First step uphill, over the length of the kernel."""


@flax.struct.dataclass
class GPUCBConfig:
    """Attributes:
    delta: probability in (0, 1) with which the bound may fail; may be traced.
    shrink: what beta is divided by, > 0; 1 in the theorem; may be traced.
    search: of the maximum.
    """

    delta: float = 0.1
    shrink: float = 5.0
    search: SearchConfig = SearchConfig()


@flax.struct.dataclass
class GPThompsonConfig:
    """Attributes:
    num_features: cosines of a draw; 2,000 in De Ath et al.
    search: of the maximum.
    """

    num_features: int = flax.struct.field(pytree_node=False, default=2000)
    search: SearchConfig = SearchConfig()


@flax.struct.dataclass
class ExpectedImprovementConfig:
    """``search``: of the maximum."""

    search: SearchConfig = SearchConfig()


def gp_ucb(config: GPUCBConfig) -> Rule:
    """GP-UCB, with several workers GP-BUCB.

    Regret: ``O(sqrt(T beta_T gamma_T))`` for functions drawn from a known kernel, ``gamma_T`` the most that T values
    can tell of it, ``shrink = 1`` and one worker (Srinivas et al., Theorem 2); with a fitted kernel none is known.

    Raises:
        ValueError: a setting is out of range.
    """
    require_between(1e-12, 1 - 1e-6, delta=config.delta)
    require_between(1e-6, np.inf, shrink=config.shrink)
    require_search(config.search)

    def choose(key, knowledge):
        process = believe(knowledge.process, knowledge.running, knowledge.is_running)
        beta = 2 * (log(config.search.num_candidates) + 2 * jnp.log(knowledge.started + 1.0))
        beta = beta + 2 * jnp.log(pi**2 / (6 * config.delta))

        def bound(x):
            mean, sd = predict(process, x)
            return mean + jnp.sqrt(beta / config.shrink) * sd

        return _best_point(key, bound, knowledge, config.search)

    return choose


def gp_thompson(config: GPThompsonConfig) -> Rule:
    """The maximum of a draw from the posterior.

    Raises:
        ValueError: a setting is out of range.
    """
    require_at_least(1, num_features=config.num_features)
    require_search(config.search)

    def choose(key, knowledge):
        key_path, key_search = jax.random.split(key)
        process = knowledge.process
        path = draw_path(key_path, process, config.num_features)
        return _best_point(key_search, lambda x: path_values(process, path, x), knowledge, config.search)

    return choose


def expected_improvement(config: ExpectedImprovementConfig) -> Rule:
    """Expected improvement, with several workers that of the Kriging believer.

    Raises:
        ValueError: a setting is out of range.
    """
    require_search(config.search)

    def choose(key, knowledge):
        process = believe(knowledge.process, knowledge.running, knowledge.is_running)
        values = predict(knowledge.process, process.x)[0]  # the values themselves, but for their noise
        best = jnp.where(process.seen, values, -jnp.inf).max()

        def improvement(x):
            mean, sd = predict(process, x)
            return jnp.log(sd) + log_improvement((mean - best) / sd)

        return _best_point(key, improvement, knowledge, config.search)

    return choose


def random_search() -> Rule:
    """Uniform points."""
    return lambda key, knowledge: jax.random.uniform(key, knowledge.best.shape)


def log_improvement(z: jax.Array) -> jax.Array:
    """``ln(phi(z) + z Phi(z))``, also where float32 holds neither of them."""
    far = z < -8
    near, out = jnp.where(far, 0.0, z), jnp.where(far, z, -8.0)
    square = 1 / jnp.square(out)
    asymptote = norm.logpdf(out) + jnp.log(square) + jnp.log1p(square * (15 * square - 3))
    return jnp.where(far, asymptote, jnp.log(norm.pdf(near) + near * norm.cdf(near)))


def _best_point(key, value, knowledge: Knowledge, config: SearchConfig) -> jax.Array:
    key_points, key_starts = jax.random.split(key)
    points = box_points(key_points, knowledge.best, config)
    maxima = maximise(key_starts, value, points, FIRST_STEP * knowledge.process.length, config)
    return maxima.x[maxima.value.argmax()]
