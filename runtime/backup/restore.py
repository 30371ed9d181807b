"""How a site comes back from its backups: as it was at the last one, or at any position before it.

Facts end where the caller says. Keys, credentials and callers' addresses are always the newest known: a password that
was changed or a key that was destroyed after that position stays so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from psycopg import Connection, sql
from yoyo import get_backend, read_migrations

from runtime import partitions
from runtime.append_only import changeable
from runtime.audit import redactions
from runtime.backup import copying, erased, manifest
from runtime.backup.create import chain_of
from runtime.backup.manifest import BackupRefused, Manifest, Rows
from runtime.backup.tables import DEAD_LETTERS, SUBJECTS, Mode, Part, Table, migrations, tables
from runtime.backup.trim import position_at, trim
from runtime.keys_database import merge

#: New positions begin this far behind every position that the lost site may have handed out, so that a position names
#: one history: a token, an index or a follower of the lost one is told apart, whatever it stands at.
ERA = 100_000_000

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Chosen:
    """What a restore reads: a full backup and its increments, where it ends, and where the newest keys are."""

    root: Path
    chain: list[Manifest]
    position: int
    keys: Manifest | None  # None: persons read as erased
    erased: dict[UUID, datetime]
    drawn: int  # no position that a backup knows is beyond this one

    @property
    def last(self) -> Manifest:
        return self.chain[-1]

    @property
    def read_tables(self) -> bool:
        """Whether the read tables of the full backup may be used: there, not ahead, and showing nobody erased since."""
        full = self.chain[0]
        here = self.keys is not None and manifest.has(self.root, full, Part.READ)
        return here and full.position <= self.position and {str(who) for who in self.erased} <= set(full.erased)


@dataclass(frozen=True)
class Restored:
    """What a restore made; `rebuild` is whether read tables are empty and have to be built from the facts."""

    position: int  # of the last fact
    began: int  # the next fact comes after this position
    events: int
    erased: int  # keys that a backup had and that were destroyed again
    rebuild: bool


def choose(
    root: Path,
    name: str | None = None,
    position: int | None = None,
    when: datetime | None = None,
    *,
    with_keys: bool = True,
    also_erased: Iterable[UUID] = (),
) -> Chosen:
    """What to restore from: the backup of that name, the first that reaches the position or the time, or the last.

    Checks every file that will be read. Raises `BackupRefused`, `BackupBroken`.
    """
    known = manifest.read_all(root) if root.is_dir() else []
    if not known:
        raise BackupRefused(f"{root} has no backup")
    last = manifest.read(root, name) if name else _reaching(known, position, when)
    if position is not None and not 0 < position <= last.position:
        raise BackupRefused(f"{last.name} ends at position {last.position}")
    chain = chain_of(root, last)
    keys = _newest_keys(root, known, last) if with_keys else None
    gone = erased.listed(root) | {who: known[-1].taken_at for who in also_erased}
    chosen = Chosen(root, chain, position or last.position, keys, gone, max(one.position for one in known))
    _check(chosen)
    return chosen


def restore(
    owner_url: str,
    chosen: Chosen,
    data_dir: Path,
    projections: Sequence[str],
    *,
    when: datetime | None = None,
    keys_url: str = "",
    progress: Progress = lambda table, rows: None,
) -> Restored:
    """Fills the empty database and settles it: nothing of the lost site may be taken for a part of this one.

    All or nothing, but for the schema. `keys_url` is of a database of keys that may have outlived the site's: what it
    knows goes before what a backup says. `keys_database.move_keys` follows. Raises `BackupRefused`, `BackupBroken`.
    """
    _refuse_unempty(owner_url)
    make_schema(owner_url, chosen.last.migrations)
    copy_files(chosen, data_dir / "archive")
    with psycopg.connect(owner_url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute("SELECT set_config('statement_timeout', '0', false)")
        load(connection, chosen, progress, keys_url)
        position = chosen.position if when is None else position_at(connection, when)
        if position < chosen.last.position:
            trim(connection, position)
        came_along = chosen.read_tables and chosen.chain[0].position <= position
        gone = erased.reapply(connection, chosen.erased)
        redactions.reapply(connection)
        _place_followers(connection, position, () if came_along else projections)
        if not came_along:
            _empty_read_tables(connection)
        began = chosen.drawn + ERA
        connection.execute("SELECT setval('es.position', %s)", (began,))
        partitions.make_ahead(connection)
        row = connection.execute("SELECT count(*), coalesce(max(position), 0) FROM es.event").fetchone()
        assert row is not None
    return Restored(row[1], began, row[0], gone, rebuild=not came_along)


def load(
    connection: Connection[Any],
    chosen: Chosen,
    progress: Progress = lambda table, rows: None,
    keys_url: str = "",
) -> None:
    """Fills empty tables up to the end of the chosen backups, in the caller's transaction."""
    connection.execute("ALTER TABLE journal.segment DISABLE TRIGGER extend_chain")
    _make_partitions(connection, chosen.chain)
    partitions.cover(connection, chosen.last.position)
    for table in tables(connection):
        for source, rows in sources(chosen, table):
            _fill(connection, table, chosen.root / source.name / rows.file.path, rows)
            progress(table.name, rows.rows)
        if table.name == SUBJECTS:
            _survivors(connection, keys_url)
            _subjects(connection, chosen)
        _continue_numbers(connection, table)
    _drop_archived(connection)
    connection.execute("ALTER TABLE journal.segment ENABLE TRIGGER extend_chain")
    _sort_addresses(connection)


