"""Start-up: seconds that an import takes in a fresh process, against jax, flax, optax and gymnax together.

Every contender is one line of Python in an interpreter of its own; contenders take turns, and one uncounted round
warms the bytecode and the disk. ``seconds`` is the line itself, ``process_seconds`` the interpreter's whole life. One
JSON line a contender goes to ``experiments/results/benchmarks/imports.jsonl``.

    python experiments/benchmarks/imports.py --rounds 11
"""

import dataclasses
import statistics
import subprocess
import sys
import time

import timing
import tyro

LINES = {
    "nothing": "pass",
    "jax": "import jax",
    "jax_flax_optax": "import jax, flax.linen, optax",
    "jax_flax_optax_gymnax": "import jax, flax.linen, optax, gymnax",
    "jax_flax_optax_gymnax_distrax": "import jax, flax.linen, optax, gymnax, distrax",
    "purejaxexplore": "import purejaxexplore",
    "purejaxexplore_ppo": "import purejaxexplore; from purejaxexplore.learners.ppo import PPOConfig, ppo",
}
YARDSTICK = "jax_flax_optax_gymnax"


@dataclasses.dataclass(frozen=True)
class Args:
    """What to measure."""

    rounds: int = 7
    """counted processes of each contender"""
    smoke: bool = False
    """seconds only: one process each, nothing written"""


def start(line: str) -> tuple[float, float]:
    """Seconds of the line, and of the process around it."""
    timed = f"import time; t = time.perf_counter(); {line}; print(time.perf_counter() - t)"
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout), time.perf_counter() - begin


def main(args: Args) -> None:
    rounds = 1 if args.smoke else args.rounds
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in LINES}
    for r in range(-1, rounds):
        for name, line in LINES.items():
            one = start(line)
            if r >= 0:
                spent[name].append(one)
    for name, line in LINES.items():
        own, process = zip(*spent[name], strict=True)
        yardstick = [seconds for seconds, _ in spent[YARDSTICK]]
        timing.emit(
            "imports",
            args.smoke,
            contender=name,
            line=line,
            yardstick=LINES[YARDSTICK],
            rounds=rounds,
            seconds=statistics.median(own),
            process_seconds=statistics.median(process),
            fraction_of_yardstick=timing.ratio(yardstick, own),
        )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
