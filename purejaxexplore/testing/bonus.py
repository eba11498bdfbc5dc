"""The six contracts that every :class:`~purejaxexplore.bonuses.bonus.Bonus` keeps, as one function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purejaxexplore.blocks.rollout import Step, reset_lanes, rollout
from purejaxexplore.bonuses.bonus import Batch, Bonus, BonusState, score_rollout
from purejaxexplore.testing.trees import quick_jit, require_close, require_finite, require_same_types

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
    2. Episode isolation: after an episode ended, scores and ``mem`` are those of a fresh memory. Where memory is drawn
       (``random_mem``), it is the same whatever the episode before was.
    3. Equivariance: permuting the environments permutes the scores and leaves ``life`` equal (with ``random_mem``: as
       long as no episode ends).
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
    sample = quick_jit(make_steps, static_argnums=(1, 2))
    warmup, steps, other = (sample(k, num_envs, num_steps) for k in (key_warmup, key_steps, key_other))
    parts = _compiled_parts(bonus)
    state = parts.init(key_bonus, warmup)
    scored, raw = parts.score(key_bonus, state, steps)

    if bonus.defer:
        deferred = quick_jit(lambda state: score_rollout(key_bonus, bonus, state, steps))(state)
        claim = "deferral: scored after the rollout, against during it"
        require_close(claim, deferred, (scored, raw), rtol=1e-5, atol=1e-6)
    _check_isolation(bonus, parts, key_bonus, state, warmup, steps, other)
    order = jax.random.permutation(key_shuffle, num_envs)
    _check_equivariance(bonus, parts, key_bonus, state, steps, order)
    _check_purity(bonus, parts, key_bonus, warmup, steps, other)

    middle = num_steps // 2
    changed = jax.tree.map(lambda x, y: jnp.concatenate([x[:middle], y[middle:]]), steps, other)
    early = parts.score(key_bonus, state, changed)[1]
    early, expected = jax.tree.map(lambda x: x[:middle], (early, raw))
    require_close("no leakage: scores before a change of later steps", early, expected)

    blank = jax.tree.map(jnp.zeros_like, steps)
    require_finite("finite: zero observations", _iterate(parts, key_bonus, blank, blank))
    one = jax.tree.map(lambda x: x[:, :1], steps)
    alone = quick_jit(lambda key, steps: _iterate(_parts(bonus), key, steps, steps))
    require_finite("finite: one environment", alone(key_bonus, one))


class _Parts(NamedTuple):
    """What an iteration is made of; each part is compiled once and serves several checks.

    Attributes:
        init: ``(key, warmup) -> state``.
        score: ``(key, state, steps [T, N]) -> (state, raw [T, N])``, step by step.
        learn: ``(key, state, raw, steps) -> (shaped state, updated state, results)``.
    """

    init: Callable
    score: Callable
    learn: Callable


def _parts(bonus: Bonus) -> _Parts:
    def score(key, state, steps):
        def advance(state, key_step):
            return bonus.score(key_step[0], state, key_step[1])

        return jax.lax.scan(advance, state, (jax.random.split(key, steps.reward.shape[0]), steps))

    def learn(key, state, raw, steps):
        features = bonus.observe(state)
        batch = Batch(steps, jnp.broadcast_to(features, (steps.reward.shape[0], *features.shape)))
        shaped, rewards = bonus.shape(state, raw, batch)
        updated, metrics = bonus.update(key, shaped, batch)
        return shaped, updated, (features, rewards, metrics)

    return _Parts(bonus.init, score, learn)


def _compiled_parts(bonus: Bonus) -> _Parts:
    return _Parts(*map(quick_jit, _parts(bonus)))


def _iterate(parts: _Parts, key: jax.Array, warmup: Step, steps: Step) -> tuple[dict[str, BonusState], Any]:
    """One iteration from nothing, as a learner makes it: the state after each part, and all results."""
    key_init, key_rest = jax.random.split(key)
    return _iterate_from(parts, key_rest, parts.init(key_init, warmup), steps)


def _iterate_from(parts: _Parts, key: jax.Array, state: BonusState, steps: Step) -> tuple[dict[str, BonusState], Any]:
    key_score, key_update = jax.random.split(key)
    states = {"init": state}
    states["score"], raw = parts.score(key_score, state, steps)
    states["shape"], states["update"], results = parts.learn(key_update, states["score"], raw, steps)
    return states, (raw, *results)


def _check_isolation(bonus: Bonus, parts: _Parts, key, state: BonusState, warmup: Step, steps: Step, other: Step):
    """Ends all episodes; the next rollout must be scored as with a memory started where the new episodes start.

    The fresh memory is that of an ``init`` by the same key and warm-up, but for what is acted on next: what the bonus
    has learned is then the same.
    """

    def ended(steps):
        return steps._replace(terminated=steps.terminated.at[-1].set(True))

    after, _ = parts.score(key, state, ended(other))
    if bonus.random_mem:
        begins = jax.tree.map(lambda x, y: jnp.concatenate([x[:-1], y[-1:]]), steps, other)
        fresh = parts.score(key, state, ended(begins))[0].mem
    else:
        starts = {"reset_state_id": other.aux["reset_state_id"]} if "reset_state_id" in other.aux else {}
        elsewhere = warmup._replace(reset_obs=other.reset_obs, aux=warmup.aux | starts)
        fresh = parts.init(key, elsewhere).mem
    claim = "episode isolation: mem after an episode ended, against a fresh one"
    require_close(claim, after.mem, fresh, rtol=1e-5, atol=1e-6)
    continued, isolated = parts.score(key, after, steps), parts.score(key, after._replace(mem=fresh), steps)
    require_close("episode isolation: the next episode's scores", continued, isolated, rtol=1e-5, atol=1e-6)


def _check_equivariance(bonus: Bonus, parts: _Parts, key: jax.Array, state: BonusState, steps: Step, order) -> None:
    if bonus.random_mem:
        steps = steps._replace(terminated=steps.terminated & False, truncated=steps.truncated & False)
    scored, raw = parts.score(key, state, steps)
    shuffled_state = state._replace(mem=jax.tree.map(lambda x: x[order], state.mem))
    shuffled, shuffled_raw = parts.score(key, shuffled_state, jax.tree.map(lambda x: x[:, order], steps))
    raw = jax.tree.map(lambda x: x[:, order], raw)
    require_close("equivariance: scores of permuted environments", shuffled_raw, raw, rtol=1e-5, atol=1e-6)
    require_close("equivariance: life after permuted environments", shuffled.life, scored.life)
    mem = jax.tree.map(lambda x: x[order], scored.mem)
    require_close("equivariance: mem of permuted environments", shuffled.mem, mem, rtol=1e-5, atol=1e-6)


def _check_purity(bonus: Bonus, parts: _Parts, key: jax.Array, warmup: Step, steps: Step, other: Step) -> None:
    require_close("purity: the same iteration twice", *[_iterate(parts, key, warmup, steps) for _ in range(2)])
    keys = jax.random.split(key, 2)
    seeds = [(k, parts.init(k, warmup), rollout) for k, rollout in zip(keys, (steps, other), strict=True)]
    alone = [_iterate_from(parts, *seed) for seed in seeds]
    require_finite("finite: an iteration", alone[0])
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *seeds)
    batched = quick_jit(jax.vmap(lambda *seed: _iterate_from(_parts(bonus), *seed)))(*stacked)
    for i, mine in enumerate(alone):
        claim = f"purity: vmap over seeds, against a loop, seed {i}"
        require_close(claim, jax.tree.map(lambda x, i=i: x[i], batched), mine, rtol=1e-5, atol=1e-5)

    states = alone[0][0]
    written = {"score": ("life", "mem"), "shape": ("norm", "t"), "update": ("learn",)}
    for before, name in zip(states, written, strict=False):
        require_same_types(f"purity: the state after {name}", states[name], states[before])
        for field in set(BonusState._fields) - set(written[name]):
            claim = f"purity: {name} may not write {field}"
            require_close(claim, getattr(states[name], field), getattr(states[before], field))
