"""PostgreSQL stands still for some seconds under load; the campaign of the same name makes it an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.outage import outage
from tests.site import running

SECONDS = 5.0


@pytest.mark.engine
def test_every_announce_is_answered_while_the_store_is_away_and_credited_afterwards(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        figures = outage(site, tmp_path, SECONDS)
    assert figures.unanswered == 0
    assert figures.answered > 20 * SECONDS, "no announce waited for the store"
    assert figures.credited_after_s < 15
