"""`tracker events`: what an operator or an analyst asks the log of facts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from psycopg import Connection
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from domain.base import SYSTEM, Aggregate
from runtime.event_archive import move
from runtime.event_archive.archive import Piece, pieces
from runtime.event_archive.move import ArchiveRefused
from runtime.export.announces import Reading, Wanted, export_announces
from runtime.export.events import export_events, line
from runtime.export.files import ExportRefused, FileFormat, Manifest, fingerprint, verify
from runtime.export.selection import (
    BadSelection,
    Count,
    SelectedFacts,
    Selection,
    Stats,
    StoredFact,
    matching_topics,
    moment,
    safe_position,
)
from runtime.platform import Platform

OpenPlatform = Callable[[], AbstractContextManager[Platform]]
#: A connection that may look up names.
People = Callable[[], AbstractContextManager[Connection[Any]]]

#: Days that `stats` shows to people.
DAYS_SHOWN = 30
#: Of a value in a line of `tail`.
_VALUE_MAX = 60

Types = Annotated[list[str] | None, typer.Option("--type", help="torrent.approved or torrent.*; may be repeated")]
Stream = Annotated[UUID | None, typer.Option("--stream", help="the id of one stream")]
Actor = Annotated[str | None, typer.Option("--actor", help="an id, a username, or system")]
Since = Annotated[str | None, typer.Option("--since", help="2031-01-31, 2031-01-31T12:00:00Z, or 2h for 2 hours ago")]
Until = Annotated[str | None, typer.Option("--until", help="the same; this moment itself not included")]
First = Annotated[int, typer.Option("--from", min=1, help="the first position")]
Last = Annotated[int | None, typer.Option("--to", min=1, help="the last position")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]
Personal = Annotated[bool, typer.Option("--with-personal", help="personal text too; needs --yes")]
Yes = Annotated[bool, typer.Option("--yes", help="I may have personal data, and answer for it")]
Format = Annotated[FileFormat, typer.Option("--format")]
Out = Annotated[Path, typer.Option("--out", help="a directory that is empty or not there yet")]
PerFile = Annotated[int, typer.Option("--per-file", min=1, help="rows in a file at most")]


def events_commands(open_platform: OpenPlatform, kinds: Iterable[type[Aggregate.Event]]) -> typer.Typer:
    """The sub-commands; `open_platform` gives the site that the settings name, `kinds` are its event classes."""
    app = typer.Typer(
        no_args_is_help=True, help="The log of everything that was decided: reading it, and taking it away."
    )
    known = tuple(kinds)

    @app.command()
    def tail(
        types: Types = None,
        stream: Stream = None,
        actor: Actor = None,
        since: Since = None,
        until: Until = None,
        first: First = 1,
        last: Last = None,
        count: Annotated[int, typer.Option("-n", min=0, help="so many")] = 10,
        follow: Annotated[bool, typer.Option("-f", "--follow", help="go on with what happens from now on")] = False,
        as_json: AsJson = False,
        with_personal: Personal = False,
        yes: Yes = False,
    ) -> None:
        """The newest events, oldest first."""
        _must_confirm(with_personal, yes)
        with _log(open_platform, known, with_personal) as (facts, connection, people):
            asked = _selection(people, known, types, stream, actor, since, until, first, last)
            upto = safe_position(connection)
            found: Iterable[StoredFact] = facts.newest(connection, asked, upto, count)
            if follow:
                found = chain(found, facts.follow(connection, asked, upto))
            _print(found, facts, as_json)

    @app.command()
    def show(
        position: Annotated[int, typer.Argument(min=1)],
        as_json: AsJson = False,
        with_personal: Personal = False,
        yes: Yes = False,
    ) -> None:
        """One event with all that is known of it."""
        _must_confirm(with_personal, yes)
        with _log(open_platform, known, with_personal) as (facts, connection, _):
            fact = facts.one(connection, position)
            text = line(fact, facts.fields(fact))
        typer.echo(text if as_json else "\n".join(_described(json.loads(text))))

    @app.command()
    def stats(
        types: Types = None,
        stream: Stream = None,
        actor: Actor = None,
        since: Since = None,
        until: Until = None,
        first: First = 1,
        last: Last = None,
        as_json: AsJson = False,
    ) -> None:
        """How many events of which type, on which day, and how large they are."""
        with _log(open_platform, known, False) as (facts, connection, people):
            asked = _selection(people, known, types, stream, actor, since, until, first, last)
            found = facts.stats(connection, asked, safe_position(connection))
        if as_json:
            typer.echo(json.dumps(_as_object(found)))
        else:
            _show_stats(found)

    @app.command()
    def export(
        out: Out,
        file_format: Format = FileFormat.PARQUET,
        types: Types = None,
        stream: Stream = None,
        actor: Actor = None,
        since: Since = None,
        until: Until = None,
        first: First = 1,
        last: Last = None,
        per_file: PerFile = 1_000_000,
        with_data: Annotated[bool, typer.Option("--with-data", help="the stored bytes too, to check them")] = False,
        with_personal: Personal = False,
        yes: Yes = False,
    ) -> None:
        """Events into Parquet or NDJSON files with a manifest; personal text is null unless it is permitted."""
        _must_confirm(with_personal, yes)
        with _log(open_platform, known, with_personal) as (facts, connection, people), _progress("events") as shown:
            asked = _selection(people, known, types, stream, actor, since, until, first, last)
            upto = safe_position(connection)
            written = export_events(
                facts,
                connection,
                asked,
                upto,
                out,
                file_format,
                per_file,
                shown,
                with_personal=with_personal,
                with_data=with_data,
            )
        _say(written, out)

    @app.command("archive")
    def archive_(
        before: Annotated[int | None, typer.Option("--before", min=1, help="partitions that end before it")] = None,
        older_than: Annotated[int | None, typer.Option("--older-than", min=1, max=36_500, help="so many days")] = None,
    ) -> None:
        """Move whole partitions of old events into files, which are compared with the chain of the log first."""
        if before is None and older_than is None:
            raise ArchiveRefused("say --before POSITION, --older-than DAYS, or both")
        since = datetime.now(UTC) - timedelta(days=older_than or 0)
        moved = 0
        with _archiving(open_platform) as (root, connection):
            for part in move.closed(connection):
                if (before and part.ends > before) or (part.last_recorded_at and part.last_recorded_at > since):
                    break
                if piece := move.archive(connection, root, part):
                    moved += 1
                    typer.echo(f"{piece.path(root)}: {_span(piece)}")
        typer.echo(f"{moved} partitions archived")

    @app.command()
    def archives(
        verify: Annotated[bool, typer.Option("--verify", help="compare each with the chain; exit 1 at a flaw")] = False,
    ) -> None:
        """What of the log lies in files."""
        with _archiving(open_platform) as (root, connection):
            held = pieces(connection)
            for piece in held:
                typer.echo(f"{piece.path(root)}: {_span(piece)}")
                if verify:
                    move.verify(connection, root, piece)
        typer.echo(f"{len(held)} partitions archived" + (", 0 flaws" if verify else ""))

    @app.command("restore-archive")
    def restore_archive() -> None:
        """Put the newest archived partition back into the table; its files stay."""
        with _archiving(open_platform) as (root, connection):
            held = pieces(connection)
            if not held:
                raise ArchiveRefused("nothing is archived")
            move.restore(connection, root, held[-1])
        typer.echo(f"{_span(held[-1])} restored")

    @app.command("verify-export")
    def verify_export(directory: Annotated[Path, typer.Argument(help="what an export wrote")]) -> None:
        """Check that the files of an export of events or announces are those that were written."""
        _say(verify(directory), directory)

    return app


def add_journal_export(journal: typer.Typer, open_platform: OpenPlatform, reading: Reading) -> typer.Typer:
    """`tracker journal export`, beside the journal's other sub-commands."""

    @journal.command("export")
    def export_journal(
        out: Out,
        file_format: Format = FileFormat.PARQUET,
        since: Since = None,
        until: Until = None,
        per_file: PerFile = 1_000_000,
        with_addresses: Annotated[bool, typer.Option("--with-addresses", help="needs --yes")] = False,
        yes: Yes = False,
    ) -> None:
        """Announces into Parquet or NDJSON files, from the store and from archived days; verify with `tracker events
        verify-export`."""
        _must_confirm(with_addresses, yes)
        with open_platform() as platform, platform.audit_pool.connection() as connection:
            wanted = Wanted(*_times(since, until), platform.keyring.read_keys if with_addresses else None)
            archive = platform.settings.data_dir / "archive"
            with _progress("segments") as shown:
                written = export_announces(connection, archive, reading, wanted, out, file_format, per_file, shown)
        _say(written, out)

    return journal


