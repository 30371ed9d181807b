"""After an erasure nothing that the site keeps has a word of the person, and everything else is as it was."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import structlog
from fastapi import FastAPI

from domain.base import SYSTEM
from domain.erasures import Erasure, erasure_id
from projections import ALL
from runtime.embedded import Valkey
from runtime.keyring import StoredKeyring
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from runtime.rebuild.past import build_past
from runtime.worker.due import erase_persons
from tests.erasures import dump
from tests.erasures.life import APPEAL, MAIL, MARKERS, NAME, WORDS, Life
from tests.given import projected, rows_of
from tests.history import write_history
from tests.members import PASSWORD, Client, Members

pytestmark = pytest.mark.engine

#: What statistics of the whole site are kept under.
THE_SITE = b"00000000-0000-0000-0000-000000000000\t"
#: The address as bytes, which is how announces have it.
PACKED = bytes([203, 0, 113, 177])


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def keeps_copies(platform: Platform, owner: psycopg.Connection[Any], life: Life) -> None:
    """Copies of read tables, letters of followers that stumbled, and a rebuild that was killed."""
    life.members.catch_up()
    for projection in ALL[:4]:
        rebuild(platform, projection)
    build_past(platform, ALL[:4], "last_week", datetime.now(UTC))
    owner.execute("CREATE SCHEMA rebuild_gone; CREATE TABLE rebuild_gone.account AS TABLE read.account")
    owner.execute("ALTER SCHEMA rebuild_gone OWNER TO tracker_projector")
    owner.execute(
        "INSERT INTO es.dead_letter (follower, position, stream_id, parked, error, attempts)"
        " SELECT 'somebody', position, stream_id, false, %s, 3 FROM es.event WHERE stream_id = %s AND version = 1",
        (f"Traceback: no room for {NAME}", life.zq7.id),
    )
    owner.execute(
        "INSERT INTO es.follower (name, state, error, failed_position)"
        " SELECT 'nobody', 'halted', %s, position FROM es.event WHERE stream_id = %s AND version = 1",
        (f"cannot mail to {MAIL}", life.zq7.id),
    )


def test_nothing_is_left_of_a_person_and_everything_of_the_others(
    client: Client,
    app: FastAPI,
    platform: Platform,
    owner: psycopg.Connection[Any],
    database: str,
    valkey: Valkey,
    tmp_path: Path,
    logged: list[Any],
) -> None:
    verifying = platform.settings.registration.model_copy(update={"verify_email": True})
    platform.settings = platform.settings.model_copy(update={"registration": verifying})
    life = Life(client, app)
    keeps_copies(platform, owner, life)
    before = dump.everything(database, valkey.url(), tmp_path)
    assert {marker for _, marker in dump.places(before, *MARKERS)} >= {*MARKERS} - {WORDS, APPEAL}
    others = rows_of_others(database, life)

    erased = life.client.post(life.zq7, "/users/me/erasure", {"password": PASSWORD})
    assert erased.status_code == 202, erased.text
    completes(platform, owner, life.members)

    after = dump.everything(database, valkey.url(), tmp_path, str(logged))
    assert dump.places(after, *MARKERS) == set()
    assert {place for place, content in after.items() if PACKED in content} == set()
    assert others - set(dump.rows(database)) == set()
    assert rows_of(platform, "SELECT raw_uploaded FROM read.user_stats WHERE user_id = %s", [life.zq7.id]) == [(700,)]
    assert is_as_rebuilt(platform)
    again = dump.everything(database, valkey.url(), tmp_path)
    assert dump.places(again, *MARKERS) == set(), "what was built again is as clean"


def test_every_personal_field_of_every_event_is_gone_from_the_read_tables(
    platform: Platform, owner: psycopg.Connection[Any], database: str, valkey: Valkey, tmp_path: Path
) -> None:
    """What a new event says of a person is covered here from its first day in `tests/history`."""
    marking = MarkingKeyring(platform.keyring)
    platform.history.codec._keyring = marking
    write_history(platform)
    projected(platform, *ALL)
    shown = dump.places(dump.everything(database, valkey.url(), tmp_path), *marking.marks)
    assert {place for place, _ in shown} >= {"read.account", "read.api_key"}
    for subject in marking.subjects:
        if platform.store(SYSTEM).find(Erasure, erasure_id(subject)) is None:
            platform.store(SYSTEM).save(Erasure.begin(subject))
        platform.keyring.destroy(subject)
    completes(platform, owner, Members(platform, furnished=True))
    assert dump.places(dump.everything(database, valkey.url(), tmp_path), *marking.marks) == set()
    assert is_as_rebuilt(platform)


class MarkingKeyring:
    """Adds to each personal text a word of its own, by which it is found wherever it is shown."""

    def __init__(self, keyring: StoredKeyring) -> None:
        self._keyring = keyring
        self.marks: list[str] = []
        self.subjects: set[UUID] = set()

    def seal(self, subject: UUID, text: str, context: str) -> str:
        self.subjects.add(subject)
        self.marks.append(f"zq7-{len(self.marks):06}-mark")
        return self._keyring.seal(subject, f"{text} {self.marks[-1]}", context)

    def open(self, subject: UUID, sealed: str, context: str) -> str:
        return self._keyring.open(subject, sealed, context)

    def fetch(self, subjects: Collection[UUID]) -> None:
        self._keyring.fetch(subjects)


def completes(platform: Platform, owner: psycopg.Connection[Any], members: Members) -> None:
    """The worker looks, each time a second later; then followers read on."""
    for _ in range(3):
        members.catch_up()
        erase_persons(platform, datetime.now(UTC))
        owner.execute("UPDATE keys.subject SET destroyed_at = destroyed_at - interval '2 seconds'")
    members.catch_up()
    erase_persons(platform, datetime.now(UTC))


def rows_of_others(url: str, life: Life) -> set[tuple[str, bytes]]:
    """What has to stay to the byte: the log, and the rows of read tables in which the person is not named."""
    about = str(life.zq7.id).encode()
    return {
        (table, row)
        for table, row in dump.rows(url)
        if table in ("es.event", "es.command", "es.blob")
        or (table.startswith(("read.", "journal.segment", "credentials.")) and about not in row)
        if table != "credentials.refresh_token"  # they name their session only
        and not row.startswith(THE_SITE)  # has one member less
    }


def is_as_rebuilt(platform: Platform) -> bool:
    for projection in ALL:
        differences = {one.table: one.differences for one in verify(platform, projection)}
        assert set(differences.values()) == {0}, differences
        rebuild(platform, projection)
    return True
