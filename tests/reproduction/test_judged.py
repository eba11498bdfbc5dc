"""Runs the experiments at their judged size and checks that each wrote its ledger entry, whatever the verdict."""

import subprocess
import sys
from pathlib import Path

import pytest

from purejaxexplore.analysis import load_ledger, update_readme

ROOT = Path(__file__).parents[2]


@pytest.mark.reproduction
@pytest.mark.parametrize(
    ("script", "entries"),
    [
        pytest.param("hard_exploration.py", {"hard_exploration"}, id="go_explore"),
        pytest.param("map_elites_arm.py", {"map_elites_arm"}, id="quality_diversity_arm"),
        pytest.param(
            "cma_linear_projection.py",
            {"cma_mae_linear_projection", "map_elites_linear_projection", "cma_mega_linear_projection"},
            id="quality_diversity_projection",
        ),
        pytest.param("robustify_key_rooms.py", {"robustify_key_rooms"}, id="go_explore_robustify"),
        pytest.param(
            "policy_go_explore_key_rooms.py", {"policy_go_explore_key_rooms"}, id="go_explore_policy_based"
        ),
        pytest.param("latent_go_explore_maze.py", {"latent_go_explore_maze"}, id="go_explore_latent"),
        pytest.param(
            "intelligent_go_explore.py",
            {"ige_noisy_judge", "ige_pure_noise", "ige_action_choice", "ige_learned_judge"},
            id="go_explore_intelligent",
        ),
        pytest.param("deep_ga_hard_maze.py", {"deep_ga_hard_maze"}, id="go_explore_deep_ga"),
        pytest.param("dgm_landscapes.py", {"dgm_landscapes"}, id="go_explore_dgm"),
        pytest.param("exit_sorting.py", {"exit_sorting"}, id="go_explore_exit"),
        pytest.param("snapshot_mountain_car.py", {"snapshot_mountain_car"}, id="go_explore_snapshots"),
        pytest.param("stochastic_bandits.py", {"bandit_slopes", "bandit_asymptotics"}, id="bandits_stochastic"),
        pytest.param("adversarial_bandits.py", {"adversarial_bandits"}, id="bandits_adversarial"),
        pytest.param("changing_bandits.py", {"changing_bandits"}, id="bandits_changing"),
        pytest.param("rnd_room_chain.py", {"rnd_room_chain", "rnd_tuned"}, id="bonuses"),
        pytest.param("subpo_field.py", {"subpo_field"}, id="bonuses_subpo"),
        pytest.param("reactive_jelly.py", {"reactive_jelly"}, id="bonuses_reactive"),
        pytest.param("adversarial_surprise_rooms.py", {"adversarial_surprise_rooms"}, id="learners_adversarial"),
        pytest.param("lesson_strategies.py", {"lesson_strategies"}, id="learners_lesson"),
    ],
)
def test_experiment_judges_its_claims(script, entries):
    subprocess.run([sys.executable, f"experiments/{script}"], cwd=ROOT, check=True)
    judged = {claim.name: claim for claim in load_ledger(ROOT / "experiments/results")}
    assert entries <= judged.keys()
    assert all(len(judged[name].judging_seeds) >= 20 for name in entries)
    update_readme(ROOT / "README.md", ROOT / "experiments/results")
