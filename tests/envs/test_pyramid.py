"""Pyramid: every mechanism by a hand-made situation, the drawing's joints, and a route that clears a level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore.envs.grids import pyramid_pictures, pyramid_rules, pyramid_shrunk, pyramid_tables
from purejaxexplore.envs.grids.pyramid import GRACE, Pyramid, PyramidState
from purejaxexplore.envs.grids.pyramid_route import ROUTE, actions
from purejaxexplore.envs.grids.pyramid_rules import ACTIONS, FALL, JUMP, ON_LADDER, ON_ROPE, STAND
from purejaxexplore.envs.grids.pyramid_tables import AMULET, GEM, KEY, SWORD, TORCH, TREASURE_ROOM, pyramid
from purejaxexplore.testing import check_environment

NOOP, FIRE, UP, RIGHT, LEFT, DOWN = range(6)
JUMP_RIGHT, JUMP_LEFT = 11, 12


class Game:
    """Plays single steps, compiled once."""

    def __init__(self):
        self.env = Pyramid()
        self.params = self.env.default_params
        self.start = self.env.reset_env(jax.random.key(0), self.params)[1]
        step = jax.jit(lambda state, action: self.env.step_env(jax.random.key(0), state, action, self.params)[1:4])
        self.step = lambda state, action: jax.device_get(step(state, jnp.int32(action)))

    def at(self, room, row, column, **fields):
        """Standing on a tile, having come in right there."""
        number = 9 * int(room[0]) + int(room[1])
        place = {"room": number, "y": 2 * row + 1, "x": 2 * column, "mode": STAND}
        place |= {"entry": ((2 * row + 1) * 32 + 2 * column) * 8 + fields.get("mode", STAND)} | fields
        return self.start._replace(**{name: jnp.int32(value) for name, value in place.items()})

    def play(self, state, *moves):
        """The states after each move, and the sum of rewards."""
        states, total = [], 0.0
        for action in moves:
            state, reward, _ = self.step(state, action)
            states.append(state)
            total += float(reward)
        return states, total

    def until(self, state, action, stop, limit=100):
        """Repeats a move until ``stop(state)``."""
        total = 0.0
        for _ in range(limit):
            state, reward, _ = self.step(state, action)
            total += float(reward)
            if stop(state):
                return state, total
        raise AssertionError(f"not within {limit} steps: {state}")


@pytest.fixture(scope="module")
def game():
    return Game()


def item(kind):
    """The bits of all items of a kind."""
    return pyramid().masks[kind]


def first_bit(bits):
    return bits & -bits


def tick_when(room, condition):
    """The first time, from 1 on, at which ``condition(word)`` holds in a room at level 0."""
    words = pyramid().ticks.reshape(36, 64)[9 * int(room[0]) + int(room[1])]
    return next(t for t in range(1, 64) if condition(int(words[t])))


def hazard(word, slot=0):
    return word >> 10 * slot & 31, word >> 10 * slot + 5 & 31


def test_the_drawing_is_a_pyramid_whose_rooms_fit():
    world = pyramid()
    places = world.places.reshape(36, 24, 28)
    assert sorted(world.names) == [*range(3, 6), *range(11, 16), *range(19, 26), *range(27, 36)]
    for room in world.names:
        row, column = divmod(room, 9)
        right = places[room + 1, :, 0] & 1 if room + 1 in world.names and column < 8 else np.zeros(24, int)
        if TREASURE_ROOM not in (room, room + 1):
            assert np.array_equal(places[room, :, 26] & 1, right), world.names[room]
        below = places[room + 9, 2] & 4 if row < 3 else np.zeros(28, int)
        assert np.array_equal(places[room, 23] & 4, below), world.names[room]
    kinds = [bin(item(kind)).count("1") for kind in (KEY, SWORD, AMULET, TORCH, GEM, "door")]
    assert kinds == [7, 2, 2, 1, 9, 7]


def test_walking_and_walls(game):
    states, _ = game.play(game.start, RIGHT, RIGHT, LEFT, NOOP)
    assert [int(s.x) for s in states] == [13, 14, 13, 13]
    state, _ = game.until(game.at("04", 10, 7, shield=250), RIGHT, lambda s: s.x == 24)
    assert int(game.play(state, RIGHT)[0][-1].x) == 24  # the wall


def test_ladder(game):
    states, _ = game.play(game.start, *[DOWN] * 12)
    assert [int(s.y) for s in states] == list(range(10, 22))
    assert [int(s.mode) for s in states] == [ON_LADDER] * 11 + [STAND]
    back, _ = game.play(states[5], *[UP] * 6)
    assert (int(back[-1].y), int(back[-1].mode)) == (9, STAND)
    assert int(game.play(states[5], FIRE)[0][-1].mode) == ON_LADDER
    assert int(game.play(states[5], LEFT)[0][-1].x) == 12  # nothing to stand on
    aside = game.play(game.start, RIGHT, DOWN)[0][-1]
    assert (int(aside.y), int(aside.mode)) == (9, STAND)  # not on its column


def test_a_ladder_leads_into_the_room_below_and_back(game):
    above = game.at("03", 10, 10, shield=250)
    below, _ = game.until(above, DOWN, lambda s: s.room == 12)
    assert (int(below.y), int(below.x), int(below.mode)) == (2, 20, ON_LADDER)
    again, _ = game.until(below, UP, lambda s: s.room == 3)
    assert int(again.y) == 23


def test_rope_key_and_ledge(game):
    caught, _ = game.until(game.at("04", 10, 4, mode=JUMP, phase=1), NOOP, lambda s: s.mode == ON_ROPE, 5)
    top, _ = game.until(caught, UP, lambda s: s.y == 17)
    assert int(game.play(top, UP)[0][-1].y) == 17 and int(game.play(top, FIRE)[0][-1].mode) == ON_ROPE
    states, reward = game.play(top, JUMP_LEFT, *[NOOP] * 5)
    assert (int(states[-1].y), int(states[-1].mode), reward) == (15, STAND, 100.0)
    assert int(pyramid_rules.keys(states[-1].taken)) == 1
    state, _ = game.until(game.at("12", 4, 10), JUMP_LEFT, lambda s: s.mode == ON_ROPE, 6)
    assert int(state.x) == 14  # caught in flight


def test_a_jump_is_an_arc_that_cannot_be_steered(game):
    states, _ = game.play(game.start, JUMP_RIGHT, *[LEFT] * 5)
    assert [9 - int(s.y) for s in states] == [2, 3, 3, 3, 2, 0]
    assert [int(s.x) - 12 for s in states] == [1, 2, 3, 4, 5, 5]  # it lands before its last unit
    assert [int(s.mode) for s in states] == [JUMP] * 5 + [STAND]
    # Three tiles of nothing are the most: from the edge of the ladder's tile in the leap.
    over, _ = game.play(game.at("21", 4, 8, x=15), JUMP_LEFT, *[NOOP] * 5)
    assert (int(over[-1].x), int(over[-1].mode)) == (9, STAND)
    short, _ = game.play(game.at("21", 4, 8), JUMP_LEFT, *[NOOP] * 5)
    assert int(short[-1].mode) == FALL


def test_falls(game):
    ledge = game.at("04", 7, 2, taken=item(KEY))
    state, _ = game.until(ledge, RIGHT, lambda s: s.mode == FALL)
    state, _ = game.until(state, NOOP, lambda s: s.mode == STAND)
    assert (int(state.lives), int(state.y)) == (5, 21)  # 24 pixels are safe
    edge = game.at("31", 4, 4)
    state, _ = game.until(edge, RIGHT, lambda s: s.mode == FALL)
    state, _ = game.until(state, NOOP, lambda s: s.mode == STAND)
    assert (int(state.lives), int(state.y), int(state.x)) == (4, 9, 8)  # 48 are not; back at the entry


def test_belts(game):
    on_belt = game.at("26", 10, 7)
    assert [int(game.play(on_belt, move)[0][0].x) for move in (NOOP, RIGHT, LEFT)] == [13, 14, 13]
    burnt, _ = game.until(on_belt, NOOP, lambda s: s.lives == 4)
    assert int(burnt.x) == 14  # it carried the agent into the fire
    assert int(game.play(game.at("36", 10, 2), NOOP)[0][0].x) == 5


def test_skull(game):
    waiting = game.at("04", 10, 9)
    state, _ = game.until(waiting, NOOP, lambda s: s.lives == 4)
    x, y = hazard(int(pyramid().ticks[4 * 64 + int(state.time) % 64]))
    assert abs(x - 18) < 2 and y == 21 and int(state.shield) == GRACE
    # Jumped over: it comes from the left, three units away.
    time = tick_when("04", lambda w: hazard(w)[0] == 14)
    states, _ = game.play(game.at("04", 10, 9, time=time), JUMP_LEFT, *[NOOP] * 5)
    assert [int(s.lives) for s in states] == [5] * 6 and int(states[-1].x) == 13
    assert hazard(int(pyramid().ticks[4 * 64 + int(states[-1].time) % 64]))[0] > 13


def test_light_gates(game):
    lit = tick_when("05", lambda w: w >> pyramid_tables.LIT & 1)
    dark = tick_when("05", lambda w: not w >> pyramid_tables.LIT & 1)
    for time, lives in ((lit, 4), (dark, 5)):
        state, _ = game.play(game.at("05", 4, 5, x=10, time=time - 1), RIGHT)
        assert int(state[-1].lives) == lives
    # The two groups alternate.
    words = pyramid().ticks.reshape(36, 64)[21] >> pyramid_tables.LIT & 3
    assert set(words.tolist()) == {1, 2}


def test_doors_use_up_keys(game):
    before = game.at("04", 4, 1, x=2)
    assert int(game.play(before, LEFT)[0][0].x) == 2
    states, reward = game.play(before._replace(taken=jnp.int32(first_bit(item(KEY)))), LEFT, LEFT, LEFT)
    assert (int(states[-1].room), int(states[-1].x), reward) == (3, 26, 300.0)
    assert int(pyramid_rules.keys(states[-1].taken)) == 0
    back, reward = game.play(states[-1], RIGHT, RIGHT, RIGHT)
    assert (int(back[-1].room), int(back[-1].x), reward) == (4, 2, 0.0)  # it stays open
    other, _ = game.until(back[-1], RIGHT, lambda s: s.x == 24)
    assert int(game.play(other, RIGHT)[0][0].x) == 24  # no key is left for the other


@pytest.mark.parametrize(
    "room, row, column, kind, reward",
    [("03", 4, 2, SWORD, 100), ("05", 4, 10, AMULET, 200), ("27", 4, 11, TORCH, 3000), ("30", 4, 1, GEM, 1000)],
)
def test_items_are_taken_once(game, room, row, column, kind, reward):
    there = game.at(room, row, column, shield=250)
    states, total = game.play(there, RIGHT, RIGHT, LEFT, RIGHT)
    assert total == reward and bin(int(states[-1].taken) & item(kind)).count("1") == 1
    assert (int(states[0].shield) == 249) or kind == AMULET


def test_the_torch_lights_the_bottom_row(game):
    draw = jax.jit(lambda state: pyramid_pictures.frame(state))
    dark = np.asarray(draw(game.at("30", 10, 8)))[12:]
    lit = np.asarray(draw(game.at("30", 10, 8, taken=item(TORCH))))[12:]
    nothing = dark.min()
    seen = np.argwhere(dark != nothing)
    assert (seen.min(0) >= (57, 48)).all() and (seen.max(0) < (66, 54)).all()  # the agent alone
    assert (lit != nothing).mean() > 0.3
    observe = jax.jit(game.env.get_obs)
    creatures = [np.asarray(observe(game.at("30", 10, 8, taken=taken)))[-12:-9] for taken in (0, item(TORCH))]
    assert not creatures[0].any() and creatures[1][0] == 1
    again, _ = game.play(game.at("30", 10, 8), LEFT)
    assert int(again[0].x) == 15  # one can walk in the dark


def test_a_sword_kills_one_creature(game):
    time = tick_when("03", lambda w: hazard(w)[1] >= 20) - 1
    below = game.at("03", 10, 10, time=time)
    (state,), reward = game.play(below, NOOP)
    assert (int(state.lives), reward) == (4, 0.0)
    (state,), reward = game.play(below._replace(taken=jnp.int32(first_bit(item(SWORD)))), NOOP)
    assert (int(state.lives), reward) == (5, 3000.0)
    assert int(pyramid_rules.swords(state.taken, state.slain)) == 0
    later, reward = game.play(state, *[NOOP] * 64)
    assert (int(later[-1].lives), reward) == (5, 0.0)  # it is gone
    (state,), reward = game.play(state._replace(room=jnp.int32(22), x=jnp.int32(12), time=jnp.int32(0)), NOOP)
    skull, reward = game.until(
        game.at("04", 10, 9, taken=first_bit(item(SWORD))), NOOP, lambda s: s.slain != 0
    )
    assert reward == 2000.0 and int(skull.lives) == 5


def test_the_amulet_protects_for_a_while(game):
    taken, _ = game.play(game.at("05", 4, 10), RIGHT)
    assert int(taken[0].shield) == 100
    states, _ = game.play(game.at("04", 10, 9, shield=100), *[NOOP] * 99)
    assert all(int(s.lives) == 5 for s in states) and int(states[-1].shield) == 1
    assert int(game.until(states[-1], NOOP, lambda s: s.lives == 4)[0].lives) == 4
    fire, _ = game.play(game.at("24", 10, 2, shield=100), RIGHT)
    assert int(fire[0].lives) == 4  # against creatures only


def test_lives_end_the_episode(game):
    state, total = game.at("24", 10, 2, lives=2), 0
    for expected in (False, True):
        state, reward, terminated = game.step(state, RIGHT)
        assert bool(terminated) == expected and bool(game.env.is_terminated(state, None)) == expected
        total += float(reward)
    assert int(state.lives) == 0 and total == 0


def test_the_treasure_room_loops_and_leads_to_the_next_level(game):
    gem = first_bit(pyramid().treasure)
    door = game.at("33", 10, 13, taken=pyramid().masks["door"] | item(KEY))
    (inside,), _ = game.play(door, RIGHT)
    assert (int(inside.room), int(inside.x), int(inside.bonus)) == (TREASURE_ROOM, 0, 100)
    lap, reward = game.until(inside, RIGHT, lambda s: s.x == 26)
    assert reward == 2000.0  # two lie on the floor
    (round_again,), _ = game.play(lap, RIGHT)
    assert (int(round_again.room), int(round_again.x)) == (TREASURE_ROOM, 0)
    assert int(round_again.taken) & pyramid().treasure == 0 and int(lap.taken) & ~gem
    _, second = game.until(round_again, RIGHT, lambda s: s.x == 26)
    assert second == 2000.0
    state = inside
    for step in range(100):
        state, _, terminated = game.step(state, NOOP)
        assert int(state.level) == (step == 99) and not terminated
    assert [int(getattr(state, n)) for n in ("room", "y", "x", "taken", "bonus", "lives")] == [4, 9, 12, 0, 0, 5]


def test_later_levels_are_faster(game):
    times = jnp.arange(64)
    words = [np.asarray(pyramid_rules.room_now(jnp.int32(4), jnp.int32(level), times)) for level in (0, 1, 2, 9)]
    x = [np.abs(np.diff([hazard(int(word))[0] for word in row])).sum() for row in words]
    assert x[1] / x[0] == pytest.approx(1.5, abs=0.1) and x[2] / x[0] == pytest.approx(2, abs=0.1) and x[3] == x[2]


def test_pack(game):
    top = {name: 255 for name in PyramidState._fields} | {"taken": 2**31 - 1, "slain": -5, "time": 65_535, "drift": -1}
    state = PyramidState(**{name: jnp.int32(value) for name, value in top.items()})
    packed = game.env.pack(state)
    assert packed.dtype == jnp.uint8 and packed.nbytes <= 64
    assert jax.tree.map(int, game.env.unpack(packed)) == jax.tree.map(int, state)


@pytest.mark.parametrize(
    "observation", ["frame", *(pytest.param(name, marks=pytest.mark.slow) for name in ("symbolic", "small"))]
)
def test_contract(observation):
    env = Pyramid(observation)
    check_environment(env, env.default_params, num_steps=6, eager=observation == "symbolic")


def test_a_route_clears_a_level_and_sees_every_room(game):
    def step(state, action):
        _, state, reward, _, _ = game.env.step_env(jax.random.key(0), state, action, game.params)
        return state, (state, reward)

    moves = actions(ROUTE)
    end, (states, rewards) = jax.jit(lambda state: jax.lax.scan(step, state, jnp.asarray(moves)))(game.start)
    assert len(moves) < game.params.max_steps_in_episode
    assert (int(end.level), int(end.lives)) == (1, 5)
    assert set(np.asarray(states.room).tolist()) == set(pyramid().names)
    carried = int(np.asarray(states.taken)[np.asarray(states.level) == 0][-1]) | pyramid().treasure
    everything = sum(item(kind) for kind in (KEY, SWORD, AMULET, TORCH, GEM, "door"))
    assert carried == everything
    assert float(rewards.sum()) > 10_000


def test_a_random_policy_scores_about_nothing(game):
    step = jax.vmap(lambda s, a: game.env._advance(s, a, game.params)[:2])

    @jax.jit
    def run(state, moves):
        return jax.lax.scan(lambda s, a: step(s, a), state, moves)[1]

    states = jax.tree.map(lambda leaf: jnp.tile(leaf, 64), game.start)
    rewards = run(states, jax.random.randint(jax.random.key(1), (2000, 64), 0, len(ACTIONS)))
    assert (rewards.sum(0) > 0).mean() < 0.05


def test_maps(game):
    env = game.env
    ids = np.arange(env.num_states)
    background = env.map_background()
    assert background.shape == (288, 756, 3) and background.dtype == np.uint8
    spread = np.asarray(env.position_map(1.0 + ids))
    assert spread.shape == (48, 126) and (spread > 0).sum() == env.num_states
    state = game.at("23", 4, 11)
    assert spread[2 * 12 + 4, 3 * 14 + 11] == 1 + int(env.state_id(state))
    visited = np.zeros((2, env.num_states), bool)
    visited[1, int(env.state_id(state))] = True
    assert env.rooms_visited(visited).sum(-1).tolist() == [0, 1]
    cell = np.asarray(env.cell_key(state._replace(taken=jnp.int32(item(TORCH) | first_bit(item(KEY))))))
    assert cell.tolist() == [0, int(env.state_id(state)), 17]


def test_pictures_show_what_is_there(game):
    draw = jax.jit(game.env.render)
    picture = np.asarray(draw(game.start))
    assert picture.shape == (336, 336, 3) and picture.dtype == np.uint8

    def changed(after):
        difference = (np.asarray(draw(after)) != picture).any(-1).reshape(14, 24, 14, 24).any((1, 3))
        return set(map(tuple, np.argwhere(difference).tolist()))

    key = game.start._replace(taken=jnp.int32(first_bit(item(KEY))))
    assert changed(key) == {(0, 4), (1, 4), (9, 2)}  # from its place into the hand
    opened = game.start._replace(taken=jnp.int32(first_bit(item(KEY)) | first_bit(item("door"))))
    assert {(5, 0), (6, 0), (9, 2)} <= changed(opened)
    assert changed(game.start._replace(slain=jnp.int32(1 << 2))) == {(12, 5)}
    assert changed(game.start._replace(x=jnp.int32(16))) <= {(row, column) for row in (4, 5, 6) for column in (6, 8)}


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="observation='image'.*symbolic, frame"):
        Pyramid(observation="image")


@pytest.mark.slow
def test_shrunk_pictures_equal_the_shrunk_frame(game):
    """Along the route, and wandering off it from everywhere with a shield: creatures behind the agent, darkness."""

    def step(state, action):
        state = game.env.step_env(jax.random.key(0), state, action, game.params)[1]
        return state, state

    moves = jnp.asarray(actions(ROUTE))
    route = jax.jit(lambda state: jax.lax.scan(step, state, moves))(game.start)[1]
    some = jax.tree.map(lambda leaf: leaf[::9], route)
    some = some._replace(shield=jnp.full_like(some.shield, 200), lives=jnp.arange(len(some.lives)) % 7)
    wander = jax.random.randint(jax.random.key(3), (25, len(some.room)), 0, len(ACTIONS))
    walk = jax.jit(lambda state: jax.lax.scan(lambda s, a: (jax.vmap(step)(s, a)[0], None), state, wander)[0])
    states = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), some, walk(some))
    rows, columns = (np.random.default_rng(0).random((size, 84), np.float32) for size in (3, 5))
    draw = jax.jit(jax.vmap(lambda s: (pyramid_pictures.frame(s), game.env.shrinking(rows, columns)(s))))
    frames, shrunk = (np.asarray(x, np.float64) for x in draw(states))
    np.testing.assert_allclose(shrunk, rows @ frames @ columns.T, rtol=1e-5)
    assert len(np.unique(states.room)) == 24


@pytest.mark.slow
def test_small_pictures_are_made_anew_by_every_program(game):
    """What they keep between programs is no part of one."""
    pyramid_shrunk.small.cache_clear()
    env = Pyramid("small")
    first, second = (np.asarray(jax.jit(lambda state, n=n: n * env.get_obs(state))(game.start)) for n in (1, 2))
    assert first.shape == (14, 14, 1) and 0 <= first.min() < first.max() <= 1
    np.testing.assert_array_equal(2 * first, second)


def test_the_creatures_of_a_room_never_overlap():
    for words in pyramid().ticks.reshape(36, 64):
        x, y, other_x, other_y = (words >> 5 * i & 31 for i in range(4))
        assert not ((abs(x - other_x) < 2) & (abs(y - other_y) < 2) & (y != pyramid_tables.NOWHERE)).any()
