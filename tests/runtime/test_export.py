"""What is exported is what was recorded, all of it and nothing personal, and a changed file is found."""

from __future__ import annotations

import errno
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest
from psycopg import Connection

import domain
from domain.moderation import Case
from domain.torrents import Torrent
from domain.users import User
from runtime.export import files, selection
from runtime.export.events import COLUMNS, export_events
from runtime.export.files import Export, ExportDamaged, ExportRefused, FileFormat, Manifest, verify
from runtime.export.selection import BadSelection, SelectedFacts, Selection, matching_topics, moment, safe_position
from runtime.platform import Platform
from tests.given import NOON, Given, event
from tests.history import write_history
from tests.runtime.exported import lines, nothing

TOPICS = [kind.TOPIC for kind in domain.EVENTS]


def chosen(platform: Platform, **conditions: Any) -> list[int]:
    """Positions of what is selected."""
    facts = SelectedFacts(platform.history, domain.EVENTS, with_personal=False)
    with platform.projector_pool.connection() as connection:
        asked, upto = Selection(**conditions), safe_position(connection)
        found = [fact.position for page in facts.pages(connection, asked, upto) for fact in page]
        assert [fact.position for fact in facts.newest(connection, asked, upto, 10_000)] == found
        assert facts.stats(connection, asked, upto).total.events == len(found)
    return found


