"""Choosing the relaxation parameter of SOR for a stream of linear systems: arms are parameters, costs are iterations.

Khodak, Chow, Balcan and Talwalkar (2024), "Learning to relax: setting solver parameters across a sequence of linear
system instances". A round is a system ``(A + c I) x = b``, A the five-point Laplacian of an n x n grid (diagonal 4),
solved from 0 by successive over-relaxation until the residual has fallen by the factor ``tolerance``. The context is
the shift c, the value of an arm omega is 1 less its iterations.

Iterations are counted once, on the host in float64 (a relative residual of 1e-8 cannot be reached in float32), for a
grid of shifts, denser where systems are hard, and some right-hand sides each; a round looks them up at the shift that
is nearest. So a run costs no linear algebra, and the distribution of costs is exact but for that grid.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.envs.bandits.world import Observation, Spec, World, regret_of, reveal

LAWS = {"high": (0.5, 1.5), "low": (2.0, 6.0)}
"""Variance of the shifts -> parameters of their Beta distribution on [-0.15, 0.45]."""

LOWEST, HIGHEST = -0.15, 0.45
MOST_ITERATIONS = 10_000


class SystemState(NamedTuple):
    """Attributes:
    shift: f32[], c of this round.
    row: i32[], of the table.
    t: i32[], pulls.
    """

    shift: jax.Array
    row: jax.Array
    t: jax.Array


class IterationTable(NamedTuple):
    """Attributes:
    omegas: f64[K], the arms.
    shifts: f64[C], ascending.
    iterations: i32[C, K, B], for B right-hand sides.
    """

    omegas: np.ndarray
    shifts: np.ndarray
    iterations: np.ndarray


def laplacian(grid: int) -> np.ndarray:
    """The five-point Laplacian f64[grid^2, grid^2] with zero boundary, diagonal 4."""
    line = 2 * np.eye(grid) - np.eye(grid, k=1) - np.eye(grid, k=-1)
    return np.kron(line, np.eye(grid)) + np.kron(np.eye(grid), line)


def count_iterations(matrix: np.ndarray, omega: float, rhs: np.ndarray, tolerance: float = 1e-8) -> np.ndarray:
    """Iterations i32[B] of SOR from 0 for the right-hand sides ``rhs`` f64[n, B]; at most 10,000.

    The residual of the next iterate is ``(I - A (D / omega + L)^-1) r``.
    """
    below = np.tril(matrix, -1) + np.diag(np.diag(matrix)) / omega
    advance = np.eye(len(matrix)) - np.linalg.solve(below.T, matrix.T).T
    residual, limit = rhs, tolerance * np.linalg.norm(rhs, axis=0)
    counts = np.full(rhs.shape[1], MOST_ITERATIONS, np.int32)
    for k in range(1, MOST_ITERATIONS):
        residual = advance @ residual
        counts = np.minimum(counts, np.where(np.linalg.norm(residual, axis=0) < limit, k, MOST_ITERATIONS))
        if counts.max() <= k:
            break
    return counts


def iteration_table(
    grid: int = 10, num_shifts: int = 96, num_arms: int = 20, num_rhs: int = 16, directory: Path | None = None
) -> IterationTable:
    """The table, from ``directory`` if it was counted before; a minute for the default sizes.

    Args:
        grid: interior points of a side.
        num_shifts, num_rhs: grid of shifts, right-hand sides of each (Gaussian, of norm at most grid).
        num_arms: omegas from 1 to 1.95.
        directory: by default ``$XDG_CACHE_HOME/purejaxexplore/tables``, below ``~/.cache``.

    Raises:
        ValueError: a size is not positive, or there are fewer than two arms.
    """
    require_at_least(2, num_arms=num_arms)
    require_at_least(1, grid=grid, num_shifts=num_shifts, num_rhs=num_rhs)
    omegas = np.linspace(1.0, 1.95, num_arms)
    shifts = LOWEST + (HIGHEST - LOWEST) * np.linspace(0.0, 1.0, num_shifts) ** 2
    sizes = f"{grid}-{num_shifts}-{num_arms}-{num_rhs}"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = caches / "purejaxexplore" / "tables" if directory is None else Path(directory)
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    stored = directory / f"relaxation-{sizes}-{source}.npy"
    if stored.exists():
        return IterationTable(omegas, shifts, np.load(stored))
    draw = np.random.default_rng(0)
    matrix, n = laplacian(grid), grid * grid
    iterations = np.empty((num_shifts, num_arms, num_rhs), np.int32)
    for i, shift in enumerate(shifts):
        rhs = bounded_normal(draw, n, num_rhs)
        for a, omega in enumerate(omegas):
            iterations[i, a] = count_iterations(matrix + shift * np.eye(n), omega, rhs)
    directory.mkdir(parents=True, exist_ok=True)
    partial = stored.with_suffix(f".{os.getpid()}.npy")
    np.save(partial, iterations)
    partial.replace(stored)
    return IterationTable(omegas, shifts, iterations)


def bounded_normal(draw: np.random.Generator, n: int, number: int) -> np.ndarray:
    """Gaussian vectors f64[n, number] whose norm is at most sqrt(n)."""
    vectors = draw.standard_normal((n, number))
    while (long := np.linalg.norm(vectors, axis=0) > np.sqrt(n)).any():
        vectors[:, long] = draw.standard_normal((n, long.sum()))
    return vectors


def relaxation(table: IterationTable, law: str = "high", *, horizon: int | None = None) -> World:
    """The stream of systems as a bandit: context c f32[1], values 1 less the iterations.

    The regret of a round is against the arm of the fewest iterations on average at this shift.

    Raises:
        ValueError: an unknown law, or a table whose shapes do not fit.
    """
    choice("law", law, tuple(LAWS))
    C, K = len(table.shifts), len(table.omegas)
    if table.iterations.shape[:2] != (C, K):
        raise ValueError(f"iterations of shape {table.iterations.shape}: expected ({C}, {K}, ...)")
    require_between(1.0, MOST_ITERATIONS, iterations=table.iterations)
    spec = Spec(K, context_dim=1, value_range=(1.0 - MOST_ITERATIONS, 0.0), stationary=False, horizon=horizon)
    shifts = jnp.asarray(table.shifts, jnp.float32)
    borders = (shifts[1:] + shifts[:-1]) / 2
    values = 1.0 - jnp.asarray(table.iterations, jnp.float32)
    mean_values = values.mean(-1)

    def draw(key, t):
        shift = LOWEST + (HIGHEST - LOWEST) * jax.random.beta(key, *LAWS[law])
        return SystemState(shift, jnp.searchsorted(borders, shift).astype(jnp.int32), t)

    def observe(state):
        return Observation(state.shift[None], jnp.ones(K, bool), state.t)

    def step(noise, state, action):
        key_rhs, key_shift = jax.random.split(noise)
        value = values[state.row, :, jax.random.randint(key_rhs, (), 0, values.shape[-1])]
        regret = regret_of(spec, action, mean_values[state.row])
        return draw(key_shift, state.t + 1), reveal(spec, action, value, jnp.arange(K) == action), regret

    return World(spec, lambda key: draw(key, jnp.int32(0)), observe, step, lambda state: mean_values[state.row])