def _reaching(known: list[Manifest], position: int | None, when: datetime | None) -> Manifest:
    if when is not None:
        return next((one for one in known if one.taken_at >= when), known[-1])
    reaching = [one for one in known if position is not None and one.position >= position]
    return min(reaching, key=lambda one: one.position) if reaching else known[-1]


def _newest_keys(root: Path, known: list[Manifest], last: Manifest) -> Manifest:
    """The newest keys of the same site. Raises `BackupRefused` when the keys were deleted from all backups."""
    alike = [one for one in known if one.key_fingerprint == last.key_fingerprint and one.migrations == last.migrations]
    found = [one for one in alike if manifest.has(root, one, Part.KEYS)]
    if not found:
        raise BackupRefused(f"{last.name}: the keys are not there; without them everybody reads as erased")
    return found[-1]


def _check(chosen: Chosen) -> None:
    for one in chosen.chain:
        parts = [Part.STORE, Part.FILES] + ([Part.READ] if chosen.read_tables else [])
        manifest.check_files(chosen.root, one, parts)
    if chosen.keys is not None:
        manifest.check_files(chosen.root, chosen.keys, [Part.KEYS])


def _refuse_unempty(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        for table in tables(connection):
            name = sql.Identifier(*table.name.split("."))
            if connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(name)).fetchone() == (True,):
                raise BackupRefused(f"the database is not empty: {table.name} has rows")


def make_schema(owner_url: str, wanted: list[str]) -> None:
    """The schema that the backup was made of; newer migrations are applied to the data afterwards."""
    parts = urlsplit(owner_url)
    known = read_migrations(str(files("migrations"))).filter(lambda one: one.id != "__init__")
    unknown = sorted(set(wanted) - {one.id for one in known})
    if unknown:
        raise BackupRefused(f"the backup was made by a newer version of this program: it has migration {unknown[0]}")
    with psycopg.connect(owner_url) as connection:
        beyond = sorted(set(migrations(connection)) - set(wanted))
    if beyond:
        raise BackupRefused(f"the database has migration {beyond[0]}, which the backup has not: give an empty one")
    with get_backend(urlunsplit(parts._replace(scheme="postgresql+psycopg"))) as backend, backend.lock():
        backend.apply_migrations(backend.to_apply(known.filter(lambda one: one.id in set(wanted))))


def copy_files(chosen: Chosen, target: Path) -> None:
    """The archive's files, each as the last backup has it; one that is there must be the same."""
    last = {file.path: (of.name, file) for of in chosen.chain for file in of.files}
    for name, file in last.values():
        path = target / Path(file.path).relative_to(Part.FILES)
        if path.exists() and manifest.sha256_of(path) != file.sha256:
            raise BackupRefused(f"{path} is there and is another file")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(chosen.root / name / file.path, path)
        path.chmod(0o600)


def sources(chosen: Chosen, table: Table) -> list[tuple[Manifest, Rows]]:
    """Which files of which backups the table is made of."""
    if table.part is Part.KEYS:
        found = [chosen.keys] if chosen.keys else []
    elif table.part is Part.READ:
        found = chosen.chain[:1] if chosen.read_tables else []
    else:
        found = {Mode.GROWS: chosen.chain, Mode.LATEST: chosen.chain[-1:], Mode.FULL: chosen.chain[:1]}[table.mode]
    return [(one, rows) for one in found if (rows := one.rows(table.name, table.part)) is not None]


