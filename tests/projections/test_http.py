"""Projections over HTTP: where they stand, how far a rebuild is, and who may know."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from projections import ALL
from projections.users import users
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from runtime.rebuild.shadow import LOCK_CLASS
from tests.given import projected
from tests.members import Client, Member

pytestmark = pytest.mark.engine


@pytest.fixture
def sysop(client: Client) -> Member:
    return client.members.join("root1", "sysop")


def test_every_projection_is_shown_with_its_last_run(client: Client, sysop: Member, platform: Platform) -> None:
    projected(platform, *ALL)
    verify(platform, users)
    items = {item["name"]: item for item in client.get(sysop, "/projections").json()["items"]}
    assert {projection.name for projection in ALL} <= items.keys()
    assert items["users"]["state"] == "running"
    assert (items["users"]["lag_events"], items["users"]["dead_letters"]) == (0, 0)
    run = items["users"]["last_run"]
    assert (run["kind"], run["state"], run["differences"], run["error"]) == ("verify", "done", 0, None)
    assert items["audit"]["last_run"] is None
    rebuild(platform, users)
    items = {item["name"]: item for item in client.get(sysop, "/projections").json()["items"]}
    assert (items["users"]["last_run"]["kind"], items["users"]["last_run"]["differences"]) == ("rebuild", None)


@pytest.mark.parametrize("path", ["/projections", "/projections/progress"])
def test_only_who_manages_the_site_may_look(client: Client, path: str) -> None:
    admin = client.members.join("admin1", "administrator")
    answer = client.get(admin, path)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.split("\n\n")[:-1]:
        kind, data = block.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_progress_ends_at_once_when_nothing_runs(client: Client, sysop: Member, platform: Platform) -> None:
    rebuild(platform, users)
    answer = client.get(sysop, "/projections/progress")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events(answer.text) == [("end", {})]


def test_progress_tells_every_move_of_a_run_until_its_end(
    client: Client, sysop: Member, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("SELECT pg_advisory_lock(%s, hashtext('users'))", (LOCK_CLASS,))
    owner.execute("INSERT INTO es.rebuild (name, kind, position, target) VALUES ('users', 'rebuild', 1, 100)")
    owner.execute("INSERT INTO es.rebuild (name, kind, state) VALUES ('audit', 'verify', 'done')")

    moves = iter([(50, "running"), (50, "running"), (50, "paused"), (100, "done")])

    def move(_: float) -> None:
        query = "UPDATE es.rebuild SET position = %s, state = %s, position_rate = 20 WHERE name = 'users'"
        owner.execute(query, next(moves))

    monkeypatch.setattr(sys.modules["queries.projections"], "time", SimpleNamespace(sleep=move))
    found = events(client.get(sysop, "/projections/progress").text)
    told = [(run["name"], run["state"], run["position"], run["eta_s"]) for kind, run in found if kind == "run"]
    assert told == [
        ("users", "running", 1, None),
        ("users", "running", 50, 2.5),
        ("users", "paused", 50, None),
        ("users", "done", 100, None),
    ]
    assert found[-1] == ("end", {})
