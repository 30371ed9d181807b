"""The store has no room: commands are told so, nothing of them is there, and the same ones pass when there is room.

The server says what it says when a file cannot grow (SQLSTATE 53100); `tests.campaigns.disk_full` fills a true disk.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from runtime.platform import Platform
from runtime.store import new_id
from tests.given import rows_of
from tests.in_process import TestClient

NOTES = "/api/v1/notes"


@pytest.mark.parametrize("table", ["event", "stream", "command", "command_context"])
def test_a_command_without_room_is_refused_whole_and_passes_later(
    client: TestClient, notes: Platform, owner: psycopg.Connection[Any], table: str
) -> None:
    owner.execute(
        "CREATE FUNCTION es.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = 'disk_full';"
        " END $$"
    )
    owner.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON es.{table} FOR EACH ROW EXECUTE FUNCTION es.no_room()")
    headers = {"Idempotency-Key": str(new_id()), "User-Agent": "a test"}
    refused = client.post(NOTES, json={"author": "Ada"}, headers=headers)
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
    assert refused.json()["code"] == "unavailable"
    assert refused.headers["retry-after"] == "1"
    assert "base/1" not in refused.text
    kept = "SELECT (SELECT count(*) FROM es.event), (SELECT count(*) FROM es.stream), (SELECT count(*) FROM es.command)"
    assert rows_of(notes, kept) == [(0, 0, 0)]
    assert client.get(NOTES).status_code == 200
    owner.execute(f"DROP TRIGGER no_room ON es.{table}")
    passed = client.post(NOTES, json={"author": "Ada"}, headers=headers)
    assert passed.status_code == 201
    assert rows_of(notes, kept) == [(1, 1, 1)]
