"""FormFill: a web form as symbols; fill in three fields, tick what has to be ticked, submit.

For exploration by workflows as in Liu, Guu, Pasupat, Shi and Liang (2018), "Reinforcement learning on web interfaces
using workflow-guided exploration". A page has ``num_elements`` elements, shuffled in order and place in every episode:
an input for each of the goal's three fields, ``num_boxes`` boxes, a submit button, and decoys. Each input is labelled
with one of three words for its field. An action takes an element and clicks it, or types one of the goal's fields into
it. Submitting a page that is right gives 1, any other -1, and ends the episode; so do eight steps.

With ten elements and one box (five right steps) uniform actions succeed with probability 8.5e-6, with two boxes 5.8e-7.

A workflow step (:meth:`FormFill.satisfying`) is one of the four kinds of action on any element, on one of a tag, on one
with a label, on one of a tag that is untouched or not ("like"), or beside one with a label.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from purejaxexplore.checks import whole_number
from purejaxexplore.envs.grids import tiles

NUM_FIELDS, NUM_VALUES, NUM_WORDS = 3, 16, 3
CLICK = 0  # the other kinds of action type field 0, 1 or 2
NUM_KINDS = 1 + NUM_FIELDS
INPUT, BOX, BUTTON, TEXT = range(4)
ROWS, COLUMNS = 5, 4
# Words on the page: three for each field, then of boxes, of the submit button, and of three decoys.
NUM_LABELS = NUM_FIELDS * NUM_WORDS + 2 + 1 + 3
_SUBMIT_LABEL, _BOX_LABEL, _DECOY_LABEL = 11, 9, 12
_DECOYS = (TEXT, BUTTON, INPUT)
_ELEMENT = 4 + NUM_LABELS + 2 + 1 + NUM_FIELDS + 1  # numbers that an observation has for an element


class FormFillState(NamedTuple):
    """What changes during an episode.

    Attributes:
        order: i32[E], which element stands at each place in the list: inputs, boxes, submit, decoys.
        cells: i32[E], the cell of the page, 5 rows of 4, of each place in the list; all different.
        words: i32[3], which of its three words each input is labelled with.
        goal: i32[3], the values of the fields.
        typed: i32[3], which field was typed into each input; -1 for none.
        ticked: bool[num_boxes].
        time: i32, steps since the start of the episode.
    """

    order: jax.Array
    cells: jax.Array
    words: jax.Array
    goal: jax.Array
    typed: jax.Array
    ticked: jax.Array
    time: jax.Array


@struct.dataclass
class FormFillParams(environment.EnvParams):
    """The time limit in steps."""

    max_steps_in_episode: int = 8


class FormFill(environment.Environment[FormFillState, FormFillParams]):
    """The form. Action ``4 e + k``: on the element at place e of the list, click (k = 0) or type field k - 1.

    Observation: f32[26 E + 48], flat: for each place in the list the kind of element (4), its label (15), its row and
    column (2, in [0, 1]), what was typed into it (nothing or one of three, 4) and whether it is ticked (1); then the
    three values of the goal, each one-hot of 16.

    Args:
        num_elements: E, 8 to 20.
        num_boxes: boxes to be ticked, 0 to 2: four to six right steps.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(self, num_elements: int = 10, num_boxes: int = 1):
        super().__init__()
        self.num_elements = whole_number("num_elements", num_elements, 8, ROWS * COLUMNS)
        self.num_boxes = whole_number("num_boxes", num_boxes, 0, 2)
        self.submit = NUM_FIELDS + num_boxes
        decoys = np.arange(num_elements - self.submit - 1) % len(_DECOYS)
        self._kinds = np.array([INPUT] * NUM_FIELDS + [BOX] * num_boxes + [BUTTON] + [_DECOYS[d] for d in decoys])
        fixed = [_BOX_LABEL + box for box in range(num_boxes)] + [_SUBMIT_LABEL]
        self._labels = np.array([0] * NUM_FIELDS + fixed + [_DECOY_LABEL + d for d in decoys])

    @property
    def default_params(self) -> FormFillParams:
        return FormFillParams()

    def reset_env(self, key: jax.Array, params: FormFillParams) -> tuple[jax.Array, FormFillState]:
        """A fresh page: ``key -> (observation, state)``."""
        bits = jax.random.bits(key, (self.num_elements + ROWS * COLUMNS + 2 * NUM_FIELDS,))
        order, cells, rest = jnp.split(bits, [self.num_elements, self.num_elements + ROWS * COLUMNS])
        state = FormFillState(
            order=jnp.argsort(order).astype(jnp.int32),
            cells=jnp.argsort(cells)[: self.num_elements].astype(jnp.int32),
            words=(rest[:NUM_FIELDS] % NUM_WORDS).astype(jnp.int32),
            goal=(rest[NUM_FIELDS:] % NUM_VALUES).astype(jnp.int32),
            typed=jnp.full(NUM_FIELDS, -1, jnp.int32),
            ticked=jnp.zeros(self.num_boxes, bool),
            time=jnp.int32(0),
        )
        return self.get_obs(state), state

    def step_env(
        self, key: jax.Array, state: FormFillState, action: jax.Array, params: FormFillParams
    ) -> tuple[jax.Array, FormFillState, jax.Array, jax.Array, dict[str, Any]]:
        """One action without auto-reset: ``(observation, state, reward f32, terminated bool, info)``.

        ``info`` holds ``success`` (a right page was submitted).
        """
        element, kind = state.order[action // NUM_KINDS], action % NUM_KINDS
        chosen = np.arange(self.num_elements) == element
        typed = jnp.where(chosen[:NUM_FIELDS] & (kind > 0), kind - 1, state.typed)
        ticked = state.ticked ^ (chosen[NUM_FIELDS : self.submit] & (kind == CLICK))
        submitted = (element == self.submit) & (kind == CLICK)
        after = state._replace(typed=typed, ticked=ticked, time=state.time + 1)
        success = submitted & self.is_right(after)
        reward = jnp.where(success, 1.0, jnp.where(submitted, -1.0, 0.0))
        return self.get_obs(after), after, reward, submitted, {"success": success}

    def is_right(self, state: FormFillState) -> jax.Array:
        """Whether the page could be submitted now, bool[]."""
        return (state.typed == np.arange(NUM_FIELDS)).all() & state.ticked.all()

    def is_terminated(self, state: FormFillState, params: FormFillParams) -> jax.Array:
        """Never by the state: only the step knows that the page was submitted."""
        return jnp.bool_(False)

    def right_actions(self, state: FormFillState) -> jax.Array:
        """Which actions bring the page nearer to being right, or submit it when it is, bool[4 E]: the expert."""
        place = jnp.argsort(state.order)[: self.submit + 1]
        kind = np.concatenate([1 + np.arange(NUM_FIELDS), np.full(self.num_boxes + 1, CLICK)])
        missing = jnp.concatenate([state.typed != np.arange(NUM_FIELDS), ~state.ticked, self.is_right(state)[None]])
        return jnp.zeros(self.num_elements * NUM_KINDS, bool).at[place * NUM_KINDS + kind].set(missing)

    @property
    def num_constraints(self) -> int:
        """Workflow steps: 43 ways to say which elements, times the kinds of action."""
        return (1 + 4 + NUM_LABELS + 2 * 4 + NUM_LABELS) * NUM_KINDS

    def satisfying(self, state: FormFillState, constraint: jax.Array) -> jax.Array:
        """Which actions satisfy a workflow step i32 in [0, num_constraints) on this page, bool[4 E]."""
        kind, label, row, column, typed, ticked = self._page(state)
        tag, named = kind == np.arange(4)[:, None], label == np.arange(NUM_LABELS)[:, None]
        touched = (typed >= 0) | ticked
        apart = jnp.maximum(abs(row[:, None] - row), abs(column[:, None] - column))
        near = (named[:, :, None] & (apart == 1)).any(1)
        which = jnp.concatenate([jnp.ones((1, len(kind)), bool), tag, named, tag & touched, tag & ~touched, near])
        elements = which[constraint // NUM_KINDS]
        return (elements[:, None] & (np.arange(NUM_KINDS) == constraint % NUM_KINDS)).reshape(-1)

    def elements(self, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """An observation taken apart: the elements f32[E, 26] in the order of the list, and the goal f32[48]."""
        page, goal = jnp.split(obs, [self.num_elements * _ELEMENT], axis=-1)
        return page.reshape((*obs.shape[:-1], self.num_elements, _ELEMENT)), goal

    def uniform_success(self, num_steps: int = 8) -> float:
        """The probability that uniform actions submit a right page within ``num_steps``, by the chain of what is right.

        An input is made right by one of all actions and wrong by two, a box is changed by one, and one submits.
        """
        chance = 1.0 / (self.num_elements * NUM_KINDS)
        at = np.zeros((NUM_FIELDS + 1, self.num_boxes + 1))
        at[0, 0], total = 1.0, 0.0
        right, ticked = np.indices(at.shape)
        up, down = (NUM_FIELDS - right) * chance, 2 * right * chance
        tick, untick = (self.num_boxes - ticked) * chance, ticked * chance
        for _ in range(num_steps):
            total += at[-1, -1] * chance
            after = at * (1 - chance - up - down - tick - untick)
            after[1:] += (at * up)[:-1]
            after[:-1] += (at * down)[1:]
            after[:, 1:] += (at * tick)[:, :-1]
            after[:, :-1] += (at * untick)[:, 1:]
            at = after
        return float(total)

    def get_obs(self, state: FormFillState, params: FormFillParams | None = None, key=None) -> jax.Array:
        """f32[26 E + 48]."""
        kind, label, row, column, typed, ticked = self._page(state)
        parts = [
            kind[:, None] == np.arange(4),
            label[:, None] == np.arange(NUM_LABELS),
            jnp.stack([row / (ROWS - 1), column / (COLUMNS - 1)], -1),
            typed[:, None] == np.arange(-1, NUM_FIELDS),
            ticked[:, None],
        ]
        page = jnp.concatenate([part.astype(jnp.float32) for part in parts], axis=-1)
        goal = (state.goal[:, None] == np.arange(NUM_VALUES)).astype(jnp.float32)
        return jnp.concatenate([page.reshape(-1), goal.reshape(-1)])

    def render(self, state: FormFillState, params: FormFillParams | None = None) -> jax.Array:
        """The page as ``u8[256, 320, 3]``; a strip in an input's left end shows its label, the rest what was typed."""
        element = jnp.full(ROWS * COLUMNS, -1).at[state.cells].set(state.order)
        colours = np.array([*tiles.COLOURS[:NUM_FIELDS], tiles.FLOOR_COLOUR], np.float32)
        number = jnp.clip(element, 0, self.num_elements - 1)
        typed = jnp.pad(state.typed, (0, self.num_elements - NUM_FIELDS), constant_values=-1)[number]
        ticked = jnp.pad(state.ticked, (NUM_FIELDS, self.num_elements - self.submit))[number]
        kind = jnp.where(element < 0, 4, jnp.asarray(self._kinds)[number])
        y, x = np.mgrid[: 48 * ROWS + 16, : 76 * COLUMNS + 16] - 8
        cell = np.clip(y // 48, 0, ROWS - 1) * COLUMNS + np.clip(x // 76, 0, COLUMNS - 1)
        v, u = y % 48, x % 76
        inside = (y >= 0) & (y < 48 * ROWS) & (x >= 0) & (x < 76 * COLUMNS)
        kind, number, typed, ticked = (field[cell] for field in (kind, number, typed, ticked))
        frame = inside & (v >= 8) & (v < 40) & (u >= 4) & (u < 72)
        body = inside & (v >= 10) & (v < 38) & (u >= 6) & (u < 70)
        square, core = inside & (abs(v - 24) < 12) & (abs(u - 38) < 12), inside & (abs(v - 24) < 7) & (abs(u - 38) < 7)
        own = jnp.asarray(colours)[jnp.where(number < NUM_FIELDS, number, NUM_FIELDS)]
        shown = jnp.asarray(colours)[jnp.where(typed >= 0, typed, NUM_FIELDS)]
        dark, paper = np.array(tiles.WALL_COLOUR, np.float32), np.array((252, 251, 247), np.float32)
        image = jnp.broadcast_to(jnp.asarray(tiles.FLOOR_COLOUR, jnp.float32), (*y.shape, 3))

        def paint(image, where, colour):
            return jnp.where(where[..., None], colour, image)

        image = paint(image, (kind == INPUT) & frame, dark)
        image = paint(image, (kind == INPUT) & body, jnp.where((u < 20)[..., None], own, paper))
        image = paint(image, (kind == INPUT) & body & (v >= 20) & (v < 28) & (u >= 26) & (typed >= 0), shown)
        image = paint(image, (kind == BOX) & square, dark)
        image = paint(image, (kind == BOX) & core, jnp.where(ticked[..., None], colours[2], paper))
        submit = number == self.submit
        image = paint(image, (kind == BUTTON) & frame, jnp.where(submit[..., None], colours[1], np.float32(150)))
        lines = body & ((v // 6) % 2 == 0) & (u < 60)
        image = paint(image, (kind == TEXT) & lines, np.array((196, 192, 182), np.float32))
        return image.astype(jnp.uint8)

    @property
    def num_actions(self) -> int:
        return self.num_elements * NUM_KINDS

    def action_space(self, params: FormFillParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: FormFillParams | None = None) -> spaces.Box:
        return spaces.Box(0.0, 1.0, (self.num_elements * _ELEMENT + NUM_FIELDS * NUM_VALUES,), jnp.float32)

    def state_space(self, params: FormFillParams) -> spaces.Dict:
        elements = self.num_elements
        return spaces.Dict(
            {
                "order": spaces.Box(0, elements - 1, (elements,), jnp.int32),
                "cells": spaces.Box(0, ROWS * COLUMNS - 1, (elements,), jnp.int32),
                "words": spaces.Box(0, NUM_WORDS - 1, (NUM_FIELDS,), jnp.int32),
                "goal": spaces.Box(0, NUM_VALUES - 1, (NUM_FIELDS,), jnp.int32),
                "typed": spaces.Box(-1, NUM_FIELDS - 1, (NUM_FIELDS,), jnp.int32),
                "ticked": spaces.Box(0, 1, (self.num_boxes,), jnp.bool_),
                "time": spaces.Discrete(params.max_steps_in_episode + 1),
            }
        )

    def _page(self, state: FormFillState) -> tuple[jax.Array, ...]:
        """Kind, label, row, column, field typed (-1 for none) and whether ticked, of each place in the list, [E]."""
        pad = self.num_elements - NUM_FIELDS
        labels = jnp.asarray(self._labels).at[:NUM_FIELDS].set(NUM_WORDS * np.arange(NUM_FIELDS) + state.words)
        typed = jnp.pad(state.typed, (0, pad), constant_values=-1)
        ticked = jnp.pad(state.ticked, (NUM_FIELDS, pad - self.num_boxes))
        rows, columns = state.cells // COLUMNS, state.cells % COLUMNS
        fields = (jnp.asarray(self._kinds), labels, typed, ticked)
        kind, label, typed, ticked = (field[state.order] for field in fields)
        return kind, label, rows, columns, typed, ticked
