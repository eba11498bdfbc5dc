"""Bandits: ``bandit(policy, world)`` is an algorithm, ``policy = ucb1(world.spec, UCB1Config())`` a learner.

The interface of policies is in :mod:`purejaxexplore.bandits.policy`, that of worlds in
:mod:`purejaxexplore.envs.bandits.world`; exact bounds and optimal values are in
:mod:`purejaxexplore.bandits.oracles`. ``bayes_opt(rule, world, config)`` is the loop of Bayesian optimisation,
``rule = aegis(AEGiSConfig())`` what chooses its points.
"""

from purejaxexplore.bandits.acquisition import (
    ExpectedImprovementConfig,
    GPThompsonConfig,
    GPUCBConfig,
    expected_improvement,
    gp_thompson,
    gp_ucb,
    random_search,
)
from purejaxexplore.bandits.aegis import AEGiSConfig, aegis
from purejaxexplore.bandits.bandit import bandit
from purejaxexplore.bandits.bayes_opt import BayesOptConfig, bayes_opt
from purejaxexplore.bandits.comb_ucb import CombUCBConfig, comb_ucb1, sets_as_arms
from purejaxexplore.bandits.contextual_double_design import ContextualDesignConfig, contextual_double_design
from purejaxexplore.bandits.delays import batched, delayed, in_blocks, randomly_delayed
from purejaxexplore.bandits.double_design import DoubleDesignConfig, double_design
from purejaxexplore.bandits.explore_first import (
    EpsilonGreedyConfig,
    ExploreFirstConfig,
    SuccessiveEliminationConfig,
    decaying_epsilon_greedy,
    epsilon_greedy,
    explore_first,
    successive_elimination,
)
from purejaxexplore.bandits.exponential import EXP3SConfig, ExponentialConfig, exp3, exp3_ix, exp3_s, exp4, hedge
from purejaxexplore.bandits.feedback_graphs import FeedbackGraphConfig, exp3_ex, exp3_g, exp3_set
from purejaxexplore.bandits.forgetting import (
    DiscountedUCBConfig,
    SlidingWindowUCBConfig,
    discounted_ucb,
    sliding_window_ucb,
)
from purejaxexplore.bandits.generations import (
    GenerationsConfig,
    epsilon_greedy_rule,
    generations,
    inverse_gap_rule,
)
from purejaxexplore.bandits.hidden_exploration import HiddenExplorationConfig, hidden_exploration
from purejaxexplore.bandits.histories import (
    History,
    Trajectory,
    arm_summary,
    collect,
    lin_ucb_support,
    load_trajectories,
    save_trajectories,
    ucb_support,
)
from purejaxexplore.bandits.ids import IDSConfig, ids
from purejaxexplore.bandits.imitation import ImitationConfig, imitate, imitated, scoring_policy
from purejaxexplore.bandits.kl_ucb import BayesUCBConfig, KLUCBConfig, bayes_ucb, imed, kl_ucb
from purejaxexplore.bandits.knapsacks import KnapsackConfig, lagrange_bwk, ucb_bwk
from purejaxexplore.bandits.last_switch import CyclesConfig, myopic, rounded_cycles
from purejaxexplore.bandits.linear import (
    LinearThompsonConfig,
    LinUCBConfig,
    OFULConfig,
    lin_ucb,
    linear_thompson,
    oful,
)
from purejaxexplore.bandits.lipschitz import ZoomingConfig, discretised, zooming
from purejaxexplore.bandits.logistic import LogisticMBEConfig, LogisticThompsonConfig, logistic_mbe, logistic_thompson
from purejaxexplore.bandits.lucb import LUCBConfig, kl_lucb_config, lucb
from purejaxexplore.bandits.mbe import MBEConfig, mbe
from purejaxexplore.bandits.neural import NeuralConfig, neural_thompson, neural_ucb
from purejaxexplore.bandits.off_policy import OffPolicyValue, off_policy_value
from purejaxexplore.bandits.policy import Aux, Policy
from purejaxexplore.bandits.relaxing import ChebCBConfig, cheb_cb, in_bins, scaled_tsallis_inf
from purejaxexplore.bandits.repeated_exposure import RepeatedExposureConfig, repeated_exposure
from purejaxexplore.bandits.restless import (
    restless_myopic,
    restless_random,
    restless_sampled,
    restless_static,
    restless_whittle,
)
from purejaxexplore.bandits.self_play import duality_gap, player_spec, self_play
from purejaxexplore.bandits.sequential_halving import SequentialHalvingConfig, sequential_halving
from purejaxexplore.bandits.sequoia import SequoiaConfig, sequoia
from purejaxexplore.bandits.set_search import (
    FoundSet,
    SetSearchConfig,
    myopic_value,
    network_value,
    searched,
    set_search,
    static_value,
)
from purejaxexplore.bandits.sparse_elimination import SparseEliminationConfig, sparse_elimination
from purejaxexplore.bandits.square_cb import (
    NetworkRegressorConfig,
    SquareCBConfig,
    network_regressor,
    ridge_regressor,
    square_cb,
)
from purejaxexplore.bandits.table_values import greedy_values
from purejaxexplore.bandits.thompson import (
    BetaThompsonConfig,
    GaussianThompsonConfig,
    beta_thompson,
    gaussian_thompson,
)
from purejaxexplore.bandits.track_and_stop import TrackAndStopConfig, track_and_stop
from purejaxexplore.bandits.tsallis_inf import tsallis_inf
from purejaxexplore.bandits.ucb import MOSSConfig, UCB1Config, UCBVConfig, moss, ucb1, ucb_tuned, ucb_v
from purejaxexplore.bandits.whittle import Whittle, relaxed_bound, single_arms, whittle_index

