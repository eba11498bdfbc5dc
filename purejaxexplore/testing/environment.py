"""The contract that every environment keeps, as one function."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from purejaxexplore.testing.trees import named_leaves, plain, quick_jit, require_close


def check_environment(
    env: Environment,
    params: Any,
    *,
    num_steps: int = 12,
    num_envs: int = 2,
    key: jax.Array | None = None,
    tolerance: float = 1e-5,
    eager: bool = True,
) -> None:
    """Plays ``num_envs`` copies for ``num_steps`` random steps and checks what algorithms rely on.

    * Observations and actions lie in their spaces, dtype and shape included; reset and step agree on the types of
      observation and state; ``step`` gives six values, ``step_env`` five, ``reset_env`` two.
    * Deterministic: the same key, state and action give bit-identical results, and arguments are left alone.
    * A batch (``jit`` of ``vmap``) equals single steps under ``jit``, and these equal steps without ``jit``.
    * Auto-reset: after the end of an episode ``step`` returns what ``reset_env`` returns; ``info["final_observation"]``
      is what ``step_env`` returned, and equals the observation while the episode lasts.
    * ``truncated`` at the time limit and only there, whatever ``terminated`` says.
    * A state saved as NumPy arrays and restored in the middle of an episode continues identically.
    * The optional extras keep their promises where they exist: ``info["success"]``, ``state_id`` and
      ``info["state_id"]``, ``pack`` and ``unpack``, ``sample_params``, ``render``.

    Args:
        env: what is checked.
        params: its parameters; a ``max_steps_in_episode`` among them is set to ``num_steps // 3``: episodes must end.
        num_steps: random steps, at least 6.
        num_envs: copies, each with its own keys.
        key: of resets, actions and steps; ``jax.random.key(0)`` when None.
        tolerance: relative and absolute, for floats, where differently compiled programs are compared.
        eager: False leaves out the step without ``jit``, which takes a minute in the largest worlds.

    Raises:
        ValueError: ``num_steps`` or ``num_envs`` is too small.
        AssertionError: a promise is broken; the message says which, where, and what was found instead.
    """
    if num_steps < 6 or num_envs < 1:
        raise ValueError(f"num_steps={num_steps!r}, num_envs={num_envs!r}: expected at least 6 steps and 1 copy")
    close = {"rtol": tolerance, "atol": tolerance}
    limit = num_steps // 3
    params, limited = _with_limit(params, limit)
    key_reset, key_params, key_play, key_first = jax.random.split(jax.random.key(0) if key is None else key, 4)
    observation_space, action_space = _check_types(env, params)

    play, single = _programs(env)
    action = jax.vmap(action_space.sample)(jax.random.split(key_first, num_envs))
    blank = _blank_state(env, params, key_play, num_envs)
    obs, state = play(jax.random.split(key_reset, num_envs), blank, action, params)["started"]
    _require_in_space("reset_env", observation_space, obs)
    age = np.zeros(num_envs, int)

    for t in range(num_steps):
        where = f"step {t}"
        key_action, key_step = jax.random.split(jax.random.fold_in(key_play, t))
        action = jax.vmap(action_space.sample)(jax.random.split(key_action, num_envs))
        _require_in_space(f"{where}: a sampled action", action_space, action)
        given = (jax.random.split(key_step, num_envs), state, action)
        saved = _saved((given, params))
        played = play(*given, params)
        _require_equal(f"{where}: arguments after the call", _saved((given, params)), saved)
        if t == 0:
            _check_six_values(played["stepped"])
            require_close("the same step twice", play(*given, params), played)
            _check_alone(env, single, *given, params, played["true"], close, eager)
        if t == limit - 1:
            restored = play(*_restored(saved, given), params)
            require_close(f"{where}: a saved and restored state, continued", restored, played)

        age += 1
        obs, state, _, terminated, truncated, info = played["stepped"]
        if limited:
            _require_equal(f"{where}: truncated, at a limit of {limit}", np.asarray(truncated), age >= limit)
        _require_in_space(f"{where}: the observation", observation_space, obs)
        _require_in_space(f'{where}: info["final_observation"]', observation_space, info["final_observation"])
        _check_auto_reset(where, played, close)
        _check_extras(where, env, played)
        age = np.where(np.asarray(terminated | truncated), 0, age)

    if hasattr(env, "sample_params"):
        drawn = env.sample_params(key_params, params)
        _require_types("sample_params, against params", drawn, params)
        require_close("sample_params, the same key twice", env.sample_params(key_params, params), drawn)
    if hasattr(env, "render"):
        image = np.asarray(env.render(jax.tree.map(lambda x: x[0], state), params))
        fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        _require(fits, f"render: {image.dtype}{image.shape}, expected uint8[H, W, 3]")


def _check_types(env: Environment, params: Any) -> tuple[spaces.Space, spaces.Space]:
    _require(isinstance(env, Environment), f"{env!r}: expected a gymnax Environment")
    _require(isinstance(env.name, str) and env.name != "", f"name={env.name!r}: expected a string")
    key = jax.random.key(0)
    observation_space, action_space = env.observation_space(params), env.action_space(params)
    if isinstance(action_space, spaces.Discrete):
        _require(env.num_actions == action_space.n, f"num_actions={env.num_actions}, action_space={action_space}")
    start = jax.eval_shape(env.reset_env, key, params)
    _require(len(start) == 2, f"reset_env: {len(start)} values, expected observation and state")
    after = jax.eval_shape(env.step_env, key, start[1], jax.eval_shape(action_space.sample, key), params)
    _require(len(after) == 5, f"step_env: {len(after)} values, expected five")
    _require_types("the observation of step_env, against reset_env", after[0], start[0])
    _require_types("the state of step_env, against reset_env", after[1], start[1])
    _require(env.default_params is not None, "default_params: None")
    return observation_space, action_space


def _check_six_values(results: tuple) -> None:
    _require(len(results) == 6, f"step: {len(results)} values, expected six")
    _, _, reward, terminated, truncated, info = results
    scalar = reward.dtype == jnp.float32 and reward.ndim == 1
    _require(scalar, f"reward: {jax.typeof(reward)} over the batch, expected a float32 scalar each")
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        _require(flag.dtype == bool and flag.ndim == 1, f"{name}: {jax.typeof(flag)}, expected a bool scalar")
    _require(isinstance(info, dict), f"info: {type(info)}, expected a dict")
    for name in ("terminated", "truncated", "final_observation"):
        _require(name in info, f"info: no {name!r} among {sorted(info)}")


def _check_auto_reset(where: str, played: dict, close: dict) -> None:
    """``step`` against ``step_env`` and ``reset_env`` under the same keys."""
    obs, state, reward, terminated, truncated, info = played["stepped"]
    true_obs, true_state, true_reward, true_terminated, true_info = played["true"]
    require_close(f"{where}: reward, against step_env", reward, true_reward, **close)
    require_close(f"{where}: terminated, against step_env", terminated, true_terminated)
    require_close(f"{where}: truncated, against is_truncated", truncated, played["is_truncated"])
    require_close(f'{where}: info["final_observation"], against step_env', info["final_observation"], true_obs, **close)
    require_close(f"{where}: info, against step_env", {k: info[k] for k in true_info}, true_info, **close)
    for i, done in enumerate(np.asarray(terminated | truncated)):
        expected = played["started"] if done else (true_obs, true_state)
        claim = f"{where}, copy {i}: observation and state, against {'reset_env' if done else 'step_env'}"
        require_close(claim, _lane((obs, state), i), _lane(expected, i), **close)


def _check_alone(env, single, keys, states, actions, params, batched: tuple, close: dict, eager: bool) -> None:
    """The first copy's step without ``vmap``, and without ``jit``."""
    key, state, action = jax.random.split(keys[0])[0], *jax.tree.map(lambda x: x[0], (states, actions))
    alone = single(key, state, action, params)
    require_close("step_env under vmap, against alone", _lane(batched, 0), _lane(alone), **close)
    if not eager:
        return
    structure, leaves = jax.tree.structure(state), jax.tree.leaves(state)
    unjitted = env.step_env(key, state, action, params)
    untouched = jax.tree.structure(state) == structure
    untouched = untouched and all(x is y for x, y in zip(jax.tree.leaves(state), leaves, strict=True))
    _require(untouched, "step_env without jit wrote into the state that it was given")
    require_close("step_env without jit, against jit", jax.tree.map(jnp.asarray, unjitted), alone, **close)


