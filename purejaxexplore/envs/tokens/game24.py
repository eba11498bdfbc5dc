"""Game24: combine four numbers by + - * / until one is left, which must be 24.

The Game of 24 in the form of Lu, Hu and Clune (2024), "Intelligent Go-Explore: Standing on the Shoulders of Giant
Foundation Models": a state is a sorted multiset of whole numbers, and an action takes two of them, at positions i < j,
and puts back their sum, the larger minus the smaller, their product, or the larger divided by the smaller. ::

    (4, 9, 10, 13)  --13 - 10-->  (3, 4, 9)  --9 - 3-->  (4, 6)  --4 * 6-->  (24,)    reward 1

There are 24 actions with four numbers, 12 with three, 4 with two. A division that does not come out, or by 0, ends the
episode without reward, as every end but 24 does; 24 on the way there is worth nothing.

Of the 1,820 multisets of four numbers from 1 to 13, 1,362 can be solved with fractions and 1,346 with whole numbers
only, as here. A puzzle of the hard set (:mod:`.game24_puzzles`) has 97 states that are not final on average and at most
129, and at most 278 with the final ones; a uniform player solves it with probability 0.0009 to 0.031, median 0.0052.
All this is computed in the tests.
"""

from functools import cache
from itertools import combinations, combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import choice
from purejaxexplore.envs.tokens.game24_puzzles import HARD_PUZZLES

TARGET, LARGEST = 24, 13
NUM_ACTIONS = 24
ADD, SUBTRACT, MULTIPLY, DIVIDE = range(4)
PUZZLES = ("hard", "solvable")
_SMALL = 37  # numbers below it have a place of their own in the observation
_SCALE = np.log(1.0 + LARGEST**4)

# The positions i < j of each action, i32[5, 6, 2], by how many numbers are left, in the order of the published program;
# numbers stand at the end of their four places.
_PAIRS = np.zeros((5, 6, 2), np.int32)
for _count in (2, 3, 4):
    _pairs = np.array(list(combinations(range(4 - _count, 4), 2)))
    _PAIRS[_count, : len(_pairs)] = _pairs
_NUM_LEGAL = np.array([0, 0, 4, 12, 24], np.int32)


class Game24State(NamedTuple):
    """What changes during an episode.

    Attributes:
        numbers: i32[4], ascending; -1 where there is none any more.
        time: i32, steps since the start of the episode.
    """

    numbers: jax.Array
    time: jax.Array


@struct.dataclass
class Game24Params(environment.EnvParams):
    """A puzzle.

    Attributes:
        puzzle: i32[4], numbers from 0 to 13, in any order.
    """

    max_steps_in_episode: int = 3
    puzzle: jax.Array | None = None


