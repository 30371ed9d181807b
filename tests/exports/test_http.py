"""Everything about me over HTTP: what is in it, whose it is, who gets it and until when."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from domain.exports import ARCHIVE_LIFE
from queries.exports import ANOTHER, archive_of
from runtime.worker.due import build_exports
from tests.bans.callers import Site, refusal, soon
from tests.erasures.life import MARKERS, Life
from tests.given import rows_of
from tests.members import PASSWORD, Client, Member

pytestmark = pytest.mark.engine

FILES = {"account", "sessions", "calls", "api_keys", "ledger", "uploads", "swarms", "events"}
OTHERS = ("Grace", "grace@example.org", "203.0.113.5", "curl/8", "a key", "too loud", "it was me", "a complaint")


def requested(site: Site, who: Member) -> int:
    return site.send("POST", "/users/me/export", who).status_code


def build(site: Site, now: datetime | None = None) -> None:
    site.members.catch_up()
    build_exports(site.platform, now or datetime.now(UTC))
    site.members.catch_up()


def unpacked(archive: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        texts = {name: file.read(name).decode() for name in file.namelist()}
    assert texts.pop("README.txt").startswith("Everything that this site has about you")
    return {name.removesuffix(".json"): json.loads(text) for name, text in texts.items()}


def test_the_archive_has_all_of_mine_and_nothing_of_others(client: Client, app: FastAPI) -> None:
    verifying = client.platform.settings.registration.model_copy(update={"verify_email": True})
    client.platform.settings = client.platform.settings.model_copy(update={"registration": verifying})
    life = Life(client, app)
    life.members.catch_up()
    archive = archive_of(client.platform, life.zq7.id, datetime.now(UTC))
    found = unpacked(archive)
    assert found.keys() == FILES
    text = json.dumps(found)
    assert {marker for marker in MARKERS if marker not in text} == set()
    for other in (life.other, life.moderator):
        assert str(other.id) not in text
    assert [word for word in OTHERS if f'"{word}' in text] == []
    assert ANOTHER in text
    (account,) = found["account"]
    assert (account["username"], account["uploaded"], account["bonus_thousandths"]) == ("Zq7Name", 700, 5000)
    assert [row["name"] for row in found["uploads"]] == [f"A Film of {life.zq7.id}"]
    assert [(row["ipv4"], row["credited_uploaded"]) for row in found["swarms"]] == [("203.0.113.177", 700)]
    assert [row["amount"] for row in found["ledger"]] == [5000]
    done = [row["what"] for row in found["events"]]
    assert {"user.registered", "user.email_verified", "session.started", "case.report_filed", "case.appealed"} <= {
        *done
    }
    assert {row["ip"] for row in found["calls"]} == {"203.0.113.177"}


def test_an_archive_is_asked_for_made_and_fetched(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bobby")
    assert refusal(site.get(alice, "/users/me/export")) == (404, "not_found")
    assert requested(site, alice) == 202
    assert site.get(alice, "/users/me/export").json()["state"] == "requested"
    assert refusal(site.send("POST", "/users/me/export", alice)) == (409, "export_under_way")
    assert refusal(site.get(alice, "/users/me/export/archive")) == (404, "not_found")
    build(site)
    state = site.get(alice, "/users/me/export").json()
    answer = site.get(alice, "/users/me/export/archive")
    assert (state["state"], state["size"]) == ("built", len(answer.content))
    assert answer.headers["content-type"] == "application/zip"
    assert unpacked(answer.content)["account"][0]["username"] == "alice"
    assert refusal(site.get(bob, "/users/me/export/archive")) == (404, "not_found")
    sealed = rows_of(site.platform, "SELECT sealed FROM credentials.export")
    assert b"README" not in bytes(sealed[0][0]), "it is kept under the person's own key"
    assert requested(site, alice) == 202, "and may be asked for again"


def test_an_archive_is_gone_after_some_days(site: Site) -> None:
    alice = site.members.join("alice")
    assert requested(site, alice) == 202
    build(site, datetime.now(UTC) - ARCHIVE_LIFE + timedelta(seconds=5))
    assert site.get(alice, "/users/me/export/archive").status_code == 200
    site.set_clock(soon(6))
    assert refusal(site.get(alice, "/users/me/export/archive")) == (404, "not_found")
    assert site.get(alice, "/users/me/export").json()["state"] == "expired"
    build(site, soon(6))
    assert rows_of(site.platform, "SELECT count(*) FROM credentials.export") == [(0,)]


def test_who_signed_in_a_while_ago_shows_the_password(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    with site.platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.session SET started_at = started_at - interval '1 hour'")
    assert refusal(site.send("POST", "/users/me/export", alice)) == (403, "password_required")
    assert refusal(site.send("POST", "/users/me/export", alice, {"password": "wrong"})) == (403, "wrong_password")
    assert site.send("POST", "/users/me/export", alice, {"password": PASSWORD}).status_code == 202


def test_an_erasure_takes_the_archive_along(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    assert requested(site, alice) == 202
    build(site)
    assert site.send("POST", "/users/me/erasure", alice, {"password": PASSWORD}).status_code == 202
    assert rows_of(site.platform, "SELECT count(*) FROM credentials.export") == [(0,)]


def test_whoever_is_erased_while_it_is_made_gets_none(site: Site) -> None:
    alice = site.members.join("alice")
    assert requested(site, alice) == 202
    site.members.catch_up()
    site.platform.keyring.destroy(alice.id)
    build(site)
    assert rows_of(site.platform, "SELECT count(*) FROM credentials.export") == [(0,)]
