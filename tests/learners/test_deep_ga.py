"""Deep GA: selection and novelty by hand, lineages bit for bit, and what each selection can and cannot do."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment, spaces

import purejaxexplore as pjx
from purejaxexplore.algorithm import init_key, step_key
from purejaxexplore.archives.trajectory import START, UNLOGGED
from purejaxexplore.learners.deep_ga import SELECTIONS, DeepGAConfig, beget, deep_ga, lineage, make_policy, rebuild
from purejaxexplore.testing import check_algorithm

SMALL = DeepGAConfig(
    sigma=0.3, archive_probability=0.5, population=12, num_parents=4, horizon=6, hidden_sizes=(3,), neighbours=3,
    archive_capacity=8, num_generations=7,
)  # fmt: skip


class AimState(NamedTuple):
    place: jax.Array
    time: jax.Array


class Aim(environment.Environment):
    """Two steps of at most 1 on a line. Only x >= 1.5 completes the task, but the reward praises x = -1."""

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=2)

    def reset_env(self, key, params):
        state = AimState(jnp.float32(0.0), jnp.int32(0))
        return self.look(state), state

    def step_env(self, key, state, action, params):
        state = AimState(state.place + action[0], state.time + 1)
        last = state.time == params.max_steps_in_episode
        reward = jnp.where(last, -jnp.abs(state.place + 1.0), 0.0)
        return self.look(state), state, reward, jnp.bool_(False), {"success": last & (state.place >= 1.5)}

    def look(self, state):
        return jnp.stack([state.place, state.time - 0.5])

    def descriptor(self, state, params):
        return state.place[None]

    def action_space(self, params=None):
        return spaces.Box(-1.0, 1.0, (1,), jnp.float32)

    def observation_space(self, params=None):
        return spaces.Box(-3.0, 3.0, (2,), jnp.float32)


@pytest.fixture(scope="module")
def aim():
    env = Aim()
    return env, env.default_params


@pytest.fixture(scope="module")
def generations(aim):
    """Selection -> the states after 0, 1, ..., 9 generations of seed 0 (the log holds 7) and their metrics."""

    def live(selection):
        algorithm = deep_ga(*aim, SMALL, selection=selection)
        step, seed = jax.jit(algorithm.step), jax.random.fold_in(jax.random.key(0), 0)
        states, metrics = [algorithm.init(init_key(seed))], []
        for t in range(9):
            state, row = step(step_key(seed, t), states[-1])
            states.append(state)
            metrics.append(row)
        return jax.tree.map(np.asarray, states), metrics

    return {selection: live(selection) for selection in SELECTIONS}


@pytest.mark.slow
@pytest.mark.parametrize("selection", SELECTIONS)
def test_contract(corridor, selection):
    config = SMALL.replace(population=4, num_parents=2, num_episodes=2)
    check_algorithm(deep_ga(*corridor, config, selection=selection))


def test_a_mutation_by_hand():
    parent, scale = jnp.arange(3.0), jnp.array([0.5, 0.0, 2.0])
    noise = jax.random.normal(jax.random.key(1), (3,))
    np.testing.assert_array_equal(beget(jax.random.key(1), parent, False, 0.1, scale), parent + 0.1 * noise)
    np.testing.assert_array_equal(beget(jax.random.key(1), parent, True, 0.1, scale), scale * noise)


def test_the_policy_is_the_network_of_its_weights(aim, corridor):
    policy = make_policy(*aim, SMALL)
    # In alphabetical order: bias and kernel of the hidden layer, then of the output.
    np.testing.assert_allclose(policy.scale, [0] * 3 + [2**-0.5] * 6 + [0] + [3**-0.5] * 3, rtol=1e-6)
    genome = jnp.array([0.0, 0.1, 0.0, 1.0, 0.0, -1.0, 0.5, 2.0, 0.0, 0.3, 1.0, -1.0, 2.0])
    x = np.array([0.4, -0.5])
    hidden = np.tanh(x @ np.array([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]]) + [0.0, 0.1, 0.0])
    output = hidden @ np.array([1.0, -1.0, 2.0]) + 0.3
    action = policy.act(policy.unravel(genome), jnp.array(x))
    np.testing.assert_allclose(action, [2 / (1 + np.exp(-output)) - 1], rtol=1e-5)
    discrete = make_policy(*corridor, SMALL)
    genome = jnp.zeros(discrete.scale.size).at[3 + 6 + 1].set(1.0)  # the second output's bias
    assert discrete.act(discrete.unravel(genome), jnp.zeros(2)) == 1


@pytest.mark.parametrize("selection", SELECTIONS)
def test_truncation_selection_and_elitism(generations, selection):
    states, _ = generations[selection]
    for t in range(6):
        before, after = states[t], states[t + 1]
        fitness, place = after.log.fitness[t], after.log.descriptor[t][:, 0]
        np.testing.assert_allclose(fitness, -abs(place + 1), atol=1e-6)
        births = t * 12 + np.arange(12)
        if t > 0:
            births[0] = before.birth[0]
            assert after.log.parent[t, 0] == UNLOGGED
        score = fitness
        if selection == "novelty":
            known = np.concatenate([place, before.archive.desc[before.archive.score > -np.inf][:, 0]])
            score = np.sort(abs(place[:, None] - known), axis=1)[:, 1:4].mean(1)
        order = np.argsort(-score, kind="stable")[:4]
        np.testing.assert_array_equal(after.birth, births[order])
        newborn = after.log.parent[t, (t > 0) * 1 :]
        if t == 0 or selection == "random":
            assert np.all(newborn == START)
        else:
            assert set(newborn) <= set(before.birth) and len(set(newborn)) > 1
        if t > 0:
            elite = before.birth[0]
            assert place[0] == pytest.approx(float(after.log.descriptor[elite // 12, elite % 12, 0]), abs=1e-6)


@pytest.mark.parametrize("selection", ["reward", "random"])
def test_the_best_never_gets_worse(generations, selection):
    best = [row["episode_return"] for row in generations[selection][1]]
    assert all(a <= b + 1e-6 for a, b in zip(best[:-1], best[1:], strict=True))


def test_metrics_count(generations):
    states, metrics = generations["novelty"]
    assert [int(row["env_steps"]) for row in metrics] == [24 * (t + 1) for t in range(9)]
    assert [int(row["unlogged"]) for row in metrics] == [0] * 7 + [1, 2]
    assert metrics[-1]["episode_length"] == 2
    assert metrics[6]["best_return"] == states[-1].log.fitness.max()


def test_the_novelty_archive_is_a_reservoir_of_newborns(generations):
    states, metrics = generations["novelty"]
    archive, log = states[7].archive, states[7].log
    filled = archive.score > -np.inf
    assert metrics[6]["archive_size"] == filled.sum() == 8 and 20 < metrics[6]["archive_offered"] < 60
    generation, lane = np.divmod(archive.node[filled], 12)
    np.testing.assert_array_equal(archive.desc[filled], log.descriptor[generation, lane])
    np.testing.assert_array_equal(archive.score[filled], log.fitness[generation, lane])
    assert len(set(generation)) > 2


def test_everybody_is_offered_to_the_archive_once(aim):
    """At probability 1: 12 at first, then the 11 newborns of a generation, never its elite again."""
    config = SMALL.replace(archive_probability=1.0, archive_capacity=64)
    runs = pjx.run(deep_ga(*aim, config, selection="novelty"), 1, 3, progress=False)
    assert np.asarray(runs.metrics["archive_offered"])[0].tolist() == [12, 23, 34]
    nodes = np.asarray(runs.state.archive.node)[0]
    assert len(set(nodes[nodes >= 0])) == 34


def test_a_lineage_rebuilds_the_weights_bit_for_bit(aim):
    """Of every parent, in a run of several seeds whose log became full."""
    algorithm = deep_ga(*aim, SMALL)
    runs = pjx.run(algorithm, 2, 7, progress=False)
    for seed in range(2):
        state = jax.tree.map(lambda x, i=seed: x[i], runs.state)
        seed_key = jax.random.fold_in(jax.random.key(0), seed)
        for genome, birth in zip(state.genome, state.birth, strict=True):
            made = rebuild(*aim, SMALL, state, birth, seed_key)
            np.testing.assert_array_equal(genome, made)
    assert max(len(lineage(state, int(b))) for b in state.birth) > 2


def test_a_lineage_ends_where_nobody_was_born(generations):
    state = generations["reward"][0][-1]
    for birth in (-1, 12, 7 * 12):
        with pytest.raises(ValueError, match=f"birth={birth}: nobody was born there"):
            lineage(state, birth)
    with pytest.raises(ValueError, match="log of 7 generations was full"):
        lineage(state, UNLOGGED)


@pytest.mark.slow
def test_reward_is_deceived_and_novelty_is_not(aim):
    config = SMALL.replace(population=16, num_generations=1, archive_capacity=64, sigma=0.2)
    final = {}
    for selection in ("reward", "novelty"):
        runs = pjx.run(deep_ga(*aim, config, selection=selection), 8, 40, progress=False)
        final[selection] = {name: np.asarray(values)[:, -1] for name, values in runs.metrics.items()}
    assert final["reward"]["best_return"].min() > -0.02 and final["reward"]["success"].sum() <= 2
    assert final["novelty"]["success"].all()


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"population": 0}, "population=0"),
        ({"num_parents": 13}, "num_parents=13: expected at most population=12"),
        ({"sigma": -0.1}, "sigma=-0.1"),
        ({"archive_probability": 1.5}, r"archive_probability=1.5: .*in \[0, 1\]"),
        ({"num_generations": 2**28}, "expected at most 178956970"),
    ],
)
def test_bad_settings_are_named(aim, settings, named):
    with pytest.raises(ValueError, match=named):
        deep_ga(*aim, SMALL.replace(**settings))


def test_bad_arguments_are_named(aim):
    with pytest.raises(ValueError, match="selection='novel'.*did you mean 'novelty'"):
        deep_ga(*aim, SMALL, selection="novel")
    with pytest.raises(TypeError, match="env=3"):
        deep_ga(3, None, SMALL)