@contextmanager
def _archiving(open_platform: OpenPlatform) -> Iterator[tuple[Path, Connection[Any]]]:
    with open_platform() as platform, platform.projector_pool.connection() as connection:
        connection.execute("SET statement_timeout = 0")
        yield platform.settings.data_dir / "archive", connection


def _span(piece: Piece) -> str:
    return f"{piece.events} events, positions {piece.first_position} to {piece.last_position}"


@contextmanager
def _log(
    open_platform: OpenPlatform, kinds: tuple[type[Aggregate.Event], ...], with_personal: bool
) -> Iterator[tuple[SelectedFacts, Connection[Any], People]]:
    """The log as the audit reads it, who may not read who is called what."""
    with open_platform() as platform, platform.audit_pool.connection() as connection:
        yield (
            SelectedFacts(platform.history, kinds, with_personal=with_personal),
            connection,
            platform.query_pool.connection,
        )


def _selection(
    people: People,
    kinds: tuple[type[Aggregate.Event], ...],
    types: list[str] | None,
    stream: UUID | None,
    actor: str | None,
    since: str | None,
    until: str | None,
    first: int,
    last: int | None,
) -> Selection:
    """What the options ask for. Raises `BadSelection`."""
    return Selection(
        matching_topics(types, (kind.TOPIC for kind in kinds)) if types else None,
        stream,
        None if actor is None else _actor(people, actor),
        *_times(since, until),
        first,
        last,
    )


