"""`tracker backup`: what an operator does with backups of the site."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import psycopg
import typer
from psycopg_pool import ConnectionPool
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from runtime.backup import edges, erased, manifest, physical
from runtime.backup.create import create, fingerprint
from runtime.backup.manifest import BackupBroken, BackupRefused
from runtime.backup.restore import Chosen, Restored, choose, restore
from runtime.backup.tables import Part
from runtime.backup.verify import verify
from runtime.cli.physical import Erase, add_physical, shut_out
from runtime.embedded import Postgres
from runtime.erasing import lists
from runtime.keys_database import has_keys, prepare_databases
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import RebuildFailed, rebuild
from runtime.roles import BACKUP_ROLE, renamed, role_url
from runtime.search import SearchAway, Sender, TaskFailed
from runtime.secrets import ensure
from runtime.settings import Settings
from runtime.up import with_embedded

OpenPlatform = Callable[[Settings], Platform]
OpenSender = Callable[[ConnectionPool[psycopg.Connection[object]], Settings], Sender | None]

Root = Annotated[Path | None, typer.Option("--dir", help="where the backups are; DATA_DIR/backups unless given")]
Name = Annotated[str | None, typer.Argument(help="a backup by name; the last one unless given")]
ToPosition = Annotated[int | None, typer.Option(help="the last fact to have")]
ToTime = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"], help="the last moment, UTC")
]
WithoutKeys = Annotated[bool, typer.Option("--without-keys", help="persons read as erased, for good")]


def backup_commands(
    load: Callable[[], Settings],
    attached: Callable[[Settings], Settings],
    open_platform: OpenPlatform,
    projections: Sequence[Projection],
    open_sender: OpenSender,
    erase: Erase,
) -> typer.Typer:
    """The sub-commands; `load` reads the settings, `attached` fills in the engines of a running `tracker up`."""
    app = typer.Typer(no_args_is_help=True, help="Backups: made, checked, and brought back.")
    add_physical(app, load, open_platform, erase, _one_line)

    @app.command("create")
    def create_(
        root: Root = None,
        since_last: Annotated[bool, typer.Option("--since-last", help="only what the last backup has not")] = False,
    ) -> None:
        """Make a backup beside the running site: a full one, or what is new since the last."""
        settings = attached(load())
        with _one_line(), _progress() as tell:
            made = create(
                role_url(settings, BACKUP_ROLE),
                _root(settings, root),
                settings.data_dir,
                ensure(settings).key_encryption,
                keys_url=settings.keys.backup_url or renamed(settings.keys.database_url, BACKUP_ROLE),
                since_last=since_last,
                progress=tell,
            )
        events = made.rows("es.event")
        typer.echo(f"{made.name}: position {made.position}, {events.rows if events else 0} events")

    @app.command("list")
    def list_(root: Root = None) -> None:
        """Every backup and which of its parts are there."""
        _list(_root(load(), root))

    @app.command("verify")
    def verify_(name: Name = None, root: Root = None, without_keys: WithoutKeys = False) -> None:
        """Restore a backup into a PostgreSQL of its own and compare; exit 0 only when it is what was written."""
        settings = load()
        with _one_line(), _progress() as tell:
            chosen = choose(_root(settings, root), name, with_keys=not without_keys)
            _refuse_other_keys(settings, chosen)
            found = verify(chosen, tell)
        counts = f"{found.tables} tables, {found.events} events, {found.edges} edges"
        typer.echo(f"{chosen.last.name}: {counts}, chain {found.chain[:16]}, 0 flaws")

    @app.command("restore")
    def restore_(
        name: Name = None,
        root: Root = None,
        to_position: ToPosition = None,
        to_time: ToTime = None,
        without_keys: WithoutKeys = False,
        erased_list: Annotated[Path | None, typer.Option(help="ids of persons erased since, one per line")] = None,
    ) -> None:
        """Bring the site back into an empty database, as it was at the last backup or at a moment before it."""
        settings = load()
        when = to_time.replace(tzinfo=UTC) if to_time else None
        with _one_line():
            if to_position is not None and when is not None:
                raise BackupRefused("say --to-position or --to-time, not both")
            also, place = _ids(erased_list), _root(settings, root)
            with _target(settings) as target:
                also += _erased_since(target) + [who for list_ in lists(settings) for who in erased.listed(list_)]
                chosen = choose(place, name, to_position, when, with_keys=not without_keys, also_erased=also)
                _refuse_other_keys(settings, chosen)
                _restore(target, chosen, when)

    def _restore(settings: Settings, chosen: Chosen, when: datetime | None) -> None:
        url, names = settings.database.owner_url or settings.database.url, [one.name for one in projections]
        keys_url = settings.keys.owner_url or settings.keys.database_url
        with _progress() as tell:
            survived = keys_url if keys_url and has_keys(keys_url) else ""
            done = restore(url, chosen, settings.data_dir, names, when=when, keys_url=survived, progress=tell)
        erased.add(chosen.root, chosen.erased)
        prepare_databases(settings)
        typer.echo(f"{done.events} events up to position {done.position}; the next is after {done.began}")
        if done.erased:
            typer.echo(f"{done.erased} keys of erased persons destroyed again")
        with open_platform(settings) as platform:
            _settle(platform, done)
            for line in shut_out(platform, chosen.erased, erase):
                typer.echo(line)

    def _settle(platform: Platform, done: Restored) -> None:
        for projection in projections if done.rebuild else ():
            try:
                built = rebuild(platform, projection)
                typer.echo(f"{projection.name}: {built.rows} rows rebuilt")
            except RebuildFailed as error:
                typer.echo(f"{projection.name} is empty: {error}")
        _resync(platform)
        with platform.pool.connection() as connection:
            for standing in edges.standings(connection, platform.settings.data_dir):
                typer.echo(str(standing))

    def _resync(platform: Platform) -> None:
        """An index that was told of facts which are no more is built anew."""
        sender = open_sender(platform.projector_pool, platform.settings)
        if sender is None:
            return
        try:
            typer.echo(f"search index: {sender.resync()} changes sent")
        except (SearchAway, TaskFailed) as error:
            typer.echo(f"the search index could not be rebuilt ({error}): delete it before the worker starts")

    @app.command("prune")
    def prune(
        root: Root = None,
        keys_days: Annotated[int, typer.Option(min=1, help="how long keys and read tables are kept")] = 30,
        days: Annotated[
            int | None, typer.Option(min=1, help="how long backups are kept; unless given, for ever")
        ] = None,
    ) -> None:
        """Delete old parts that show or open personal data, base backups among them, and old backups that no newer one
        needs."""
        settings, now = load(), datetime.now(UTC)
        with _one_line():
            for line in _prune(_root(settings, root), now, keys_days, days):
                typer.echo(line)
            if settings.backup.wal_dir:
                for line in physical.delete_before(Path(settings.backup.wal_dir), now - timedelta(days=keys_days)):
                    typer.echo(line)

    @app.command("edges")
    def edges_() -> None:
        """How the journals of the edges on this machine fit the store."""
        settings = attached(load())
        with psycopg.connect(settings.database.url) as connection:
            for standing in edges.standings(connection, settings.data_dir):
                typer.echo(str(standing))

    return app


def _root(settings: Settings, given: Path | None) -> Path:
    return (given or settings.data_dir / "backups").resolve()


def _list(root: Path) -> None:
    table = Table(Column("name", no_wrap=True), "position", "events", "parts", "MB")
    with _one_line():
        for one in manifest.read_all(root) if root.is_dir() else []:
            parts = [part for part in Part if (root / one.name / part).is_dir()]
            size = sum(file.bytes for file in one.all_files() if file.part in parts) / 1e6
            events = one.rows("es.event")
            table.add_row(
                one.name, str(one.position), str(events.rows if events else 0), " ".join(parts), f"{size:.1f}"
            )
    Console().print(table)


def _prune(root: Path, now: datetime, keys_days: int, days: int | None) -> Iterator[str]:
    """The newest backup with everything that it needs stays, however old it is."""
    known = manifest.read_all(root)
    needed = {known[-1].name} if known else set()
    for one in reversed(known):
        old = days is not None and one.taken_at < now - timedelta(days=days)
        if old and one.name not in needed:
            manifest.delete(root, one)
            yield f"{one.name} deleted"
            continue
        needed |= {one.previous} if one.previous else set()
        if one is not known[-1] and one.taken_at < now - timedelta(days=keys_days):
            gone = [part for part in (Part.KEYS, Part.READ) if manifest.forget(root, one, part)]
            if gone:
                yield f"{one.name}: {' and '.join(gone)} deleted"


def _refuse_other_keys(settings: Settings, chosen: Chosen) -> None:
    """Keys that this site's secrets cannot open are as good as none, and nobody should find out afterwards."""
    if chosen.keys is None:
        return
    given = settings.security.key_encryption_key.get_secret_value()
    if not given and not (settings.data_dir / "secrets.json").exists():
        where = f"APP__SECURITY__KEY_ENCRYPTION_KEY or {settings.data_dir / 'secrets.json'}"
        raise BackupRefused(f"the site's secrets are not part of a backup: bring {where} back first")
    if fingerprint(ensure(settings).key_encryption) != chosen.keys.key_fingerprint:
        raise BackupRefused(f"{chosen.keys.name}: its keys were wrapped by another key than this site's")


