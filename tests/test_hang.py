"""Training under ``vmap`` on CPU must end: jaxlib 0.10.2 can stop for ever here without the package's flag."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import purejaxexplore as pjx
import jax
jax.config.update("jax_compilation_cache_dir", {cache!r})
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
from gymnax import make
from purejaxexplore.learners.ppo import PPOConfig, ppo
config = PPOConfig(num_envs=4, rollout_length=128)
train = jax.jit(jax.vmap(pjx.make_train(ppo(*make("CartPole-v1"), config), 8)))
for seed in range(3):
    _, metrics = train(jax.random.split(jax.random.key(seed), 4))
    print(*metrics["env_steps"][:, -1])
"""


@pytest.mark.timeout(400)
def test_vmapped_ppo_comes_to_its_end():
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    code = TRAIN.format(cache=str(Path(__file__).parents[1] / ".jax_cache"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4096"] * 12
