"""The README says what the ledger says."""

from pathlib import Path

from purejaxexplore.analysis import readme_agrees

ROOT = Path(__file__).parents[1]


def test_table_of_claims_is_that_of_the_ledger():
    assert readme_agrees(ROOT / "README.md", ROOT / "experiments/results")