__all__ = [
    "AEGiSConfig", "Aux", "BayesOptConfig", "BayesUCBConfig", "BetaThompsonConfig", "ChebCBConfig", "CombUCBConfig",
    "ContextualDesignConfig", "CyclesConfig", "DiscountedUCBConfig", "DoubleDesignConfig", "EXP3SConfig",
    "EpsilonGreedyConfig", "ExpectedImprovementConfig", "ExploreFirstConfig", "ExponentialConfig",
    "FeedbackGraphConfig", "FoundSet", "GPThompsonConfig", "GPUCBConfig", "GaussianThompsonConfig", "GenerationsConfig",
    "HiddenExplorationConfig", "History", "IDSConfig", "ImitationConfig", "KLUCBConfig", "KnapsackConfig", "LUCBConfig",
    "LinUCBConfig", "LinearThompsonConfig", "LogisticMBEConfig", "LogisticThompsonConfig", "MBEConfig", "MOSSConfig",
    "NetworkRegressorConfig", "NeuralConfig", "OFULConfig", "OffPolicyValue", "Policy", "RepeatedExposureConfig",
    "SequentialHalvingConfig", "SequoiaConfig", "SetSearchConfig", "SlidingWindowUCBConfig", "SparseEliminationConfig",
    "SquareCBConfig", "SuccessiveEliminationConfig", "TrackAndStopConfig", "Trajectory", "UCB1Config", "UCBVConfig",
    "Whittle", "ZoomingConfig", "aegis", "arm_summary", "bandit", "batched", "bayes_opt", "bayes_ucb", "beta_thompson",
    "cheb_cb", "collect", "comb_ucb1", "contextual_double_design", "decaying_epsilon_greedy", "delayed",
    "discounted_ucb", "discretised", "double_design", "duality_gap", "epsilon_greedy", "epsilon_greedy_rule", "exp3",
    "exp3_ex", "exp3_g", "exp3_ix", "exp3_s", "exp3_set", "exp4", "expected_improvement", "explore_first",
    "gaussian_thompson", "generations", "gp_thompson", "gp_ucb", "greedy_values", "hedge", "hidden_exploration", "ids",
    "imed", "imitate", "imitated", "in_bins", "in_blocks", "inverse_gap_rule", "kl_lucb_config", "kl_ucb",
    "lagrange_bwk", "lin_ucb", "lin_ucb_support", "linear_thompson", "load_trajectories", "logistic_mbe",
    "logistic_thompson", "lucb", "mbe", "moss", "myopic", "myopic_value", "network_regressor", "network_value",
    "neural_thompson", "neural_ucb", "off_policy_value", "oful", "player_spec", "random_search", "randomly_delayed",
    "relaxed_bound", "repeated_exposure", "restless_myopic", "restless_random", "restless_sampled", "restless_static",
    "restless_whittle", "ridge_regressor", "rounded_cycles", "save_trajectories", "scaled_tsallis_inf",
    "scoring_policy", "searched", "self_play", "sequential_halving", "sequoia", "set_search", "sets_as_arms",
    "single_arms", "sliding_window_ucb", "sparse_elimination", "square_cb", "static_value", "successive_elimination",
    "track_and_stop", "tsallis_inf", "ucb1", "ucb_bwk", "ucb_support", "ucb_tuned", "ucb_v", "whittle_index", "zooming",
]  # fmt: skip
