"""A note-taking platform (three events, one projection, one policy, one small API), and a site for backups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

import domain
from commands.policies import POLICIES
from projections import ALL
from runtime.embedded import Postgres
from runtime.platform import Platform
from runtime.settings import Settings
from tests.conftest import SECRETS, MakePlatform, as_user
from tests.engines import drop_database, fresh_database
from tests.in_process import TestClient
from tests.members import Members
from tests.runtime.backups import Busy, OpenRestored
from tests.runtime.note_api import ADA, create_account, note_app
from tests.runtime.notes import KINDS, create_tables, make_policy, make_projection


@pytest.fixture
def notes(make_platform: MakePlatform, owner: psycopg.Connection[Any]) -> Platform:
    """A platform whose followers are `notes` and `close_full_notes`, over tables of its own."""
    create_tables(owner)
    return make_platform(KINDS, (make_projection(), make_policy()))


@pytest.fixture
def client(notes: Platform, owner: psycopg.Connection[Any]) -> Iterator[TestClient]:
    """The notes' API, called by Ada."""
    create_account(owner)
    with TestClient(note_app(notes)) as client, notes.pool.connection() as connection:
        now = datetime.now(UTC)
        pair = notes.tokens.start_session(connection, ADA, now)
        client.headers["Authorization"] = f"Bearer {pair.access_token}"
        yield client


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """The URL of a database that has nothing, not even a schema."""
    url = fresh_database(postgres, "template0")
    yield url
    drop_database(postgres, url)


@pytest.fixture
def busy(members: Members, database: str, root: Path, tmp_path: Path) -> Busy:
    site = Busy(members, database, root, tmp_path / "data")
    site.day()
    return site


@pytest.fixture
def opened(settings: Settings) -> Iterator[OpenRestored]:
    """Opens the platform over a restored database."""
    platforms: list[Platform] = []

    def open_restored(url: str) -> Platform:
        database = settings.database.model_copy(update={"url": as_user(url, "tracker_app"), "owner_url": url})
        of = settings.model_copy(update={"database": database})
        platforms.append(Platform(of, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS))
        return platforms[-1]

    yield open_restored
    for platform in platforms:
        platform.close()
