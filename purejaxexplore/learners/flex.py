"""FLEX: inputs that tell most about an unknown law, one step ahead.

Blanke and Lelarge (2023), "FLEX: an adaptive exploration algorithm for nonlinear systems". The law of a system is
modelled as linear in known features, ``dx/dt = Theta phi(x, u)``. With P the inverse of the Gram matrix of all features
seen, the next row's information is linearised in the input, and the input that brings most of it is applied:

    v = phi(x, 0),   B = dt (d phi / d x) (d f / d u),   u = argmax_{|u| = g} (v + B u)' P (v + B u)

which by the matrix determinant lemma is the largest increase of log det of the Gram matrix (D-optimality). Then the
model learns by recursive least squares,

    Theta += (y - Theta phi) phi' P / (lambda + phi' P phi),   P = (P - P phi phi' P / (lambda + phi' P phi)) / lambda

with y = (x' - x) / dt. What differs from the paper: its models may be networks, whose outputs have Gram matrices of
their own, so that it draws the output j whose information counts. Here all outputs share their features and with them
the matrix P, and the argmax is the same for each.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import choice, require_between
from purejaxexplore.envs.control.identification import System, SystemParams, SystemState

SELECTIONS = ("flex", "oracle", "random_sign", "uniform")
Features = Callable[[jax.Array, jax.Array], jax.Array]


@struct.dataclass
class FlexConfig:
    """Settings.

    Attributes:
        prior: Gram matrix at the start, times the identity, above 0; the published code has about 1e-3.
        forgetting: lambda in (0, 1]; below 1 for laws that change.
    """

    prior: float = 1e-3
    forgetting: float = 1.0


class FlexState(NamedTuple):
    """Attributes:
    system: the system's state, which is never reset.
    theta: f32[n, p], the model.
    inverse_gram: f32[p, p], P.
    farthest: f32[n], the largest absolute value that each number of the system's state has had.
    t: i32[], steps so far.
    """

    system: SystemState
    theta: jax.Array
    inverse_gram: jax.Array
    farthest: jax.Array
    t: jax.Array


def informative_input(v: jax.Array, B: jax.Array, P: jax.Array, length: jax.Array) -> jax.Array:
    """The u f32[m] of a length that maximises ``(v + B u)' P (v + B u)``, up to rounding.

    With ``B' P B = V diag(l) V'`` and ``beta = V' B' P v`` it is ``V (beta / (mu - l))`` for the mu > max l at which
    this has the length. The distance of mu from max l is found by bisection; where beta has no part along the top
    eigenvector, u gets one (the hard case).

    Args:
        v: f32[p].
        B: f32[p, m].
        P: f32[p, p], positive definite.
        length: f32[], above 0.
    """
    b = B.T @ (P @ v)
    if B.shape[1] == 1:
        return jnp.where(b >= 0, length, -length)
    Q = B.T @ P @ B
    # Only the ratio of Q to b matters: scaled, so that nothing underflows.
    scale = jnp.maximum(jnp.maximum(jnp.abs(Q).max() * length, jnp.abs(b).max()), 1e-30)
    values, vectors = jnp.linalg.eigh(Q * (length / scale))
    beta = vectors.T @ (b / scale)
    beta = beta.at[-1].set(jnp.where(beta[-1] >= 0, jnp.maximum(beta[-1], 1e-6), jnp.minimum(beta[-1], -1e-6)))
    gap = values[-1] - values

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        long = jnp.sum(jnp.square(beta / (middle + gap))) > 1.0
        return jnp.where(long, middle, low), jnp.where(long, high, middle)

    low, high = jax.lax.fori_loop(0, 40, halve, (jnp.abs(beta[-1]), jnp.sqrt(jnp.sum(jnp.square(beta)))))
    u = vectors @ (beta / (0.5 * (low + high) + gap))
    return length * u / jnp.sqrt(jnp.sum(jnp.square(u)))


def least_squares_step(
    theta: jax.Array, P: jax.Array, phi: jax.Array, y: jax.Array, forgetting: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """One step of recursive least squares: ``theta f32[n, p]`` and ``P f32[p, p]`` after the row (phi, y)."""
    gain = P @ phi / (forgetting + phi @ P @ phi)
    theta = theta + jnp.outer(y - theta @ phi, gain)
    P = (P - jnp.outer(gain, P @ phi)) / forgetting
    return theta, 0.5 * (P + P.T)


def flex(
    env: System,
    env_params: SystemParams,
    features: Features,
    points: tuple[jax.Array, jax.Array],
    config: FlexConfig,
    selection: str = "flex",
) -> Algorithm:
    """Identifies a system on one trajectory; a step is a step of the system.

    Args:
        env: a system of :mod:`purejaxexplore.envs.control.identification`.
        env_params: its parameters.
        features: ``(x f32[n], u f32[m]) -> f32[p]``.
        points: states f32[G, n] and inputs f32[G, m] on which the model is compared with the law.
        config: settings.
        selection: ``"flex"``; ``"oracle"``, which takes d f / d u from the law itself; or the baselines
            ``"random_sign"`` (every input at its bound, each sign alike) and ``"uniform"`` (in the ball).

    Returns:
        Metrics: ``env_steps``, ``error`` (root mean square of the model's error over the points, in units of the law),
        ``log_error`` (its natural logarithm) and ``farthest`` (the largest absolute value so far of the angle, the
        coordinate ``env.swing``).

    Raises:
        ValueError: an unknown selection, or a number outside its range.
        TypeError: ``env`` is no :class:`~purejaxexplore.envs.control.identification.System`.
    """
    if not isinstance(env, System):
        raise TypeError(f"env={env!r}: expected a System of purejaxexplore.envs.control.identification")
    choice("selection", selection, SELECTIONS)
    require_between(1e-12, jnp.inf, prior=config.prior)
    require_between(1e-3, 1.0, forgetting=config.forgetting)
    num_inputs, num_states = env.num_inputs, len(env.start)
    no_input = jnp.zeros(num_inputs)
    num_features = jax.eval_shape(features, jnp.zeros(num_states), no_input).shape[0]
    truth = jax.vmap(env.derivative, (0, 0, None))(*points, env_params)
    rows = jax.vmap(features)(*points)

    def select(key, state):
        x, theta = state.system.x, state.theta
        if selection == "random_sign":
            return jnp.where(jax.random.bernoulli(key, shape=(num_inputs,)), 1.0, -1.0) * env_params.bound
        if selection == "uniform":
            return env_params.bound * jax.random.ball(key, num_inputs)
        if selection == "oracle":
            by_input = jax.jacfwd(env.derivative, 1)(x, no_input, env_params)
        else:
            by_input = jax.jacfwd(lambda u: theta @ features(x, u))(no_input)
        B = env_params.dt * jax.jacfwd(features, 0)(x, no_input) @ by_input
        return informative_input(features(x, no_input), B, state.inverse_gram, env_params.bound)

    def init(key):
        system = env.reset_env(key, env_params)[1]
        return FlexState(
            system=system,
            theta=jnp.zeros((num_states, num_features)),
            inverse_gram=jnp.eye(num_features) / config.prior,
            farthest=jnp.abs(system.x),
            t=jnp.int32(0),
        )

    def step(key, state):
        key_select, key_env = jax.random.split(key)
        u = select(key_select, state)
        x = state.system.x
        _, system, _, _, info = env.step_env(key_env, state.system, u / env_params.bound, env_params)
        phi, y = features(x, info["input"]), (system.x - x) / env_params.dt
        theta, inverse_gram = least_squares_step(state.theta, state.inverse_gram, phi, y, config.forgetting)
        farthest, t = jnp.maximum(state.farthest, jnp.abs(system.x)), state.t + 1
        error = jnp.sqrt(jnp.mean(jnp.square(rows @ theta.T - truth)))
        metrics = {"env_steps": t, "error": error, "log_error": jnp.log(error), "farthest": farthest[env.swing]}
        return FlexState(system, theta, inverse_gram, farthest, t), metrics

    return Algorithm(init, step)
