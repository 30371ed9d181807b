"""The platform of the note-taking tests: three events, one projection, one policy, one small API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from runtime.platform import Platform
from tests.conftest import MakePlatform
from tests.in_process import TestClient
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
