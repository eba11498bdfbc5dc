"""Semi-bandits over tables of sets, and bandits on an interval: worlds, decisions by hand, contracts, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purejaxexplore import bandits as b
from purejaxexplore import make_train
from purejaxexplore.bandits.lipschitz import best_number_of_points
from purejaxexplore.blocks.arms import new_arms, see
from purejaxexplore.envs import bandits as worlds
from purejaxexplore.envs.bandits.world import Feedback, Observation
from purejaxexplore.testing import check_algorithm, check_policy

PATHS = worlds.grid_paths(3, 2)
PATH_WORLD = worlds.combinatorial(np.linspace(0.1, 0.9, 7), PATHS)
SEMI = worlds.bernoulli((0.2, 0.5, 0.8, 0.4), feedback="semi", num_chosen=2)
TENT = worlds.peaked(horizon=200)
ZOOM = b.ZoomingConfig(200, lipschitz=5.0, capacity=12, resolution=33)


def ucb_on_grid(spec):
    return b.discretised(spec, 4, lambda arms: b.ucb1(arms, b.UCB1Config()))


def exp3_on_paths(spec):
    return b.sets_as_arms(spec, PATHS, lambda arms: b.exp3(arms, b.ExponentialConfig(200)))


@pytest.mark.parametrize(
    ("policy", "world"),
    [
        (b.comb_ucb1(SEMI.spec, b.CombUCBConfig()), SEMI),
        (b.comb_ucb1(PATH_WORLD.spec, b.CombUCBConfig(), PATHS), PATH_WORLD),
        (b.zooming(TENT.spec, ZOOM), TENT),
        (ucb_on_grid(TENT.spec), TENT),
        (exp3_on_paths(PATH_WORLD.spec), PATH_WORLD),
    ],
    ids=["any two arms", "paths", "zooming", "grid", "paths as arms"],
)
def test_no_policy_uses_what_it_has_not_seen(policy, world):
    check_policy(policy, world, num_pulls=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "world"),
    [(b.comb_ucb1(PATH_WORLD.spec, b.CombUCBConfig(), PATHS), PATH_WORLD), (b.zooming(TENT.spec, ZOOM), TENT)],
)
def test_contract(policy, world):
    check_algorithm(b.bandit(policy, world, pulls=3), num_steps=2)


def test_paths_of_a_small_grid():
    """Three rows, two columns: streets to the right 0, 1, 2 by row, then down 3 (left), 4 (right), 5, 6."""
    assert {tuple(np.flatnonzero(path).tolist()) for path in PATHS} == {(0, 4, 6), (1, 3, 6), (2, 3, 5)}
    assert worlds.grid_paths(5, 5).shape == (70, 40)
    assert (worlds.grid_paths(5, 5).sum(1) == 8).all()


def test_sets_pay_all_their_arms_and_are_compared_with_the_best_set():
    means = np.linspace(0.1, 0.9, 7)
    state = PATH_WORLD.reset(jax.random.key(0))
    _, feedback, regret = PATH_WORLD.step(jnp.zeros(7), state, jnp.asarray(PATHS[0]))  # every arm pays at 0
    assert float(feedback.reward) == 3.0 and np.array_equal(feedback.seen, PATHS[0])
    assert float(regret) == pytest.approx((PATHS @ means).max() - PATHS[0] @ means, abs=1e-6)


def test_choices_have_the_largest_sum_of_bounds():
    rng = np.random.default_rng(0)
    arms, t = new_arms(7), 20
    for _ in range(3):
        seen = rng.random(7) < 0.8
        arms = see(arms, jnp.array(seen), jnp.array(rng.random(7), jnp.float32))
    n, mean = np.asarray(arms.n), np.asarray(arms.mean)
    bound = np.where(n > 0, mean + np.sqrt(1.5 * np.log(t + 1) / np.maximum(n, 1)), 1e6)
    observation = Observation(jnp.zeros((7, 0)), jnp.ones(7, bool), jnp.int32(t))
    chosen, _ = b.comb_ucb1(PATH_WORLD.spec, b.CombUCBConfig(), PATHS).act((), arms, observation)
    assert PATHS[(PATHS @ bound).argmax()] @ bound == pytest.approx(np.asarray(chosen) @ bound, rel=1e-6)
    free = worlds.bernoulli((0.5,) * 7, feedback="semi", num_chosen=3)
    chosen, _ = b.comb_ucb1(free.spec, b.CombUCBConfig()).act((), arms, observation)
    np.testing.assert_allclose(np.sort(bound[np.asarray(chosen)]), np.sort(bound)[-3:])


def test_with_one_arm_a_set_it_is_ucb1():
    """Both see the same values, and play the same arms."""
    single = worlds.bernoulli((0.3, 0.6, 0.5), feedback="semi")
    sets, plain = (
        b.comb_ucb1(single.spec, b.CombUCBConfig()),
        b.ucb1(worlds.bernoulli((0.3, 0.6, 0.5)).spec, b.UCB1Config(1.5)),
    )
    values = np.random.default_rng(0).random((40, 3)).astype(np.float32)

    def pull(states, inputs):
        t, value = inputs
        observation = Observation(jnp.zeros((3, 0)), jnp.ones(3, bool), t)
        mask, aux = sets.act((), states[0], observation)
        arm, own = plain.act((), states[1], observation)

        def shown(seen):
            return Feedback(jnp.where(seen, value, jnp.nan), seen, value[0], jnp.zeros(0), jnp.bool_(False))

        after = sets.update(states[0], observation, mask, shown(mask), aux)
        return (after, plain.update(states[1], observation, arm, shown(jnp.arange(3) == arm), own)), (
            mask.argmax(),
            arm,
        )

    first, second = jax.lax.scan(pull, (sets.init(None), plain.init(None)), (jnp.arange(40), values))[1]
    np.testing.assert_array_equal(first, second)


def test_a_set_as_an_arm_is_known_by_its_reward_alone():
    policy = b.sets_as_arms(PATH_WORLD.spec, PATHS, lambda arms: b.ucb1(arms, b.UCB1Config()))
    state = policy.init(None)
    for t, rewards in enumerate(([1, 1, 0], [1, 0, 0], [0, 0, 0])):
        observation = PATH_WORLD.observe(PATH_WORLD.reset(jax.random.key(0)))._replace(t=jnp.int32(t))
        action, aux = policy.act((), state, observation)
        seen = np.asarray(action)
        np.testing.assert_array_equal(seen, PATHS[t])  # each once first
        value = np.full(7, np.nan, np.float32)
        value[seen] = rewards
        feedback = Feedback(
            jnp.array(value), action, jnp.float32(sum(rewards)), jnp.zeros(0), jnp.bool_(False)
        )
        state = policy.update(state, observation, action, feedback, aux)
    np.testing.assert_allclose(state.mean, [2 / 3, 1 / 3, 0], rtol=1e-6)
    np.testing.assert_array_equal(policy.recommend(state), PATHS[0])


def test_zooming_covers_and_plays_as_defined():
    world, pulls, lipschitz = worlds.peaked(width=0.2), 120, 2.5
    config = b.ZoomingConfig(pulls, lipschitz=lipschitz, scale=0.2, capacity=40, resolution=33)
    policy = b.zooming(world.spec, config)

    def pull(carry, uniform):
        place, state = carry
        observation = world.observe(place)
        action, aux = policy.act((), state, observation)
        place, feedback, _ = world.step(uniform, place, action)
        return (place, policy.update(state, observation, action, feedback, aux)), (action[0], feedback.reward)

    start = world.reset(jax.random.key(0)), policy.init(None)
    action, reward = jax.tree.map(
        np.asarray, jax.jit(lambda: jax.lax.scan(pull, start, world.noise(jax.random.key(1), pulls))[1])()
    )
    grid = (np.arange(33) + 0.5) / 33
    active: dict[float, list[float]] = {}

    def radius(rewards):
        return 0.2 * np.sqrt(2 * np.log(pulls) / (len(rewards) + 1))

    for x, r in zip(action.tolist(), reward.tolist(), strict=True):
        covered = np.zeros(33, bool)
        for point, rewards in active.items():
            covered |= np.abs(grid - point) <= radius(rewards) / lipschitz + 1e-6
        if not covered.all():
            active[float(np.float32(grid[covered.argmin()]))] = []
        bound = {
            point: (np.mean(rewards) if rewards else 0) + 2 * radius(rewards) for point, rewards in active.items()
        }
        nearest = min(active, key=lambda point: abs(point - x))
        assert abs(nearest - x) < 1e-5 and bound[nearest] >= max(bound.values()) - 1e-4
        active[nearest].append(r)
    assert len(active) > 3


def test_a_tent_pays_as_drawn():
    world = worlds.peaked(top=0.8, width=0.1, base=0.2)
    state = world.reset(jax.random.key(4))
    peak = float(state.instance)
    for x, mean in ((peak, 0.8), (peak + 0.05, 0.5), (peak - 0.3, 0.2), (peak + 0.3, 0.2)):
        _, feedback, regret = world.step(jnp.float32(0.4999), state, jnp.array([x], jnp.float32))
        assert float(regret) == pytest.approx(float(state.best) - mean, abs=2e-3)
        assert float(feedback.reward) == (mean >= 0.4999)
    assert float(state.best) == pytest.approx(0.8, abs=2e-3)
    assert best_number_of_points(10_000, 5.0) == 31


@pytest.mark.slow
def test_zooming_beats_the_even_grid_on_a_tent():
    world, horizon = worlds.peaked(horizon=4000), 4000
    policies = {
        "zooming": b.zooming(world.spec, b.ZoomingConfig(horizon, lipschitz=5.0, scale=0.3)),
        "grid": b.discretised(
            world.spec, best_number_of_points(horizon, 5.0), lambda spec: b.ucb1(spec, b.UCB1Config(0.5))
        ),
    }
    keys = jax.random.split(jax.random.key(0), 20)
    regret = {
        name: float(
            jax.jit(jax.vmap(make_train(b.bandit(policy, world, pulls=horizon), 1)))(keys)[1]["regret"].mean()
        )
        for name, policy in policies.items()
    }
    assert regret["zooming"] < regret["grid"] < 0.35 * horizon


def test_bad_input_is_refused():
    table = np.ones((2, 4), bool)
    for message, make in {
        "action='index'": lambda: b.comb_ucb1(worlds.bernoulli((0.1, 0.2)).spec, b.CombUCBConfig()),
        "alpha=-1.0": lambda: b.comb_ucb1(SEMI.spec, b.CombUCBConfig(-1.0)),
        r"expected bool of \(F, 4\)": lambda: b.comb_ucb1(SEMI.spec, b.CombUCBConfig(), PATHS),
        "expected at most 2": lambda: b.comb_ucb1(SEMI.spec, b.CombUCBConfig(), table),
        "with an arm in every set": lambda: worlds.combinatorial((0.1, 0.2), np.zeros((1, 2), bool)),
        "one column for each arm": lambda: worlds.combinatorial((0.1, 0.2), table),
        "expected at most 2 ": lambda: b.sets_as_arms(SEMI.spec, table, b.imed),
        "expected one of mask": lambda: b.sets_as_arms(TENT.spec, table, b.imed),
        "rows=1": lambda: worlds.grid_paths(1, 3),
        "chooses a point": lambda: b.zooming(SEMI.spec, ZOOM),
        "lipschitz=0.0": lambda: b.zooming(TENT.spec, b.ZoomingConfig(100, lipschitz=0.0)),
        "horizon=1": lambda: b.zooming(TENT.spec, b.ZoomingConfig(1)),
        "capacity=0": lambda: b.zooming(TENT.spec, b.ZoomingConfig(100, capacity=0)),
        "num_points=1": lambda: b.discretised(TENT.spec, 1, b.imed),
        "base=0.9": lambda: worlds.peaked(top=0.5, base=0.9),
        "width=0.0": lambda: worlds.peaked(width=0.0),
        "one for each point": lambda: worlds.interval(lambda x, peak: x.sum()),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
