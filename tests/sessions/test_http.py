"""One's sessions: what is shown of each, and ending one, the others or all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.sessions import device_of
from tests.bans.callers import Site, refusal, soon
from tests.given import rows_of
from tests.members import PASSWORD, Member

pytestmark = pytest.mark.engine

SESSIONS = "/users/me/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 (KHTML) Version/19.0 Safari/604"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537 (KHTML) Chrome/150.0 Safari/537 Edg/150.0"


def signed_in(site: Site, user_agent: str) -> dict[str, Any]:
    body = {"username": "alice", "password": PASSWORD}
    answer = site.api.post("/api/v1/auth/login", json=body, headers={"User-Agent": user_agent})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def alive(site: Site, *who: Member | dict[str, Any]) -> list[int]:
    tokens = [one.pair.access_token if isinstance(one, Member) else one["access_token"] for one in who]
    return [site.send("GET", SESSIONS, token).status_code for token in tokens]


def test_a_session_says_what_it_is_of_and_when_it_was_used(site: Site) -> None:
    site.members.join("alice", password=PASSWORD), site.members.join("bob")
    start = soon(1)
    site.set_clock(start)
    phone, desk = signed_in(site, SAFARI), signed_in(site, FIREFOX)

    def used_after(seconds: int, tokens: dict[str, Any]) -> dict[str, int]:
        now = start + timedelta(seconds=seconds)
        site.set_clock(now)
        items = site.send("GET", SESSIONS, tokens["access_token"]).json()["items"]
        assert [item["current"] for item in items].count(True) == 1
        uses = {item["device"]: item["last_used_at"] for item in items if item["user_agent"] != "testclient"}
        return {
            device: round((datetime.fromisoformat(at) - start).total_seconds())
            for device, at in uses.items()
            if "on" in device
        }

    assert used_after(30, desk) == {"Firefox on Linux": 0, "Safari on iPhone": 0}
    assert used_after(60, desk) == {"Firefox on Linux": 60, "Safari on iPhone": 0}
    assert used_after(119, phone) == {"Firefox on Linux": 60, "Safari on iPhone": 119}


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("SomethingElse (Android 17)", "a program on Android"),
        ("", "an unknown device"),
        (None, "an unknown device"),
    ],
)
def test_a_device_has_a_name_for_people(user_agent: str | None, device: str) -> None:
    assert device_of(user_agent) == device


def test_one_may_sign_out_everywhere_else(site: Site) -> None:
    alice, bob = site.members.join("alice", password=PASSWORD), site.members.join("bob")
    phone, desk = signed_in(site, SAFARI), signed_in(site, FIREFOX)
    assert site.send("DELETE", SESSIONS, desk["access_token"]).status_code == 204
    assert alive(site, alice, phone, desk, bob) == [401, 401, 200, 200]
    refreshed = site.api.post("/api/v1/auth/refresh", json={"refresh_token": phone["refresh_token"]})
    assert refreshed.status_code == 401
    ends = "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE t.name = 'session.ended'"
    assert rows_of(site.platform, ends) == [(2,)]


def test_one_may_sign_out_everywhere_at_once(site: Site) -> None:
    alice, bob = site.members.join("alice", password=PASSWORD), site.members.join("bob")
    phone, desk = signed_in(site, SAFARI), signed_in(site, FIREFOX)
    body = {"refresh_token": desk["refresh_token"], "everywhere": True}
    assert site.api.post("/api/v1/auth/logout", json=body).status_code == 204
    assert alive(site, alice, phone, desk, bob) == [401, 401, 401, 200]
    later = signed_in(site, SAFARI)
    assert site.api.post("/api/v1/auth/logout", json=body).status_code == 204
    assert alive(site, later) == [200], "the token of a session that is over ends no others"


def test_anothers_session_is_not_there(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    assert refusal(site.send("DELETE", f"{SESSIONS}/{alice.pair.session_id}", bob)) == (404, "not_found")
    assert alive(site, alice, bob) == [200, 200]
