"""Exports: one archive at a time, as often as somebody asks."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.exports import ARCHIVE_LIFE, Export, ExportUnderWay, export_id

ALICE = UUID(int=1)
NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)


def test_one_archive_is_put_together_at_a_time() -> None:
    export = Export.open(ALICE)
    export.request()
    with pytest.raises(ExportUnderWay):
        export.request()
    export.built(7, now=NOW)
    export.built(8, now=NOW)
    export.request()
    kinds = [type(event) for event in export.pending_events]
    assert kinds == [Export.Opened, Export.Requested, Export.Built, Export.Requested]
    assert export.id == export_id(ALICE)


def test_an_archive_says_until_when_it_is_there() -> None:
    export = Export.open(ALICE)
    export.request()
    export.built(7, now=NOW)
    event = export.pending_events[-1]
    assert isinstance(event, Export.Built)
    assert (event.user_id, event.until, event.size) == (ALICE, NOW + ARCHIVE_LIFE, 7)
