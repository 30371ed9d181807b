"""Announces in files: from the store and from archived days, with addresses for who may have them only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from domain.announces import Announce, Event, encode
from domain.base import SYSTEM
from projections.peers import peers
from runtime import journal_archive
from runtime.export.announces import Wanted, export_announces
from runtime.export.files import FileFormat, verify
from runtime.journal import GENESIS, BrokenChain, Segment, seal
from runtime.keyring import nobodys
from runtime.platform import Platform
from tests.given import projected
from tests.runtime.exported import READING, TODAY, lines, nothing
from tracker_edge.segments import into_store


def announced(number: int, at: datetime) -> Announce:
    who = (number % 3 + 1).to_bytes(16, "big"), bytes(15) + b"\x09", b"-qB5100-%012d" % (number % 3)
    return Announce(int(at.timestamp() * 1e6), *who, Event.STARTED, number * 1000, 5, 7, bytes([9, 9, 9, 9]), 6881, 3)


def chain(edge_id: str) -> list[Segment]:
    """Two segments of two announces on each of three days, 40, 39 and 5 days ago."""
    found: list[Segment] = []
    for age in (40, 39, 5):
        for _ in range(2):
            seq = len(found) + 1
            at = TODAY - timedelta(days=age) + timedelta(minutes=seq)
            previous = found[-1].sha256 if found else GENESIS
            payload = encode([announced(seq, at), announced(seq + 1, at)])
            found.append(seal(edge_id, seq, 2, at, at, previous, payload))
    return found


@pytest.fixture
def journal(platform: Platform) -> Iterator[Connection[Any]]:
    ship = into_store(lambda: platform.store(SYSTEM, "edge"))
    for edge_id in ("north", "south"):
        ship(chain(edge_id))
    projected(platform, peers)
    with platform.projector_pool.connection() as connection:
        yield connection


def announces(connection: Connection[Any], root: Path, out: Path, wanted: Wanted | None = None) -> list[dict[str, Any]]:
    export_announces(connection, root, READING, wanted or Wanted(), out, FileFormat.NDJSON, 5, nothing)
    verify(out)
    return lines(out)


@pytest.mark.engine
def test_the_journal_is_exported_without_addresses(journal: Connection[Any], tmp_path: Path) -> None:
    found = announces(journal, tmp_path, tmp_path / "a")
    assert [(one["edge_id"], one["segment"], one["place"]) for one in found] == [
        (edge_id, seq, n) for edge_id in ("north", "south") for seq in range(1, 7) for n in (0, 1)
    ]
    at = TODAY - timedelta(days=40) + timedelta(minutes=1)
    assert found[0] == {
        "edge_id": "north",
        "segment": 1,
        "place": 0,
        "happened_at": at.isoformat(),
        "user_id": "00000000-0000-0000-0000-000000000002",
        "torrent_id": "00000000-0000-0000-0000-000000000009",
        "peer_id": b"-qB5100-000000000001".hex(),
        "client": "qBittorrent 5.1.0",
        "event": "started",
        "uploaded": 1000,
        "downloaded": 5,
        "left_bytes": 7,
    }
    permitted = announces(journal, tmp_path, tmp_path / "b", Wanted(keys=nobodys))
    assert permitted[0] == {**found[0], "address": "9.9.9.9", "port": 6881}


@pytest.mark.engine
def test_archived_days_are_exported_from_their_files(journal: Connection[Any], tmp_path: Path) -> None:
    before = announces(journal, tmp_path, tmp_path / "a")
    for day in journal_archive.closed_days(journal, 30, datetime.now(UTC)):
        journal_archive.archive(journal, tmp_path, day, 30)
    assert announces(journal, tmp_path, tmp_path / "b") == before
    journal_archive.restore(journal, tmp_path, (TODAY - timedelta(days=39)).date())
    assert announces(journal, tmp_path, tmp_path / "c") == before
    since = Wanted(since=TODAY - timedelta(days=6))
    (tmp_path / "journal" / "north" / f"{(TODAY - timedelta(days=40)).date()}.segments.zst").unlink()
    assert announces(journal, tmp_path, tmp_path / "d", since) == before[8:12] + before[20:24]
    with pytest.raises(BrokenChain, match="^segment 1 of north: .* No such file"):
        announces(journal, tmp_path, tmp_path / "e")


@pytest.mark.engine
@pytest.mark.parametrize("archived", [False, True])
def test_announces_are_chosen_by_time(journal: Connection[Any], tmp_path: Path, archived: bool) -> None:
    if archived:
        for day in journal_archive.closed_days(journal, 30, datetime.now(UTC)):
            journal_archive.archive(journal, tmp_path, day, 30)
    start = TODAY - timedelta(days=39)
    for n, (since, until, seqs) in enumerate([
        (start, start + timedelta(minutes=4), [3]),
        (start + timedelta(minutes=4), None, [4, 5, 6]),
        (None, start, [1, 2]),
        (TODAY, None, []),
    ]):  # fmt: skip
        found = announces(journal, tmp_path, tmp_path / str(n), Wanted(since, until))
        assert [one["segment"] for one in found] == [seq for _ in "ns" for seq in seqs for _ in "ab"]


@pytest.mark.engine
def test_a_segment_that_is_missing_or_changed_ends_the_export(
    journal: Connection[Any], owner: Connection[Any], tmp_path: Path
) -> None:
    owner.execute("ALTER TABLE journal.segment_rest DISABLE TRIGGER USER")
    owner.execute("UPDATE journal.segment SET data = data || 'x' WHERE edge_id = 'south' AND seq = 5")
    with pytest.raises(BrokenChain, match=r"^segment 5 of south "):
        announces(journal, tmp_path, tmp_path / "a")
    assert list((tmp_path / "a").iterdir()) == []
    owner.execute("DELETE FROM journal.segment WHERE edge_id = 'north' AND seq >= 5")
    for out, wanted in (("b", Wanted()), ("c", Wanted(since=TODAY - timedelta(days=39)))):
        with pytest.raises(BrokenChain, match=r"^segment 5 of north is missing$"):
            announces(journal, tmp_path, tmp_path / out, wanted)