def _times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    now = datetime.now(UTC)
    return since and moment(since, now) or None, until and moment(until, now) or None


def _actor(people: People, text: str) -> UUID:
    if text == "system":
        return SYSTEM
    try:
        return UUID(text)
    except ValueError:
        with people() as connection:
            row = connection.execute(
                "SELECT user_id FROM read.account WHERE lower(username) = lower(%s)", (text,)
            ).fetchone()
    if row is None:
        raise BadSelection(f"nobody is called {text!r}")
    return UUID(str(row[0]))


def _must_confirm(personal: bool, yes: bool) -> None:
    if personal and not yes:
        raise ExportRefused("this would show personal data: say --yes as well if you may have it")


def _print(found: Iterable[StoredFact], facts: SelectedFacts, as_json: bool) -> None:
    """A line each, at once; Ctrl-C ends it."""
    try:
        for fact in found:
            fields = facts.fields(fact)
            typer.echo(line(fact, fields) if as_json else _line(fact, fields))
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass


def _line(fact: StoredFact, fields: Mapping[str, Any]) -> str:
    actor = "system" if fact.actor_id == SYSTEM else fact.actor_id
    said = " ".join(f"{name}={_short(value)}" for name, value in fields.items())
    at = fact.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{fact.position:>9}  {at}  {fact.topic:<28} {fact.stream_id}/{fact.version}  by {actor}  {said}".rstrip()


def _short(value: object) -> str:
    text = _visible(json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= _VALUE_MAX else text[: _VALUE_MAX - 1] + "…"


def _described(said: dict[str, Any]) -> Iterator[str]:
    """What `show` prints for people."""
    payload = said.pop("payload")
    width = max(map(len, [*said, *payload]))
    for name, value in said.items():
        yield f"{name:<{width}}  {_visible(str(value))}"
    for name, value in payload.items():
        yield f"{name:<{width}}  {_visible(json.dumps(value, ensure_ascii=False))}"


def _visible(text: str) -> str:
    """Without characters that a terminal would act on: users wrote some of this."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _as_object(found: Stats) -> dict[str, Any]:
    return {
        **asdict(found.total),
        "first_position": found.first,
        "last_position": found.last,
        "stored_bytes": found.stored_bytes,
        "types": {topic: asdict(count) for topic, count in sorted(found.types.items())},
        "days": {str(day): asdict(count) for day, count in sorted(found.days.items())},
    }


def _show_stats(found: Stats) -> None:
    console = Console()
    newest = sorted(found.days.items())[-DAYS_SHOWN:]
    console.print(_counts("type", sorted(found.types.items(), key=lambda one: (-one[1].events, one[0]))))
    console.print(_counts("day", newest))
    span = f"positions {found.first} to {found.last}" if found.total.events else "no positions"
    total = f"{found.total.events} events, {decimal(found.total.data_bytes)} of data, {span}"
    console.print(f"{total}; the log takes {decimal(found.stored_bytes)} on disk", highlight=False)


def _counts(name: str, rows: Iterable[tuple[str | date, Count]]) -> Table:
    table = Table(name)
    for heading in ("events", "bytes"):
        table.add_column(heading, justify="right")
    for key, count in rows:
        table.add_row(str(key), str(count.events), decimal(count.data_bytes))
    return table


def _say(manifest: Manifest, directory: Path) -> None:
    span = f", {_key(manifest.first)} to {_key(manifest.last)}" if manifest.rows else ""
    files = len(manifest.files)
    typer.echo(f"{manifest.rows} {manifest.what} in {files} file{'s' if files != 1 else ''}{span}")
    typer.echo(f"manifest sha256 {fingerprint(directory)}")


def _key(parts: list[Any]) -> str:
    return "/".join(map(str, parts))


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
