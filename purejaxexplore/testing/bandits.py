"""The contract of a policy in a world: it uses only what it has seen, and publishes what it does."""

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.algorithm import evaluate_key, init_key, step_key
from purejaxexplore.bandits.policy import Policy
from purejaxexplore.envs.bandits.world import World
from purejaxexplore.testing.trees import named_leaves, plain, require_same_types


def check_policy(policy: Policy, world: World, *, key: int | jax.Array = 0, num_pulls: int = 20) -> None:
    """Pulls ``num_pulls`` times and checks what every pair of a policy and a world must keep.

    * The world: values are NaN exactly where they are not seen, rewards and costs are finite, the regret is finite
      and, where the world is stationary, not negative (up to rounding); types never change.
    * No leak: hidden values are NaN, so a policy that looks at one has NaN in its state; and other numbers in the
      hidden entries leave the state bit-identical.
    * The action is of the kind that ``spec`` says and can be chosen now; ``aux.prob``, where there is one, lies in
      [0, 1], sums to 1 for single arms, and is positive for the arm chosen.

    Raises:
        AssertionError: names what is broken and at which pull.
    """
    root = jax.random.key(key) if isinstance(key, int) else key
    key_world, key_policy = jax.random.split(init_key(root))
    world_state, state = world.reset(key_world), policy.init(key_policy)
    noises = world.noise(step_key(root, 0), num_pulls), policy.noise(evaluate_key(root, 0), num_pulls)

    @jax.jit
    def pull(noise, world_state, state):
        observation = world.observe(world_state)
        action, aux = policy.act(noise[1], state, observation)
        next_world, feedback, regret = world.step(noise[0], world_state, action)
        other = feedback._replace(value=jnp.where(feedback.seen, feedback.value, 123.0))
        learnt, again = (policy.update(state, observation, action, given, aux) for given in (feedback, other))
        return observation, action, aux, next_world, feedback, regret, learnt, again

    for t in range(num_pulls):
        noise = jax.tree.map(lambda x, t=t: x[t], noises)
        observation, action, aux, next_world, feedback, regret, learnt, again = pull(noise, world_state, state)
        _check_feedback(t, world.spec, feedback, regret)
        _check_action(t, policy, observation, action, aux)
        require_same_types(f"the world's state after pull {t}", next_world, world_state)
        require_same_types(f"the policy's state after pull {t}", learnt, state)
        for (path, leaf), (_, twin) in zip(named_leaves(learnt), named_leaves(again), strict=True):
            if np.isnan(plain(leaf)).any():
                raise AssertionError(f"pull {t}: the policy's state is NaN, as hidden values are: {path}")
            if not np.array_equal(plain(leaf), plain(twin)):
                raise AssertionError(f"pull {t}: the policy's state depends on a hidden value: {path}")
        world_state, state = next_world, learnt


def _check_feedback(t, spec, feedback, regret) -> None:
    hidden = np.isnan(feedback.value)
    if not np.array_equal(hidden, ~np.asarray(feedback.seen)):
        raise AssertionError(f"pull {t}: values are NaN at {hidden}, seen are {feedback.seen}")
    for name, x in (("reward", feedback.reward), ("cost", feedback.cost), ("regret", regret)):
        if not np.isfinite(x).all():
            raise AssertionError(f"pull {t}: the {name} is {x}")
    if spec.stationary and regret < -1e-5:
        raise AssertionError(f"pull {t}: the regret is {regret}, an action better than the best")


def _check_action(t, policy, observation, action, aux) -> None:
    spec = policy.spec
    shape = {"index": (), "mask": (spec.num_arms,), "point": (len(spec.low),)}[spec.action]
    kind = {"index": jnp.int32, "mask": bool, "point": jnp.float32}[spec.action]
    if action.shape != shape or action.dtype != kind:
        raise AssertionError(f"pull {t}: the action is {action.dtype}{action.shape}, expected {kind.__name__}{shape}")
    action = np.asarray(action)
    if spec.action == "index":
        valid = 0 <= action < spec.num_arms and observation.mask[action]
    elif spec.action == "mask":
        valid = action.sum() <= spec.num_chosen and observation.mask[action].all()
    else:
        valid = (action >= spec.low).all() and (action <= spec.high).all()
    if not valid:
        raise AssertionError(f"pull {t}: the action {action} cannot be chosen")
    if isinstance(aux.prob, tuple):
        return
    prob = np.asarray(aux.prob)
    single = spec.action == "index"
    if (prob < 0).any() or (prob > 1 + 1e-5).any() or (single and abs(prob.sum() - 1) > 1e-4):
        raise AssertionError(f"pull {t}: these are no probabilities: {prob}")
    if single and not prob[action] > 0:
        raise AssertionError(f"pull {t}: action {action} was chosen with probability {prob[action]}")
