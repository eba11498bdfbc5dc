"""The few flax modules that everybody shares: MLP, a small CNN, PPO's actor-critic, and networks of action values."""

import itertools
import math
from collections.abc import Sequence

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

ACTIVATIONS = {"tanh": nn.tanh, "relu": nn.relu, "leaky_relu": nn.leaky_relu, "silu": nn.silu}


def orthogonal(scale: float):
    """Initialiser of weights with orthonormal rows or columns, uniform among them, times ``scale``."""

    def init(key, shape, dtype=jnp.float32):
        matrix = (math.prod(shape[:-1]), shape[-1])
        return scale * orthonormal_matrices(key, [matrix])[0].reshape(shape).astype(dtype)

    return init


def orthonormal_matrices(key: jax.Array, shapes: Sequence[tuple[int, int]]) -> list[jax.Array]:
    """Matrices of the given shapes whose shorter side is orthonormal, uniform among such.

    All are orthonormalised at once, as the first rows and columns of padded ones: a loop for each would double the
    time to compile a learner's ``init``. Gram-Schmidt, each vector twice, instead of the library's QR: XLA:CPU can
    deadlock for ever where the batched QRs of many vmapped networks are initialised at once (observed with jax 0.10.2,
    16 seeds, two cores).
    """
    short, long = max(min(shape) for shape in shapes), max(max(shape) for shape in shapes)
    inside = np.zeros((short, len(shapes), long), np.float32)
    for i, shape in enumerate(shapes):
        inside[: min(shape), i, : max(shape)] = 1.0
    gaussian = jax.random.normal(key, inside.shape) * inside

    def orthonormalise(basis, i_vectors):
        i, vectors = i_vectors

        def remove_known(_, vectors):
            return vectors - jnp.einsum("nl,nls,nms->nm", vectors, basis, basis)

        vectors = jax.lax.fori_loop(0, 2, remove_known, vectors)
        norm = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
        return basis.at[..., i].set(vectors / jnp.maximum(norm, 1e-30)), None

    start = jnp.zeros((len(shapes), long, short))
    bases, _ = jax.lax.scan(orthonormalise, start, (jnp.arange(short), gaussian))
    columns = [basis[: max(shape), : min(shape)] for basis, shape in zip(bases, shapes, strict=True)]
    return [basis if rows >= cols else basis.T for basis, (rows, cols) in zip(columns, shapes, strict=True)]


class MLP(nn.Module):
    """Dense layers with orthogonal weights: ``f32[..., d] -> f32[..., num_outputs]``.

    The hidden activations are sown in the collection ``"activations"``.

    Attributes:
        hidden_sizes: widths of the hidden layers, gain sqrt(2).
        num_outputs: width of the linear output layer.
        activation: one of ``ACTIVATIONS``.
        output_scale: gain of the output layer.
        noise_scale: sigma_0 of learned noise on all layers as in :class:`NoisyDense`, but one draw for the whole batch;
            without a ``"noise"`` random stream the layers are their means. None for plain layers.
    """

    hidden_sizes: Sequence[int]
    num_outputs: int
    activation: str = "tanh"
    output_scale: float = 2**0.5
    noise_scale: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        sizes = (x.shape[-1], *self.hidden_sizes, self.num_outputs)
        shapes = list(itertools.pairwise(sizes))
        gains = [2**0.5] * len(self.hidden_sizes) + [self.output_scale]
        if self.is_initializing():
            kernels = orthonormal_matrices(self.make_rng("params"), shapes)
        else:
            kernels = [jnp.zeros(shape) for shape in shapes]
        for i, (kernel, gain) in enumerate(zip(kernels, gains, strict=True)):
            initial = {"kernel": gain * kernel, "bias": jnp.zeros(kernel.shape[1])}
            layer = self.param(f"Dense_{i}", lambda _, initial=initial: initial)
            weights, bias = layer["kernel"], layer["bias"]
            if self.noise_scale is not None:
                noisy_weights, noisy_bias = self._noise(i, kernel.shape)
                weights, bias = weights + noisy_weights, bias + noisy_bias
            x = x @ weights + bias
            if i < len(self.hidden_sizes):
                x = ACTIVATIONS[self.activation](x)
                if not self.is_initializing():
                    self.sow("activations", "hidden", x)
        return x

    def _noise(self, i: int, shape: tuple[int, int]) -> tuple[jax.Array | float, jax.Array | float]:
        """What layer ``i`` adds to its weights and to its bias."""
        constant = nn.initializers.constant(self.noise_scale * shape[0] ** -0.5)
        weights, bias = self.param(f"scale_{i}", constant, shape), self.param(f"bias_scale_{i}", constant, shape[1:])
        if not self.has_rng("noise"):
            return 0.0, 0.0
        into, out = (factorised_noise(self.make_rng("noise"), (size,)) for size in shape)
        return weights * into[:, None] * out, bias * out


