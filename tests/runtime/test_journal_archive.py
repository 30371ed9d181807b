"""Days of the journal leave the table for files that prove to be the same, and come back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from domain.announces import Announce, Event, encode
from domain.base import SYSTEM
from projections.peers import peers
from runtime import journal_archive
from runtime.cli.journal import journal_commands
from runtime.cli.main import encrypting
from runtime.journal import GENESIS, BrokenChain, Segment, heads, seal, segments
from runtime.journal_archive import ArchiveRefused, Manifest
from runtime.platform import Platform
from runtime.rebuild import RebuildFailed, rebuild, verify
from tests.given import projected
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine

Owner = psycopg.Connection[tuple[Any, ...]]
KEEP_DAYS = 30
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
#: How long ago each day was; the third is within the retention.
AGES = (40, 39, 5)


def announced(number: int, at: datetime) -> Announce:
    who = (number % 3 + 1).to_bytes(16, "big"), bytes(15) + b"\x09", b"-qB5100-%012d" % (number % 3)
    return Announce(int(at.timestamp() * 1e6), *who, Event.REGULAR, number * 1000, 0, 0, bytes([9, 9, 9, 9]), 6881, 0)


def chain(edge_id: str, per_day: int = 3) -> list[Segment]:
    found: list[Segment] = []
    for age in AGES:
        for _ in range(per_day):
            seq = len(found) + 1
            at = TODAY - timedelta(days=age) + timedelta(minutes=seq)
            previous = found[-1].sha256 if found else GENESIS
            found.append(seal(edge_id, seq, 1, at, at, previous, encode([announced(seq, at)])))
    return found


@pytest.fixture
def stored(platform: Platform, owner: Owner) -> Platform:
    """Two edges, three days: one in a partition of its own, two in the rest; all projected."""
    owner.execute("SELECT journal.maintain_segments(%s, 1)", (TODAY - timedelta(days=AGES[0] + 1),))
    ship = into_store(lambda: platform.store(SYSTEM, "edge"))
    for edge_id in ("north", "south"):
        ship(chain(edge_id))
    projected(platform, peers)
    return platform


def archived(platform: Platform, root: Path) -> list[Manifest]:
    with platform.projector_pool.connection() as connection:
        days = journal_archive.closed_days(connection, KEEP_DAYS, datetime.now(UTC))
        return [one for day in days for one in journal_archive.archive(connection, root, day, KEEP_DAYS)]


def verified(platform: Platform, root: Path) -> list[int]:
    with platform.projector_pool.connection() as connection:
        return [head.seq for head in journal_archive.verify_all(connection, root)]


def days_in_table(owner: Owner) -> int:
    row = owner.execute("SELECT count(DISTINCT day) FROM journal.segment").fetchone()
    assert row is not None
    return int(str(row[0]))


def test_old_days_go_into_files_and_come_back_the_same(stored: Platform, owner: Owner, tmp_path: Path) -> None:
    before = list(segments(owner, "north")), list(segments(owner, "south"))
    manifests = archived(stored, tmp_path)
    assert [(one.edge_id, one.first_seq, one.last_seq) for one in manifests] == [
        ("north", 1, 3), ("south", 1, 3), ("north", 4, 6), ("south", 4, 6),
    ]  # fmt: skip
    assert days_in_table(owner) == 1
    assert manifests[0].path(tmp_path) == tmp_path / "journal" / "north" / f"{manifests[0].day}.segments.zst"
    assert list(journal_archive.read(tmp_path, manifests[2])) == before[0][3:6]
    assert verified(stored, tmp_path) == [9, 9]
    assert archived(stored, tmp_path) == []
    with stored.projector_pool.connection() as connection:
        for manifest in manifests[::2]:
            assert journal_archive.restore(connection, tmp_path, manifest.day) == 6
        with pytest.raises(ArchiveRefused):
            journal_archive.restore(connection, tmp_path, manifests[0].day)
    assert (list(segments(owner, "north")), list(segments(owner, "south"))) == before
    assert verified(stored, tmp_path) == [9, 9]
    for statement in ("DELETE FROM journal.segment", "TRUNCATE journal.segment", "UPDATE journal.segment SET seq = 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement)


def test_the_chain_goes_on_after_its_days_were_archived(stored: Platform, tmp_path: Path) -> None:
    archived(stored, tmp_path)
    with stored.pool.connection() as connection:
        [north, _] = heads(connection)
    at = TODAY
    segment = seal("north", north.seq + 1, 1, at, at, north.sha256, encode([announced(99, at)]))
    into_store(lambda: stored.store(SYSTEM, "edge"))([segment])
    projected(stored, peers)
    assert verified(stored, tmp_path) == [10, 9]


def test_a_rebuild_asks_for_the_days_that_lie_in_files(stored: Platform, tmp_path: Path) -> None:
    manifests = archived(stored, tmp_path)
    with pytest.raises(RebuildFailed, match=f"tracker journal restore {manifests[0].day}"):
        rebuild(stored, peers)
    with stored.projector_pool.connection() as connection:
        for manifest in manifests[::2]:
            journal_archive.restore(connection, tmp_path, manifest.day)
    rebuild(stored, peers)
    assert sum(table.differences for table in verify(stored, peers)) == 0


def test_what_was_changed_in_a_file_is_named(stored: Platform, tmp_path: Path) -> None:
    manifests = archived(stored, tmp_path)
    path = manifests[2].path(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BrokenChain, match=r"^segment 4 of north: .* was changed$"):
        verified(stored, tmp_path)
    with stored.projector_pool.connection() as connection, pytest.raises(BrokenChain):
        journal_archive.restore(connection, tmp_path, manifests[2].day)
    path.unlink()
    with pytest.raises(BrokenChain, match=r"^segment 4 of north: .* No such file"):
        verified(stored, tmp_path)


def test_what_was_changed_in_the_table_is_named(stored: Platform, owner: Owner, tmp_path: Path) -> None:
    owner.execute("ALTER TABLE journal.segment_rest DISABLE TRIGGER USER")
    owner.execute("UPDATE journal.segment SET data = data || 'x' WHERE edge_id = 'south' AND seq = 5")
    with pytest.raises(BrokenChain, match=r"^segment 5 of south "):
        verified(stored, tmp_path)
    owner.execute("DELETE FROM journal.segment WHERE edge_id = 'south' AND seq >= 8")
    owner.execute(
        "UPDATE journal.segment SET data = substr(data, 1, length(data) - 1) WHERE edge_id = 'south' AND seq = 5"
    )
    with pytest.raises(BrokenChain, match=r"^segment 8 of south is missing$"):
        verified(stored, tmp_path)


def refused(platform: Platform, day: date, manifests: list[dict[str, Any]], keep_days: int = KEEP_DAYS) -> None:
    from psycopg.types.json import Jsonb

    with (
        platform.projector_pool.connection() as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.IntegrityConstraintViolation)),
    ):
        connection.execute("SELECT journal.drop_day(%s, %s, %s)", (day, keep_days, Jsonb(manifests)))


def test_the_table_lets_nothing_go_that_is_young_or_not_covered(stored: Platform, owner: Owner, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    day = today - timedelta(days=AGES[0])
    with stored.projector_pool.connection() as connection:
        found = [journal_archive._write(connection, tmp_path, edge_id, day) for edge_id in ("north", "south")]
    good = [{**vars(one), "day": str(one.day)} for one in found]
    refused(stored, today, [])
    refused(stored, today - timedelta(days=AGES[2]), [], keep_days=0)
    refused(stored, day, good, keep_days=45)
    refused(stored, day, [])
    refused(stored, day, good[:1])
    for wrong in ({"last_seq": 2}, {"announces": 9}, {"last_sha256": "00" * 32}, {"file_sha256": ""}):
        refused(stored, day, [good[0], {**good[1], **wrong}])
    assert days_in_table(owner) == 3
    with stored.pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT journal.drop_day(%s, 30, '[]')", (day,))


def test_what_is_restored_must_be_what_was_archived(stored: Platform, tmp_path: Path) -> None:
    manifests = archived(stored, tmp_path)
    day = manifests[0].day
    with stored.projector_pool.connection() as connection, connection.transaction():
        connection.execute("SELECT journal.begin_restore(%s)", (day,))
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation), connection.transaction():
            connection.execute("SELECT journal.finish_restore(%s)", (day,))


def test_a_day_goes_as_soon_as_a_backup_lets_it_and_stays_until_then(
    stored: Platform, owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = list[float]()
    monkeypatch.setattr(journal_archive, "LOCK_ATTEMPTS", 2)
    owner.execute("BEGIN")
    owner.execute("LOCK TABLE es.event, journal.segment IN ACCESS SHARE MODE")  # as a backup does, until its end
    monkeypatch.setattr("runtime.journal_archive.time.sleep", pauses.append)
    with pytest.raises(ArchiveRefused, match="stays: somebody reads it for long"):
        archived(stored, tmp_path)
    assert (pauses, days_in_table(owner)) == ([journal_archive.LOCK_PAUSE_S], 3)
    monkeypatch.setattr("runtime.journal_archive.time.sleep", lambda _: owner.execute("ROLLBACK"))
    assert len(archived(stored, tmp_path)) == 4
    assert days_in_table(owner) == 1
    assert verified(stored, tmp_path) == [9, 9]


def test_a_day_that_is_not_projected_stays(platform: Platform, tmp_path: Path) -> None:
    into_store(lambda: platform.store(SYSTEM, "edge"))(chain("north"))
    with pytest.raises(ArchiveRefused, match="is not projected yet"):
        archived(platform, tmp_path)


def test_the_commands_say_what_they_did(stored: Platform) -> None:
    from contextlib import nullcontext

    run = CliRunner()
    app = journal_commands(lambda: nullcontext(stored), encrypting)
    assert "2 chains, 18 segments, 0 flaws" in run.invoke(app, ["verify"]).output
    assert "2 days archived" in run.invoke(app, ["archive"]).output
    listed = run.invoke(app, ["list"]).output
    assert (listed.count("archive"), listed.count("store")) == (4, 2)
    day = (TODAY - timedelta(days=AGES[1])).date()
    assert "6 segments restored" in run.invoke(app, ["restore", str(day)]).output
    path = min((stored.settings.data_dir / "archive" / "journal" / "north").glob("*.zst"))
    path.write_bytes(b"")
    failed = run.invoke(app, ["verify"])
    assert failed.exit_code == 1
    assert failed.output.startswith("segment 1 of north")


def test_what_comes_late_for_a_day_in_files_joins_it_there(stored: Platform, owner: Owner, tmp_path: Path) -> None:
    """An edge was away for longer than days are kept, and then ships what it had heard."""
    away = chain("away")
    ship = into_store(lambda: stored.store(SYSTEM, "edge"))
    before = list(segments(owner, "north"))
    for heard in (away[:1], away[1:2], away[2:4], away[4:]):  # each time, all that is old enough goes into files
        ship(heard)
        projected(stored, peers)
        archived(stored, tmp_path)
        assert verified(stored, tmp_path) == [heard[-1].seq, 9, 9]
    with stored.projector_pool.connection() as connection:
        found = [one for one in journal_archive.archived(connection) if one.edge_id == "away"]
        assert [(one.first_seq, one.last_seq, one.announces) for one in found] == [(1, 3, 3), (4, 6, 3)]
        for one in found:
            assert journal_archive.restore(connection, tmp_path, one.day) == 9
    assert (list(segments(owner, "away")), list(segments(owner, "north"))) == (away, before)


def test_a_day_comes_back_though_something_came_late_for_it(stored: Platform, owner: Owner, tmp_path: Path) -> None:
    away = chain("away")
    ship = into_store(lambda: stored.store(SYSTEM, "edge"))
    ship(away[:1])
    projected(stored, peers)
    [day, _] = sorted({one.day for one in archived(stored, tmp_path)})
    ship(away[1:2])
    with stored.projector_pool.connection() as connection:
        assert journal_archive.restore(connection, tmp_path, day) == 7
    assert list(segments(owner, "away")) == away[:2]
    assert verified(stored, tmp_path) == [2, 9, 9]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("DELETE FROM journal.segment WHERE edge_id = 'away'")
