"""What operators do to read tables over HTTP: who may, what comes of it, and that it is on record."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from projections.audit import audit
from projections.torrents import torrents
from projections.users import users
from runtime.platform import Platform
from runtime.rebuild.orders import carry_out, waiting
from runtime.store import new_id
from tests.given import rows_of
from tests.members import Client, Member

pytestmark = pytest.mark.engine

NOTHING: dict[str, Any] = {}
#: Every route with a body that it takes.
ROUTES = [
    ("POST", "/projections/rebuild", {"projections": ["users"]}),
    ("POST", "/projections/verify", {"projections": ["users"]}),
    ("POST", "/projections/past", {"projections": ["users"], "schema": "back_then", "position": 1}),
    ("DELETE", "/projections/past/back_then", None),
    ("GET", "/projections/past", None),
    ("GET", "/projections/users/differences", None),
    ("POST", "/projections/users/pause", NOTHING),
    ("POST", "/projections/users/resume", NOTHING),
    ("POST", "/projections/users/cancel", None),
    ("POST", "/projections/users/rollback", None),
    ("DELETE", "/projections/users/standby", None),
    ("POST", f"/projections/users/streams/{new_id()}/rebuild", None),
]


@pytest.fixture
def sysop(client: Client) -> Member:
    return client.members.join("root1", "sysop")


def state(client: Client, who: Member, name: str) -> dict[str, Any]:
    items = client.get(who, "/projections").json()["items"]
    found: dict[str, Any] = next(item for item in items if item["name"] == name)
    return found


def awaited(platform: Platform) -> list[str]:
    with platform.projector_pool.connection() as connection:
        return waiting(connection)


def test_only_who_manages_the_site_may_do_any_of_it(client: Client, platform: Platform) -> None:
    admin = client.members.join("admin1", "administrator")
    for method, path, body in ROUTES:
        answer = client.send(method, path, admin, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted"), path
    assert rows_of(platform, "SELECT name FROM es.rebuild") == []


def test_a_rebuild_is_ordered_carried_out_rolled_back_and_on_record(
    client: Client, sysop: Member, platform: Platform, owner: psycopg.Connection[Any]
) -> None:
    client.members.catch_up()
    owner.execute("UPDATE read.account SET username = 'nobody' WHERE username = 'root1'")
    owner.execute("DELETE FROM read.torrent")
    ordered = client.post(sysop, "/projections/rebuild", {"projections": ["users", "torrents", "users"]})
    assert ordered.status_code == 202
    assert awaited(platform) == ["torrents", "users"]
    assert state(client, sysop, "users")["last_run"]["state"] == "queued"
    carry_out(platform, users)
    assert state(client, sysop, "users")["last_run"]["state"] == "done"
    assert client.get(sysop, "/users/me").json()["username"] == "root1"
    assert client.post(sysop, "/projections/users/rollback").status_code == 200
    assert client.get(sysop, "/users/me").json()["username"] == "nobody"
    assert client.send("DELETE", "/projections/users/standby", sysop).status_code == 200
    assert client.post(sysop, "/projections/users/rollback").json()["code"] == "no_standby"
    query = (
        "SELECT data ->> 'action', data -> 'projections' FROM read.audit_entry"
        " WHERE action = 'intervention.made' AND actor_id = %s ORDER BY position"
    )
    assert rows_of(platform, query, [sysop.id]) == [
        ("rebuild", ["users", "torrents"]),
        ("roll_back", ["users"]),
        ("drop_standby", ["users"]),
    ]


def test_an_order_is_placed_whole_or_not_at_all_and_once_for_a_repeated_command(
    client: Client, sysop: Member, platform: Platform
) -> None:
    key = str(new_id())
    first = client.post(sysop, "/projections/verify", {"projections": ["users"]}, idempotency_key=key)
    again = client.post(sysop, "/projections/verify", {"projections": ["users"]}, idempotency_key=key)
    assert again.json() == first.json()
    both = client.post(sysop, "/projections/rebuild", {"projections": ["audit", "users"]})
    assert (both.status_code, both.json()["code"]) == (409, "rebuild_running")
    assert awaited(platform) == ["users"]
    unknown = client.post(sysop, "/projections/rebuild", {"projections": ["audit", "nothing"]})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    policy = client.post(sysop, "/projections/rebuild", {"projections": ["refund_cancelled_requests"]})
    assert policy.status_code == 404
    assert client.post(sysop, "/projections/rebuild", {"projections": []}).status_code == 422
    assert awaited(platform) == ["users"]


def test_all_of_them_are_ordered_at_once(client: Client, sysop: Member, platform: Platform) -> None:
    assert client.post(sysop, "/projections/verify", {"projections": None}).status_code == 202
    assert {"users", "peers", "audit", "bonus"} <= set(awaited(platform))


def test_a_verification_says_which_rows_differ_and_none_of_their_values(
    client: Client, sysop: Member, platform: Platform, owner: psycopg.Connection[Any]
) -> None:
    lost = client.members.join("lost1")
    client.members.catch_up()
    owner.execute("UPDATE read.account SET email = 'secret@example.org' WHERE user_id = %s", (sysop.id,))
    owner.execute("DELETE FROM read.account WHERE user_id = %s", (lost.id,))
    client.post(sysop, "/projections/verify", {"projections": ["users"]})
    carry_out(platform, users)
    answer = client.get(sysop, "/projections/users/differences")
    assert answer.json()["differences"] == 3  # a changed row is one that either side has alone
    rows = {row["key"]["user_id"]: row for row in answer.json()["rows"]}
    assert rows[str(sysop.id)] | {"key": None} == {"table": "account", "key": None, "columns": ["email"], "only": None}
    assert rows[str(lost.id)]["only"] == "rebuilt"
    assert "example.org" not in answer.text
    assert "example.org" not in str(rows_of(platform, "SELECT found FROM es.rebuild"))


def test_a_run_is_paused_resumed_and_cancelled_before_it_begins(
    client: Client, sysop: Member, platform: Platform
) -> None:
    nothing = client.post(sysop, "/projections/audit/pause", {})
    assert (nothing.status_code, nothing.json()["code"]) == (409, "no_run")
    client.post(sysop, "/projections/rebuild", {"projections": ["audit"]})
    assert client.post(sysop, "/projections/audit/pause", {"what": "run"}).status_code == 200
    assert awaited(platform) == []
    assert client.post(sysop, "/projections/audit/resume", {}).status_code == 200
    assert awaited(platform) == ["audit"]
    assert client.post(sysop, "/projections/audit/cancel").status_code == 200
    assert awaited(platform) == []
    assert client.post(sysop, "/projections/audit/cancel").json()["code"] == "no_run"
    assert state(client, sysop, "audit")["last_run"]["state"] == "cancelled"


def test_the_live_projection_is_paused_and_resumed(client: Client, sysop: Member) -> None:
    client.members.catch_up()
    assert client.post(sysop, "/projections/audit/pause", {"what": "live"}).status_code == 200
    assert state(client, sysop, "audit")["state"] == "paused"
    assert client.post(sysop, "/projections/audit/resume", {"what": "live"}).status_code == 200
    assert state(client, sysop, "audit")["state"] == "running"


def test_tables_of_the_past_are_ordered_shown_shared_and_dropped(
    client: Client, sysop: Member, platform: Platform
) -> None:
    client.members.catch_up()
    ((position,),) = rows_of(platform, "SELECT es.safe_position()")
    client.members.join("later1")
    sysop.uploads()
    body = {"projections": ["users", "torrents"], "schema": "back_then", "position": position}
    assert client.post(sysop, "/projections/past", body).status_code == 202
    for projection in (users, torrents):
        carry_out(platform, projection)
    assert rows_of(platform, "SELECT username FROM back_then.account") == [("root1",)]
    assert rows_of(platform, "SELECT count(*) FROM back_then.torrent") == [(0,)]
    shown = client.get(sysop, "/projections/past").json()["items"]
    assert shown == [{"schema": "back_then", "shows": f"as of position {position}"}]
    assert client.send("DELETE", "/projections/past/back_then", sysop).status_code == 200
    assert client.get(sysop, "/projections/past").json() == {"items": []}


def test_no_other_schema_and_no_future_can_be_had(client: Client, sysop: Member, platform: Platform) -> None:
    for fields, status, code in (
        ({"schema": "read"}, 409, "bad_schema"),
        ({"schema": "public"}, 409, "bad_schema"),
        ({"schema": "rebuild_users"}, 409, "bad_schema"),
        ({"schema": 'x"; DROP SCHEMA read'}, 422, "invalid"),
        ({"position": 10**9}, 409, "bad_schema"),
        ({"position": 0}, 422, "invalid"),
    ):
        body = {"projections": ["users"], "schema": "back_then", "position": 1, **fields}
        answer = client.post(sysop, "/projections/past", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), fields
    assert awaited(platform) == []
    for schema in ("read", "es"):
        answer = client.send("DELETE", f"/projections/past/{schema}", sysop)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_one_torrent_is_made_anew_and_no_other(
    client: Client, sysop: Member, platform: Platform, owner: psycopg.Connection[Any]
) -> None:
    mine, other = sysop.uploads("Mine"), sysop.uploads("Other")
    client.members.catch_up()
    owner.execute("UPDATE read.torrent SET name = 'wrong'")
    owner.execute("DELETE FROM read.torrent_file")
    answer = client.post(sysop, f"/projections/torrents/streams/{mine.id}/rebuild")
    assert answer.status_code == 200
    assert (answer.json()["facts"], answer.json()["rows"]) == (mine.version, 3)
    names = dict(rows_of(platform, "SELECT torrent_id, name FROM read.torrent"))
    assert names == {mine.id: "Mine", other.id: "wrong"}
    assert rows_of(platform, "SELECT DISTINCT torrent_id FROM read.torrent_file") == [(mine.id,)]


def test_rows_of_many_streams_and_streams_of_others_are_refused(client: Client, sysop: Member) -> None:
    torrent = sysop.uploads()
    client.members.catch_up()
    folded = client.post(sysop, f"/projections/{audit.name}/streams/{torrent.id}/rebuild")
    assert (folded.status_code, folded.json()["code"]) == (409, "not_by_stream")
    for stream in (torrent.id, new_id()):
        foreign = client.post(sysop, f"/projections/users/streams/{stream}/rebuild")
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
