"""Bandit worlds, one interface for all of them: :mod:`purejaxexplore.envs.bandits.world`."""

from purejaxexplore.envs.bandits.adversarial import adversary, sinusoidal, switching, trap
from purejaxexplore.envs.bandits.applications import APPLICATIONS, Application, application
from purejaxexplore.envs.bandits.changing import drifting, piecewise
from purejaxexplore.envs.bandits.combinatorial import combinatorial, grid_paths
from purejaxexplore.envs.bandits.contextual import classification, contextual, cosine, linear, low_rank, wheel
from purejaxexplore.envs.bandits.digits import digits
from purejaxexplore.envs.bandits.graphs import clique_graph, random_graph, revealing_star, star_graph
from purejaxexplore.envs.bandits.knapsack import pricing
from purejaxexplore.envs.bandits.landscapes import LANDSCAPES, Landscape, landscape, landscape_world
from purejaxexplore.envs.bandits.last_switch import last_switch, monotone_table, patience_table
from purejaxexplore.envs.bandits.learning_curves import learning_curves
from purejaxexplore.envs.bandits.lipschitz import interval, peaked
from purejaxexplore.envs.bandits.misspecified import SparseProblem, misleading
from purejaxexplore.envs.bandits.payments import logistic, with_missing_arms
from purejaxexplore.envs.bandits.relaxation import IterationTable, iteration_table, relaxation
from purejaxexplore.envs.bandits.representations import ContextualTasks, LinearTasks, contextual_tasks, linear_tasks
from purejaxexplore.envs.bandits.restless import RestlessArms, restless
from purejaxexplore.envs.bandits.restless_sets import (
    RestlessProblem,
    restless_budget,
    restless_capacity,
    restless_interventions,
    restless_path,
    restless_schedule,
)
from purejaxexplore.envs.bandits.stochastic import bandit_bench, bernoulli, gaussian, shuffled, uniform_means
from purejaxexplore.envs.bandits.tallying import improves_with_exposure, tallying
from purejaxexplore.envs.bandits.world import Feedback, Observation, Spec, World, rescaled

__all__ = [
    "APPLICATIONS", "Application", "ContextualTasks", "Feedback", "IterationTable", "LANDSCAPES", "Landscape",
    "LinearTasks", "Observation", "RestlessArms", "RestlessProblem", "SparseProblem", "Spec", "World", "adversary",
    "application", "bandit_bench", "bernoulli", "classification", "clique_graph", "combinatorial", "contextual",
    "contextual_tasks", "cosine", "digits", "drifting", "gaussian", "grid_paths", "improves_with_exposure", "interval",
    "iteration_table", "landscape", "landscape_world", "last_switch", "learning_curves", "linear", "linear_tasks",
    "logistic", "low_rank", "misleading", "monotone_table", "patience_table", "peaked", "piecewise", "pricing",
    "random_graph", "relaxation", "rescaled", "restless", "restless_budget", "restless_capacity",
    "restless_interventions", "restless_path", "restless_schedule", "revealing_star", "shuffled", "sinusoidal",
    "star_graph", "switching", "tallying", "trap", "uniform_means", "wheel", "with_missing_arms",
]  # fmt: skip
