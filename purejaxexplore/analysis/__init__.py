"""From stored metrics to honest numbers and figures: statistics, plots, reports and the ledger of claims.

Importing this costs numpy only: matplotlib, xarray and scipy load inside the functions that use them. The
names are bound here, not on first use, because ``report`` and ``style`` are functions that share the names of
their modules.
"""

from purejaxexplore.analysis.animation import animate
from purejaxexplore.analysis.archives import archive_maps
from purejaxexplore.analysis.command_line import arguments
from purejaxexplore.analysis.curves import Curves, curves, final_scores, solved
from purejaxexplore.analysis.explorers import Exploration, RegretShape, exploration, regret_shape, win_rates
from purejaxexplore.analysis.illumination import Illumination, illumination
from purejaxexplore.analysis.ledger import (
    Claim,
    benchmark_line,
    load_ledger,
    readme_agrees,
    record,
    systems_table,
    update_readme,
)
from purejaxexplore.analysis.paths import path_maps
from purejaxexplore.analysis.plots import coverage_map, coverage_maps, learning_curves, score_bars
from purejaxexplore.analysis.report import report
from purejaxexplore.analysis.statistics import (
    Estimate,
    binomial_interval,
    bootstrap_interval,
    fisher_exact,
    iqm,
    iqm_bands,
    paired_bootstrap,
    probability_of_improvement,
    proportion_difference,
)
from purejaxexplore.analysis.style import looks, style
from purejaxexplore.analysis.transfer import Transfer, restricted_mean, steps_to, transfer

__all__ = [
    "Claim",
    "Curves",
    "Estimate",
    "Exploration",
    "Illumination",
    "RegretShape",
    "Transfer",
    "archive_maps",
    "arguments",
    "animate",
    "benchmark_line",
    "binomial_interval",
    "bootstrap_interval",
    "coverage_map",
    "coverage_maps",
    "curves",
    "exploration",
    "final_scores",
    "fisher_exact",
    "illumination",
    "iqm",
    "iqm_bands",
    "learning_curves",
    "load_ledger",
    "looks",
    "paired_bootstrap",
    "path_maps",
    "probability_of_improvement",
    "proportion_difference",
    "readme_agrees",
    "record",
    "regret_shape",
    "report",
    "restricted_mean",
    "score_bars",
    "solved",
    "steps_to",
    "style",
    "systems_table",
    "transfer",
    "update_readme",
    "win_rates",
]
