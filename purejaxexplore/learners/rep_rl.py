"""RepES: an evolution strategy that also follows a linear bandit over a learnt embedding of policies.

Nabati, Tennenholtz and Mannor (2023), "Representation-driven reinforcement learning". A policy with weights theta is an
arm, its embedding z = f(theta) the arm's feature and its return G the reward, with ``E[G] = w . z``. An iteration::

    evolution:  G+-_i = return of theta +- sigma xi_i,         g_ES = mean_i (G+_i - G-_i) xi_i / sd(G),  i = 1 ... n
    bandit:     w' from the posterior of w (Thompson sampling), or the upper bound z . w + u sqrt(z V^-1 z),
                V+-_j = value of f(theta +- sigma xi_j),       g_B  = mean_j (V+_j - V-_j) xi_j / sd(V),  j = 1 ... m
    theta      += eta ((1 - c) g_ES + c g_B)

The m candidates cost no episode. All policies ever played are remembered with their returns. One ``step`` is ``R``
iterations; after them the encoder is fitted to minibatches of that memory, by ``(w . z - G)^2 + 0.1 KL(q(z | theta) |
N(0, I)) + 0.1 mean (decoder(z) - theta)^2`` with ``z ~ q``, and as the embeddings have moved the posterior is built
anew from the whole memory.

``features`` chooses f: ``"encoder"``; ``"projection"``, a fixed random one, ``z = A theta``; or ``"none"``, without a
bandit: a plain evolution strategy, which the others are too for c = 0.

What differs from the authors' code: policies take their most likely action; embeddings are the means of q, where theirs
are drawn; returns are standardised by the memory's mean and deviation before they are fitted, as the regression has no
intercept; the value head is linear. Their variants that move to the best candidate at once, or add g_B to a policy
gradient, are left out.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.blocks.bayes_linear import Posterior, draw, new_posterior, observe, posterior_of
from purejaxexplore.blocks.ridge import prediction_width
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.learners.deep_ga import make_policy, play
from purejaxexplore.nets import MLP

FEATURES = ("encoder", "projection", "none")
RULES = ("thompson", "ucb")


@flax.struct.dataclass
class RepESConfig:
    """Settings; the defaults are those of the authors' code, but for the sizes of networks and of the memory.

    Attributes:
        sigma: standard deviation of perturbations, > 0; may be traced.
        learning_rate: eta, > 0; may be traced.
        mix: c in [0, 1], share of the bandit's direction; may be traced.
        width: u of the upper bound, >= 0; may be traced.
        regularisation: lambda > 0 of the regression; may be traced.
        prior_a, prior_b: of the inverse gamma distribution of the returns' noise; a >= 1, b > 0; may be traced.
        encoder_rate: learning rate of the encoder; may be traced.
        divergence_coef, decoder_coef: weights of the encoder's losses; may be traced.
        max_grad_norm: at which its gradients are clipped; may be traced.
        num_pairs: n, antithetic pairs that are played.
        num_candidates: m, antithetic pairs that are scored.
        refit_every: R, iterations a step.
        num_batches, batch_size: of the encoder's training in a step.
        latent_size: d of the embedding.
        encoder_sizes: hidden layers of the encoder, and in reverse of the decoder.
        hidden_sizes: of the policy's network; none: a table, where the observation is one-hot.
        horizon: steps after which an episode is broken off, if it has not ended.
        capacity: policies that are remembered, the newest.
    """

    sigma: float = 0.03
    learning_rate: float = 0.02
    mix: float = 0.1
    width: float = 10.0
    regularisation: float = 0.1
    prior_a: float = 6.0
    prior_b: float = 10.0
    encoder_rate: float = 3e-4
    divergence_coef: float = 0.1
    decoder_coef: float = 0.1
    max_grad_norm: float = 0.5
    num_pairs: int = flax.struct.field(pytree_node=False, default=8)
    num_candidates: int = flax.struct.field(pytree_node=False, default=512)
    refit_every: int = flax.struct.field(pytree_node=False, default=5)
    num_batches: int = flax.struct.field(pytree_node=False, default=160)
    batch_size: int = flax.struct.field(pytree_node=False, default=32)
    latent_size: int = flax.struct.field(pytree_node=False, default=64)
    encoder_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(64,))
    hidden_sizes: tuple[int, ...] = flax.struct.field(pytree_node=False, default=(32, 32))
    horizon: int = flax.struct.field(pytree_node=False, default=500)
    capacity: int = flax.struct.field(pytree_node=False, default=4096)


class Memory(NamedTuple):
    """Attributes:
    theta: f32[C, P], policies that were played.
    value: f32[C], their returns.
    n: i32[], policies ever stored; the newest C are there.
    """

    theta: jax.Array
    value: jax.Array
    n: jax.Array

    @property
    def filled(self) -> jax.Array:
        """bool[C]."""
        return jnp.arange(self.value.size) < self.n


class Bandit(NamedTuple):
    """Attributes:
    params: of the encoder, or the projection f32[P, d].
    optimiser: Adam of the encoder; () for the projection.
    posterior: of the weights of the embedding.
    mean, sd: f32[], by which returns are standardised.
    memory: all that was played.
    loss: f32[], the encoder's in its last minibatch; 0 for the projection.
    """

    params: Any
    optimiser: Any
    posterior: Posterior
    mean: jax.Array
    sd: jax.Array
    memory: Memory
    loss: jax.Array


class RepESState(NamedTuple):
    """Attributes:
    theta: f32[P], the policy.
    bandit: None for the plain evolution strategy.
    best: f32[], largest return of theta at the end of a step.
    env_steps: i32[], of learning; those of measuring theta are not counted.
    """

    theta: jax.Array
    bandit: Bandit | None
    best: jax.Array
    env_steps: jax.Array


class PolicyEncoder(nn.Module):
    """A variational autoencoder of policies with a linear value.

    Attributes:
        sizes: hidden layers.
        latent_size: d.
        num_weights: P.
    """

    sizes: tuple[int, ...]
    latent_size: int
    num_weights: int

    def setup(self):
        self.encoder = MLP(self.sizes, 2 * self.latent_size, "tanh", 1.0)
        self.decoder = MLP(self.sizes[::-1], self.num_weights, "tanh", 1.0)
        self.value = nn.Dense(1, use_bias=False)

    def __call__(self, theta: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """``theta f32[B, P], standard normal f32[B, d] -> value f32[B], theta again f32[B, P], KL f32[B]``."""
        mean, log_variance = jnp.split(self.encoder(theta), 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_variance) * normal
        divergence = 0.5 * (jnp.exp(log_variance) + jnp.square(mean) - 1 - log_variance).sum(-1)
        return self.value(z)[..., 0], self.decoder(z), divergence

    def embed(self, theta: jax.Array) -> jax.Array:
        """The means of q, f32[..., d]."""
        return jnp.split(self.encoder(theta), 2, axis=-1)[0]


def direction(values: jax.Array, noise: jax.Array) -> jax.Array:
    """``mean_i (V+_i - V-_i) xi_i / sd(V)`` f32[P]; 0 where all values are equal.

    Args:
        values: f32[2, n], of ``theta + sigma xi`` and ``theta - sigma xi``.
        noise: f32[n, P], xi.
    """
    sd = values.std()
    return (values[0] - values[1]) @ noise / (values.shape[1] * jnp.where(sd > 0, sd, 1.0))


def remember(memory: Memory, theta: jax.Array, value: jax.Array) -> Memory:
    """Stores ``theta`` f32[B, P] with ``value`` f32[B] over the oldest."""
    place = (memory.n + jnp.arange(value.size)) % memory.value.size
    return Memory(memory.theta.at[place].set(theta), memory.value.at[place].set(value), memory.n + value.size)


def rep_es(
    env: Any,
    env_params: Any,
    config: RepESConfig,
    *,
    features: str = "encoder",
    rule: str = "thompson",
    measured_in: Any = None,
) -> Algorithm:
    """RepES, its ablation and the plain evolution strategy.

    Args:
        env: gymnax environment with discrete or bounded actions.
        env_params: its parameters.
        config: the settings.
        features: ``"encoder"``, ``"projection"`` or ``"none"``.
        rule: ``"thompson"`` or ``"ucb"``.
        measured_in: parameters of the world in which theta is measured, by one episode a step; None: ``env_params``.

    Returns:
        An :class:`~purejaxexplore.algorithm.Algorithm`; ``step`` is ``refit_every`` iterations. Metrics: ``env_steps``,
        ``episode_return`` of theta after them, ``best_return`` (the largest of these so far), ``mean_return`` of the
        policies played; with a bandit also ``loss``, ``noise_sd`` (of the posterior, in units of return), ``stored``.

    Raises:
        TypeError: ``env`` is not an environment.
        ValueError: a setting is out of range, or the actions are unbounded.
    """
    _require(env, config, features, rule)
    policy = make_policy(env, env_params, config)
    P, d, n = policy.scale.size, config.latent_size, config.num_pairs
    network = PolicyEncoder(config.encoder_sizes, d, P)
    adam = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.encoder_rate))
    learns = features == "encoder"

    def episode(key, theta, params):
        """Return and length."""
        weights = policy.unravel(theta)
        outcome = play(
            key, env, params, lambda seen: policy.act(weights, seen), lambda *_: jnp.zeros(0), config.horizon
        )
        return outcome.fitness, outcome.length

    def embed(params, theta):
        return network.apply(params, theta, method="embed") if learns else theta @ params

    def prior():
        return new_posterior(d, config.regularisation, config.prior_a, config.prior_b)

    def init(key):
        key_theta, key_params = jax.random.split(key)
        theta = policy.scale * jax.random.normal(key_theta, (P,))
        bandit = None
        if features != "none":
            if learns:
                params = network.init(key_params, jnp.zeros((1, P)), jnp.zeros((1, d)))
            else:
                params = jax.random.normal(key_params, (P, d)) / np.sqrt(P)
            memory = Memory(jnp.zeros((config.capacity, P)), jnp.zeros(config.capacity), jnp.int32(0))
            optimiser = adam.init(params) if learns else ()
            zero, one = jnp.float32(0), jnp.float32(1)
            bandit = Bandit(params, optimiser, prior(), zero, one, memory, zero)
        return RepESState(theta, bandit, jnp.float32(-jnp.inf), jnp.int32(0))

    def around(key, theta, number):
        """Antithetic perturbations: noise f32[number, P] and policies f32[2, number, P]."""
        noise = jax.random.normal(key, (number, P))
        return noise, theta + config.sigma * jnp.stack([noise, -noise])

    def scores(key, bandit, theta):
        """What the bandit thinks of policies f32[..., P]."""
        z = embed(bandit.params, theta)
        if rule == "ucb":
            ridge = bandit.posterior.ridge
            return z @ ridge.coef + config.width * prediction_width(ridge, z)
        return z @ draw(key, bandit.posterior)

    def see(bandit, theta, value):
        """The posterior and the memory after policies f32[B, P] earned f32[B]."""
        z, scaled = embed(bandit.params, theta), (value - bandit.mean) / bandit.sd
        posterior, _ = jax.lax.scan(lambda p, sample: (observe(p, *sample), None), bandit.posterior, (z, scaled))
        return bandit._replace(posterior=posterior, memory=remember(bandit.memory, theta, value))

    def iterate(carry, key):
        theta, bandit, env_steps = carry
        key_noise, key_play, key_candidates, key_draw = jax.random.split(key, 4)
        noise, policies = around(key_noise, theta, n)
        keys = jax.random.split(key_play, (2, n))
        value, length = jax.vmap(jax.vmap(episode, (0, 0, None)), (0, 0, None))(keys, policies, env_params)
        step = direction(value, noise)
        if bandit is not None:
            bandit = see(bandit, policies.reshape(-1, P), value.reshape(-1))
            candidates, options = around(key_candidates, theta, config.num_candidates)
            hint = direction(scores(key_draw, bandit, options), candidates)
            step = (1 - config.mix) * step + config.mix * hint
        theta = theta + config.learning_rate * step
        return (theta, bandit, env_steps + length.sum(dtype=jnp.int32)), value.mean()

    def loss_of(params, theta, scaled, normal):
        value, again, divergence = network.apply(params, theta, normal)
        misfit = jnp.square(value - scaled).mean() + config.decoder_coef * jnp.square(again - theta).mean()
        return misfit + config.divergence_coef * divergence.mean()

    def refit(key, bandit):
        """A better encoder, and with it the posterior of everything that is remembered."""
        memory, filled = bandit.memory, bandit.memory.filled
        number = filled.sum()
        mean = jnp.where(filled, memory.value, 0.0).sum() / number
        sd = jnp.sqrt(jnp.where(filled, jnp.square(memory.value - mean), 0.0).sum() / number)
        sd = jnp.where(sd > 0, sd, 1.0)
        scaled = (memory.value - mean) / sd
        params, optimiser, loss = bandit.params, bandit.optimiser, bandit.loss
        if learns:
            shape = (config.num_batches, config.batch_size)
            key_rows, key_normal = jax.random.split(key)
            rows = jax.random.randint(key_rows, shape, 0, number)
            normals = jax.random.normal(key_normal, (*shape, d))

            def fit(carry, batch):
                params, optimiser = carry
                rows, normal = batch
                loss, gradient = jax.value_and_grad(loss_of)(params, memory.theta[rows], scaled[rows], normal)
                updates, optimiser = adam.update(gradient, optimiser, params)
                return (optax.apply_updates(params, updates), optimiser), loss

            (params, optimiser), losses = jax.lax.scan(fit, (params, optimiser), (rows, normals))
            loss = losses[-1]
        posterior = posterior_of(
            embed(params, memory.theta), scaled, filled, config.regularisation, config.prior_a, config.prior_b
        )
        return Bandit(params, optimiser, posterior, mean, sd, memory, loss)

    def step(key, state):
        key_iterate, key_fit, key_measure = jax.random.split(key, 3)
        carry = state.theta, state.bandit, state.env_steps
        (theta, bandit, env_steps), means = jax.lax.scan(
            iterate, carry, jax.random.split(key_iterate, config.refit_every)
        )
        metrics = {}
        if bandit is not None:
            bandit = refit(key_fit, bandit)
            noise_sd = bandit.sd * jnp.sqrt(bandit.posterior.b / bandit.posterior.a)
            metrics = {"loss": bandit.loss, "noise_sd": noise_sd}
            metrics["stored"] = jnp.minimum(bandit.memory.n, config.capacity)
        reached, _ = episode(key_measure, theta, env_params if measured_in is None else measured_in)
        state = RepESState(theta, bandit, jnp.maximum(state.best, reached), env_steps)
        return state, metrics | {
            "env_steps": env_steps,
            "episode_return": reached,
            "best_return": state.best,
            "mean_return": means.mean(),
        }

    return Algorithm(init, step)


def _require(env: Any, config: RepESConfig, features: str, rule: str) -> None:
    if not (hasattr(env, "step_env") and hasattr(env, "reset_env")):
        raise TypeError(f"env={env!r}: expected a gymnax environment, with step_env and reset_env")
    choice("features", features, FEATURES)
    choice("rule", rule, RULES)
    sizes = ("num_pairs", "num_candidates", "refit_every", "num_batches", "batch_size", "latent_size", "horizon")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(2 * config.num_pairs, capacity=config.capacity)
    positive = ("sigma", "learning_rate", "regularisation", "prior_b", "encoder_rate", "max_grad_norm")
    require_between(1e-9, np.inf, **{name: getattr(config, name) for name in positive})
    require_between(1.0, np.inf, prior_a=config.prior_a)
    require_between(0.0, np.inf, width=config.width)
    require_between(0.0, np.inf, divergence_coef=config.divergence_coef, decoder_coef=config.decoder_coef)
    require_between(0.0, 1.0, mix=config.mix)
