"""`tracker backup base` and `recover`: the embedded database back from a base backup and its log, to any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from runtime import partitions
from runtime.backup import erased, physical
from runtime.backup.create import fingerprint
from runtime.backup.manifest import BackupRefused
from runtime.backup.restore import ERA
from runtime.embedded import Postgres
from runtime.erasing import lists
from runtime.platform import Platform
from runtime.secrets import ensure
from runtime.settings import Settings
from runtime.up import with_embedded

ToTime = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S"], help="the last moment, UTC"
    ),
]
OpenPlatform = Callable[[Settings], Platform]
Erase = Callable[[Platform, UUID], bool]


def add_physical(
    app: typer.Typer,
    load: Callable[[], Settings],
    open_platform: OpenPlatform,
    erase: Erase,
    one_line: Callable[[], AbstractContextManager[None]],
) -> None:
    """The sub-commands; `erase` begins the erasure of a person who is there, and tells whether it had to."""

    @app.command("base")
    def base() -> None:
        """Make a base backup of the running embedded database beside its log (APP__BACKUP__WAL_DIR)."""
        settings = load()
        with one_line():
            made = physical.take(_place(settings), _running(settings), fingerprint(ensure(settings).key_encryption))
        typer.echo(f"{made.name}: in {made.era}, log from {made.first_segment}")

    @app.command("verify-base")
    def verify_base(to_time: ToTime = None) -> None:
        """Whether the base backup for that moment, or the newest, and the log since are whole."""
        settings = load()
        with one_line():
            place = _place(settings)
            chosen = physical.choose(place, _utc(to_time))
            segments = physical.check(place, chosen)
        typer.echo(f"{chosen.name}: {segments} segments of the log, 0 flaws")

    @app.command("recover")
    def recover(to_time: ToTime = None) -> None:
        """Bring the embedded database back: to the end of its log, or to a moment before it."""
        settings, when = load(), _utc(to_time)
        with one_line():
            place = _place(settings)
            chosen = physical.choose(place, when)
            if chosen.key_fingerprint != fingerprint(_secrets(settings)):
                raise BackupRefused(f"{chosen.name}: its keys were wrapped by another key than this site's")
            physical.check(place, chosen)
            physical.recover(place, chosen, settings.data_dir, when)
        with Postgres(settings.data_dir.resolve()) as postgres:
            _settle(with_embedded(settings, postgres), when)

    def _settle(settings: Settings, when: datetime | None) -> None:
        with psycopg.connect(settings.database.owner_url, autocommit=True) as connection:
            if when is not None:  # positions of the lost history name nothing in this one
                connection.execute("SELECT setval('es.position', (SELECT last_value FROM es.position) + %s)", (ERA,))
                partitions.make_ahead(connection)
            row = connection.execute("SELECT count(*), coalesce(max(position), 0) FROM es.event").fetchone()
        assert row is not None
        typer.echo(f"{row[0]} events up to position {row[1]}")
        redis = settings.redis.model_copy(update={"url": settings.redis.url or "unix:///nonexistent"})
        with open_platform(settings.model_copy(update={"redis": redis})) as platform:
            for line in shut_out(platform, {who for root in lists(settings) for who in erased.listed(root)}, erase):
                typer.echo(line)


def shut_out(platform: Platform, erased: Iterable[UUID], erase: Erase) -> Iterator[str]:
    """Begins to erase again whom the database has as they were before: the end of their keys alone would leave accounts
    that passwords open, and callers' addresses. Workers complete it."""
    for user_id in sorted(erased):
        if erase(platform, user_id):
            yield f"{user_id} was erased after that moment, and is again"


def _place(settings: Settings) -> Path:
    if not settings.backup.wal_dir:
        raise BackupRefused("APP__BACKUP__WAL_DIR does not say where the log goes")
    return Path(settings.backup.wal_dir).resolve()


def _running(settings: Settings) -> Postgres:
    postgres = Postgres(settings.data_dir.resolve())
    if settings.database.url or not postgres.is_ready():
        raise BackupRefused("no `tracker up` with an embedded database runs with this data directory")
    return postgres


def _secrets(settings: Settings) -> bytes:
    given = settings.security.key_encryption_key.get_secret_value()
    if not given and not (settings.data_dir / "secrets.json").exists():
        where = f"APP__SECURITY__KEY_ENCRYPTION_KEY or {settings.data_dir / 'secrets.json'}"
        raise BackupRefused(f"the site's secrets are not part of a backup: bring {where} back first")
    return ensure(settings).key_encryption


def _utc(when: datetime | None) -> datetime | None:
    return when.replace(tzinfo=UTC) if when else None
