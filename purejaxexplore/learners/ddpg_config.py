"""The settings of DDPG and what they must satisfy."""

from math import inf

from flax import struct

from purejaxexplore.blocks.replay import require_replay
from purejaxexplore.checks import choice, require_at_least, require_between
from purejaxexplore.learners.requirements import require_bounded_actions, require_environment
from purejaxexplore.nets import ACTIVATIONS


@struct.dataclass
class DDPGConfig:
    """Hyper-parameters; the defaults are the papers', except for sizes, which are for small worlds.

    Attributes:
        learning_rate: Adam's, of all networks, (0, inf); 1e-4 in the papers.
        gamma: [0, 1].
        adam_eps: Adam's epsilon.
        target_rate: how far the target critics move towards the critics at every update, [0, 1].
        first_noise, last_noise: sigma at the first step and after ``noise_steps``, at least 0.
        noise_steps: environment steps between them, at least 1; from 1e5 to 2e6 frames in the papers.
        noise_clip: c, of imagined actions, at least 0.
        expectile: tau, (0, 1); 0.9 in DrM.
        num_envs: N.
        rollout_length: T, steps of each environment an iteration.
        num_updates: G, minibatches an iteration; G / (N T) is 1/2 in the papers.
        batch_size: B, transitions of a minibatch; 256 in the papers.
        replay_capacity: transitions, a multiple of ``num_envs``; 1e6 in the papers.
        n_step: n of the returns.
        num_warmup_steps: steps of each environment by uniform actions that fill the replay; 2000 in DrM.
        hidden_sizes, activation: of all networks; two layers of 1024 in the papers.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    adam_eps: float = 1e-8
    target_rate: float = 0.01
    first_noise: float = 1.0
    last_noise: float = 0.1
    noise_steps: float = 100_000.0
    noise_clip: float = 0.3
    expectile: float = 0.9
    num_envs: int = struct.field(pytree_node=False, default=4)
    rollout_length: int = struct.field(pytree_node=False, default=4)
    num_updates: int = struct.field(pytree_node=False, default=8)
    batch_size: int = struct.field(pytree_node=False, default=64)
    replay_capacity: int = struct.field(pytree_node=False, default=65536)
    n_step: int = struct.field(pytree_node=False, default=3)
    num_warmup_steps: int = struct.field(pytree_node=False, default=500)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64, 64))
    activation: str = struct.field(pytree_node=False, default="relu")


def require_ddpg(env, env_params, config: DDPGConfig) -> None:
    """Raises as :func:`~purejaxexplore.learners.ddpg.ddpg` says, before anything is compiled."""
    require_environment(env)
    require_at_least(1, rollout_length=config.rollout_length, num_updates=config.num_updates)
    require_at_least(config.n_step + 1, num_warmup_steps=config.num_warmup_steps)
    num_rows = max(config.rollout_length, config.num_warmup_steps)
    require_replay(config.replay_capacity, config.num_envs, config.batch_size, config.n_step, num_rows)
    rates = ("gamma", "target_rate", "expectile")
    require_between(0.0, 1.0, **{name: getattr(config, name) for name in rates})
    positive = ("learning_rate", "adam_eps", "first_noise", "last_noise", "noise_clip")
    require_between(0.0, inf, **{name: getattr(config, name) for name in positive})
    require_between(1.0, inf, noise_steps=config.noise_steps)
    choice("activation", config.activation, sorted(ACTIVATIONS))
    require_bounded_actions(env, env_params)
