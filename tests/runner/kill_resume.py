"""Kills a stored run with SIGKILL at random moments and compares what is resumed with an unbroken run.

``python tests/runner/kill_resume.py [20]``: that many kills; one line a kill, exit code 1 on a difference.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import purejaxexplore as pjx  # noqa: E402  (found through ROOT where this file is run as a script)
from tests.runner.toys import WalkConfig, walk  # noqa: E402

OPTIONS = {"evaluate_every": 50, "chunk": 20, "save_seconds": 0, "batch_size": 2, "config": WalkConfig()}
SEEDS = 3


def train(out: Path, num_steps: int):
    """The run that is killed: two batches, a save point every 20 iterations."""
    return pjx.run(walk(), SEEDS, num_steps, out=out, **OPTIONS)


def kill_and_compare(num_kills: int, num_steps: int, seed: int = 0) -> list[int]:
    """Kills ``num_kills`` times and finishes; returns the iterations stored at each kill.

    Raises:
        ValueError: the finished run differs from the unbroken one.
    """
    rng, reached = random.Random(seed), []
    with tempfile.TemporaryDirectory() as directory:
        out, unbroken = Path(directory) / "killed", Path(directory) / "unbroken"
        cache = {"JAX_COMPILATION_CACHE_DIR": directory, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        for _ in range(num_kills):
            before = stored_steps(out)
            code = f"from tests.runner.kill_resume import *; train(Path({str(out)!r}), {num_steps})"
            child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **cache})
            # Most of a child's life is import and compilation; three kills in four wait for its first save.
            if rng.random() < 0.25:
                time.sleep(rng.uniform(0.0, 5.0))
            else:
                limit = time.monotonic() + 120
                while stored_steps(out) == before and child.poll() is None and time.monotonic() < limit:
                    time.sleep(0.005)
                time.sleep(rng.uniform(0.0, 0.3))
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            reached.append(stored_steps(out))
        killed, whole = train(out, num_steps), train(unbroken, num_steps)
        if not killed.metrics.equals(whole.metrics) or not killed.evaluations.equals(whole.evaluations):
            raise ValueError("the metrics of the killed run differ from those of the unbroken one")
        if not all(np.array_equal(killed.state[k], whole.state[k]) for k in ("position", "count", "odd")):
            raise ValueError("the states of the killed run differ from those of the unbroken one")
    return reached


def stored_steps(out: Path) -> int:
    """Iterations with measurements on disk, over all batches."""
    return sum(
        int(p.stem.split("_")[2]) - int(p.stem.split("_")[1]) for p in out.glob("metrics/*/steps_*.npz")
    )


if __name__ == "__main__":
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for number, steps in enumerate(kill_and_compare(kills, num_steps=200 * kills), 1):
        print(f"kill {number}: {steps} iterations stored")
    print(f"{kills} kills: metrics, evaluations and states are bit-identical")
