"""`tracker projections`: where read tables stand, building them again, and going back."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from runtime import health
from runtime.follower_settings import pause as pause_live
from runtime.follower_settings import resume as resume_live
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import (
    Rebuilt,
    RowDifference,
    TableCheck,
    drop,
    rebuild,
    rebuild_stream,
    roll_back,
    runs,
    verify,
)
from runtime.rebuild import cancel as cancel_run
from runtime.rebuild.orders import carry_out
from runtime.rebuild.overlay import read_overlay
from runtime.rebuild.parallel import GC_THRESHOLD, PROCESSES, largest_first, rebuild_all
from runtime.rebuild.past import build_past, build_what_if, drop_schema
from runtime.rebuild.sample import PARTS, Drift, check_sample, drifts, due
from runtime.rebuild.shadow import Told
from runtime.roles import APP_ROLE
from runtime.settings import Settings

#: How often the bars are drawn.
LOOK_S = 0.25

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))

Name = Annotated[str, typer.Argument(help="a projection")]
Names = Annotated[list[str] | None, typer.Argument(help="projections by name")]
All = Annotated[bool, typer.Option("--all", help="every projection")]
Processes = Annotated[int, typer.Option(min=1, max=16, help="projections that are rebuilt at once")]
Rows = Annotated[int, typer.Option(min=1, max=10_000, help="of each table at most")]
AsOf = Annotated[datetime | None, typer.Option(help="UTC", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])]
Stream = Annotated[UUID | None, typer.Option(help="the id of one stream")]
Schema = Annotated[str | None, typer.Option(help="a new one, for --as-of")]
NewSchema = Annotated[str, typer.Option("--schema", help="a new one")]
Reader = Annotated[str, typer.Option(help="the role that may read the schema")]
Lines = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="one JSON object a line")]
Due = Annotated[bool, typer.Option("--due", help="those whose nightly check is due")]
Live = Annotated[bool, typer.Option("--live", help="the live projection itself, not its rebuild")]


class UnknownProjection(Exception):
    """The command line names no projection, or one that is not there."""


def projections_commands(
    settings: Callable[[], Settings], open_platform: Callable[[Settings], Platform], known: Sequence[Projection]
) -> typer.Typer:
    """The sub-commands over these projections; `open_platform` is something that can be pickled."""
    app = typer.Typer(no_args_is_help=True, help="Read tables: where they stand, building them again.")

    def site() -> Platform:
        return open_platform(settings())

    chosen = partial(_chosen, known)

    @app.command("status")
    def status() -> None:
        """Where every projection and policy stands, the last rebuild or verification of each, and what the last nightly
        checks found."""
        followers = Table("name", "state", "position", "events behind", "seconds behind", "dead letters", "why")
        checks = Table("checked", "what", "rows", "differences", "at")
        last = Table("last run of", "kind", "state", "facts", "facts/s", "to go", "differences", "why")
        with site() as platform, platform.pool.connection() as connection:
            for one in health.followers(connection):
                keys = ("name", "state", "position", "lag_events", "lag_s", "dead_letters")
                followers.add_row(*(str(one[key]) for key in keys), _last_line(one["error"]))
            for run in runs.states(connection):
                last.add_row(*_shown(run))
            for drift in drifts(connection):
                checks.add_row(*_drift(drift))
        Console().print(followers)
        for table in (last, checks):
            if table.row_count:
                Console().print(table)

    @app.command("rebuild")
    def rebuild_(
        names: Names = None,
        all_: All = False,
        processes: Processes = PROCESSES,
        stream: Stream = None,
        as_of: AsOf = None,
        schema: Schema = None,
        reader: Reader = APP_ROLE,
    ) -> None:
        """Throw read tables away and build them again from the events; the ones of before stay as a standby. One that
        was interrupted is gone on with.

        With --stream: work out the rows of one torrent, user, case … only. With --as-of and --schema: build the tables
        of that moment (UTC) in a schema of their own, beside the live ones.
        """
        projections = chosen(names, all_)
        if stream is not None:
            _rebuild_stream(site, projections, stream)
            return
        if as_of is not None and schema is not None:
            _build_past(site, projections, as_of.replace(tzinfo=as_of.tzinfo or UTC), schema, reader)
            return
        if as_of is not None or schema is not None:
            raise UnknownProjection("--as-of and --schema go together: tables of the past have no place in read")
        opener = partial(open_platform, settings())
        with site() as platform:
            with _bars(platform, [projection.name for projection in projections]):
                done = list(_rebuilt(platform, opener, projections, min(processes, len(projections))))
        for one in done:
            if one.before:
                typer.echo(f"{one.name}: gone on with after {one.before} of {one.facts} facts")
        if len(done) > 1:
            _echo_shares(done)
        typer.echo(f"{sum(one.tables for one in done)} tables, {sum(one.rows for one in done)} rows rebuilt")

    @app.command("verify")
    def verify_(names: Names = None, all_: All = False) -> None:
        """Build read tables beside the live ones and count the differences; exit 0 only when there is none."""
        _verify(site, chosen(names, all_), 0)

    @app.command("diff")
    def diff(names: Names = None, all_: All = False, rows: Rows = 20) -> None:
        """The same, and which rows differ in which columns; exit 0 only when there is no difference."""
        _verify(site, chosen(names, all_), rows)

    @app.command("pause")
    def pause(name: Name, live: Live = False) -> None:
        """Let a rebuild or verification that runs stand still until it is resumed."""
        _wish(site, known, name, "pause", live)

    @app.command("resume")
    def resume(name: Name, live: Live = False) -> None:
        """Let it go on; one that was interrupted is gone on with by a worker."""
        _wish(site, known, name, "run", live)

    @app.command("cancel")
    def cancel(name: Name) -> None:
        """End a rebuild or verification, or let nobody go on with it; the live tables stay as they are."""
        (projection,) = chosen([name], False)
        with site() as platform:
            cancel_run(platform, projection)
        typer.echo(f"{name}: cancelled")

    @app.command("check")
    def check(names: Names = None, all_: All = False, due_: Due = False) -> None:
        """Work a part of the rows out again, another part each time, and compare it with the live ones, as every worker
        does at night; exit 0 only when there is no difference."""
        with site() as platform:
            _check(platform, due_now(platform, known) if due_ else chosen(names, all_))

    @app.command("carry-out", hidden=True)
    def carry_out_(name: Name) -> None:
        """What a worker starts: carry out what somebody has ordered of a projection."""
        (projection,) = chosen([name], False)
        gc.set_threshold(*GC_THRESHOLD)
        with site() as platform:
            carry_out(platform, projection)

    @app.command("rollback")
    def rollback(name: Name) -> None:
        """Put the tables of before the last rebuild back at once; a second rollback undoes the first."""
        (projection,) = chosen([name], False)
        with site() as platform:
            position = roll_back(platform, projection)
        typer.echo(f"{name}: the tables of before are back and go on from position {position}")

    @app.command("drop-standby")
    def drop_standby(names: Names = None, all_: All = False) -> None:
        """Give back the room that the tables of before take."""
        with site() as platform:
            dropped = sum(drop(platform, projection) for projection in chosen(names, all_))
        typer.echo(f"{dropped} standbys dropped")

    @app.command("what-if")
    def what_if(
        file: Lines,
        schema: NewSchema,
        names: Names = None,
        all_: All = False,
        rows: Rows = 20,
        reader: Reader = APP_ROLE,
    ) -> None:
        """Build read tables in a schema of their own as if other events had happened, and say what differs from the
        live ones; each line of the file is an event more or, as {"without": POSITION}, one less."""
        overlay = read_overlay(file.read_bytes().splitlines())
        projections = chosen(names, all_)
        with site() as platform, _shown_progress() as told:
            checks = build_what_if(platform, projections, schema, overlay, reader=reader, examples=rows, told=told)
        differences = sum(_echo_check(name, check, "what-if") for name in checks for check in checks[name])
        typer.echo(f"schema {schema}, {differences} differences")

    @app.command("drop-schema")
    def drop_schema_(schema: Annotated[str, typer.Argument()]) -> None:
        """Remove a schema that --as-of or what-if made."""
        with site() as platform:
            drop_schema(platform, schema)
        typer.echo(f"schema {schema} dropped")

    return app


def _rebuild_stream(site: Callable[[], Platform], projections: Sequence[Projection], stream_id: UUID) -> None:
    with site() as platform:
        for projection in projections:
            done = rebuild_stream(platform, projection, stream_id)
            typer.echo(f"{projection.name}: {done.facts} facts make {done.rows} rows of {stream_id}")


def _build_past(
    site: Callable[[], Platform], projections: Sequence[Projection], moment: datetime, schema: str, reader: str
) -> None:
    with site() as platform, _shown_progress() as told:
        position = build_past(platform, projections, schema, moment, reader=reader, told=told)
    typer.echo(f"schema {schema}: {len(projections)} projections as of position {position}, readable by {reader}")


def _rebuilt(
    platform: Platform, opener: Callable[[], Platform], projections: Sequence[Projection], processes: int
) -> Iterable[Rebuilt]:
    if processes == 1:
        return (rebuild(platform, projection) for projection in projections)
    names = [projection.name for projection in largest_first(platform, projections)]
    return rebuild_all(opener, names, processes)


def _echo_shares(done: Sequence[Rebuilt]) -> None:
    """Where the time went."""
    whole_s = sum(one.took_s for one in done) or 1.0
    for one in sorted(done, key=lambda one: -one.took_s):
        rate = (one.facts - one.before) / one.took_s if one.took_s else 0.0
        typer.echo(
            f"{one.name}: {one.facts:,} facts make {one.rows:,} rows in {one.took_s:.1f} s,"
            f" {rate:,.0f} facts/s, {one.took_s / whole_s:.0%} of the time"
        )


def _verify(site: Callable[[], Platform], projections: Sequence[Projection], examples: int) -> None:
    tables = rows = differences = 0
    with site() as platform, _bars(platform, [projection.name for projection in projections]):
        for projection in projections:
            for table in verify(platform, projection, examples=examples):
                tables, rows, differences = tables + 1, rows + table.rows, differences + table.differences
                _echo_check(projection.name, table, "rebuilt")
    typer.echo(f"{tables} tables, {rows} rows, {differences} differences")
    raise typer.Exit(1 if differences else 0)


def due_now(platform: Platform, known: Sequence[Projection]) -> list[Projection]:
    with platform.pool.connection() as connection:
        return due(connection, known, datetime.now(UTC))


def _check(platform: Platform, projections: Sequence[Projection]) -> None:
    found = [check_sample(platform, projection, datetime.now(UTC)) for projection in projections]
    for drift in found:
        typer.echo(" ".join(_drift(drift)))
    raise typer.Exit(1 if any(drift.differences != 0 for drift in found) else 0)


def _drift(drift: Drift) -> Iterator[str]:
    """Name, what was compared, what differs, when."""
    yield drift.name
    yield "whole" if drift.part is None else f"part {drift.part} of {PARTS}"
    yield f"{drift.rows} rows"
    yield (drift.error or "").partition("\n")[0] if drift.differences is None else f"{drift.differences} differ"
    yield f"{drift.checked_at:%Y-%m-%d %H:%M}"


def _echo_check(name: str, check: TableCheck, other: str) -> int:
    """Say what differs, if anything does; returns how many rows that are."""
    if check.differences:
        typer.echo(f"{name}: {check.table}: {check.differences} rows differ")
    for example in check.examples:
        typer.echo(_described(example, other))
    return check.differences


def _described(row: RowDifference, other: str) -> str:
    key = ", ".join(f"{column}={value}" for column, value in row.key.items())
    if row.live is None:
        return f"  {key}: in the {other} table only"
    if row.rebuilt is None:
        return f"  {key}: in the live table only"
    return f"  {key}: " + ", ".join(f"{c} is {row.live[c]!r} live, {row.rebuilt[c]!r} {other}" for c in row.live)


def _wish(site: Callable[[], Platform], known: Sequence[Projection], name: str, wanted: runs.Wish, live: bool) -> None:
    _chosen(known, [name], False)
    with site() as platform:
        if live:
            (pause_live if wanted == "pause" else resume_live)(platform, name)
        else:
            with platform.projector_pool.connection() as connection:
                runs.wish(connection, name, wanted)
    typer.echo(f"{name}: {wanted}")


def _chosen(known: Sequence[Projection], names: list[str] | None, all_: bool) -> list[Projection]:
    by_name = {projection.name: projection for projection in known}
    if all_ == bool(names):
        raise UnknownProjection(f"name projections or say --all; there are {', '.join(by_name)}")
    unknown = [name for name in names or () if name not in by_name]
    if unknown:
        raise UnknownProjection(f"no projection is called {unknown[0]!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in (dict.fromkeys(names) if names else by_name)]


def _last_line(error: str | None) -> str:
    return (error or "").strip().rpartition("\n")[2]


def _shown(run: runs.RunState) -> Iterator[str]:
    yield from (run.name, run.kind, run.state + (" (waits for live ones)" if run.throttled else ""), f"{run.facts:,}")
    yield from (f"{run.rate:,.0f}", "" if run.eta_s is None else f"{run.eta_s:,.0f} s")
    yield from ("" if run.differences is None else str(run.differences), (run.error or "").partition("\n")[0])


@contextmanager
def _shown_progress() -> Iterator[Callable[[str], Told]]:
    """Makes a bar for each name, drawn by who does the work."""
    with Progress(*COLUMNS, console=Console(stderr=True), transient=True) as progress:

        def bar(name: str) -> Told:
            task, began = progress.add_task(name, total=None, said=""), time.monotonic()

            def told(position: int, target: int, facts: int) -> None:
                rate = facts / max(time.monotonic() - began, 0.001)
                progress.update(task, completed=position, total=target, said=f"{rate:,.0f} facts/s")

            return told

        yield bar


@contextmanager
def _bars(platform: Platform, names: Sequence[str]) -> Iterator[None]:
    """A bar for each of these that runs, whoever does the work, until the block ends."""
    done = threading.Event()
    with Progress(*COLUMNS, console=Console(stderr=True), transient=True) as progress:
        thread = threading.Thread(target=_draw, args=(platform, progress, names, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _draw(platform: Platform, progress: Progress, names: Sequence[str], done: threading.Event) -> None:
    tasks: dict[str, TaskID] = {}
    while not done.wait(LOOK_S):
        with platform.pool.connection() as connection:
            states = [state for state in runs.states(connection) if state.name in names]
        for run in states:
            if run.name not in tasks and run.state in ("running", "paused"):
                tasks[run.name] = progress.add_task(run.name, total=None, said="")
            if run.name in tasks:
                eta = "" if run.eta_s is None else f", {run.eta_s:,.0f} s to go"
                said = f"{run.state}, {run.rate:,.0f} facts/s{eta}"
                progress.update(tasks[run.name], completed=run.position, total=run.target or None, said=said)
