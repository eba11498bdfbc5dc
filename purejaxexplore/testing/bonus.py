"""The six contracts that every :class:`~purejaxexplore.bonuses.bonus.Bonus` keeps, as one function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.rollout import Step, reset_lanes, rollout
from purejaxexplore.bonuses.bonus import Batch, Bonus, BonusState, score_rollout
from purejaxexplore.testing.trees import require_close, require_finite, require_same_types

MakeSteps = Callable[[jax.Array, int, int], Step]


def random_steps(env, env_params) -> MakeSteps:
    """``(key, num_envs, num_steps) -> Step [num_steps, num_envs]``: rollouts of the uniformly random policy."""

    def make_steps(key, num_envs, num_steps):
        key_reset, key_rollout = jax.random.split(key)

        def act(key, carry, lanes):
            return carry, jax.vmap(env.action_space(env_params).sample)(jax.random.split(key, num_envs)), ()

        lanes = reset_lanes(key_reset, env, env_params, num_envs)
        return rollout(key_rollout, env, env_params, lanes, (), act, num_steps)[2]

    return make_steps


def check_bonus(
    bonus: Bonus, make_steps: MakeSteps, *, key: int | jax.Array = 0, num_envs: int = 4, num_steps: int = 8
) -> None:
    """Checks the contracts of an intrinsic reward on rollouts of ``num_envs`` environments.

    1. Deferral: a deferrable bonus scores a stored rollout as it would have scored it step by step, within 1e-6.
    2. Episode isolation: after an episode ended, scores and ``mem`` are those of a fresh memory.
    3. Equivariance: permuting the environments permutes the scores and leaves ``life`` equal.
    4. Purity: the same key and inputs give the same outputs, and ``vmap`` equals a loop within 1e-5. ``score``
       writes ``life`` and ``mem`` only, ``shape`` ``norm`` and ``t``, ``update`` ``learn``; no types change.
    5. No leakage: the score of step t does not change when later steps do.
    6. Finite: for zero observations and for a single environment too.

    Args:
        bonus: the bonus.
        make_steps: ``(key, num_envs, num_steps) -> Step``, for instance ``random_steps(env, env_params)``.
        key: int or typed key.
        num_envs: N, at least 2.
        num_steps: T, at least 4; N T must suit the bonus's own minibatches, and so must T alone.

    Raises:
        AssertionError: names the broken contract and the leaf that breaks it.
        ValueError: ``num_envs`` or ``num_steps`` is too small.
    """
    if num_envs < 2 or num_steps < 4:
        raise ValueError(f"num_envs={num_envs}, num_steps={num_steps}: expected at least 2 and 4")
    root = jax.random.key(key) if isinstance(key, int) else key
    key_warmup, key_steps, key_other, key_bonus, key_shuffle = jax.random.split(root, 5)
    sample = jax.jit(make_steps, static_argnums=(1, 2))
    warmup, steps, other = (sample(k, num_envs, num_steps) for k in (key_warmup, key_steps, key_other))
    state = jax.jit(bonus.init)(key_bonus, warmup)
    in_turn = jax.jit(lambda key, state, steps: _score_in_turn(key, bonus, state, steps))
    scored, raw = in_turn(key_bonus, state, steps)

    if bonus.defer:
        deferred = jax.jit(lambda state: score_rollout(key_bonus, bonus, state, steps))(state)
        require_close("deferral: scored after the rollout, against during it", deferred, (scored, raw), atol=1e-6)
    _check_isolation(bonus, in_turn, key_bonus, state, steps)
    _check_equivariance(in_turn, key_bonus, state, steps, scored, raw, jax.random.permutation(key_shuffle, num_envs))
    iterate = jax.jit(lambda key, warmup, steps: _iterate(bonus, key, warmup, steps))
    _check_purity(bonus, iterate, key_bonus, warmup, steps, other)

    middle = num_steps // 2
    changed = jax.tree.map(lambda x, y: jnp.concatenate([x[:middle], y[middle:]]), steps, other)
    early = in_turn(key_bonus, state, changed)[1][:middle]
    require_close("no leakage: scores before a change of later steps", early, raw[:middle])

    blank = jax.tree.map(jnp.zeros_like, steps)
    one = jax.tree.map(lambda x: x[:, :1], steps)
    for what, rollouts in [("zero observations", blank), ("one environment", one)]:
        require_finite(f"finite: {what}", iterate(key_bonus, rollouts, rollouts))


def _score_in_turn(key: jax.Array, bonus: Bonus, state: BonusState, steps: Step) -> tuple[BonusState, jax.Array]:
    def score(state, key_step):
        key, step = key_step
        return bonus.score(key, state, step)

    return jax.lax.scan(score, state, (jax.random.split(key, steps.reward.shape[0]), steps))


def _iterate(bonus: Bonus, key: jax.Array, warmup: Step, steps: Step) -> tuple[dict[str, BonusState], Any]:
    """One iteration from nothing, as a learner makes it: the state after each part, and all results."""
    key_init, key_score, key_update = jax.random.split(key, 3)
    states = {"init": bonus.init(key_init, warmup)}
    features = bonus.observe(states["init"])
    batch = Batch(steps, jnp.broadcast_to(features, (steps.reward.shape[0], *features.shape)))
    states["score"], raw = _score_in_turn(key_score, bonus, states["init"], steps)
    states["shape"], rewards = bonus.shape(states["score"], raw, batch)
    states["update"], metrics = bonus.update(key_update, states["shape"], batch)
    return states, (features, raw, rewards, metrics)


def _check_isolation(bonus: Bonus, in_turn, key: jax.Array, state: BonusState, steps: Step) -> None:
    """Ends every episode in the middle; what follows must equal the second half scored with a memory started there."""
    middle = steps.reward.shape[0] // 2
    ended = steps._replace(terminated=steps.terminated.at[middle - 1].set(True))
    first, second = (jax.tree.map(lambda x, part=part: x[part], ended) for part in (slice(middle), slice(middle, None)))
    after, _ = in_turn(key, state, first)
    fresh = jax.jit(bonus.init)(key, first).mem
    require_close("episode isolation: mem after an episode ended, against a fresh one", after.mem, fresh, atol=1e-6)
    continued, isolated = in_turn(key, after, second), in_turn(key, after._replace(mem=fresh), second)
    require_close("episode isolation: the next episode's scores", continued, isolated, atol=1e-6)


def _check_equivariance(in_turn, key: jax.Array, state: BonusState, steps: Step, scored, raw, order) -> None:
    shuffled_state = state._replace(mem=jax.tree.map(lambda x: x[order], state.mem))
    shuffled, shuffled_raw = in_turn(key, shuffled_state, jax.tree.map(lambda x: x[:, order], steps))
    require_close("equivariance: scores of permuted environments", shuffled_raw, raw[:, order], atol=1e-6)
    require_close("equivariance: life after permuted environments", shuffled.life, scored.life)
    mem = jax.tree.map(lambda x: x[order], scored.mem)
    require_close("equivariance: mem of permuted environments", shuffled.mem, mem, atol=1e-6)


def _check_purity(bonus: Bonus, iterate, key: jax.Array, warmup: Step, steps: Step, other: Step) -> None:
    once = iterate(key, warmup, steps)
    require_close("purity: the same iteration twice", iterate(key, warmup, steps), once)
    require_finite("finite: an iteration", once)
    keys = jax.random.split(key, 2)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), steps, other)
    batched = jax.jit(jax.vmap(lambda k, s: _iterate(bonus, k, warmup, s)))(keys, stacked)
    for i, rollouts in enumerate((steps, other)):
        mine = jax.tree.map(lambda x, i=i: x[i], batched)
        claim = f"purity: vmap over seeds, against a loop, seed {i}"
        require_close(claim, mine, iterate(keys[i], warmup, rollouts), rtol=1e-5, atol=1e-5)

    states = once[0]
    written = {"score": ("life", "mem"), "shape": ("norm", "t"), "update": ("learn",)}
    for before, name in zip(states, written, strict=False):
        require_same_types(f"purity: the state after {name}", states[name], states[before])
        for field in set(BonusState._fields) - set(written[name]):
            claim = f"purity: {name} may not write {field}"
            require_close(claim, getattr(states[name], field), getattr(states[before], field))
