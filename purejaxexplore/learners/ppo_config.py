"""The settings of PPO and what they must satisfy."""

from collections.abc import Sequence
from math import inf

from flax import struct
from gymnax.environments import spaces

from purejaxexplore.blocks.minibatches import require_divisible
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.learners.admissible import require_admissible
from purejaxexplore.learners.explorers import Explorer
from purejaxexplore.learners.requirements import require_environment, require_explorer, require_network
from purejaxexplore.learners.streams import Stream, require_streams
from purejaxexplore.nets import ActorCritic


@struct.dataclass
class PPOConfig:
    """Hyper-parameters; the defaults are PureJaxRL's.

    Attributes:
        learning_rate: Adam's, (0, inf).
        anneal_iterations: iterations over which the learning rate falls linearly to 0; 0 keeps it constant.
        gamma, gae_lambda: of the extrinsic stream when ``streams`` is not given, [0, 1].
        clip_ratio: eps of the ratio and of the value clip, (0, inf).
        value_coef, entropy_coef: c_v and c_e, [0, inf).
        max_grad_norm: bound of the gradient's global norm, (0, inf].
        adam_eps: Adam's epsilon.
        num_envs: N.
        rollout_length: T, steps of each environment an iteration.
        num_epochs: passes over the rollout.
        num_minibatches: divides N T, or N with a recurrent policy.
        num_warmup_steps: random steps of each environment from which bonuses are initialised (none without bonus).
        hidden_sizes, activation: of the actor and the critic tower.
        network: "mlp", "cnn" for image observations, or "table" for observations that are state numbers
            (:class:`~purejaxexplore.envs.wrappers.ObserveStateId`).
        gru_size: width of a recurrent core; 0 for none.
        noisy: whether the actor's layers have learned noise: Fortunato et al. (2018), "Noisy networks for exploration".
            As in the paper's actor-critic one draw lasts for a rollout, and for the epochs that learn from it.
        noise_scale: sigma_0 of noisy layers, at least 0.
        clip_values: whether the value loss is clipped like the policy's.
        normalise_advantages: per minibatch; only ratios of the streams' coefficients matter then.
        bootstrap_truncation: False treats truncation as termination.
    """

    learning_rate: float = 2.5e-4
    anneal_iterations: float = 0.0
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_ratio: float = 0.2
    value_coef: float = 0.5
    entropy_coef: float = 0.01
    max_grad_norm: float = 0.5
    adam_eps: float = 1e-5
    num_envs: int = struct.field(pytree_node=False, default=16)
    rollout_length: int = struct.field(pytree_node=False, default=128)
    num_epochs: int = struct.field(pytree_node=False, default=4)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    num_warmup_steps: int = struct.field(pytree_node=False, default=128)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64, 64))
    activation: str = struct.field(pytree_node=False, default="tanh")
    network: str = struct.field(pytree_node=False, default="mlp")
    gru_size: int = struct.field(pytree_node=False, default=0)
    noisy: bool = struct.field(pytree_node=False, default=False)
    noise_scale: float = struct.field(pytree_node=False, default=0.5)
    clip_values: bool = struct.field(pytree_node=False, default=True)
    normalise_advantages: bool = struct.field(pytree_node=False, default=True)
    bootstrap_truncation: bool = struct.field(pytree_node=False, default=True)


def actor_critic(env, env_params, config: PPOConfig, num_values: int) -> ActorCritic:
    """The network for an environment's observations and actions, with ``num_values`` value heads."""
    action_space, observation_space = env.action_space(env_params), env.observation_space(env_params)
    continuous = not isinstance(action_space, spaces.Discrete)
    return ActorCritic(
        num_outputs=int(action_space.shape[0]) if continuous else int(action_space.n),
        num_values=num_values,
        obs_ndim=len(observation_space.shape),
        hidden_sizes=config.hidden_sizes,
        activation=config.activation,
        network=config.network,
        gru_size=config.gru_size,
        continuous=continuous,
        num_states=int(observation_space.n) if config.network == "table" else 0,
        noise_scale=config.noise_scale if config.noisy else None,
    )


def require_ppo(env, env_params, config: PPOConfig, streams: Sequence[Stream], explorer: Explorer) -> None:
    """Raises as :func:`~purejaxexplore.learners.ppo.ppo` says, before anything is compiled."""
    require_environment(env)
    sizes = ("num_envs", "rollout_length", "num_epochs", "num_minibatches", "num_warmup_steps")
    require_at_least(1, **{name: getattr(config, name) for name in sizes})
    require_at_least(0, gru_size=config.gru_size)
    require_between(0.0, inf, noise_scale=config.noise_scale)
    require_between(0.0, 1.0, gamma=config.gamma, gae_lambda=config.gae_lambda)
    positive = ("learning_rate", "anneal_iterations", "clip_ratio", "value_coef", "entropy_coef", "max_grad_norm")
    require_between(0.0, inf, **{name: getattr(config, name) for name in (*positive, "adam_eps")})
    if config.gru_size:
        require_divisible("num_minibatches", config.num_minibatches, "num_envs (recurrent policy)", config.num_envs)
    else:
        samples = config.num_envs * config.rollout_length
        require_divisible("num_minibatches", config.num_minibatches, "num_envs * rollout_length", samples)
    require_network(env, env_params, config.network, config.activation, streams)
    if config.network == "table" and (config.gru_size or config.noisy):
        raise ValueError("network='table': expected gru_size=0 and noisy=False, which need layers")
    require_admissible(env, env_params)
    require_streams(env, streams)
    require_explorer(env, env_params, explorer)
    if explorer.values_only:
        raise ValueError("explorer is for learners of action values, whose actions need no probability: use dqn")


def require_plain_policy(config: PPOConfig) -> None:
    """Raises a ValueError where the policy has memory or noise, for learners that start and end it anywhere."""
    if config.gru_size:
        raise ValueError(f"gru_size={config.gru_size}: expected 0, the policy has no memory here")
    if config.noisy:
        raise ValueError("noisy=True: expected False, the policy has no noise here")
