"""A busy site whose backups come back, and what is compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from domain.announces import encode
from domain.base import SYSTEM
from projections import ALL
from runtime.backup import copying, restore
from runtime.backup.create import create
from runtime.backup.manifest import Manifest
from runtime.backup.restore import Restored, choose
from runtime.backup.tables import tables
from runtime.journal import GENESIS, Head, heads, seal
from runtime.platform import Platform
from runtime.rebuild import verify as verify_projection
from tests.conftest import SECRETS
from tests.members import Member, Members
from tests.runtime.test_journal_archive import announced
from tracker_edge.segments import into_store

NAMES = [one.name for one in ALL]
KEY = SECRETS.key_encryption


class Busy:
    """A site with people, uploads and announces of two edges; each `day` brings some of each."""

    def __init__(self, members: Members, url: str, root: Path, data_dir: Path) -> None:
        self.members, self.url, self.root, self.data_dir = members, url, root, data_dir
        self.platform = members.platform
        self.people: list[Member] = []

    def day(self) -> None:
        for _ in range(2):
            member = self.members.join(f"person{len(self.people)}", points=5, password="long enough a password")
            member.uploads(f"Work of {member.username}")
            self.people.append(member)
        for edge_id in ("north", "south"):
            self.announce(edge_id)
            self.announce(edge_id)
        self.members.catch_up()

    def announce(self, edge_id: str) -> None:
        with self.platform.pool.connection() as connection:
            head = next((one for one in heads(connection) if one.edge_id == edge_id), Head(edge_id, 0, GENESIS))
        at = datetime.now(UTC)
        segment = seal(edge_id, head.seq + 1, 1, at, at, head.sha256, encode([announced(head.seq, at)]))
        into_store(lambda: self.platform.store(SYSTEM, "edge"))([segment])

    def backup(self, *, since_last: bool = False) -> Manifest:
        return create(self.url, self.root, self.data_dir, KEY, since_last=since_last)

    @property
    def position(self) -> int:
        with self.platform.pool.connection() as connection:
            return int(connection.execute("SELECT es.safe_position()").fetchone()[0])  # type: ignore[index]

    def destroy_key(self, person: UUID) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "UPDATE keys.subject SET wrapped_key = NULL, destroyed_at = now() WHERE subject_id = %s", (person,)
            )


OpenRestored = Callable[[str], Platform]


def contents(url: str, *left_out: str) -> dict[str, tuple[int, str]]:
    """Rows and hash of every table."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        connection.execute("SET TIME ZONE 'UTC'")
        found = {one.name: copying.hashed(cursor, one) for one in tables(connection) if one.name not in left_out}
    return {name: (rows.count, rows.sha256) for name, rows in found.items()}


def brought_back(busy: Busy, url: str, data_dir: Path | None = None, **how: Any) -> Restored:
    return restore.restore(url, choose(busy.root, **how), data_dir or busy.data_dir / "restored", NAMES)


def differences(platform: Platform) -> int:
    """What a restored site's read tables differ in from those that its facts make; they caught up first."""
    Members(platform, furnished=True).catch_up()
    return sum(table.differences for one in ALL for table in verify_projection(platform, one))


def count(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def owner_row(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchone()
