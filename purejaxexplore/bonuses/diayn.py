"""DIAYN: Eysenbach, Gupta, Ibarz and Levine (2019), "Diversity is all you need: learning skills without a reward".

Every episode draws a skill z, which the policy is shown, and is paid by how well a discriminator tells it::

    r = log q(z | o') + log n_z

so that skills come to visit different places. The term for the policy's entropy is the learner's own. Without an
extrinsic stream skills are learned reward-free; with one they are a bonus. Positive rewards mean better than chance.
Different here: PPO in place of SAC, and the discriminator may be shown the number of the state alone, without which
skills can be told apart by time or noise in the observation.
"""

from math import inf

import jax
import jax.numpy as jnp
import optax
from flax import struct

from purejaxexplore.bonuses.bonus import Bonus, BonusState
from purejaxexplore.bonuses.fitting import fit, init_trained
from purejaxexplore.checks import require_at_least, require_between
from purejaxexplore.nets import MLP


@struct.dataclass
class DIAYNConfig:
    """Attributes:
    learning_rate: Adam's for the discriminator, (0, inf).
    num_skills: n_z, 2 or more; 50 in the paper.
    num_states: S shows the discriminator the number of the state, one-hot; 0 the observation.
    hidden_sizes: of the discriminator.
    num_epochs, num_minibatches: of its fit to each rollout.
    """

    learning_rate: float = 1e-3
    num_skills: int = struct.field(pytree_node=False, default=8)
    num_states: int = struct.field(pytree_node=False, default=0)
    hidden_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    num_epochs: int = struct.field(pytree_node=False, default=1)
    num_minibatches: int = struct.field(pytree_node=False, default=4)


def diayn(config: DIAYNConfig | None = None) -> Bonus:
    """The bonus; its policy features are the one-hot skill, f32[N, num_skills].

    State: ``learn`` the discriminator and its optimiser, ``mem: i32[N]`` the skills.

    Raises:
        ValueError: a size or the learning rate is out of its range.
    """
    config = DIAYNConfig() if config is None else config
    require_at_least(2, num_skills=config.num_skills)
    require_at_least(0, num_states=config.num_states)
    require_at_least(1, num_epochs=config.num_epochs, num_minibatches=config.num_minibatches)
    require_between(0.0, inf, learning_rate=config.learning_rate)
    discriminator = MLP(config.hidden_sizes, config.num_skills, "relu", 0.01)

    def seen(step):
        if config.num_states:
            return jax.nn.one_hot(step.aux["state_id"], config.num_states)
        return step.next_obs.astype(jnp.float32).reshape((*step.reward.shape, -1))

    def draw(key, num_envs):
        return jax.random.randint(key, (num_envs,), 0, config.num_skills)

    def init(key, steps):
        key_net, key_skill = jax.random.split(key)
        x = seen(steps)
        learn = init_trained(discriminator.init(key_net, x[:1, 0]))
        return BonusState(learn, mem=draw(key_skill, x.shape[1]), t=jnp.int32(0))

    def observe(state):
        return jax.nn.one_hot(state.mem, config.num_skills)

    def score(key, state, step):
        log_q = jax.nn.log_softmax(discriminator.apply(state.learn.params, seen(step)))
        raw = jnp.take_along_axis(log_q, state.mem[:, None], axis=1)[:, 0] + jnp.log(config.num_skills)
        skills = jnp.where(step.done, draw(key, state.mem.shape[0]), state.mem)
        return state._replace(mem=skills), raw

    def shape(state, raw, batch):
        return state._replace(t=state.t + 1), raw

    def loss_fn(key, params, batch):
        x, skill = batch
        logits = discriminator.apply(params, x)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, skill).mean()
        return loss, {"discriminator_loss": loss, "discriminator_accuracy": (logits.argmax(-1) == skill).mean()}

    def update(key, state, batch):
        x, skill = seen(batch.steps), batch.features.argmax(-1)
        rows = (x.reshape((skill.size, -1)), skill.reshape(-1))
        learn, metrics = fit(
            key, loss_fn, state.learn, rows, learning_rate=config.learning_rate, num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches, name="DIAYN",
        )  # fmt: skip
        return state._replace(learn=learn), metrics

    return Bonus(
        init, observe, score, shape, update, defer=False, needs_state_id=config.num_states > 0, random_mem=True
    )
