"""The site as of a moment, and as it were with other events, in schemas of their own."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from runtime.cli.projections import UnknownProjection, projections_commands
from runtime.db import Writer
from runtime.facts import Fact
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import NoRun, NotByStream, RebuildFailed, TableCheck
from runtime.rebuild.overlay import BadOverlay, read_overlay
from runtime.rebuild.past import BadSchema, NoSuchSchema, build_past, build_what_if, drop_schema
from runtime.settings import Settings
from tests.conftest import SECRETS
from tests.given import Given, event, projected, rows_of
from tests.runtime.notes import KINDS, Note, make_projection

ONE, OTHER, NEVER = UUID(int=1), UUID(int=2), UUID(int=3)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def projection(notes: Platform) -> Projection:
    """Two notes before March, a line of each in March."""
    given = Given(notes)
    for number, note_id in enumerate((ONE, OTHER), 1):
        before = MARCH - timedelta(days=number)
        given.facts(
            event(Note.Opened, note_id, 1, before, author="Ada", lines=0),
            event(Note.LineAdded, note_id, 2, before, number=number),
        )
    for note_id in (ONE, OTHER):
        given.facts(event(Note.LineAdded, note_id, 3, MARCH + timedelta(seconds=1), number=10))
    found = notes.followers[0]
    assert isinstance(found, Projection)
    projected(notes, found)
    return found


def lines(platform: Platform, schema: str) -> list[tuple[Any, ...]]:
    return rows_of(platform, f"SELECT note_id, author, lines FROM {schema}.note ORDER BY 1")


def added(kind: str, stream_id: UUID, at: datetime = MARCH, **data: object) -> str:
    return json.dumps({"type": kind, "stream_id": str(stream_id), "at": at.isoformat(), "data": data})


def test_the_site_as_of_a_moment_stands_in_a_schema_of_its_own(notes: Platform, projection: Projection) -> None:
    assert build_past(notes, [projection], "march", MARCH) == 4
    assert lines(notes, "march") == [(ONE, "Ada", 1), (OTHER, "Ada", 2)]
    assert lines(notes, "read") == [(ONE, "Ada", 11), (OTHER, "Ada", 12)]
    assert build_past(notes, [projection], "today", MARCH + timedelta(days=1)) == 6
    assert lines(notes, "today") == lines(notes, "read")
    assert build_past(notes, [projection], "nothing", MARCH - timedelta(days=30)) == 0
    assert lines(notes, "nothing") == []


def test_such_a_schema_can_be_queried_like_the_live_tables_by_the_role_that_was_named(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("DROP ROLE IF EXISTS past_reader")
    owner.execute("CREATE ROLE past_reader")
    build_past(notes, [projection], "march", MARCH, reader="past_reader")
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'note' AND schemaname = %s ORDER BY 1"
    assert owner.execute(indexes, ("march",)).fetchall() == owner.execute(indexes, ("read",)).fetchall()
    owner.execute("SET ROLE past_reader")
    assert owner.execute("SELECT count(*) FROM march.note").fetchone() == (2,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("DELETE FROM march.note")
    owner.execute("RESET ROLE")
    drop_schema(notes, "march")
    owner.execute("DROP ROLE past_reader")


@pytest.mark.parametrize("name", ["read", "es", "public", "pg_past", "standby_notes", "March", "a-b", ""])
def test_a_schema_that_is_there_or_is_not_ours_is_neither_filled_nor_dropped(
    notes: Platform, projection: Projection, name: str
) -> None:
    with pytest.raises(BadSchema):
        build_past(notes, [projection], name, MARCH)
    with pytest.raises(NoSuchSchema):
        drop_schema(notes, name)
    assert lines(notes, "read") == [(ONE, "Ada", 11), (OTHER, "Ada", 12)]


def test_what_cannot_be_built_leaves_no_schema(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    broken = make_projection()

    def fail(fact: Fact[Any], db: Writer) -> None:
        raise ZeroDivisionError

    broken.handlers[Note.LineAdded] = fail
    with pytest.raises(RebuildFailed, match="note.line_added at position 2: ZeroDivisionError"):
        build_past(notes, [broken], "march", MARCH)
    with pytest.raises(BadSchema, match="no role"):
        build_past(notes, [projection], "march", MARCH, reader="nobody_here")
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'march'").fetchone() == (0,)
    build_past(notes, [projection], "march", MARCH)
    drop_schema(notes, "march")
    build_past(notes, [projection], "march", MARCH)


def test_other_events_make_other_tables_which_are_compared_with_the_live_ones(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    facts = owner.execute("SELECT count(*) FROM es.event").fetchone()
    text = [
        '{"without": 6}',
        "",
        added("note.opened", NEVER, author="Eve", lines=3),
        added("note.line_added", ONE, number=5),
        added("note.line_added", ONE, number=6),
        added("note.closed", ONE),
    ]
    overlay = read_overlay(line.encode() for line in text)
    checks = build_what_if(notes, [projection], "eve", overlay, examples=10)["notes"]
    assert lines(notes, "eve") == [(ONE, "Ada", 22), (OTHER, "Ada", 2), (NEVER, "Eve", 3)]
    assert [(check.table, check.differences) for check in checks] == [("note", 5), ("note_line", 3)]
    changed = {example.key["note_id"]: (example.live, example.rebuilt) for example in checks[0].examples}
    assert changed[str(ONE)] == ({"lines": 11}, {"lines": 22})
    assert changed[str(NEVER)][0] is None
    assert lines(notes, "read") == [(ONE, "Ada", 11), (OTHER, "Ada", 12)]
    assert owner.execute("SELECT count(*) FROM es.event").fetchone() == facts


def test_without_other_events_nothing_differs(notes: Platform, projection: Projection) -> None:
    checks = build_what_if(notes, [projection], "same", read_overlay([]))
    assert checks == {"notes": [TableCheck("note", 2, 0), TableCheck("note_line", 4, 0)]}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2"),
        ('{"without": "x"}', "line 2"),
        ('{"type": "note.closed"}', "line 2"),
        (added("note.closed", ONE)[:-1] + ', "more": 1}', "line 2"),
        (added("note.burned", ONE), "no event class"),
        (added("note.line_added", ONE, number="many"), "event 1"),
    ],
    ids=["cut off", "no position", "no stream", "one field too many", "unknown topic", "wrong type"],
)
def test_a_line_that_is_no_event_is_named(notes: Platform, projection: Projection, line: str, why: str) -> None:
    with pytest.raises(BadOverlay, match=why):
        build_what_if(notes, [projection], "wrong", read_overlay([b"", line.encode()]))


def open_notes(settings: Settings) -> Platform:
    """What another process opens, too."""
    return Platform(settings, KINDS, (make_projection(), more_notes()), secrets=SECRETS)


def more_notes() -> Projection:
    """A second projection, which counts nothing but openings."""
    more = Projection("more", "more_note")

    @more.on(Note.Opened)
    def opened(fact: Fact[Note.Opened], db: Writer) -> None:
        db.execute("INSERT INTO more_note (note_id) VALUES (%s)", (fact.stream_id,))

    return more


class Cli:
    """`tracker projections` over the notes."""

    def __init__(self, settings: Settings, *known: Projection) -> None:
        self._app = projections_commands(lambda: settings, open_notes, known)

    def run(self, *words: str) -> tuple[int, str]:
        done = CliRunner().invoke(self._app, list(words))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout


@pytest.fixture
def cli(settings: Settings, projection: Projection) -> Cli:
    return Cli(settings, projection)


def test_an_operator_rebuilds_compares_and_goes_back(cli: Cli, owner: psycopg.Connection[Any]) -> None:
    owner.execute("UPDATE read.note SET lines = 0 WHERE note_id = %s", (ONE,))
    code, said = cli.run("diff", "notes")
    assert code == 1
    assert f"note_id={ONE}: lines is 0 live, 11 rebuilt" in said
    assert cli.run("verify", "--all") == (1, "notes: note: 2 rows differ\n2 tables, 6 rows, 2 differences\n")
    assert cli.run("rebuild", "notes") == (0, "2 tables, 6 rows rebuilt\n")
    assert cli.run("verify", "notes") == (0, "2 tables, 6 rows, 0 differences\n")
    assert cli.run("rollback", "notes")[0] == 0
    assert cli.run("verify", "notes")[0] == 1
    assert cli.run("drop-standby", "--all") == (0, "1 standbys dropped\n")
    code, said = cli.run("status")
    assert "verify" in said
    assert "done" in said


def test_an_operator_checks_a_part_and_makes_one_stream_anew(
    cli: Cli, notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE read.note SET lines = 0")
    with pytest.raises(NotByStream):
        cli.run("rebuild", "notes", "--stream", str(ONE))
    code, said = cli.run("check", "--due")
    assert (code, said.startswith("notes whole 6 rows 4 differ ")) == (1, True)
    projection.stream = "note_id"
    assert cli.run("rebuild", "notes", "--stream", str(ONE)) == (0, f"notes: 3 facts make 3 rows of {ONE}\n")
    assert "4 differ" in cli.run("status")[1]
    assert cli.run("check", "notes")[1].startswith("notes part 0 of 64 ")
    assert rows_of(notes, "SELECT note_id FROM read.note WHERE lines = 0") == [(OTHER,)]


def test_an_operator_hands_what_was_interrupted_to_the_workers(
    cli: Cli, notes: Platform, owner: psycopg.Connection[Any]
) -> None:
    with pytest.raises(NoRun):
        cli.run("carry-out", "notes")
    owner.execute("INSERT INTO es.rebuild (name, kind) VALUES ('notes', 'rebuild')")
    assert cli.run("resume", "notes") == (0, "notes: run\n")
    assert cli.run("carry-out", "notes") == (0, "")
    assert rows_of(notes, "SELECT state FROM es.rebuild") == [("done",)]


def test_an_operator_pauses_a_live_projection_but_no_rebuild_that_does_not_run(cli: Cli, notes: Platform) -> None:
    paused = "SELECT count(*) FROM es.follower_setting WHERE paused_at IS NOT NULL"
    cli.run("pause", "notes", "--live")
    assert rows_of(notes, paused) == [(1,)]
    cli.run("resume", "notes", "--live")
    assert rows_of(notes, paused) == [(0,)]
    for command in ("pause", "resume", "cancel"):
        with pytest.raises(RebuildFailed):
            cli.run(command, "notes")
    for words in (
        ["verify"],
        ["verify", "nothing"],
        ["verify", "notes", "--all"],
        ["rebuild", "notes", "--schema", "x"],
    ):
        with pytest.raises(UnknownProjection):
            cli.run(*words)


def test_an_operator_builds_the_past_and_what_might_have_been(cli: Cli, notes: Platform, tmp_path: Path) -> None:
    code, said = cli.run("rebuild", "--all", "--as-of", "2026-03-01", "--schema", "march")
    assert (code, said) == (0, "schema march: 1 projections as of position 4, readable by tracker_app\n")
    assert lines(notes, "march") == [(ONE, "Ada", 1), (OTHER, "Ada", 2)]
    (tmp_path / "more.ndjson").write_text(added("note.line_added", ONE, number=5))
    code, said = cli.run("what-if", str(tmp_path / "more.ndjson"), "notes", "--schema", "more")
    assert f"note_id={ONE}: lines is 11 live, 16 what-if" in said
    assert said.endswith("schema more, 3 differences\n")
    assert cli.run("drop-schema", "march") == (0, "schema march dropped\n")


def test_two_projections_are_rebuilt_by_two_processes(
    settings: Settings, notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("SET ROLE tracker_projector; CREATE TABLE read.more_note (note_id uuid PRIMARY KEY); RESET ROLE")
    owner.execute("GRANT SELECT ON read.more_note TO tracker_app; DELETE FROM read.note_line")
    code, said = Cli(settings, projection, more_notes()).run("rebuild", "--all", "--processes", "2")
    assert code == 0
    *shares, whole = said.splitlines()
    assert [re.sub(r"[\d.,]+ (s|facts/s)|\d+%", "…", line) for line in sorted(shares)] == [
        "more: 2 facts make 2 rows in …, …, … of the time",
        "notes: 6 facts make 6 rows in …, …, … of the time",
    ]
    assert re.fullmatch(r"\d tables, \d+ rows rebuilt", whole)
    assert lines(notes, "read") == [(ONE, "Ada", 11), (OTHER, "Ada", 12)]
    assert rows_of(notes, "SELECT note_id FROM read.more_note ORDER BY 1") == [(ONE,), (OTHER,)]
    states = rows_of(notes, "SELECT name, state FROM es.rebuild ORDER BY 1")
    assert states == [("more", "done"), ("notes", "done")]
