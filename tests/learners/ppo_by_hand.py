"""PPO's iteration written out a second time, in NumPy and from the published equations, to compare the learner with.

Forward passes are bare matrix products, advantages a loop, Adam and the gradient clip NumPy; only the gradient of the
loss comes from ``jax.grad``.
"""

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.blocks.minibatches import minibatch_epochs
from purejaxexplore.learners.explorers import Explorer, on_policy


def recorder(num_steps: int, obs_shape=(2,), inner: Explorer | None = None) -> Explorer:
    """Acts as ``inner`` does and keeps what it saw and did in the last rollout, ``[num_steps, N, ...]``."""
    inner = on_policy() if inner is None else inner

    def init(key, num_envs):
        kept = {
            "obs": jnp.zeros((num_steps, num_envs, *obs_shape)),
            "start": jnp.zeros((num_steps, num_envs), bool),
            "action": jnp.zeros((num_steps, num_envs), jnp.int32),
            "log_prob": jnp.zeros((num_steps, num_envs)),
        }
        return {"t": jnp.int32(0), "kept": kept}

    def act(key, es, policy, lanes):
        action, log_prob, _ = inner.act(key, (), policy, lanes)
        seen = {"obs": lanes.obs, "start": lanes.done, "action": action, "log_prob": log_prob}
        kept = jax.tree.map(lambda buffer, x: buffer.at[es["t"]].set(x), es["kept"], seen)
        return action, log_prob, {"t": (es["t"] + 1) % num_steps, "kept": kept}

    return Explorer(init, act, lambda key, params, es: params, inner.discrete_only)


def tower(params, name, x):
    """A tanh network: f32[..., d] -> f32[..., outputs]."""
    layers = [params["params"][name][f"Dense_{i}"] for i in range(len(params["params"][name]))]
    for layer in layers[:-1]:
        x = jnp.tanh(jnp.dot(x, layer["kernel"]) + layer["bias"])
    return jnp.dot(x, layers[-1]["kernel"]) + layers[-1]["bias"]


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))


def advantages_of(rewards, values, next_values, stop, cut, gamma, lam):
    """One stream, f64[T, N]; backwards over time as in the paper."""
    advantages, following = np.zeros(rewards.shape), np.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * (1.0 - stop[t]) * next_values[t] - values[t]
        following = delta + gamma * lam * (1.0 - cut[t]) * following
        advantages[t] = following
    return advantages


def loss(params, batch, config):
    logits, values = tower(params, "actor_tower", batch["obs"]), tower(params, "critic_tower", batch["obs"])
    log_probs = log_softmax(logits)
    log_ratio = jnp.take_along_axis(log_probs, batch["action"][:, None], 1)[:, 0] - batch["log_prob"]
    ratio = jnp.exp(log_ratio)
    advantage = (batch["advantage"] - batch["advantage"].mean()) / (batch["advantage"].std() + 1e-8)
    clipped_ratio = jnp.clip(ratio, 1 - config.clip_ratio, 1 + config.clip_ratio)
    actor = -jnp.minimum(ratio * advantage, clipped_ratio * advantage).mean()
    clipped_value = batch["value"] + (values - batch["value"]).clip(-config.clip_ratio, config.clip_ratio)
    errors = jnp.maximum((values - batch["target"]) ** 2, (clipped_value - batch["target"]) ** 2)
    critic = sum(0.5 * errors[:, k].mean() for k in range(errors.shape[1]))
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    metrics = {
        "policy_loss": actor,
        "value_loss": critic,
        "entropy": entropy,
        "approx_kl": (ratio - 1 - log_ratio).mean(),
        "clip_fraction": (jnp.abs(ratio - 1) > config.clip_ratio).mean(),
    }
    return actor + config.value_coef * critic - config.entropy_coef * entropy, metrics


_gradient = jax.jit(jax.grad(loss, has_aux=True))


def shuffled_rows(step_key, config, num_rows):
    """The row numbers of every minibatch, i32[num_epochs, num_minibatches, B], with the learner's own shuffle."""
    key = jax.random.split(step_key, 5)[3]
    rows = jnp.arange(num_rows)
    return minibatch_epochs(key, lambda k, c, r: (c, r), (), rows, config.num_epochs, config.num_minibatches)[1]


def fit(params, rollout, values, advantages, targets, rows, config, rate):
    """Adam over the minibatches ``rows``: (parameters, mean metrics)."""
    flat = {
        "obs": rollout["obs"], "action": rollout["action"], "log_prob": rollout["log_prob"],
        "value": values, "advantage": advantages, "target": targets,
    }  # fmt: skip
    num_rows = advantages.size
    flat = {name: np.asarray(x).reshape((num_rows, *x.shape[2:])) for name, x in flat.items()}
    flat = {name: x.astype(np.float32) if x.dtype == np.float64 else x for name, x in flat.items()}
    leaves, structure = jax.tree.flatten(params)
    leaves = [np.asarray(leaf, np.float64) for leaf in leaves]
    first, second = [np.zeros_like(x) for x in leaves], [np.zeros_like(x) for x in leaves]
    history = []
    for i, minibatch in enumerate(np.asarray(rows).reshape(-1, rows.shape[-1]), start=1):
        current = jax.tree.unflatten(structure, [leaf.astype(np.float32) for leaf in leaves])
        gradient, metrics = _gradient(current, {name: x[minibatch] for name, x in flat.items()}, config)
        gradient = [np.asarray(g, np.float64) for g in jax.tree.leaves(gradient)]
        norm = np.sqrt(sum((g**2).sum() for g in gradient))
        gradient = [g * min(1.0, config.max_grad_norm / norm) for g in gradient]
        for j, g in enumerate(gradient):
            first[j] = 0.9 * first[j] + 0.1 * g
            second[j] = 0.999 * second[j] + 0.001 * g**2
            m, v = first[j] / (1 - 0.9**i), second[j] / (1 - 0.999**i)
            leaves[j] = leaves[j] - rate * m / (np.sqrt(v) + config.adam_eps)
        history.append(metrics)
    means = {name: np.mean([m[name] for m in history]) for name in history[0]}
    return jax.tree.unflatten(structure, leaves), means
