"""Anybody's judgement in Intelligent Go-Explore: ask once about every state of a puzzle, then run with the answers.

A foundation model's answers are no pure function and cost money, so they are collected first, outside every compiled
program, into a file with one JSON line a state; a second call asks only about states that are not in the file. The
judge is any Python callable::

    def ask(numbers, choices):        # (4, 9, 10, 13), ["4 + 9 = 13, left: 10 13 13", None, ...]
        ...                           # None stands for an operation that does not exist here
        return score, action_scores, keep

with ``score`` a float (how promising the numbers are), ``action_scores`` a float for each choice, and ``keep`` whether
the numbers are worth remembering. Name it as ``--ask module:function``; the default is :func:`rule_of_thumb`.

    python experiments/examples/judge_table.py --puzzle 4 9 10 13
    python experiments/examples/judge_table.py --puzzle 4 9 10 13 --ask my_model:ask --answers my_answers.jsonl
"""

import dataclasses
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import purejaxexplore as pjx
from purejaxexplore.envs.tokens import Game24State
from purejaxexplore.go_explore import IntelligentGoExploreConfig, intelligent_go_explore, judges


@dataclasses.dataclass(frozen=True)
class Args:
    """Tabulates a judge's answers about a puzzle and compares it with no judgement.

    Attributes:
        puzzle: four numbers from 1 to 13.
        ask: ``module:function``, or empty for the rule of thumb.
        answers: file of the answers, read if it exists and appended to; by default they are not stored.
        seeds: runs of each judge.
        operations: of a run.
        smoke: few seeds and operations.
    """

    puzzle: tuple[int, int, int, int] = (4, 9, 10, 13)
    ask: str = ""
    answers: Path | None = None
    seeds: int = 20
    operations: int = 700
    smoke: bool = False


def rule_of_thumb(numbers: tuple[int, ...], choices: list[str | None]) -> tuple[float, list[float], bool]:
    """Likes numbers that divide 24 and dislikes those beyond 48, as people do when they look at the cards."""

    def appeal(left):
        return float(np.mean([1.0 if n and 24 % n == 0 else -2.0 if n > 48 else 0.0 for n in left]))

    left = [[int(word) for word in choice.split("left: ")[1].split()] if choice else [] for choice in choices]
    exactly = [10.0 if numbers_left == [24] else 0.0 for numbers_left in left]
    scores = [bonus + appeal(n) if n else -10.0 for n, bonus in zip(left, exactly, strict=True)]
    return appeal(numbers), scores, max(numbers) <= 200


def describe(numbers: tuple[int, ...], after: np.ndarray, impossible: np.ndarray) -> list[str | None]:
    """Every action as a sentence; None where it does not exist.

    Args:
        numbers: those that are left.
        after: i32[A, 4], what each action leaves.
        impossible: bool[A].
    """
    pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :]]
    sentences: list[str | None] = [None] * len(impossible)
    for action in np.flatnonzero(~impossible):
        (small, large), sign = pairs[action // 4], "+-*/"[action % 4]
        result = {"+": large + small, "-": large - small, "*": large * small, "/": large // max(small, 1)}[sign]
        left = " ".join(str(n) for n in after[action] if n >= 0)
        sentences[action] = f"{large} {sign} {small} = {result}, left: {left}"
    return sentences


def collect(env, states: Game24State, ask: Callable, file: Path | None) -> judges.Answers:
    """The answers about all states, those from the file not asked again."""
    stored = {}
    if file is not None and file.exists():
        stored = {tuple(line["numbers"]): line for line in map(json.loads, file.read_text().splitlines())}

    def act(state, action):
        _, after, _, _, info = env.step_env(jax.random.key(0), state, action, env.default_params)
        return after.numbers, info["impossible"]

    every = jax.jit(jax.vmap(jax.vmap(act, (None, 0)), (0, None)))(states, jnp.arange(env.num_actions))
    rows = []
    for places, after, impossible in zip(states.numbers, *map(np.asarray, every), strict=True):
        numbers = tuple(int(n) for n in places if n >= 0)
        if numbers not in stored:
            score, actions, keep = ask(numbers, describe(numbers, after, impossible))
            if len(actions) != env.num_actions:
                raise ValueError(f"ask{numbers}: {len(actions)} action scores, expected {env.num_actions}")
            stored[numbers] = {"numbers": numbers, "score": score, "actions": list(actions), "keep": bool(keep)}
            if file is not None:
                with open(file, "a", encoding="utf-8") as out:
                    out.write(json.dumps(stored[numbers]) + "\n")
        rows.append(stored[numbers])
    columns = {name: [row[name] for row in rows] for name in ("score", "actions", "keep")}
    score, actions = (np.array(columns[name], np.float32) for name in ("score", "actions"))
    return judges.Answers(score, actions, np.array(columns["keep"], bool))


def main(args: Args) -> None:
    """Asks, tabulates, runs and prints the operations that each judge needs."""
    if args.smoke:
        args = dataclasses.replace(args, seeds=3, operations=40)
    if args.ask and ":" not in args.ask:
        raise ValueError(f"ask={args.ask!r}: expected module:function")
    module, _, name = args.ask.partition(":")
    ask = getattr(import_module(module), name) if args.ask else rule_of_thumb

    env, env_params = pjx.make("Game24")
    env_params = env_params.replace(puzzle=jnp.array(args.puzzle))
    start = env.reset(jax.random.key(0), env_params)[1]
    states = judges.reachable(env, env_params, jax.tree.map(lambda x: jnp.asarray(x)[None], start))
    unfinished = (states.numbers >= 0).sum(-1) > 1
    states = jax.tree.map(lambda x: x[unfinished], states)
    answers = collect(env, states, ask, args.answers)
    print(f"answers about {len(answers.score)} states, {int(answers.keep.sum())} worth keeping")

    config = IntelligentGoExploreConfig(num_operations=args.operations)
    tabulated = judges.tabulated(env, judges.answer_table(states.numbers, answers))
    for label, judge in {"tabulated": tabulated, "uniform": judges.uniform(env), "oracle": judges.oracle(env)}.items():
        algorithm = intelligent_go_explore(env, env_params, config, judge)
        run = pjx.run(algorithm, args.seeds, args.operations, progress=False)
        solved_at = np.asarray(run.metrics["solved_at"])[:, -1]
        median = np.median(np.where(solved_at > 0, solved_at, args.operations))
        print(f"{label:<10} solved {int((solved_at > 0).sum())}/{args.seeds}, median {median:.0f} operations")


if __name__ == "__main__":
    main(tyro.cli(Args))
