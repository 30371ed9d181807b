"""From where one signed in is shown to who did, although the events of it lie in files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi import FastAPI

from projections import ALL
from queries.exports import archive_of
from runtime.event_archive import move
from tests.audit_chain.sealed import Owner, sealed
from tests.bans.callers import Site
from tests.exports.test_http import unpacked
from tests.given import projected, rows_of
from tests.in_process import TestClient
from tests.members import PASSWORD
from tests.runtime.archived import FIRST
from tests.runtime.test_partitions import SIZE
from tests.sessions.test_http import EDGE, FIREFOX, SESSIONS

pytestmark = pytest.mark.engine

PLACES = [("203.0.113.9", FIREFOX), ("2001:db8::9", EDGE)]


def archives_all_so_far(site: Site, owner: Owner) -> None:
    """The log goes on in another partition, and the one from before goes into files."""
    owner.execute("SELECT setval('es.position', %s)", (FIRST - 1,))
    owner.execute("SELECT es.cover_events(%s, %s, %s)", (FIRST, FIRST, SIZE))
    site.members.join("later")
    for projection in ALL:  # also those that have nothing to read there: they have to say so
        projected(site.platform, projection)
    sealed(site.platform)
    with site.platform.projector_pool.connection() as connection:
        for part in move.closed(connection):
            move.archive(connection, site.platform.settings.data_dir / "archive", part)
    assert rows_of(site.platform, "SELECT count(*) FROM es.event WHERE position < %s", [FIRST]) == [(0,)]


def test_where_one_signed_in_is_known_without_the_events_of_it(site: Site, app: FastAPI, owner: Owner) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    site.members.join("grace", password=PASSWORD)
    for address, program in PLACES:
        with TestClient(app, client=(address, 4711), headers={"User-Agent": program}) as away:
            answer = away.post("/api/v1/auth/login", json={"username": "alice", "password": PASSWORD})
            token = answer.json()["access_token"]
    archives_all_so_far(site, owner)
    shown = site.send("GET", SESSIONS, token).json()["items"]
    assert [(one["ip"], one["user_agent"]) for one in shown] == [*PLACES[::-1], (None, None)]
    found = unpacked(archive_of(site.platform, alice.id, datetime.now(UTC)))
    assert [(one["ip"], one["user_agent"]) for one in found["sessions"]] == [(None, None), *PLACES]
    calls = [(one["ip"], one["user_agent"]) for one in found["calls"] if "session.started" in one["what"]]
    assert calls == PLACES
    assert [one["what"] for one in found["events"]].count("session.started") == 3
