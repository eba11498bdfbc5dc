"""``run`` in memory: the same numbers for every size, chunk, batch and device count; bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purejaxexplore as pjx
from purejaxexplore.algorithm import Algorithm
from purejaxexplore.runner import execute, program
from tests.runner.toys import WalkConfig, walk

STEPS = 23


@pytest.fixture(scope="module")
def runs():
    return pjx.run(walk(), 6, STEPS, evaluate_every=7, name="toy")


def same(a, b):
    """Bit for bit, typed keys included."""
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    return np.array_equal(np.asarray(a), np.asarray(b))


def same_runs(a, b):
    return (
        a.metrics.equals(b.metrics)
        and a.evaluations.equals(b.evaluations)
        and jax.tree.all(jax.tree.map(same, a.state, b.state))
    )


def test_metrics_are_labelled(runs):
    assert dict(runs.metrics.sizes) == {"seed": 6, "step": STEPS}
    assert runs.metrics.env_steps.sel(seed=2, step=5).item() == 20
    assert runs.evaluations.step.values.tolist() == [7, 14, 21]
    assert runs.metrics.success.dtype == bool and runs.metrics.env_steps.dtype == np.int32
    assert runs.diverged == [] and runs.path is None
    assert runs.metrics.attrs["name"] == "toy" and runs.metrics.attrs["steps_per_second"] > 0
    assert "6 seeds" in repr(runs)


def test_equals_the_purejaxrl_form(runs):
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(0), seed))(jnp.arange(6))
    state, metrics = jax.jit(jax.vmap(pjx.make_train(walk(), STEPS)))(keys)
    assert np.array_equal(metrics["episode_return"], runs.metrics.episode_return)
    assert jax.tree.all(jax.tree.map(same, state, runs.state))


def test_a_seed_does_not_depend_on_the_size_of_the_run(runs):
    alone = pjx.run(walk(), 2, STEPS, first_seed=3, evaluate_every=7)
    assert alone.metrics.equals(runs.metrics.sel(seed=[3, 4]))
    assert alone.evaluations.equals(runs.evaluations.sel(seed=[3, 4]))


@pytest.mark.parametrize(
    "options", [{"chunk": 1}, {"chunk": 5}, {"chunk": 1000}, {"batch_size": 4}, {"batch_size": 1}]
)
def test_chunks_and_batches_change_nothing(runs, options):
    assert same_runs(pjx.run(walk(), 6, STEPS, evaluate_every=7, **options), runs)


def test_another_key_changes_the_numbers(runs):
    other = pjx.run(walk(), 6, STEPS, key=jax.random.key(1))
    assert not other.metrics.episode_return.equals(runs.metrics.episode_return)


def test_chunks_share_one_compilation():
    compiled = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        pjx.run(walk(), 3, 17, chunk=4)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(compiled) == 2  # init and advance, whatever the four chunks of 4 and the one of 1


def test_a_batch_that_does_not_fit_is_split(monkeypatch):
    wide = walk(WalkConfig(width=1000))
    built, real = [], program.Program.__init__

    def spy(self, *arguments):
        real(self, *arguments)
        built.append((self.num_lanes, self.bytes_per_device))

    monkeypatch.setattr(program.Program, "__init__", spy)
    whole = pjx.run(wide, 6, 3)
    needed = built.pop()[1]
    monkeypatch.setattr(execute, "available_bytes", lambda devices: 0.8 * needed)
    split = pjx.run(wide, 6, 3)
    assert [lanes for lanes, _ in built] == [6, 3]
    assert built[1][1] < execute.MEMORY_SHARE * 0.8 * needed
    # Sums of 1,000 floats may be rounded in another order; the walk itself may not.
    assert same(split.state["position"], whole.state["position"])
    assert np.allclose(split.metrics.episode_return, whole.metrics.episode_return, atol=1e-4)


def test_divergence_is_reported_and_harms_nobody_else():
    healthy = pjx.run(walk(), 6, 8)
    with pytest.warns(UserWarning, match="diverged: seed"):
        sick = pjx.run(walk(diverges=4), 6, 8, chunk=3)
    odd = np.flatnonzero(np.asarray(healthy.state["odd"])).tolist()
    assert 0 < len(odd) < 6 and sick.diverged == odd
    others = [seed for seed in range(6) if seed not in odd]
    assert sick.metrics.sel(seed=others).equals(healthy.metrics.sel(seed=others))
    with pytest.raises(FloatingPointError, match=f"{odd[0]}.*iteration 6"):
        pjx.run(walk(diverges=4), 6, 8, chunk=3, on_nan="raise")
    assert pjx.run(walk(diverges=4), 6, 8, on_nan="ignore").diverged == odd


def test_infinite_state_is_no_divergence():
    def init(key):
        return jnp.full(3, -jnp.inf)

    best = Algorithm(init, lambda key, state: (state, {"cells": jnp.isfinite(state).sum()}))
    assert pjx.run(best, 2, 2).diverged == []


def test_bfloat16_metrics_and_donated_twins(tmp_path):
    """A target network equal to its network at init must not be donated twice."""

    def init(key):
        net = jax.random.normal(key, (2,))
        return {"net": net, "target": net}

    def step(key, state):
        return {**state, "net": state["net"] + 1}, {"loss": state["net"].sum().astype(jnp.bfloat16)}

    runs = pjx.run(Algorithm(init, step), 2, 3, out=tmp_path / "run")
    assert runs.metrics.loss.dtype == np.float32
    assert np.allclose(runs.state["net"], runs.state["target"] + 3)


def test_four_devices_give_the_same_numbers_and_hand_over_to_one(runs, tmp_path):
    out = tmp_path / "run"
    code = (
        "import jax, json, numpy as np, purejaxexplore as pjx\n"
        "from tests.runner.toys import walk\n"
        f"runs = pjx.run(walk(), 6, {STEPS}, evaluate_every=7)\n"
        "print(json.dumps([jax.device_count(), runs.metrics.episode_return.values.tolist(),"
        " runs.evaluations.held_out.values.tolist(), np.asarray(runs.state['position']).tolist()]))\n"
        f"for steps in (9, 16): pjx.run(walk(), 6, steps, evaluate_every=7, out={str(out)!r})"
    )
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    devices, returns, held_out, position = json.loads(done.stdout.splitlines()[-1])
    assert devices == 4
    assert np.array_equal(np.float32(returns), runs.metrics.episode_return)
    assert np.array_equal(np.float32(held_out), runs.evaluations.held_out)
    assert np.array_equal(np.float32(position), runs.state["position"])
    assert pjx.load(out, walk()).metrics.equals(runs.metrics.isel(step=slice(16)))
    assert same_runs(pjx.run(walk(), 6, STEPS, evaluate_every=7, out=out), runs)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_seeds": 0}, "num_seeds=0"),
        ({"num_seeds": -3}, "num_seeds=-3"),
        ({"num_seeds": 2.5}, "num_seeds=2.5"),
        ({"num_seeds": True}, "num_seeds=True"),
        ({"num_steps": 0}, "num_steps=0"),
        ({"num_steps": 2**33}, "num_steps="),
        ({"chunk": 0}, "chunk=0"),
        ({"chunk": -1}, "chunk=-1"),
        ({"evaluate_every": 0}, "evaluate_every=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"first_seed": 2**32}, "first_seed="),
        ({"devices": 100}, "devices=100"),
        ({"devices": []}, "devices="),
        ({"on_nan": "reprot"}, "did you mean 'report'"),
        ({"progress": "episode_retrun"}, "did you mean 'episode_return'"),
        ({"save_seconds": -1.0}, "save_seconds=-1"),
    ],
)
def test_bad_arguments_are_refused_before_anything_exists(tmp_path, options, message):
    arguments = {"num_seeds": 2, "num_steps": 3, "out": tmp_path / "run", **options}
    with pytest.raises(ValueError, match=message):
        pjx.run(walk(), **arguments)
    assert not (tmp_path / "run").exists()


def test_bad_algorithms_are_refused():
    good = walk()
    with pytest.raises(TypeError, match="call the factory first"):
        pjx.run(walk, 2, 3)
    with pytest.raises(ValueError, match="no evaluate"):
        pjx.run(good._replace(evaluate=None), 2, 3, evaluate_every=1)
    with pytest.raises(TypeError, match="'loss'.*float32\\[3\\].*scalar"):
        pjx.run(good._replace(step=lambda key, state: (state, {"loss": jnp.zeros(3)})), 2, 3)
    with pytest.raises(TypeError, match="flat dict"):
        pjx.run(good._replace(step=lambda key, state: (state, 1.0)), 2, 3)
    with pytest.raises(TypeError, match="'count' from int32\\[\\] into float32\\[\\]"):
        pjx.run(good._replace(step=lambda key, state: ({**state, "count": 0.5}, {"a": 1})), 2, 3)
    with pytest.raises(TypeError, match="structure"):
        pjx.run(good._replace(step=lambda key, state: (state["count"], {"a": 1})), 2, 3)
    with pytest.raises(TypeError, match="key='zero'"):
        pjx.run(good, 2, 3, key="zero")


def test_progress_shows_rate_and_metric(capsys):
    pjx.run(walk(), 2, 6, chunk=3, progress="episode_return", name="toy")
    shown = capsys.readouterr().err
    assert "toy" in shown and "6/6" in shown and "steps/s" in shown and "episode_return" in shown
    pjx.run(walk(), 2, 6, chunk=3)
    assert capsys.readouterr().err == ""
