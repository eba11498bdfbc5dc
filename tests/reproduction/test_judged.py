"""Runs the experiments at their judged size and checks that each wrote its ledger entry, whatever the verdict."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from purejaxexplore.analysis import load_ledger, update_readme

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments/results"


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
        pytest.param("toponav_maze.py", {"toponav_maze"}, id="go_explore_toponav"),
        pytest.param("lge_text_rooms.py", {"lge_text_rooms"}, id="learners_lge"),
        pytest.param("wge_form_fill.py", {"wge_form_fill"}, id="learners_wge"),
        pytest.param("explorllm_pick_place.py", {"explorllm_pick_place"}, id="learners_explorllm"),
        pytest.param("myopic_combo_lock.py", {"myopic_combo_lock"}, id="learners_myopic"),
        pytest.param("transfer_novelties.py", {"transfer_novelties"}, id="learners_transfer"),
        pytest.param("recon_maze.py", {"recon_maze"}, id="go_explore_recon"),
        pytest.param("stochastic_bandits.py", {"bandit_slopes", "bandit_asymptotics"}, id="bandits_stochastic"),
        pytest.param("adversarial_bandits.py", {"adversarial_bandits"}, id="bandits_adversarial"),
        pytest.param("changing_bandits.py", {"changing_bandits"}, id="bandits_changing"),
        pytest.param("go_explore_weights.py", {"go_explore_weights"}, id="go_explore_weights"),
        pytest.param("go_explore_pyramid.py", {"go_explore_pyramid"}, id="go_explore_pyramid"),
        pytest.param("bootstrapped_dqn_deep_sea.py", {"bootstrapped_dqn_deep_sea"}, id="bonuses_bootstrapped_dqn"),
        pytest.param("batched_production.py", {"batched_production"}, id="bandits_production"),
        pytest.param("learning_to_relax.py", {"learning_to_relax"}, id="bandits_relax"),
        pytest.param("neural_bandits.py", {"neural_bandits"}, id="bandits_neural"),
        pytest.param("evolve_distillation.py", {"evolve_distillation"}, id="bandits_evolve"),
        pytest.param("aegis_landscapes.py", {"aegis_landscapes"}, id="bandits_aegis"),
        pytest.param("tallying_bandits.py", {"tallying_bandits"}, id="bandits_tallying"),
        pytest.param("flex_identification.py", {"flex_identification"}, id="bonuses_flex"),
        pytest.param("rdd_distillation.py", {"rdd_distillation"}, id="bonuses_rdd"),
        pytest.param("ez_greedy_room_chain.py", {"ez_greedy_room_chain"}, id="bonuses_ez_greedy"),
        pytest.param(
            "explorers_parity.py",
            {"explorers_cart_pole", "explorers_deep_sea", "explorers_noisy_sigma"},
            id="learners_explorers",
        ),
        pytest.param("best_arm_bandits.py", {"best_arm_bandits", "sequential_halving"}, id="bandits_best_arm"),
        pytest.param("double_design.py", {"double_design"}, id="bandits_double_design"),
        pytest.param("feedback_graphs.py", {"feedback_graphs"}, id="bandits_feedback_graphs"),
        pytest.param(
            "sparse_misspecified_bandits.py", {"sparse_misspecified_bandits"}, id="bandits_sparse_misspecified"
        ),
        pytest.param(
            "multiplier_bootstrap.py",
            {"mbe_bandit_bench", "mbe_unknown_noise", "mbe_logistic"},
            id="bandits_multiplier_bootstrap",
        ),
        pytest.param("uniform_ten.py", {"uniform_ten"}, id="bandits_uniform_ten"),
        pytest.param(
            "structured_bandits.py", {"zooming", "lagrange_bwk", "ucb_bwk", "comb_ucb"}, id="bandits_structured"
        ),
        pytest.param("hidden_exploration.py", {"hidden_exploration"}, id="bandits_hidden"),
        pytest.param("rep_rl_grid.py", {"rep_rl_grid"}, id="learners_rep_rl"),
        pytest.param(
            "restless_arms.py",
            {"restless_arms", "restless_arms_tuned", "restless_sets", "restless_sets_tuned"},
            id="bandits_restless",
        ),
        pytest.param("restless_large.py", {"restless_search", "restless_large"}, id="bandits_restless_large"),
        pytest.param("last_switch_bandits.py", {"last_switch_bandits"}, id="bandits_last_switch"),
        pytest.param("rnd_room_chain.py", {"rnd_room_chain", "rnd_tuned"}, id="bonuses"),
        pytest.param("ellm_craft.py", {"ellm_craft", "ellm_finetune", "ellm_finetune_stone"}, id="bonuses_ellm"),
        pytest.param("subpo_field.py", {"subpo_field"}, id="bonuses_subpo"),
        pytest.param("reactive_jelly.py", {"reactive_jelly"}, id="bonuses_reactive"),
        pytest.param("adversarial_surprise_rooms.py", {"adversarial_surprise_rooms"}, id="learners_adversarial"),
        pytest.param("mars_explorer.py", {"mars_explorer"}, id="learners_mars"),
        pytest.param("lfg_semantic_house.py", {"lfg_semantic_house"}, id="learners_lfg"),
        pytest.param("ir2_rendezvous.py", {"ir2_rendezvous"}, id="learners_ir2"),
        pytest.param(
            "agv_warehouse.py",
            {f"agv_warehouse_{scene}_{walk}" for scene in ("simple", "complex") for walk in ("static", "dynamic")},
            id="bonuses_agv",
        ),
        pytest.param("drm_mountain_car.py", {"drm_mountain_car"}, id="learners_drm"),
        pytest.param("lesson_strategies.py", {"lesson_strategies"}, id="learners_lesson"),
        pytest.param("adaptive_replay.py", {"adaptive_replay"}, id="learners_adaptive_replay"),
        pytest.param("diayn_four_rooms.py", {"diayn_four_rooms"}, id="bonuses_diayn"),
        pytest.param(
            "byol_explore_rooms.py",
            {f"byol_explore_{part}" for part in ("success", "learning", "noise", "collapse")},
            id="bonuses_byol_explore",
        ),
        pytest.param("sofe_coverage.py", {"sofe_coverage", "sofe_coverage_sqrt"}, id="bonuses_sofe"),
        pytest.param("particle_entropy.py", {"particle_entropy"}, id="bonuses_particle_entropy"),
        pytest.param("noisy_tv_chain.py", {"noisy_tv_chain"}, id="bonuses_noisy_tv"),
        pytest.param("bonuses_by_worlds.py --worlds KeyRooms", set(), id="bonuses_by_worlds_key_rooms"),
        pytest.param("bonuses_by_worlds.py --worlds DeepSea", set(), id="bonuses_by_worlds_deep_sea"),
        pytest.param(
            "bonuses_by_worlds.py --worlds RoomChain KeyRooms DeepSea --bonuses byol_explore", {"bonus_byol_explore"},
            id="bonuses_by_worlds_byol_explore",
        ),
        pytest.param("bonuses_by_worlds.py --worlds Noisy", {"bonus_e3b_noise"}, id="bonuses_by_worlds_noisy"),
        pytest.param(
            "bonuses_by_worlds.py --worlds RoomChain Resampled",
            {
                *("bonus_rnd", "bonus_ride", "bonus_novel_d", "bonus_ngu", "bonus_counts_layouts"),
                *("bonus_ride_no_visits", "bonus_novel_d_no_visits"),
            },
            id="bonuses_by_worlds",
        ),
    ],
)
def test_experiment_judges_its_claims(script, entries):
    started = time.time()
    subprocess.run([sys.executable, *f"experiments/{script}".split()], cwd=ROOT, check=True)
    assert all((RESULTS / f"{name}.json").stat().st_mtime >= started for name in entries)
    judged = {claim.name: claim for claim in load_ledger(RESULTS)}
    assert all(len(judged[name].judging_seeds) >= 20 for name in entries)
    update_readme(ROOT / "README.md", RESULTS)
