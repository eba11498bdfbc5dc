"""A policy in a world, as an :class:`~purejaxexplore.algorithm.Algorithm`: the loop of every bandit experiment.

One step is a fixed number of pulls. Counts are whole numbers, and where a world is stationary the regret is
``sum_a gap_a N_a``, from the counts; elsewhere it is a compensated sum. So both stay exact in float32 far beyond 10^7
pulls.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.algorithm import Algorithm
from purejaxexplore.bandits.policy import Policy
from purejaxexplore.blocks.sums import Sum, add, zero_sum
from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World, chosen_arms, require_spec


class BanditState(NamedTuple):
    """Attributes:
    world, policy: their states.
    counts: i32[K], pulls of each arm; i32[1], pulls, where actions are points.
    best: i32[], pulls without regret.
    last_best: i32[], number of the last pull without regret, counted from 1; 0 before the first.
    regret: sums f32[], pseudo-regret of all pulls; unused where the world is stationary.
    reward: sums f32[], of all pulls.
    invalid: i32[], pulls whose reward was not finite or a value of which lay outside the stated range.
    over: bool[], the world is over.
    t: i32[], pulls.
    """

    world: Any
    policy: Any
    counts: jax.Array
    best: jax.Array
    last_best: jax.Array
    regret: Sum
    reward: Sum
    invalid: jax.Array
    over: jax.Array
    t: jax.Array


def bandit(policy: Policy, world: World, *, pulls: int = 1) -> Algorithm:
    """``policy`` in ``world``; one step is ``pulls`` pulls, and the metrics describe the state after them.

    The random numbers of a step are drawn in two calls, one for the world and one for the policy, so many pulls a step
    are faster than one; ``pulls`` numbers of every seed are in memory at once.

    Metrics: ``env_steps`` (pulls so far), ``regret`` (pseudo-regret so far), ``reward`` (mean of all pulls so far),
    ``best_fraction`` (share of pulls without regret), ``last_best`` (number of the last such pull, 0: none: a run with
    ``last_best < t`` fails to pull the best arm after t, the suffix failures), ``min_fraction`` (pulls of the least
    pulled arm, times K, over all pulls), ``simple_regret`` (regret of the arm that the policy recommends; 0 where
    actions are not single arms or depend on a context), ``invalid``, ``stopped`` (the policy has ended, or the world
    is over).

    Raises:
        TypeError: ``policy`` is not a Policy or ``world`` not a World.
        ValueError: ``pulls`` is not positive, or the policy was built for another kind of world.
    """
    if not isinstance(policy, Policy):
        hint = ": call the factory first, e.g. ucb1(world.spec)" if callable(policy) else ""
        raise TypeError(f"policy={type(policy).__name__}{hint}; expected a Policy")
    if not isinstance(world, World):
        raise TypeError(f"world={type(world).__name__}: expected a World, e.g. bernoulli((0.5, 0.4))")
    require_at_least(1, pulls=pulls)
    spec = require_spec(world.spec)
    for field in Spec._fields:
        ours, theirs = getattr(policy.spec, field), getattr(spec, field)
        if ours != theirs and field not in ("stationary", "horizon"):
            raise ValueError(f"{field}={ours!r} of the policy: expected {theirs!r}, that of the world")
    may_end = policy.stopped is not None or spec.num_resources > 0
    points, single = spec.action == "point", spec.action == "index"
    recommends = single and not spec.context_dim

    def init(key):
        key_world, key_policy = jax.random.split(key)
        zero = jnp.int32(0)
        return BanditState(
            world.reset(key_world), policy.init(key_policy), jnp.zeros(spec.num_arms, jnp.int32), zero, zero,
            zero_sum(), zero_sum(), zero, jnp.bool_(False), zero,
        )  # fmt: skip

    def pull(state, noise):
        world_state, learnt, round_ = play_round(policy, world, state.world, state.policy, noise)
        action, feedback, regret = round_.action, round_.feedback, round_.regret
        t = state.t + 1
        right = regret <= 0
        new = BanditState(
            world_state,
            learnt,
            state.counts + (1 if points else chosen_arms(spec, action)),
            state.best + right,
            jnp.where(right, t, state.last_best),
            state.regret if spec.stationary else add(state.regret, regret),
            add(state.reward, feedback.reward),
            state.invalid + out_of_range(spec, feedback),
            state.over | feedback.done,
            t,
        )
        if may_end:
            ended = has_ended(state)
            new = jax.tree.map(lambda old, new: jnp.where(ended, old, new), state, new)
        return new, None

    def has_ended(state):
        return state.over | (policy.stopped(state.policy) if policy.stopped is not None else False)

    def step(key, state):
        key_world, key_policy = jax.random.split(key)
        noise = world.noise(key_world, pulls), policy.noise(key_policy, pulls)
        state, _ = jax.lax.scan(pull, state, noise, length=pulls)
        means = world.means(state.world)
        t = jnp.maximum(state.t, 1).astype(jnp.float32)
        regret = jnp.dot(means.max() - means, state.counts) if spec.stationary and single else state.regret.value
        return state, {
            "env_steps": state.t,
            "regret": regret,
            "reward": state.reward.value / t,
            "best_fraction": state.best / t,
            "last_best": state.last_best,
            "min_fraction": spec.num_arms * state.counts.min() / t,
            "simple_regret": means.max() - means[policy.recommend(state.policy)] if recommends else jnp.float32(0),
            "invalid": state.invalid,
            "stopped": jnp.asarray(has_ended(state)),
        }

    return Algorithm(init, step)


class Round(NamedTuple):
    """One pull.

    Attributes:
        observation: what was seen before it.
        action: i32[], bool[K] or f32[D].
        feedback: what was seen after it.
        regret: f32[], for measurements.
    """

    observation: Observation
    action: jax.Array
    feedback: Feedback
    regret: jax.Array


def play_round(policy: Policy, world: World, world_state, policy_state, noise) -> tuple[Any, Any, Round]:
    """``(new world state, new policy state, Round)``; ``noise`` is ``(the world's, the policy's)`` of one pull."""
    noise_world, noise_policy = noise
    observation = world.observe(world_state)
    action, aux = policy.act(noise_policy, policy_state, observation)
    world_state, feedback, regret = world.step(noise_world, world_state, action)
    learnt = policy.update(policy_state, observation, action, feedback, aux)
    return world_state, learnt, Round(observation, action, feedback, regret)


def out_of_range(spec, feedback) -> jax.Array:
    """bool[]: the reward is not finite, or lies outside what the stated range of the values allows."""
    low, high = spec.value_range
    most = spec.num_chosen if spec.action == "mask" else 1
    inside = (feedback.reward >= min(low, low * most)) & (feedback.reward <= max(high, high * most))
    return ~(inside & jnp.isfinite(feedback.reward))