def _check_extras(where: str, env: Environment, played: dict) -> None:
    info = played["true"][4]
    if "success" in info:
        kind = info["success"].dtype
        _require(kind == np.bool_, f'{where}: info["success"] is {kind}, expected bool')
    if "state_id" in played:
        number, reachable = np.asarray(played["state_id"]), getattr(env, "num_reachable", env.num_states)
        _require(number.dtype == np.int32 and number.ndim == 1, f"{where}: state_id is {number.dtype}, expected int32")
        within = np.all((number >= 0) & (number < env.num_states))
        _require(within, f"{where}: state_id={number}, expected 0 to {env.num_states - 1}")
        _require(0 < reachable <= env.num_states, f"num_reachable={reachable}, expected 1 to {env.num_states}")
        _require("state_id" in info, f'{where}: state_id exists, but not info["state_id"]')
        require_close(f'{where}: info["state_id"], against the true successor', info["state_id"], played["state_id"])
    if "unpacked" in played:
        require_close(f"{where}: unpack(pack(state))", played["unpacked"], played["true"][1])


def _programs(env: Environment):
    """The two programs that are compiled: everything under ``vmap``, and ``step_env`` alone."""

    def play(key, state, action, params):
        key_step, key_reset = jax.random.split(key)  # as gymnax's step splits it
        true = env.step_env(key_step, state, action, params)
        played = {
            "stepped": env.step(key, state, action, params),
            "true": true,
            "started": env.reset_env(key_reset, params),
            "is_truncated": env.is_truncated(true[1], params),
        }
        if hasattr(env, "state_id"):
            played["state_id"] = env.state_id(true[1], params)
        if hasattr(env, "pack"):
            played["unpacked"] = env.unpack(env.pack(true[1]), params)
        return jax.tree.map(_strongly_typed, played)  # weak types would compile the program again

    return quick_jit(jax.vmap(play, in_axes=(0, 0, 0, None))), quick_jit(env.step_env)


