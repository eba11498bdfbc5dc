"""Shared by all tests: the CPU flag comes first, compiled programs are kept on disk, few examples and no deadlines."""

from pathlib import Path

import jax
import pytest
from hypothesis import HealthCheck, settings

import purejaxexplore  # noqa: F401  (before any backend starts: it sets the flag that keeps vmapped training from hanging)

jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

settings.register_profile(
    "few", max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("few")


@pytest.fixture(scope="session")
def key():
    """A root key; tests that need several fold numbers into it."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def cartpole():
    """``(env, params)`` of CartPole-v1."""
    from gymnax import make

    return make("CartPole-v1")


@pytest.fixture(scope="session")
def corridor():
    """``(env, params)`` of a corridor of six cells that truncates after five steps."""
    from toy_envs import Corridor

    env = Corridor(6)
    return env, env.default_params
