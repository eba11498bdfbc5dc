"""KeyRooms by Go-Explore, 32 seeds, 300 iterations of 16 rollouts of 30 steps: the criteria stood before the run.

Count weights with repeat 0.8 reach the treasure in at least 28 seeds and 1,150 states on average; at repeat 0.9 uniform
selection solves fewer seeds than count weights (Fisher, one-sided p < 0.05); restarts solve none.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import fisher_exact

from purejaxexplore.algorithm import make_train
from purejaxexplore.archives import weights
from purejaxexplore.envs.grids.key_rooms import KeyRooms
from purejaxexplore.go_explore import GoExploreConfig, go_explore

RULES = (weights.no_knowledge, weights.uniform, weights.start)
ARMS = {"count 0.8": (0, 0.8), "count 0.9": (0, 0.9), "uniform 0.9": (1, 0.9), "restart 0.8": (2, 0.8)}


@pytest.mark.reproduction
@pytest.mark.slow
@pytest.mark.parametrize("reset_on_update", [True, False])
def test_returning_to_rare_cells_finds_the_treasure(key, reset_on_update):
    env = KeyRooms()

    def final(rule, repeat, seed_key):
        config = GoExploreConfig(repeat, 16, 30, capacity=2048, num_iterations=300, reset_on_update=reset_on_update)

        def weight(archive):
            return jnp.select([rule == i for i in range(3)], [choose(archive) for choose in RULES])

        metrics = make_train(go_explore(env, env.default_params, config, weight=weight), 300)(seed_key)[1]
        return {name: metrics[name][-1] for name in ("success", "coverage", "overflow")}

    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(32))
    rule, repeat = (jnp.array(column) for column in zip(*ARMS.values(), strict=True))
    over_seeds = jax.vmap(final, (None, None, 0))
    result = jax.jit(jax.vmap(over_seeds, (0, 0, None)))(rule, repeat, keys)
    solved = dict(zip(ARMS, np.asarray(result["success"].sum(1)), strict=True))
    assert (result["overflow"] == 0).all()
    assert solved["count 0.8"] >= 28
    assert result["coverage"][0].mean() * env.num_reachable >= 1150
    table = [[solved[arm], 32 - solved[arm]] for arm in ("count 0.9", "uniform 0.9")]
    assert fisher_exact(table, alternative="greater").pvalue < 0.05
    assert solved["restart 0.8"] == 0
