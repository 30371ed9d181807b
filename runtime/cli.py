"""The command line: one program for every role and every task of an operator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from commands.default_data import seed
from commands.users import create_user
from domain.base import SYSTEM
from domain.errors import DomainError
from projections import ALL
from runtime import health
from runtime.api import open_platform
from runtime.db import ForgetfulServer
from runtime.embedded import EngineError, Postgres, Valkey
from runtime.journal import BrokenChain
from runtime.journal_archive import ArchiveRefused
from runtime.journal_cli import journal_commands
from runtime.migrate import migrate as apply_migrations
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import RebuildFailed, RebuildRunning
from runtime.rebuild import rebuild as rebuild_projection
from runtime.rebuild import verify as verify_projection
from runtime.secrets import SecretsError
from runtime.settings import Settings, SettingsError, load
from runtime.supervisor import up as supervise

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
users = typer.Typer(no_args_is_help=True, help="Accounts, made on the machine.")
projections = typer.Typer(no_args_is_help=True, help="Read tables: where they stand, building them again.")
app.add_typer(users, name="users")
app.add_typer(projections, name="projections")

Names = Annotated[list[str] | None, typer.Argument(help="projections by name")]
All = Annotated[bool, typer.Option("--all", help="every projection")]

FIRST_SYSOP = "first sysop: tracker users create --username NAME --email MAIL --group sysop"


class UsageError(Exception):
    """The command line asks for something that is not there; `str(error)` is one line."""


#: What an operator can do something about.
EXPECTED = (
    UsageError,
    SettingsError,
    SecretsError,
    EngineError,
    DomainError,
    ForgetfulServer,
    RebuildRunning,
    RebuildFailed,
    ArchiveRefused,
    BrokenChain,
)


@app.command()
def up() -> None:
    """Run everything on this machine: engines, API, worker, edge."""
    raise typer.Exit(supervise(load(), _prepare))


@app.command()
def api() -> None:
    """Run the API alone."""
    from runtime.api import serve

    serve(_attached(load()))


@app.command()
def worker() -> None:
    """Run the projections and policies alone."""
    from runtime.worker import serve

    serve(_attached(load()))


@app.command()
def edge() -> None:
    """Run the announce edge alone."""
    from runtime.edge import serve

    serve(_attached(load()))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema and default data."""
    for line in _prepare(_attached(load())):
        typer.echo(line)


@users.command("create")
def create(
    username: Annotated[str, typer.Option()],
    email: Annotated[str, typer.Option()],
    group: Annotated[str, typer.Option()] = "member",
) -> None:
    """Make an account; the password is read from standard input."""
    password = typer.prompt("password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    with _platform() as platform:
        receipt = create_user(
            platform.store(SYSTEM, "cli"),
            platform.secrets.site,
            username=username,
            email=email,
            password=password,
            group=group,
            now=datetime.now(UTC),
        )
    typer.echo(f"{username} is {receipt.id}, group {group}")


@projections.command("status")
def status() -> None:
    """Where every projection and policy stands."""
    with _platform() as platform, platform.pool.connection() as connection:
        table = Table("name", "state", "position", "events behind", "seconds behind")
        for one in health.followers(connection):
            table.add_row(one["name"], one["state"], *(str(one[k]) for k in ("position", "lag_events", "lag_s")))
    Console().print(table)


@projections.command("rebuild")
def rebuild(names: Names = None, all_: All = False) -> None:
    """Throw read tables away and build them again from the events."""
    tables = rows = 0
    with _platform() as platform, _progress() as progress:
        for projection in _chosen(names, all_):
            rebuilt = rebuild_projection(platform, projection, _shown(progress, projection.name))
            tables, rows = tables + rebuilt.tables, rows + rebuilt.rows
    typer.echo(f"{tables} tables, {rows} rows rebuilt")


@projections.command("verify")
def verify(names: Names = None, all_: All = False) -> None:
    """Build read tables beside the live ones and count the differences; exit 0 only when there is none."""
    tables = rows = differences = 0
    with _platform() as platform:
        for projection in _chosen(names, all_):
            for table in verify_projection(platform, projection):
                tables, rows, differences = tables + 1, rows + table.rows, differences + table.differences
                if table.differences:
                    typer.echo(f"{projection.name}: {table.table}: {table.differences} rows differ")
    typer.echo(f"{tables} tables, {rows} rows, {differences} differences")
    raise typer.Exit(1 if differences else 0)


def main() -> None:
    """Entry point: what an operator did wrong, or what is away, is one line and not a traceback."""
    try:
        app()
    except EXPECTED as error:
        _fail(str(error))
    except psycopg.OperationalError as error:
        _fail("the database is away: " + str(error).strip().splitlines()[0])


def _fail(line: str) -> None:
    sys.stderr.write(f"tracker: {line}\n")
    raise SystemExit(1)


def _prepare(settings: Settings) -> list[str]:
    """Schema and default data up to date; answers what a newcomer should read."""
    apply_migrations(settings.database.owner_url or settings.database.url)
    with open_platform(settings) as platform:
        seed(platform.store(SYSTEM, "seed"))
        with platform.pool.connection() as connection:
            has_staff = connection.execute(
                "SELECT EXISTS (SELECT FROM read.account WHERE group_slug = 'sysop')"
            ).fetchone()
    return [] if has_staff == (True,) else [FIRST_SYSOP]


def _attached(settings: Settings) -> Settings:
    """Settings with the addresses of the engines of a running `tracker up` where they name no server."""
    database, redis = settings.database, settings.redis
    if not database.url:
        postgres = Postgres(settings.data_dir.resolve())
        if not postgres.is_ready():
            raise UsageError("no APP__DATABASE__URL is set and no `tracker up` runs with this data directory")
        urls = {"url": postgres.url(user="tracker_app"), "owner_url": postgres.url()}
        database = database.model_copy(update=urls)
    if not redis.url:
        redis = redis.model_copy(update={"url": Valkey(settings.data_dir.resolve()).url()})
    return settings.model_copy(update={"database": database, "redis": redis})


@contextmanager
def _platform() -> Iterator[Platform]:
    with open_platform(_attached(load())) as platform:
        yield platform


app.add_typer(journal_commands(_platform), name="journal")


def _chosen(names: list[str] | None, all_: bool) -> list[Projection]:
    known = {projection.name: projection for projection in ALL}
    if all_ == bool(names):
        raise UsageError(f"name projections or say --all; there are {', '.join(known)}")
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise UsageError(f"no projection is called {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in (names or known)]


def _shown(progress: Progress, name: str) -> Callable[[int, int], None]:
    task = progress.add_task(name, total=None)
    return lambda done, total: progress.update(task, completed=done, total=total)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    main()
