"""SIGKILL at random moments; ``make kill-test`` does it more often."""

import pytest

from tests.runner.kill_resume import kill_and_compare


@pytest.mark.slow
def test_three_kills_change_nothing():
    reached = kill_and_compare(3, num_steps=600)
    # Not finished before the kills, and not all killed before their first save.
    assert 0 < max(reached) < 3 * 600