@contextmanager
def _target(settings: Settings) -> Iterator[Settings]:
    """The database to fill: the one of the settings, else a PostgreSQL over the data directory, which nobody runs."""
    if settings.database.url:
        yield settings
        return
    with Postgres(settings.data_dir.resolve()) as postgres:
        redis = settings.redis.model_copy(update={"url": settings.redis.url or "unix:///nonexistent"})
        yield with_embedded(settings, postgres).model_copy(update={"redis": redis})


@contextmanager
def _one_line() -> Iterator[None]:
    """What an operator can do something about is one line and exit code 1."""
    try:
        yield
    except (BackupRefused, BackupBroken) as error:
        typer.echo(f"tracker: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"tracker: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def _erased_since(settings: Settings) -> list[UUID]:
    """Whom a database of keys that the disaster has spared knows as erased."""
    url = settings.keys.owner_url or settings.keys.database_url
    if not url or not has_keys(url):
        return []
    with psycopg.connect(url) as connection:
        return list(erased.destroyed(connection))


def _ids(path: Path | None) -> list[UUID]:
    if path is None:
        return []
    try:
        return [UUID(line.split()[0]) for line in path.read_text().splitlines() if line.strip()]
    except ValueError:
        raise BackupRefused(f"{path} is not a list of ids, one per line") from None


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda table, rows: shown.update(task, description=f"{table}: {rows} rows")