def _fill(connection: Connection[Any], table: Table, path: Path, rows: Rows) -> None:
    written = Table(table.name, table.part, table.mode, tuple(rows.columns), ())
    with connection.cursor() as cursor:
        if table.name != "es.blob":
            copying.loaded(cursor, written, path)
            return
        cursor.execute("CREATE TEMP TABLE arriving (LIKE es.blob) ON COMMIT DROP")
        copying.loaded(cursor, written, path, sql.Identifier("arriving"))
        cursor.execute("INSERT INTO es.blob SELECT * FROM arriving ON CONFLICT DO NOTHING")
        cursor.execute("DROP TABLE arriving")


def _survivors(connection: Connection[Any], keys_url: str) -> None:
    """Keys that the disaster has spared, and those that were destroyed since the backup."""
    if keys_url:
        with psycopg.connect(keys_url) as keys:
            merge(keys, connection)


def _subjects(connection: Connection[Any], chosen: Chosen) -> None:
    """Persons whose key is in no backup: their old text cannot be read, and a new key would not fit it."""
    rows = chosen.last.rows(SUBJECTS, Part.STORE)
    assert rows is not None
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE subject (subject_id uuid, created_at timestamptz) ON COMMIT DROP")
        known = Table(SUBJECTS, Part.STORE, Mode.LATEST, tuple(rows.columns), ())
        copying.loaded(cursor, known, chosen.root / chosen.last.name / rows.file.path, sql.Identifier("subject"))
        cursor.execute(
            "INSERT INTO keys.subject (subject_id, created_at, destroyed_at)"
            " SELECT subject_id, created_at, now() FROM subject ON CONFLICT DO NOTHING"
        )


def _continue_numbers(connection: Connection[Any], table: Table) -> None:
    """Identity columns go on after the highest number that is there."""
    for column in table.columns:
        row = connection.execute("SELECT pg_get_serial_sequence(%s, %s)", (table.name, column)).fetchone()
        if row and row[0]:
            name = sql.Identifier(*table.name.split("."))
            highest = sql.SQL("SELECT setval(%s, max({})) FROM {}").format(sql.Identifier(column), name)
            connection.execute(highest, (row[0],))


def _make_partitions(connection: Connection[Any], chain: list[Manifest]) -> None:
    """A day that has a partition of its own leaves the table whole when it is archived."""
    days = sorted(date.fromisoformat(day) for one in chain for day in one.days)
    if days:
        before = days[0] - timedelta(days=1)
        connection.execute(
            "SELECT journal.maintain_segments(%s::date::timestamp AT TIME ZONE 'UTC', %s)",
            (before, (days[-1] - before).days),
        )


def _sort_addresses(connection: Connection[Any]) -> None:
    """Callers' addresses into the partitions of their months, which is how they are deleted in time."""
    months = connection.execute("SELECT DISTINCT date_trunc('month', at) FROM es.command_context_rest").fetchall()
    for (month,) in months:
        connection.execute("SELECT es.maintain_command_context(%s, interval '1000 years')", (month,))


def _drop_archived(connection: Connection[Any]) -> None:
    """Days that went into files after the full backup are in both places now; what came late for them is not."""
    with changeable(connection, "journal.segment"):
        connection.execute(
            "DELETE FROM journal.segment s USING journal.archived_day a WHERE s.edge_id = a.edge_id AND s.day = a.day"
            " AND s.seq BETWEEN a.first_seq AND a.last_seq"
        )


def _place_followers(connection: Connection[Any], position: int, emptied: Iterable[str]) -> None:
    """Nobody stands beyond the last fact, and whoever has empty tables begins anew."""
    names = list(emptied)
    connection.execute("UPDATE es.follower SET position = %s WHERE position > %s", (position, position))
    connection.execute(
        "UPDATE es.follower SET position = 0, state = 'running', error = NULL, failed_position = NULL"
        " WHERE name = ANY (%s)",
        (names,),
    )
    if any(table.name == DEAD_LETTERS for table in tables(connection)):
        letters = "DELETE FROM es.dead_letter WHERE position > %s OR follower = ANY (%s)"
        connection.execute(letters, (position, names))


def _empty_read_tables(connection: Connection[Any]) -> None:
    for table in tables(connection):
        if table.part is Part.READ:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(*table.name.split("."))))
