"""The settings of DQN and what they must satisfy."""

from collections.abc import Sequence
from math import inf, prod

import jax
from flax import struct
from gymnax.environments import spaces

from purejaxexplore.blocks.replay import require_replay
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.admissible import require_admissible
from purejaxexplore.learners.explorers import Explorer
from purejaxexplore.learners.requirements import require_environment, require_explorer, require_network
from purejaxexplore.learners.streams import Stream, require_streams
from purejaxexplore.nets import ActionValues


@struct.dataclass
class DQNConfig:
    """Hyper-parameters; the defaults are for small worlds.

    Attributes:
        learning_rate: Adam's, (0, inf).
        gamma: of the extrinsic stream when ``streams`` is not given, [0, 1].
        huber_delta: errors beyond it count linearly, (0, inf); 1 in the paper, 1e6 is as good as squares.
        max_grad_norm: bound of the gradient's global norm, of each head of an ensemble, (0, inf].
        adam_eps: Adam's epsilon.
        target_period: updates between two moves of the target network, at least 1.
        target_rate: how far it moves towards the online network, [0, 1]; 1 copies it.
        prior_scale: beta, weight of each head's frozen random prior, at least 0; 0 for none.
        mask_probability: chance that a transition trains a head, [0, 1].
        noise_scale: sigma_0 of noisy layers, at least 0.
        num_envs: N.
        rollout_length: T, steps of each environment an iteration.
        num_updates: G, minibatches an iteration; the replay ratio is G B / (N T).
        batch_size: B, transitions of a minibatch.
        replay_capacity: transitions, a multiple of ``num_envs``.
        n_step: n of the returns.
        num_warmup_steps: steps of each environment by random actions that fill the replay; where there are bonuses,
            as many before those to initialise them.
        hidden_sizes, activation: of the tower.
        network: "mlp", "cnn" for image observations, or "table" for observations that are state numbers
            (:class:`~purejaxexplore.envs.wrappers.ObserveStateId`), or "factored", an mlp whose actions share
            parameters by their factors.
        action_factors: of "factored", the sizes of the factors of an action, the last one fastest, such as (12, 15) of
            180 pairs of a verb and a thing.
        num_heads: E, networks of the ensemble, each with its own target; explorers that do not choose among them act
            on their mean.
        double: whether the online network chooses the action that the target network values.
        shared_argmax: whether the streams bootstrap from one action, the best of their weighted sum, or each from its
            own best.
        noisy: whether the layers are noisy.
        layer_norm: whether hidden layers are normalised.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    huber_delta: float = 1.0
    max_grad_norm: float = 10.0
    adam_eps: float = 1e-8
    target_period: float = 100.0
    target_rate: float = 1.0
    prior_scale: float = 0.0
    mask_probability: float = 1.0
    noise_scale: float = 0.5
    num_envs: int = struct.field(pytree_node=False, default=16)
    rollout_length: int = struct.field(pytree_node=False, default=4)
    num_updates: int = struct.field(pytree_node=False, default=1)
    batch_size: int = struct.field(pytree_node=False, default=128)
    replay_capacity: int = struct.field(pytree_node=False, default=16384)
    n_step: int = struct.field(pytree_node=False, default=1)
    num_warmup_steps: int = struct.field(pytree_node=False, default=64)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64, 64))
    activation: str = struct.field(pytree_node=False, default="relu")
    network: str = struct.field(pytree_node=False, default="mlp")
    action_factors: tuple[int, ...] = struct.field(pytree_node=False, default=())
    num_heads: int = struct.field(pytree_node=False, default=1)
    double: bool = struct.field(pytree_node=False, default=True)
    shared_argmax: bool = struct.field(pytree_node=False, default=True)
    noisy: bool = struct.field(pytree_node=False, default=False)
    layer_norm: bool = struct.field(pytree_node=False, default=False)


def action_values(env, env_params, config: DQNConfig, num_values: int) -> ActionValues:
    """The network for an environment's observations and actions, with ``num_values`` values an action."""
    space = env.observation_space(env_params)
    return ActionValues(
        num_actions=int(env.action_space(env_params).n),
        num_values=num_values,
        obs_ndim=len(space.shape),
        hidden_sizes=config.hidden_sizes,
        activation=config.activation,
        network=config.network,
        action_factors=config.action_factors,
        num_states=int(space.n) if config.network == "table" else 0,
        noisy=config.noisy,
        noise_scale=config.noise_scale,
        layer_norm=config.layer_norm,
    )


def is_not(value, nothing: float) -> bool:
    """Whether a numeric field is known to differ from ``nothing``, or is traced, so that it may."""
    return isinstance(value, jax.core.Tracer) or bool(value != nothing)


def require_dqn(env, env_params, config: DQNConfig, streams: Sequence[Stream], explorer: Explorer) -> None:
    """Raises as :func:`~purejaxexplore.learners.dqn.dqn` says, before anything is compiled."""
    require_environment(env)
    sizes = ("rollout_length", "num_updates", "num_warmup_steps", "num_heads")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    num_rows = max(config.rollout_length, config.num_warmup_steps)
    require_replay(config.replay_capacity, config.num_envs, config.batch_size, config.n_step, num_rows)
    if config.num_warmup_steps <= config.n_step:
        least = config.n_step + 1
        raise ValueError(f"num_warmup_steps={config.num_warmup_steps}: expected at least n_step + 1={least}")
    rates = ("gamma", "target_rate", "mask_probability")
    require_between(0.0, 1.0, **{name: getattr(config, name) for name in rates})
    positive = ("learning_rate", "huber_delta", "max_grad_norm", "adam_eps", "prior_scale", "noise_scale")
    require_between(0.0, inf, **{name: getattr(config, name) for name in positive})
    require_between(1.0, inf, target_period=config.target_period)
    require_network(env, env_params, config.network, config.activation, streams, ("mlp", "cnn", "table", "factored"))
    require_streams(env, streams)
    require_explorer(env, env_params, explorer)
    if not isinstance(env.action_space(env_params), spaces.Discrete):
        raise ValueError(f"actions of {env.name}: expected a Discrete space, one value for each action")
    num_actions = int(env.action_space(env_params).n)
    require_admissible(env, env_params)
    factored = config.network == "factored"
    if factored and (not config.hidden_sizes or prod(config.action_factors) != num_actions):
        raise ValueError(
            f"action_factors={config.action_factors}, hidden_sizes={config.hidden_sizes}: network='factored' expects"
            f" factors whose product is the {num_actions} actions of {env.name}, and a hidden layer"
        )
    if config.action_factors and not factored:
        raise ValueError(f"action_factors={config.action_factors}: expected () with network={config.network!r}")
    if explorer.per_head and config.num_heads < 2:
        raise ValueError(f"num_heads={config.num_heads}: expected at least 2 for an explorer that chooses among them")
    if explorer.adapt is not None and config.network in ("mlp", "factored") and not config.layer_norm:
        raise ValueError("layer_norm=False: expected True for an explorer that adds noise to the weights")
    if config.network == "table" and (config.noisy or config.layer_norm):
        raise ValueError("network='table': expected noisy=False and layer_norm=False, which need layers")
