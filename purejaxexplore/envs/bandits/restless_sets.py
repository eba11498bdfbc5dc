"""The problems of the coRMAB paper: who can be visited, helped or reached together.

Xu, Wilder, Khalil and Tambe (2025), "Reinforcement learning with combinatorial actions for coupled restless bandits",
with the numbers of the authors' code. All but the interventions share the base arm: four states; pushed it moves up
with a chance in [0.7, 0.9], left alone in [0, 0.2]. B arms pay 0.2, 0.15, 0.1 and 4, 5 or 6 at the top, the others 0.1,
0.15, 0.2 and 1, 2 or 3: on the way to the best tops the reward *falls*, which a myopic policy does not cross. Every
function gives the table of actions, which is the same for all instances, and a function that draws an instance from a
key and says which actions it allows. The tables are exact and complete, so the best action under any score is a
maximum over rows; they suit some ten arms. With ``table=False`` there is none, and the number of arms is not limited:
there the problem's oracle says of one action whether it is allowed (:mod:`purejaxexplore.bandits.set_search`).
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purejaxexplore.checks import require_at_least
from purejaxexplore.envs.bandits.restless import RestlessArms
from purejaxexplore.envs.bandits.restless_oracles import fillings, packs, served, trip

_LARGEST_TABLE = 2**18
_SLOTS, _ARM_SLOTS, _WORKER_SLOTS = 5, 2, 3
_COSTS, _MOST_ROOM = (2, 3, 4, 5, 6), 7
_SHARED = 3
"""Actions of a group, and arms that they push together."""


class RestlessProblem(NamedTuple):
    """Attributes:
    actions: bool[F, N], the empty one first; None where there is no table.
    draw: ``key -> RestlessArms``.
    feasible: ``(arms, action bool[N]) -> bool[]``, the oracle.
    num_chosen: parts of the largest action, at most.
    """

    actions: np.ndarray | None
    draw: Callable[[jax.Array], RestlessArms]
    feasible: Callable[[RestlessArms, jax.Array], jax.Array]
    num_chosen: int


def subsets(size: int, most: int) -> np.ndarray:
    """bool[F, size], all sets of at most ``most`` of ``size`` things, the empty one first.

    Raises:
        ValueError: a size is out of range, or there are more than 2^18 sets.
    """
    _require_sizes(size, most)
    if (rows := sum(math.comb(size, k) for k in range(most + 1))) > _LARGEST_TABLE:
        raise ValueError(f"size={size}, most={most}: {rows} sets, expected at most {_LARGEST_TABLE}")
    table = np.zeros((rows, size), bool)
    chosen = itertools.chain.from_iterable(itertools.combinations(range(size), k) for k in range(most + 1))
    for row, members in zip(table, chosen, strict=True):
        row[list(members)] = True
    return table


def _require_sizes(size, most):
    require_at_least(2, size=size)
    require_at_least(1, most=most)
    if most > size:
        raise ValueError(f"most={most}: expected at most size={size}")


def _table(size, most, wanted):
    """The table of a problem, or None where none is wanted."""
    _require_sizes(size, most)
    return subsets(size, most) if wanted else None


def draw_rewards(key: jax.Array, num_arms: int, num_good: int) -> jax.Array:
    """f32[J, 4], of the base arms; the first ``num_good`` are the good ones."""
    good = jnp.arange(num_arms) < num_good
    top = jax.random.randint(key, (num_arms,), 1, 4) + jnp.where(good, 3, 0)
    below = jnp.where(good[:, None], jnp.array([0.2, 0.15, 0.1]), jnp.array([0.1, 0.15, 0.2]))
    return jnp.concatenate([below, top[:, None].astype(jnp.float32)], axis=1)


def _base_arms(key, num_arms, num_good, allowed, rules=()):
    """Arms that are pushed one by one, in random order."""
    key_reward, key_rest, key_push, key_order = jax.random.split(key, 4)
    rest = 0.2 * jax.random.uniform(key_rest, (num_arms,))
    push = 0.7 + 0.2 * jax.random.uniform(key_push, (num_arms,))
    rewards = jax.random.permutation(key_order, draw_rewards(key_reward, num_arms, num_good))
    return RestlessArms(rewards, jnp.eye(num_arms, dtype=bool), jnp.stack([rest, push], axis=1), allowed, rules)


def _all_rows(actions):
    """bool[F], of a problem that allows every row of its table; of length 0 without one."""
    return jnp.ones(0 if actions is None else len(actions), bool)


def restless_budget(num_arms: int = 20, num_pulls: int = 5, *, table: bool = True) -> RestlessProblem:
    """Any B arms of J: the restless bandit without other coupling.

    Raises:
        ValueError: a size is out of range, or the table would have more than 2^18 rows.
    """
    actions = _table(num_arms, num_pulls, table)

    def draw(key):
        return _base_arms(key, num_arms, num_pulls, _all_rows(actions))

    return RestlessProblem(actions, draw, lambda arms, action: action.sum() <= num_pulls, num_pulls)


def restless_interventions(
    num_arms: int = 20, num_actions: int = 10, num_chosen: int = 5, *, table: bool = True
) -> RestlessProblem:
    """B of N interventions, each of which pushes three arms, by a sigmoid of how many push the same.

    With c of its links pushed an arm moves up with chance ``0.98 a (s(3 b c - x0) - s(-x0)) + 0.01``, s the logistic
    function. Of B interventions every three share their three arms, those left over have three arms each, and so have
    the N - B others. The arms of the first kind, the last ``J - ceil(J B / N)``, have a in [0.7, 1], b in [1.4, 1.9]
    and x0 9 or 10: one push is as good as none, two or three together nearly certain. The others have a in [0.2, 0.5],
    b = 1 and x0 1 or 2. As in the authors' code it is the first B arms that pay well at the top.

    Raises:
        ValueError: a size is out of range, or too few arms for the interventions.
    """
    actions = _table(num_actions, num_chosen, table)
    if num_chosen >= num_actions:
        raise ValueError(f"num_chosen={num_chosen}: expected fewer than num_actions={num_actions}")
    num_weak = -(-num_arms * num_chosen // num_actions)
    groups = []  # (first action, last action + 1, first arm), in the order of a shuffled list of each
    for offset, count, arm, arms_left in (
        (0, num_chosen, num_weak, num_arms - num_weak),
        (num_chosen, num_actions - num_chosen, 0, num_weak),
    ):
        whole = count - count % _SHARED
        parts = [(i, i + _SHARED) for i in range(0, whole, _SHARED)] + [(i, i + 1) for i in range(whole, count)]
        if len(parts) * _SHARED > arms_left:
            raise ValueError(f"num_arms={num_arms}: {arms_left} of one kind, expected {len(parts) * _SHARED}")
        groups += [(offset + i, offset + j, arm + _SHARED * n) for n, (i, j) in enumerate(parts)]
    pattern = np.zeros((num_arms, num_actions), bool)
    for first, last, arm in groups:
        pattern[arm : arm + _SHARED, first:last] = True
    strong = np.arange(num_arms) >= num_weak

    def draw(key):
        key_reward, key_a, key_b, key_x, key_weak, key_strong, key_action = jax.random.split(key, 7)
        a = jnp.where(strong, 0.7, 0.2) + 0.3 * jax.random.uniform(key_a, (num_arms,))
        b = jnp.where(strong, 1.4 + 0.5 * jax.random.uniform(key_b, (num_arms,)), 1.0)
        x0 = jnp.where(strong, 9, 1) + jax.random.randint(key_x, (num_arms,), 0, 2)
        pushes = _SHARED * jnp.arange(_SHARED + 1.0)
        lift = jax.nn.sigmoid(b[:, None] * pushes - x0[:, None]) - jax.nn.sigmoid(-x0[:, None].astype(jnp.float32))
        order = jnp.concatenate([
            jax.random.permutation(key_weak, num_weak),
            num_weak + jax.random.permutation(key_strong, num_arms - num_weak),
        ])  # fmt: skip
        links = jnp.asarray(pattern)[order][:, jax.random.permutation(key_action, num_actions)]
        rewards = draw_rewards(key_reward, num_arms, num_chosen)
        return RestlessArms(rewards, links, 0.98 * a[:, None] * lift + 0.01, _all_rows(actions))

    return RestlessProblem(actions, draw, lambda arms, action: action.sum() <= num_chosen, num_chosen)


def restless_schedule(num_arms: int = 20, num_workers: int = 5, *, table: bool = True) -> RestlessProblem:
    """At most B arms, each of which needs two hours of a worker in slots of its own.

    Of five slots an arm is free in two and a worker in three, and a worker serves one arm a slot; free slots are drawn
    without replacement with random chances that rise over the day for arms and fall for workers. A set of arms can be
    served if and only if no set of slots is asked for more hours, by arms that are free in no other, than there are
    workers free in it (Hall's theorem).

    Raises:
        ValueError: a size is out of range, or the table would have more than 2^18 rows.
    """
    actions = _table(num_arms, num_workers, table)
    slots = subsets(_SLOTS, _SLOTS)

    def free(key_chance, key_draw, count, number, falling):
        chance = jnp.sort(jax.random.uniform(key_chance, (_SLOTS,)), descending=falling)
        gumbel = jax.random.gumbel(key_draw, (count, _SLOTS))
        best = jax.lax.top_k(jnp.log(chance) + gumbel, number)[1]
        return jnp.zeros((count, _SLOTS), bool).at[jnp.arange(count)[:, None], best].set(True)

    def draw(key):
        key_arms, *keys = jax.random.split(key, 5)
        arms_free = free(keys[0], keys[1], num_arms, _ARM_SLOTS, False)
        workers_free = free(keys[2], keys[3], num_workers, _WORKER_SLOTS, True)
        rules = hours_asked(slots, arms_free, workers_free)
        allowed = _all_rows(None) if actions is None else servable(actions, slots, arms_free, workers_free)
        return _base_arms(key_arms, num_arms, num_workers, allowed, rules)

    def feasible(arms, action):
        return (action.sum() <= num_workers) & served(action, *arms.rules)

    return RestlessProblem(actions, draw, feasible, num_workers)


def servable(actions, slots, arms_free, workers_free) -> jax.Array:
    """bool[F], which sets of arms bool[F, J] can be served twice each.

    Args:
        actions: bool[F, J].
        slots: bool[2^T, T], all sets of the T slots.
        arms_free: bool[J, T].
        workers_free: bool[W, T].
    """
    asked, hours = hours_asked(slots, arms_free, workers_free)
    return (jnp.asarray(actions, jnp.float32) @ asked <= hours).all(-1)


def hours_asked(slots, arms_free, workers_free) -> tuple[jax.Array, jax.Array]:
    """``(f32[J, 2^T], f32[2^T])``, what each arm asks for in a set of slots and can have nowhere else; the set's hours.

    Args:
        slots, arms_free, workers_free: as for :func:`servable`.
    """
    hours = jnp.asarray(slots, jnp.float32) @ workers_free.sum(0)
    nowhere_else = ~(arms_free[:, None, :] & ~jnp.asarray(slots)).any(-1)
    return 2 * nowhere_else.astype(jnp.float32), hours


def restless_capacity(num_arms: int = 12, num_workers: int = 3, *, table: bool = True) -> RestlessProblem:
    """Any arms that the workers can carry: costs 2 to 6, capacities 2 to 7, an arm is served by one worker.

    As many arms pay well at the top as there are workers. The table has all ``2^J`` sets.

    Raises:
        ValueError: a size is out of range, or the table would have more than 2^18 rows.
    """
    require_at_least(1, num_workers=num_workers)
    actions = _table(num_arms, num_arms, table)
    held = fillings(_COSTS, _MOST_ROOM)

    def draw(key):
        key_arms, key_costs, key_room = jax.random.split(key, 3)
        costs = jax.random.randint(key_costs, (num_arms,), _COSTS[0], _COSTS[-1] + 1)
        room = jax.random.randint(key_room, (num_workers,), _COSTS[0], _MOST_ROOM + 1)
        allowed = _all_rows(None) if actions is None else packable(actions, costs, room)
        return _base_arms(key_arms, num_arms, num_workers, allowed, (costs, room))

    def feasible(arms, action):
        costs, room = arms.rules
        kinds = (action[:, None] & (costs[:, None] == jnp.array(_COSTS))).sum(0)
        return packs(kinds, room, _COSTS, held)

    return RestlessProblem(actions, draw, feasible, num_arms)


def packable(actions: np.ndarray, costs: jax.Array, room: jax.Array) -> jax.Array:
    """bool[F], which of all ``2^J`` sets bool[F, J] fit into bins of ``room`` i32[W]; costs i32[J], whole numbers >= 1.

    Dynamic programming over sets: how far, bin after bin in their order, the bins must be filled to hold a set,
    ``(bin, filled)`` in lexicographic order; the arm put in last is one of the set, and the rest a smaller set.
    """
    F, J = actions.shape
    rank = np.empty(F, np.int32)
    code = actions @ (1 << np.arange(J))
    rank[code] = np.arange(F)
    without = rank[np.where(actions, code[:, None] - (1 << np.arange(J)), 0)]  # i32[F, J], the row without an arm
    sizes = actions.sum(1)
    W = room.shape[0]
    below = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(room)])  # all room up to each bin
    never = below[-1] + 1

    def put(filled, cost):
        """Where the bins, filled up to ``filled`` in their order, stand after a thing of ``cost`` more."""
        start = jnp.maximum(filled[..., None], below[:W])  # begin in this bin, or in a later empty one
        end = start + cost[..., None]
        return jnp.where((end <= below[1:]) & (filled[..., None] < never), end, never).min(-1)

    filled = jnp.zeros(F, jnp.int32)
    for size in range(1, J + 1):
        rows = np.flatnonzero(sizes == size)
        ends_at = put(filled[without[rows]], jnp.broadcast_to(costs, (rows.size, J)))
        filled = filled.at[rows].set(jnp.where(jnp.asarray(actions[rows]), ends_at, never).min(-1))
    return filled < never


def restless_path(rows: int = 4, columns: int = 5, num_pulls: int = 5, *, table: bool = True) -> RestlessProblem:
    """At most B arms on a grid, all on one closed walk of 2 B steps from a corner.

    The paper walks on parts of the London underground; a grid takes their place. A set can be pulled if and only if
    the shortest round trip through it has at most 2 B steps: the steps left over go back and forth.

    Raises:
        ValueError: a size is out of range, or the table would have more than 2^18 rows.
    """
    require_at_least(1, rows=rows, columns=columns)
    sets = _table(rows * columns, num_pulls, table)
    places = np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)
    distance = np.abs(places[:, None] - places).sum(-1)
    actions = None if sets is None else sets[round_trips(sets, distance) <= 2 * num_pulls]

    def draw(key):
        return _base_arms(key, rows * columns, num_pulls, _all_rows(actions))

    def feasible(arms, action):
        return (action.sum() <= num_pulls) & (trip(action, jnp.asarray(distance), num_pulls) <= 2 * num_pulls)

    return RestlessProblem(actions, draw, feasible, num_pulls)


def round_trips(sets: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """i64[F], the length of the shortest tour from place 0 through every set bool[F, J]; all orders are tried."""
    lengths = np.zeros(len(sets), int)
    for size in range(1, sets.sum(1).max() + 1):
        rows = np.flatnonzero(sets.sum(1) == size)
        members = np.nonzero(sets[rows])[1].reshape(-1, size)
        best = np.full(rows.size, np.iinfo(int).max)
        for order in itertools.permutations(range(size)):
            stops = members[:, list(order)]
            tour = distance[0, stops[:, 0]] + distance[stops[:, -1], 0]
            tour = tour + distance[stops[:, :-1], stops[:, 1:]].sum(1)
            best = np.minimum(best, tour)
        lengths[rows] = best
    return lengths