class CNN(nn.Module):
    """The small convolutional trunk of MinAtar (Young and Tian, 2019): ``f32[..., H, W, C] -> f32[..., size]``.

    Attributes:
        channels: filters of the 3 x 3 convolution.
        size: width of the dense layer after it.
    """

    channels: int = 16
    size: int = 128

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        lead = x.shape[:-3]
        x = x.reshape((-1, *x.shape[-3:]))
        x = nn.relu(nn.Conv(self.channels, (3, 3), padding="VALID", kernel_init=orthogonal(2**0.5))(x))
        x = nn.relu(nn.Dense(self.size, kernel_init=orthogonal(2**0.5))(x.reshape((x.shape[0], -1))))
        return x.reshape((*lead, self.size))


class ActorCritic(nn.Module):
    """Encoder, actor and critic towers with K value heads.

    ``encode`` turns observations into the towers' input (flattening, a CNN, or a GRU over time), so that a learner can
    act with the actor alone and value a whole rollout in one batch.

    Attributes:
        num_outputs: logits of a discrete action, or dimensions of a continuous one.
        num_values: K.
        obs_ndim: number of axes of one observation.
        hidden_sizes, activation: of both towers.
        network: "mlp", "cnn", or "table": a row of logits and of values for each numbered observation.
        gru_size: width of the recurrent core; 0 for none.
        continuous: adds the state-independent log standard deviation, f32[num_outputs].
        num_states: rows of the table.
        noise_scale: of learned noise in the actor's tower, None for none.
    """

    num_outputs: int
    num_values: int
    obs_ndim: int
    hidden_sizes: Sequence[int] = (64, 64)
    activation: str = "tanh"
    network: str = "mlp"
    gru_size: int = 0
    continuous: bool = False
    num_states: int = 0
    noise_scale: float | None = None

    def setup(self):
        if self.network == "table":
            zeros = nn.initializers.zeros
            self.actor_table = self.param("actor_table", zeros, (self.num_states, self.num_outputs))
            self.critic_table = self.param("critic_table", zeros, (self.num_states, self.num_values))
            return
        if self.network == "cnn":
            self.trunk = CNN()
        if self.gru_size:
            self.core = nn.GRUCell(self.gru_size, recurrent_kernel_init=orthogonal(1.0))
        self.actor_tower = MLP(self.hidden_sizes, self.num_outputs, self.activation, 0.01, self.noise_scale)
        self.critic_tower = MLP(self.hidden_sizes, self.num_values, self.activation, 1.0)
        if self.continuous:
            self.log_std = self.param("log_std", nn.initializers.zeros, (self.num_outputs,))

    def encode(self, carry: jax.Array, obs: jax.Array, features: jax.Array, start: jax.Array):
        """``(carry f32[..., gru_size], obs, features f32[..., F], start bool[...]) -> (carry, f32[..., d])``.

        ``start`` marks the first step of an episode, where the recurrent state is cleared.
        """
        if self.network == "table":
            return carry, obs
        x = obs.astype(jnp.float32)
        x = self.trunk(x) if self.network == "cnn" else x.reshape((*x.shape[: x.ndim - self.obs_ndim], -1))
        if features.shape[-1]:
            x = jnp.concatenate([x, features], -1)
        if self.gru_size:
            carry, x = self.core(jnp.where(start[..., None], 0.0, carry), x)
        return carry, x

    def actor(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """``f32[..., d] -> (logits,)`` of a discrete policy, or ``(mean, log_std)`` of a Gaussian one."""
        if self.network == "table":
            return (self.actor_table[x],)
        return (self.actor_tower(x), self.log_std) if self.continuous else (self.actor_tower(x),)

    def critic(self, x: jax.Array) -> jax.Array:
        """``f32[..., d] -> f32[..., K]``."""
        return self.critic_table[x] if self.network == "table" else self.critic_tower(x)

    def __call__(self, carry, obs, features, start):
        carry, x = self.encode(carry, obs, features, start)
        return self.actor(x), self.critic(x)


def factorised_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """``sign(e) sqrt|e|`` of standard normal e, ``f32[shape]`` (Fortunato et al. 2018, section 3.1)."""
    noise = jax.random.normal(key, shape)
    return jnp.sign(noise) * jnp.sqrt(jnp.abs(noise))


class NoisyDense(nn.Module):
    """A dense layer with learned noise: Fortunato et al. (2018), "Noisy networks for exploration", equations 9 to 11.

    ``y = W x + b + (S_w * f(e_out) f(e_in)^T) x + S_b * f(e_out)`` with factorised Gaussian noise, ``f(e) = sign(e)
    sqrt|e|``. Every row of a batch draws noise of its own (the paper: every minibatch); without a ``"noise"`` random
    stream the layer is its mean.

    Attributes:
        features: outputs.
        noise_scale: sigma_0, initial standard deviations times the root of the number of inputs.
    """

    features: int
    noise_scale: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        bound = x.shape[-1] ** -0.5
        shape = (x.shape[-1], self.features)
        scale = nn.initializers.constant(self.noise_scale * bound)

        def uniform(key, shape):
            return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

        kernel, bias = self.param("kernel", uniform, shape), self.param("bias", uniform, shape[1:])
        kernel_scale, bias_scale = self.param("kernel_scale", scale, shape), self.param("bias_scale", scale, shape[1:])
        y = x @ kernel + bias
        if not self.has_rng("noise"):
            return y
        into, out = (factorised_noise(self.make_rng("noise"), z.shape) for z in (x, y))
        return y + out * ((x * into) @ kernel_scale + bias_scale)


class ActionValues(nn.Module):
    """Values of discrete actions for K reward streams: ``(obs, features f32[..., F]) -> f32[..., A, K]``.

    The hidden activations are sown in the collection ``"activations"``.

    Attributes:
        num_actions: A.
        num_values: K.
        obs_ndim: number of axes of one observation.
        hidden_sizes, activation: of the tower.
        network: "mlp", "cnn", "table": a row of values for each numbered observation, or "factored": as "mlp", with
            values that are products of an embedding of the observation and one of the action, the activation of the
            sum of embeddings of its factors: He, Chen, He, Gao, Li, Deng and Ostendorf (2016), "Deep
            reinforcement learning with a natural language action space", whose factors are words.
        action_factors: of "factored", the sizes of an action's factors, the last one fastest; their product is A.
        num_states, table_scale: rows of the table, and the standard deviation of its initial values.
        noisy: whether the tower's layers are :class:`NoisyDense`.
        noise_scale: their sigma_0.
        layer_norm: whether hidden layers are normalised before their activation.
    """

    num_actions: int
    num_values: int
    obs_ndim: int
    hidden_sizes: Sequence[int] = (64, 64)
    activation: str = "relu"
    network: str = "mlp"
    action_factors: Sequence[int] = ()
    num_states: int = 0
    table_scale: float = 0.0
    noisy: bool = False
    noise_scale: float = 0.5
    layer_norm: bool = False

    @nn.compact
    def __call__(self, obs: jax.Array, features: jax.Array) -> jax.Array:
        factored = self.network == "factored"
        outputs = self.num_values * (self.hidden_sizes[-1] if factored else self.num_actions)
        if self.network == "table":
            x = self.param("table", nn.initializers.normal(self.table_scale), (self.num_states, outputs))[obs]
            return x.reshape((*x.shape[:-1], self.num_actions, self.num_values))
        x = obs.astype(jnp.float32)
        x = CNN()(x) if self.network == "cnn" else x.reshape((*x.shape[: x.ndim - self.obs_ndim], -1))
        x = jnp.concatenate([x, features], -1) if features.shape[-1] else x
        for size in self.hidden_sizes:
            x = NoisyDense(size, self.noise_scale)(x) if self.noisy else _dense(size, 2**0.5)(x)
            x = nn.LayerNorm()(x) if self.layer_norm else x
            x = ACTIVATIONS[self.activation](x)
            if not self.is_initializing():
                self.sow("activations", "hidden", x)
        scale = 0.1 if factored else 1.0  # a product of embeddings would start far from the values of most worlds
        x = NoisyDense(outputs, self.noise_scale)(x) if self.noisy else _dense(outputs, scale)(x)
        if factored:
            actions = self._actions(self.hidden_sizes[-1])
            return jnp.einsum("...kd,ad->...ak", x.reshape((*x.shape[:-1], self.num_values, -1)), actions)
        return x.reshape((*x.shape[:-1], self.num_actions, self.num_values))

    def _actions(self, size: int) -> jax.Array:
        """The embeddings of all actions, f32[A, size]."""
        total = jnp.zeros(size)
        for i, count in enumerate(self.action_factors):
            words = self.param(f"factor_{i}", nn.initializers.normal(0.3), (count, size))
            others = [axis for axis in range(len(self.action_factors)) if axis != i]
            total = total + jnp.expand_dims(words, others)
        return ACTIVATIONS[self.activation](total).reshape((self.num_actions, size))


def _dense(size: int, scale: float) -> nn.Dense:
    return nn.Dense(size, kernel_init=orthogonal(scale))


def memoryless(network: ActorCritic, params, obs: jax.Array) -> jax.Array:
    """The towers' inputs at observations alone, without recurrent state and bonus features: ``[..., d]``."""
    blank = jnp.zeros((*obs.shape[: obs.ndim - network.obs_ndim], 0))
    return network.apply(params, blank, obs, blank, blank.any(-1), method="encode")[1]


def policy_of(network: ActorCritic, params, x: jax.Array, noise: jax.Array | None = None) -> distrax.Distribution:
    """The policy at the towers' inputs ``x f32[..., d]``: categorical, or Gaussian with independent dimensions.

    ``noise`` is the key of the actor's noise, where it has some; None for its mean.
    """
    rngs = None if noise is None else {"noise": noise}
    outputs = network.apply(params, x, method="actor", rngs=rngs)
    if network.continuous:
        mean, log_std = outputs
        return distrax.MultivariateNormalDiag(mean, jnp.broadcast_to(jnp.exp(log_std), mean.shape))
    return distrax.Categorical(logits=outputs[0])