class Game24(environment.Environment[Game24State, Game24Params]):
    """The Game of 24. Action ``4 p + o``: pair p (of 6, 3 or 1), operation o (+, -, *, /).

    Args:
        puzzles: what :meth:`sample_params` draws from, ``"hard"`` (100 test puzzles) or ``"solvable"`` (all 1,346).

    Raises:
        ValueError: ``puzzles`` is neither.
    """

    def __init__(self, puzzles: str = "hard"):
        super().__init__()
        choice("puzzles", puzzles, PUZZLES)
        self.puzzles = np.array(HARD_PUZZLES, np.int32) if puzzles == "hard" else solvable_puzzles()

    @property
    def default_params(self) -> Game24Params:
        """The first of the puzzles."""
        return Game24Params(puzzle=jnp.asarray(self.puzzles[0]))

    def sample_params(self, key: jax.Array, params: Game24Params) -> Game24Params:
        """``params`` with one of the puzzles, each alike."""
        index = jax.random.randint(key, (), 0, len(self.puzzles))
        return params.replace(puzzle=jnp.asarray(self.puzzles)[index])

    def reset_env(self, key: jax.Array, params: Game24Params) -> tuple[jax.Array, Game24State]:
        """A fresh episode: ``key -> (observation, state)``."""
        state = Game24State(jnp.sort(jnp.asarray(params.puzzle, jnp.int32)), jnp.int32(0))
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: Game24State, action: jax.Array, params: Game24Params
    ) -> tuple[jax.Array, Game24State, jax.Array, jax.Array, dict[str, Any]]:
        """One operation without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (24 is the only number) and ``impossible`` (the numbers stay as they were, and the
        episode ends).
        """
        numbers = jnp.asarray(state.numbers)
        i, j = jnp.asarray(_PAIRS)[self.count(state), action // 4]
        result, exact = _operate(numbers[i], numbers[j], action % 4)
        impossible = ~exact | ~self.legal_actions(state)[action]
        combined = jnp.sort(numbers.at[i].set(-1).at[j].set(result))
        state = Game24State(jnp.where(impossible, numbers, combined), state.time + 1)
        single = self.count(state) <= 1
        success = ~impossible & single & (state.numbers[3] == TARGET)
        info = {"success": success, "impossible": impossible}
        return self.get_obs(state), state, success.astype(jnp.float32), impossible | single, info

    def count(self, state: Game24State) -> jax.Array:
        """How many numbers are left, i32."""
        return (state.numbers >= 0).sum(-1)

    def legal_actions(self, state: Game24State, params: Game24Params | None = None) -> jax.Array:
        """Which actions exist with this many numbers, bool[24]: the first 24, 12, 4 or none.

        A division that does not come out is among them, as in the published program, where it costs an operation.
        """
        return np.arange(NUM_ACTIONS) < jnp.asarray(_NUM_LEGAL)[self.count(state)]

    def success_probabilities(self, state: Game24State, params: Game24Params | None = None) -> jax.Array:
        """After each action the probability that uniform play ends in 24, f32[24]; 0 where the action is impossible."""
        rows = [jnp.zeros(NUM_ACTIONS)] * 2
        for count in (2, 3, 4):
            following, possible = _successors(state.numbers[4 - count :])
            value = jnp.where(possible, _uniform_play(following), 0.0)
            rows.append(jnp.pad(value, (0, NUM_ACTIONS - len(value))))
        return jnp.stack(rows)[self.count(state)]

    def success_probability(self, state: Game24State, params: Game24Params | None = None) -> jax.Array:
        """The probability f32 that uniform play over the legal actions ends in 24; of one number, whether it is."""
        count = self.count(state)
        mean = self.success_probabilities(state).sum() / jnp.maximum(jnp.asarray(_NUM_LEGAL)[count], 1)
        return jnp.where(count == 1, (state.numbers[3] == TARGET).astype(jnp.float32), mean)

    def get_obs(self, state: Game24State, params: Game24Params | None = None, key=None) -> jax.Array:
        """f32[4, 39]: for each place whether it holds a number, its logarithm in [0, 1], and one-hot if below 37."""
        numbers = state.numbers[:, None]
        log = jnp.log1p(jnp.maximum(numbers, 0).astype(jnp.float32)) / _SCALE
        one_hot = (numbers == np.arange(_SMALL)).astype(jnp.float32)
        return jnp.concatenate([(numbers >= 0).astype(jnp.float32), log, one_hot], axis=-1)

    def cell_key(self, state: Game24State, params: Game24Params | None = None) -> jax.Array:
        """The exact state, i32[4]: its numbers."""
        return state.numbers

    def pack(self, state: Game24State) -> jax.Array:
        """i16[5]: the numbers (13^4 fits) and the time."""
        return jnp.append(state.numbers, state.time).astype(jnp.int16)

    def unpack(self, packed: jax.Array, params: Game24Params | None = None) -> Game24State:
        """The state that :meth:`pack` stored."""
        fields = packed.astype(jnp.int32)
        return Game24State(fields[..., :4], fields[..., 4])

    def render(self, state: Game24State, params: Game24Params | None = None) -> jax.Array:
        """Four places for cards, ``u8[64, 320, 3]``; the card of a single 24 is green."""
        solved = (self.count(state) == 1) & (state.numbers == TARGET)
        cards = jax.vmap(_card)(state.numbers, solved)
        return cards.transpose(1, 0, 2, 3).reshape(_CARD_HEIGHT, 4 * _CARD_WIDTH, 3)

    @property
    def num_actions(self) -> int:
        return NUM_ACTIONS

    def action_space(self, params: Game24Params | None = None) -> spaces.Discrete:
        return spaces.Discrete(NUM_ACTIONS)

    def observation_space(self, params: Game24Params | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (4, 2 + _SMALL), jnp.float32)

    def state_space(self, params: Game24Params) -> spaces.Dict:
        limit = spaces.Discrete(params.max_steps_in_episode + 1)
        return spaces.Dict({"numbers": spaces.Box(-1, LARGEST**4, (4,), jnp.int32), "time": limit})


def multisets() -> np.ndarray:
    """All multisets of four numbers from 1 to 13 in lexicographic order, i32[1820, 4]."""
    return np.array(list(combinations_with_replacement(range(1, LARGEST + 1), 4)), np.int32)


@cache
def solvable_puzzles() -> np.ndarray:
    """The multisets that can be solved with whole numbers, i32[1346, 4]."""
    with jax.ensure_compile_time_eval():
        return multisets()[np.asarray(jax.jit(_uniform_play)(jnp.asarray(multisets()))) > 0]


def _operate(small: jax.Array, large: jax.Array, operation: Any) -> tuple[jax.Array, jax.Array]:
    """The result of an operation, and whether it exists; i32 and bool of the common shape."""
    divisor = jnp.maximum(small, 1)
    # Whole numbers below 2^24 divide exactly in float32 where they divide at all, and several times faster.
    quotient = (large.astype(jnp.float32) / divisor.astype(jnp.float32)).astype(jnp.int32)
    result = jnp.select(
        [operation == ADD, operation == SUBTRACT, operation == MULTIPLY],
        [large + small, large - small, large * small],
        quotient,
    )
    return result, (operation != DIVIDE) | (small > 0) & (quotient * divisor == large)


def _successors(numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """All operations on i32[..., n], n of 2 to 4: what they leave, i32[..., A, n - 1], and whether they exist."""
    count = numbers.shape[-1]
    pairs = np.array(list(combinations(range(count), 2)))
    rest = np.array([[k for k in range(count) if k not in pair] for pair in pairs], int)
    result, exact = _operate(numbers[..., pairs[:, :1]], numbers[..., pairs[:, 1:]], np.arange(4))
    places, moved = [], result
    for k in range(count - 2):  # the others are in order: the result is handed up to its place
        other = numbers[..., rest[:, k], None]
        places.append(jnp.minimum(other, moved))
        moved = jnp.maximum(other, moved)
    following = jnp.stack([*places, moved], axis=-1)
    lead = numbers.shape[:-1]
    return following.reshape(*lead, -1, count - 1), exact.reshape(*lead, -1)


def _uniform_play(numbers: jax.Array) -> jax.Array:
    """The probability f32[...] that uniform play from i32[..., n] ends in 24."""
    if numbers.shape[-1] == 1:
        return (numbers[..., 0] == TARGET).astype(jnp.float32)
    following, possible = _successors(numbers)
    return jnp.where(possible, _uniform_play(following), 0.0).mean(-1)


_CARD_HEIGHT, _CARD_WIDTH, _ZOOM, _DIGITS = 64, 80, 2, 5
_FONT = np.array(
    [
        [[int(bit) for bit in f"{row:05b}"] for row in glyph]
        for glyph in (
            (14, 17, 19, 21, 25, 17, 14), (4, 12, 4, 4, 4, 4, 14), (14, 17, 1, 2, 4, 8, 31), (31, 2, 4, 2, 1, 17, 14),
            (2, 6, 10, 18, 31, 2, 2), (31, 16, 30, 1, 1, 17, 14), (6, 8, 16, 30, 17, 17, 14), (31, 1, 2, 4, 8, 8, 8),
            (14, 17, 17, 14, 17, 17, 14), (14, 17, 17, 15, 1, 2, 12), (0, 0, 0, 0, 0, 0, 0),
        )
    ],
    np.uint8,
)  # fmt: skip
"""Digits 0 to 9 and a blank, 7 x 5 pixels each."""


def _card(number: jax.Array, solved: jax.Array) -> jax.Array:
    """A card with a number of at most five digits, u8[64, 80, 3]; an empty place for -1."""
    powers = 10 ** np.arange(_DIGITS - 1, -1, -1)
    visible = (number >= powers) | (powers == 1)
    glyphs = jnp.asarray(_FONT)[jnp.where(visible, number // powers % 10, 10)]  # [5, 7, 5]
    line = jnp.pad(glyphs, ((0, 0), (0, 0), (0, 1))).transpose(1, 0, 2).reshape(7, -1)
    line = jnp.repeat(jnp.repeat(line, _ZOOM, 0), _ZOOM, 1)
    blank = _DIGITS - visible.sum()
    line = jnp.roll(line, -blank * 6 * _ZOOM // 2, axis=1)
    top, left = (_CARD_HEIGHT - 7 * _ZOOM) // 2, (_CARD_WIDTH - line.shape[1] + _ZOOM) // 2
    ink = jnp.zeros((_CARD_HEIGHT, _CARD_WIDTH), bool).at[top : top + 7 * _ZOOM, left : left + line.shape[1]].set(
        line > 0
    )
    y, x = np.mgrid[:_CARD_HEIGHT, :_CARD_WIDTH]
    edge = np.minimum(np.minimum(y, _CARD_HEIGHT - 1 - y), np.minimum(x, _CARD_WIDTH - 1 - x))
    table, empty, border = ((np.array(c, np.uint8)) for c in ((38, 70, 83), (52, 86, 100), (33, 37, 46)))
    paper = jnp.where(solved, jnp.array([176, 228, 204], jnp.uint8), jnp.array([250, 247, 238], jnp.uint8))
    face = jnp.where((edge < 6)[..., None], border, jnp.where(ink[..., None], border, paper))
    inside = jnp.where(number >= 0, face, empty)
    return jnp.where((edge < 4)[..., None], table, inside)