def exported(
    platform: Platform,
    out: Path,
    asked: Selection | None = None,
    file_format: FileFormat = FileFormat.NDJSON,
    per_file: int = 1000,
    *,
    with_personal: bool = False,
) -> Manifest:
    facts = SelectedFacts(platform.history, domain.EVENTS, with_personal=with_personal)
    with platform.projector_pool.connection() as connection:
        return export_events(
            facts,
            connection,
            asked or Selection(),
            safe_position(connection),
            out,
            file_format,
            per_file,
            nothing,
            with_personal=with_personal,
        )


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and pages so small that every history has many."""
    monkeypatch.setattr(selection, "WINDOW", 7)
    monkeypatch.setattr(selection, "PAGE", 3)


@pytest.fixture
def people(given: Given) -> list[UUID]:
    """Three users registered a day apart, a torrent of the first."""
    ids = [uuid4() for _ in range(3)]
    for n, user_id in enumerate(ids):
        at = NOON + timedelta(days=n)
        given.facts(
            event(User.Registered, user_id, 1, at, username=f"user{n}", email=f"{n}@example.org", group="member"),
            event(User.Disabled, user_id, 2, at, reason="why not"),
        )
    Given(given.platform, ids[0]).facts(event(Torrent.Approved, uuid4(), 1, NOON, automatic=False))
    return ids


@pytest.mark.engine
@pytest.mark.usefixtures("small_pieces")
def test_every_condition_selects_and_all_of_them_together(platform: Platform, people: list[UUID]) -> None:
    assert chosen(platform) == [1, 2, 3, 4, 5, 6, 7]
    assert chosen(platform, topics=("user.registered", "torrent.approved")) == [1, 3, 5, 7]
    assert chosen(platform, topics=("user.enabled",)) == []
    assert chosen(platform, stream_id=people[1]) == [3, 4]
    assert chosen(platform, actor_id=people[0]) == [7]
    assert chosen(platform, since=NOON + timedelta(days=1)) == [3, 4, 5, 6]
    assert chosen(platform, until=NOON + timedelta(days=1)) == [1, 2, 7]
    assert chosen(platform, first=3, last=5) == [3, 4, 5]
    assert chosen(platform, stream_id=people[1], first=4, last=99) == [4]
    assert chosen(platform, topics=("user.registered",), since=NOON + timedelta(hours=1), last=4) == [3]


@pytest.mark.engine
@pytest.mark.usefixtures("small_pieces")
def test_the_newest_come_in_their_order(platform: Platform, people: list[UUID]) -> None:
    facts = SelectedFacts(platform.history, domain.EVENTS, with_personal=False)
    with platform.projector_pool.connection() as connection:
        for asked, found in ((Selection(), [6, 7]), (Selection(topics=("user.registered",)), [3, 5])):
            assert [fact.position for fact in facts.newest(connection, asked, 7, 2)] == found


@pytest.mark.engine
def test_stats_count_by_type_and_by_day(platform: Platform, people: list[UUID]) -> None:
    facts = SelectedFacts(platform.history, domain.EVENTS, with_personal=False)
    with platform.projector_pool.connection() as connection:
        found = facts.stats(connection, Selection(), 7)
        row = connection.execute("SELECT sum(octet_length(data)) FROM es.event").fetchone()
    assert {topic: count.events for topic, count in found.types.items()} == {
        "user.registered": 3, "user.disabled": 3, "torrent.approved": 1,
    }  # fmt: skip
    assert {str(day): count.events for day, count in found.days.items()} == {
        "2031-01-01": 3, "2031-01-02": 2, "2031-01-03": 2,
    }  # fmt: skip
    assert (found.first, found.last, (found.total.data_bytes,)) == (1, 7, row)
    assert found.stored_bytes > 0


@pytest.mark.engine
@pytest.mark.usefixtures("small_pieces")
def test_a_follower_misses_and_doubles_nothing_while_others_commit_out_of_order(platform: Platform) -> None:
    """One transaction holds an earlier position until after later ones are committed."""
    given = Given(platform)
    seen: list[int] = []
    held, go = threading.Event(), threading.Event()

    def holding() -> None:
        with platform.pool.connection() as connection, connection.transaction():
            connection.execute(
                "SELECT es.append(gen_random_uuid(), '', '', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
                " 'cli', NULL, NULL, ARRAY[gen_random_uuid()], '{1}', ARRAY[%s], '{1}', ARRAY[%s::bytea])",
                (platform.history.types.type_id("user.email_verified"), b'{"timestamp":"2031-01-01T12:00:00Z"}'),
            )
            held.set()
            assert go.wait(10)

    given.facts(event(User.EmailVerified, uuid4()))
    thread = threading.Thread(target=holding)
    thread.start()
    assert held.wait(10)
    given.facts(event(User.EmailVerified, uuid4()))
    polls = 0

    def sleep(_: float) -> None:
        nonlocal polls
        polls += 1
        if polls == 2:
            assert seen == [1]  # position 3 is committed, and 2 is not
            go.set()
            thread.join()
        if polls == 3:
            given.facts(*(event(User.EmailVerified, uuid4()) for _ in range(8)))

    facts = SelectedFacts(platform.history, domain.EVENTS, with_personal=False)
    with platform.projector_pool.connection() as connection:
        for fact in facts.follow(connection, Selection(last=11), 0, sleep):
            seen.append(fact.position)
    assert seen == list(range(1, 12))


@pytest.mark.engine
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("file_format", list(FileFormat))
def test_an_export_has_every_event_and_can_be_verified(
    platform: Platform, tmp_path: Path, file_format: FileFormat
) -> None:
    write_history(platform)
    manifest = exported(platform, tmp_path / "a", file_format=file_format, per_file=25)
    assert verify(tmp_path / "a") == manifest
    with platform.pool.connection() as connection:
        row = connection.execute("SELECT count(*), min(position), max(position) FROM es.event").fetchone()
    assert row == (manifest.rows, manifest.first[0], manifest.last[0])
    assert [one.rows for one in manifest.files[:-1]] == [25] * (len(manifest.files) - 1)
    again = exported(platform, tmp_path / "b", file_format=file_format, per_file=25)
    assert [one.sha256 for one in again.files] == [one.sha256 for one in manifest.files]


@pytest.mark.engine
def test_parquet_and_ndjson_say_the_same(platform: Platform, tmp_path: Path) -> None:
    write_history(platform)
    exported(platform, tmp_path / "n")
    exported(platform, tmp_path / "p", file_format=FileFormat.PARQUET)
    (path,) = (tmp_path / "p").glob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row["payload"] = json.loads(row["payload"])
        for name in ("happened_at", "recorded_at"):
            row[name] = row[name].isoformat()
    assert [{k: str(v) if isinstance(v, UUID) else v for k, v in row.items()} for row in rows] == lines(tmp_path / "n")


@pytest.mark.engine
def test_personal_text_is_null_unless_it_is_asked_for(platform: Platform, tmp_path: Path) -> None:
    write_history(platform)
    exported(platform, tmp_path / "a")
    without = (tmp_path / "a" / "events-000001.ndjson").read_text()
    assert "example.org" not in without
    assert "seen before" not in without
    assert "~1:" not in without
    (case,) = {line["payload"]["text"] for line in lines(tmp_path / "a") if line["topic"] == Case.ReportFiled.TOPIC}
    assert case is None
    manifest = exported(platform, tmp_path / "b", Selection(topics=("user.registered",)), with_personal=True)
    addresses = [line["payload"]["email"] for line in lines(tmp_path / "b")]
    members = ["ada@example.org", "grace@example.org"]
    assert addresses == [*members, "forgotten-0@example.org", "forgotten-1@example.org"]
    assert manifest.about == {
        "topics": ("user.registered",),
        "first": 1,
        "upto": manifest.about["upto"],
        "personal": True,
    }


@pytest.mark.engine
def test_an_export_of_nothing_is_an_export(platform: Platform, tmp_path: Path) -> None:
    manifest = exported(platform, tmp_path / "a", file_format=FileFormat.PARQUET)
    assert (manifest.rows, manifest.files, verify(tmp_path / "a")) == (0, [], manifest)


@pytest.mark.engine
def test_what_this_version_cannot_read_is_refused_and_leaves_no_files(
    platform: Platform, people: list[UUID], owner: Connection[Any], tmp_path: Path
) -> None:
    owner.execute("INSERT INTO es.event_type (name) VALUES ('user.from_the_future')")
    owner.execute("ALTER TABLE es.event DISABLE TRIGGER USER")
    owner.execute(
        "UPDATE es.event SET type = (SELECT max(id) FROM es.event_type) WHERE position = 7",
    )
    with pytest.raises(BadSelection, match=r"^the event at position 7 cannot be read: .*user\.from_the_future"):
        exported(platform, tmp_path / "a", per_file=2)
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.engine
def test_changes_of_an_export_are_found(platform: Platform, people: list[UUID], tmp_path: Path) -> None:
    out = tmp_path / "a"
    exported(platform, out, per_file=3)
    first, manifest = out / "events-000001.ndjson", out / files.MANIFEST
    good, said = first.read_bytes(), manifest.read_text()

    def damaged(match: str) -> None:
        with pytest.raises(ExportDamaged, match=match):
            verify(out)

    first.write_bytes(good.replace(b"why not", b"why NOT"))
    damaged(r"^events-000001\.ndjson was changed$")
    first.unlink()
    damaged(r"^events-000001\.ndjson is missing$")
    first.write_bytes(good)
    (out / "events-000009.ndjson").write_text("")
    damaged(r"^events-000009\.ndjson is not in the manifest$")
    (out / "events-000009.ndjson").unlink()
    for old, new in (('"rows": 7', '"rows": 8'), ('"last": [\n  7', '"last": [\n  6')):
        assert old in said
        manifest.write_text(said.replace(old, new))
        damaged(r"^manifest\.json does not add up$")
    manifest.write_text(said.replace("events-000001.ndjson", "../events-000001.ndjson"))
    damaged("names files elsewhere")
    manifest.write_text("[]")
    damaged(r"^manifest\.json is none")
    manifest.write_text(said.replace('"form": 1', '"form": 2'))
    damaged("of form 2")
    manifest.unlink()
    damaged("No such file")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ExportRefused, match="is not empty"):
        Export(tmp_path, "events", COLUMNS, FileFormat.NDJSON, key=1, per_file=1)
    with pytest.raises(ExportRefused, match="Not a directory|File exists"):
        Export(tmp_path / "mine", "events", COLUMNS, FileFormat.NDJSON, key=1, per_file=1)


def test_without_the_extra_parquet_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ExportRefused, match=r"needs the extra `analysts`: pip install 'tracker-platform\[analysts\]'"):
        Export(tmp_path / "out", "events", COLUMNS, FileFormat.PARQUET, key=1, per_file=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file_format", list(FileFormat))
def test_a_full_disk_is_one_line_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: FileFormat
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def export() -> None:
        with Export(tmp_path, "events", (files.Column("n", "int"),), file_format, key=1, per_file=2) as rows:
            rows.add([(n,) for n in range(3)])
            monkeypatch.setattr(os, "fsync", full)
            rows.finish({})

    with pytest.raises(ExportRefused, match="No space left on device$"):
        export()
    assert list(tmp_path.iterdir()) == []


def test_row_groups_are_bounded_by_rows_and_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "GROUP_ROWS", 4)
    monkeypatch.setattr(files, "GROUP_BYTES", 100)
    columns = (files.Column("n", "int"), files.Column("said", "json"))
    with Export(tmp_path, "events", columns, FileFormat.PARQUET, key=1, per_file=100) as export:
        export.add([(n, b"{}") for n in range(10)])
        export.add([(n, b'"%s"' % (b"x" * 200)) for n in range(10, 12)])
        export.finish({})
    found = pq.ParquetFile(tmp_path / "events-000001.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [4, 4, 3, 1]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("2031-01-01", datetime(2031, 1, 1, tzinfo=UTC)),
        ("2031-01-01T12:00:00+02:00", datetime(2031, 1, 1, 10, tzinfo=UTC)),
        ("2031-01-01T12:00:00Z", NOON),
        ("90s", NOON - timedelta(seconds=90)),
        ("2h", NOON - timedelta(hours=2)),
        ("4w", NOON - timedelta(weeks=4)),
    ],
)
def test_times_are_read(text: str, named: datetime) -> None:
    assert moment(text, NOON) == named


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "2031-13-01", "999999w", "-1h", "0001-01-01T00:00:00+10:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadSelection, match="is no time"):
        moment(text, NOON)


def test_types_are_read() -> None:
    assert matching_topics(["claim.*"], TOPICS) == ("claim.made", "claim.released", "claim.retaken")
    assert matching_topics(["user.enabled", "user.enabled"], TOPICS) == ("user.enabled",)
    for wrong in ("user", "user.*.x", "*", "use.*", "user.e*"):
        with pytest.raises(BadSelection, match="no event has the type"):
            matching_topics([wrong], TOPICS)