def _strongly_typed(leaf: Any) -> jax.Array:
    is_key = jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)
    return leaf if is_key else jnp.asarray(leaf, jnp.result_type(leaf))


def _blank_state(env: Environment, params: Any, key: jax.Array, num_envs: int) -> Any:
    """Any batch of states of the right types: resetting, too, goes through the program that steps."""

    def blank(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.split(key, (num_envs, *leaf.shape))
        return jnp.zeros((num_envs, *leaf.shape), leaf.dtype)

    return jax.tree.map(blank, jax.eval_shape(env.reset_env, key, params)[1])


def _with_limit(params: Any, limit: int) -> tuple[Any, bool]:
    """``params`` with a time limit of ``limit`` steps, in them or in a wrapped environment's ``params.params``."""
    fields = [field.name for field in dataclasses.fields(params)] if dataclasses.is_dataclass(params) else []
    if "max_steps_in_episode" in fields:
        like = jnp.result_type(params.max_steps_in_episode)  # a float in some of gymnax's environments
        return dataclasses.replace(params, max_steps_in_episode=np.asarray(limit, like).item()), True
    if "params" in fields:
        inner, limited = _with_limit(params.params, limit)
        return dataclasses.replace(params, params=inner), limited
    return params, False


def _lane(tree: Any, i: Any = ...) -> Any:
    """Copy ``i`` as NumPy arrays, which cost no compiled slices; all of ``tree`` without an ``i``."""
    return jax.tree.map(lambda x: plain(x)[i], tree)


def _saved(tree: Any) -> list[np.ndarray]:
    return [plain(leaf).copy() for leaf in jax.tree.leaves(tree)]


def _restored(saved: list[np.ndarray], like: Any) -> Any:
    def restore(array, leaf):
        if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        return jnp.asarray(array)

    leaves, structure = jax.tree.flatten(like)
    return jax.tree.unflatten(structure, map(restore, saved, leaves))  # saved may go on with the parameters


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _require_equal(claim: str, actual: Any, expected: Any) -> None:
    same = jax.tree.map(lambda x, y: np.array_equal(x, y, equal_nan=x.dtype.kind in "fc"), actual, expected)
    _require(all(jax.tree.leaves(same)), f"{claim}: {actual!r}, not {expected!r}")


def _require_types(claim: str, actual: Any, expected: Any) -> None:
    """Structure, shapes and dtypes agree; a Python number counts as the array that it becomes."""
    _require(
        jax.tree.structure(actual) == jax.tree.structure(expected),
        f"{claim}: {jax.tree.structure(actual)} is not {jax.tree.structure(expected)}",
    )
    for (path, x), (_, y) in zip(named_leaves(actual), named_leaves(expected), strict=True):
        x, y = ((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in (x, y))
        _require(x == y, f"{claim}: {path} is {x[1]}{x[0]}, not {y[1]}{y[0]}")


def _require_in_space(claim: str, space: spaces.Space, batch: Any) -> None:
    """Every element of ``batch`` (leading axis) has the space's shape and dtype and lies within its bounds."""
    if isinstance(space, spaces.Dict):
        for name, part in space.spaces.items():
            _require_in_space(f"{claim}[{name!r}]", part, batch[name])
    elif isinstance(space, spaces.Tuple):
        for i, part in enumerate(space.spaces):
            _require_in_space(f"{claim}[{i}]", part, batch[i])
    else:
        value, shape, dtype = np.asarray(batch), tuple(space.shape), jnp.dtype(space.dtype)
        fits = value.shape[1:] == shape and value.dtype == dtype
        _require(fits, f"{claim}: {value.dtype}{value.shape[1:]}, expected {dtype}{shape}")
        discrete = isinstance(space, spaces.Discrete)
        low, high = (0, space.n - 1) if discrete else (np.asarray(space.low), np.asarray(space.high))
        slack = 1e-6 if np.issubdtype(dtype, np.floating) else 0  # rounding
        inside = np.all(value >= low - slack) and np.all(value <= high + slack)
        _require(inside, f"{claim}: {value!r} is not in {space}")
