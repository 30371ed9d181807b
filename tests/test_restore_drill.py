"""A site is lost under traffic and brought back to a moment between two backups; the campaign does it twice, longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.restore_drill import drill, drill_log


@pytest.mark.engine
def test_a_lost_site_comes_back_as_it_was_at_a_moment_and_goes_on(tmp_path: Path) -> None:
    [done] = drill(tmp_path, 1.0, twice=False)
    assert done.events > 200
    assert done.tables >= 7


@pytest.mark.engine
def test_a_lost_site_comes_back_from_its_log_and_whoever_was_erased_since_does_not(tmp_path: Path) -> None:
    [done] = drill_log(tmp_path, 1.0, twice=False)
    assert done.events > 100
    assert done.tables >= 30
