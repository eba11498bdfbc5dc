"""Imitation of demonstrations by maximum likelihood, the plain baseline of robustification.

Pomerleau (1989), "ALVINN: an autonomous land vehicle in a neural network". The policy has only ever seen the states of
the demonstrations; one noisy action leads it where it knows nothing::

    maximise  E[log pi(a | s)]  over demonstration steps (s, a)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.envs.wrappers import ObserveStateId
from purejaxexplore.go_explore.demonstrations import Demonstrations, NoisyStart, demo_steps, from_the_start
from purejaxexplore.learners.explorers import on_policy
from purejaxexplore.learners.ppo_config import PPOConfig, actor_critic, require_plain_policy, require_ppo
from purejaxexplore.learners.streams import Stream
from purejaxexplore.nets import memoryless, policy_of


@struct.dataclass
class ImitationConfig:
    """Settings.

    Attributes:
        ppo: learning rate and network of the policy; its other fields are not used.
        sticky: probability of a repeated action in evaluations.
        num_updates: full-batch gradient steps an iteration.
        num_eval_steps: steps of each of ``ppo.num_envs`` environments in an evaluation.
    """

    ppo: PPOConfig
    sticky: float = 0.25
    num_updates: int = struct.field(pytree_node=False, default=100)
    num_eval_steps: int = struct.field(pytree_node=False, default=800)


class ImitationState(NamedTuple):
    """``params`` of the network, ``opt_state`` of Adam, ``t``: i32, iterations done."""

    params: Any
    opt_state: Any
    t: jax.Array


def imitation(env, env_params, demos: Demonstrations, config: ImitationConfig) -> Algorithm:
    """Fits a policy to demonstrations; a step is ``num_updates`` gradient steps and takes no environment step.

    Metrics: ``env_steps`` (0), ``log_likelihood``; ``evaluate`` gives ``start_success`` and ``start_return`` under
    sticky actions from the environment's own start.

    Raises:
        ValueError, TypeError: as :func:`~purejaxexplore.go_explore.backward.backward`.
    """
    require_at_least(1, num_updates=config.num_updates, num_eval_steps=config.num_eval_steps)
    require_between(0.0, 1.0, sticky=config.sticky)
    seen = ObserveStateId(env) if config.ppo.network == "table" else env
    noisy = NoisyStart(seen)
    params_of_world = noisy.begin(env_params, demos, config.sticky)
    require_plain_policy(config.ppo)
    require_ppo(noisy, params_of_world, config.ppo, (Stream("extrinsic"),), on_policy())
    network = actor_critic(noisy, params_of_world, config.ppo, 1)
    adam = optax.scale_by_adam(eps=config.ppo.adam_eps)

    def policy(params, obs):
        return policy_of(network, params, memoryless(network, params, obs))

    def init(key):
        obs = demo_steps(seen, env_params, demos, 1.0).obs
        blank = jnp.zeros((obs.shape[0], 0))
        params = network.init(key, blank, obs, blank, blank.any(-1))
        return ImitationState(params, adam.init(params), jnp.int32(0))

    def step(key, state: ImitationState):
        shown = demo_steps(seen, env_params, demos, 1.0)

        def update(carry, _):
            params, opt_state = carry

            def loss(params):
                log_prob = policy(params, shown.obs).log_prob(shown.action)
                return -jnp.where(shown.valid, log_prob, 0.0).sum() / shown.valid.sum()

            value, grads = jax.value_and_grad(loss)(params)
            updates, opt_state = adam.update(grads, opt_state)
            return (jax.tree.map(lambda p, u: p - config.ppo.learning_rate * u, params, updates), opt_state), value

        (params, opt_state), losses = jax.lax.scan(update, (state.params, state.opt_state), None, config.num_updates)
        state = ImitationState(params, opt_state, state.t + 1)
        return state, {"env_steps": jnp.int32(0), "log_likelihood": -losses[-1]}

    def evaluate(key, state: ImitationState):
        def act(key, carry, lanes):
            return carry, policy(state.params, lanes.obs).sample(seed=key), ()

        return from_the_start(key, noisy, params_of_world, act, config.ppo.num_envs, config.num_eval_steps)

    return Algorithm(init, step, evaluate)
