"""Finds a route through the pyramid: everything is taken, every room is seen, and the treasure room completes level 0.

Breadth-first search over the exact game, from one item, door or unseen room to the next nearest, without losing a life.
The state of a search is the agent's place, its motion and the clock modulo 64, after which every hazard is back. The
doors before the treasure are forbidden until everything else is done. The route is stored in
``purejaxexplore/envs/grids/pyramid_route.py``, and a test plays it.

    python experiments/tools/pyramid_route.py      # minutes
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import purejaxexplore as pjx
from purejaxexplore.envs.grids import pyramid_route
from purejaxexplore.envs.grids.pyramid_rules import FALL, JUMP
from purejaxexplore.envs.grids.pyramid_tables import HEIGHT, PERIOD, TREASURE_ROOM, WIDTH, pyramid

MOVES = np.array([0, 1, 2, 3, 4, 5, 11, 12], np.int32)  # those of a pad with four directions and a button
_MOTIONS = 36
_FIRST_JUMP, _FIRST_FALL = 3, 22
TREASURE_DOORS = 1 << 26 | 1 << 27

env, env_params = pjx.make("Pyramid")


def fingerprint(state) -> jax.Array:
    """i32 that tells the states of a search apart."""
    jump = _FIRST_JUMP + 3 * state.phase + state.drift + 1
    fall = _FIRST_FALL + jnp.minimum(state.phase, _MOTIONS - 1 - _FIRST_FALL)
    motion = jnp.where(state.mode == JUMP, jump, jnp.where(state.mode == FALL, fall, state.mode))
    place = (state.room * HEIGHT + state.y) * WIDTH + state.x
    return (place * _MOTIONS + motion) * PERIOD + state.time % PERIOD


@jax.jit
def expand(packed: jax.Array):
    """All moves from states ``u8[B, S]``: their packed successors, fingerprints, states and rewards, ``[B, 8]``."""

    def one(state, action):
        _, after, reward, _, _ = env.step_env(jax.random.key(0), state, action, env_params)
        return env.pack(after), fingerprint(after), after, reward

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(jax.vmap(env.unpack)(packed), jnp.asarray(MOVES))


def search(start: np.ndarray, lives: int, goal: Callable, forbidden: int) -> tuple[list[int], np.ndarray] | None:
    """The shortest way to a state with ``goal(state, reward)``: actions and packed state; None where there is none."""
    seen = np.zeros(len(pyramid().places) * _MOTIONS * PERIOD, bool)
    layers = [(start[None], None, None)]
    while len(layers[-1][0]):
        frontier = layers[-1][0]
        padded = np.zeros((max(256, 1 << (len(frontier) - 1).bit_length()), frontier.shape[1]), np.uint8)
        padded[: len(frontier)] = frontier
        size = len(frontier)
        tree = jax.tree.map(lambda x, n=size: np.asarray(x)[:n].reshape(-1, *x.shape[2:]), expand(padded))
        packed, code, state, reward = tree
        kept = np.flatnonzero((state.lives >= lives) & (state.taken & forbidden == 0) & ~seen[code])
        kept = kept[np.sort(np.unique(code[kept], return_index=True)[1])]
        seen[code[kept]] = True
        layers.append((packed[kept], kept // len(MOVES), MOVES[kept % len(MOVES)]))
        found = np.flatnonzero(goal(jax.tree.map(lambda x, k=kept: x[k], state), reward[kept]))
        if len(found):
            actions, at = [], found[0]
            for _, parent, action in layers[:0:-1]:
                actions.append(int(action[at]))
                at = parent[at]
            return actions[::-1], packed[kept][found[0]]
    return None


def main() -> None:
    """Searches stage by stage and writes the route."""
    began = time.perf_counter()
    _, state = env.reset_env(jax.random.key(0), env_params)
    play = jax.jit(lambda s, a: env.step_env(jax.random.key(0), s, a, env_params)[1:3])
    route, score, rooms = [], 0.0, {int(state.room)}

    def go(what: str, goal: Callable, forbidden: int = 0) -> bool:
        nonlocal state, score
        found = search(np.asarray(env.pack(state)), int(state.lives), goal, forbidden)
        if found is None:
            return False
        for action in found[0]:
            state, reward = play(state, jnp.int32(action))
            score += float(reward)
            rooms.add(int(state.room))
        route.extend(found[0])
        name, seconds = pyramid().names[int(state.room)], time.perf_counter() - began
        print(f"{seconds:5.0f} s  {len(route):5d} steps  {score:8,.0f}  {what} in {name}", flush=True)
        return True

    while go("taken", lambda s, r, had=int(state.taken): s.taken & ~had != 0, TREASURE_DOORS):
        pass
    while go("seen", lambda s, r, known=[*rooms]: ~np.isin(s.room, [*known, TREASURE_ROOM]), TREASURE_DOORS):
        pass
    go("treasure", lambda s, r: s.room == TREASURE_ROOM)
    while int(state.level) == 0 and go("gem or next level", lambda s, r: (r > 0) | (s.level > 0)):
        pass
    unseen = [name for room, name in pyramid().names.items() if room not in rooms]
    print(f"level {int(state.level)}, {len(route)} steps, score {score:,.0f}, unseen: {unseen}")

    file = Path(pyramid_route.__file__)
    text = pyramid_route.compact(route)
    lines = "\n".join(f'    "{line}"' for line in re.findall(r".{1,110}(?![0-9])", text))
    file.write_text(re.sub(r"ROUTE = \(.*?\n\)", lambda _: f"ROUTE = (\n{lines}\n)", file.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
