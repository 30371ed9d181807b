"""What ends a session ends its tokens with the next request, in every process; and where tokens do not belong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import domain
from domain.base import SYSTEM
from domain.sessions import Session
from projections import ALL
from runtime.api import create_app
from runtime.platform import Platform
from tests.auth.test_two_factor import turned_on
from tests.bans.callers import Site, refusal, soon
from tests.in_process import TestClient
from tests.members import PASSWORD, Member

pytestmark = pytest.mark.engine


def sign_out(site: Site, alice: Member, staff: Member) -> None:
    site.api.post("/api/v1/auth/logout", json={"refresh_token": alice.pair.refresh_token})


def sign_out_everywhere(site: Site, alice: Member, staff: Member) -> None:
    other = site.members.sign_in(alice.id, "alice")
    body = {"refresh_token": other.pair.refresh_token, "everywhere": True}
    site.api.post("/api/v1/auth/logout", json=body)


def sign_out_elsewhere(site: Site, alice: Member, staff: Member) -> None:
    site.at_once("DELETE", "/users/me/sessions", site.members.sign_in(alice.id, "alice"))


def revoke(site: Site, alice: Member, staff: Member) -> None:
    other = site.members.sign_in(alice.id, "alice")
    site.at_once("DELETE", f"/users/me/sessions/{alice.pair.session_id}", other)


def change_password(site: Site, alice: Member, staff: Member) -> None:
    body = {"current": PASSWORD, "new": "another long passphrase"}
    site.at_once("POST", "/users/me/password", site.members.sign_in(alice.id, "alice"), body)


def disable(site: Site, alice: Member, staff: Member) -> None:
    site.at_once("POST", f"/users/{alice.id}/disable", staff, {"reason": "r"})


def ban(site: Site, alice: Member, staff: Member) -> None:
    site.at_once("POST", f"/users/{alice.id}/bans", staff, {"kind": "account", "reason": "r"})


def move(site: Site, alice: Member, staff: Member) -> None:
    site.at_once("POST", f"/users/{alice.id}/group", staff, {"group": "banned", "reason": "r"})


@pytest.mark.parametrize(
    "end",
    [sign_out, sign_out_everywhere, sign_out_elsewhere, revoke, change_password, disable, ban, move],
    ids=lambda end: end.__name__,
)
def test_the_next_request_is_refused_wherever_it_comes(
    site: Site, make_platform: Callable[..., Platform], end: Callable[[Site, Member, Member], None]
) -> None:
    """No projection runs between the end and the request: it is the session's row that decides."""
    staff, bob = site.members.join("moda", "administrator"), site.members.join("bob")
    alice = site.members.join("alice", password=PASSWORD)
    site.members.catch_up()
    processes = [site.api, TestClient(create_app(make_platform(domain.EVENTS, ALL)))]

    def asked(member: Member) -> list[int]:
        return [one.get("/api/v1/users/me/sessions", headers=member.headers).status_code for one in processes]

    assert asked(alice) == [200, 200]
    end(site, alice, staff)
    assert asked(alice) == [401, 401]
    assert asked(bob) == [200, 200]
    for process in processes:
        again = process.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
        assert refusal(again) == (401, "unauthenticated")
    assert site.platform.store(SYSTEM).get(Session, alice.pair.session_id).ended


def test_who_was_shut_out_meanwhile_gets_no_new_tokens(site: Site) -> None:
    """Rights may have gone without an end of the session; the refresh looks again."""
    alice = site.members.join("alice", password=PASSWORD)
    staff = site.members.join("moda", "administrator")
    ban(site, alice, staff)
    with site.platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.session SET revoked_at = NULL")
    answer = site.api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
    assert refusal(answer) == (401, "unauthenticated")


@pytest.mark.parametrize("late_s", [0, 1])
def test_a_refresh_token_dies_to_the_second(site: Site, late_s: int) -> None:
    alice = site.members.join("alice")
    with site.platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.session SET expires_at = %s", [soon(30)])
    site.set_clock(soon(30) + timedelta(seconds=late_s))
    answer = site.api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
    assert answer.status_code == 401


def test_a_token_counts_in_its_place_only(site: Site) -> None:
    alice = site.members.join("alice")
    access, refresh = alice.pair.access_token, alice.pair.refresh_token
    assert site.api.post(f"/api/v1/auth/refresh?refresh_token={refresh}").status_code == 422
    headers = {"Authorization": f"Bearer {refresh}"}
    assert site.api.post("/api/v1/auth/refresh", headers=headers).status_code == 422
    assert site.api.get("/api/v1/users/me", headers=headers).status_code == 401
    assert site.api.get(f"/api/v1/users/me?access_token={access}").status_code == 401
    assert site.api.get("/api/v1/users/me", headers={"Cookie": f"access_token={access}"}).status_code == 401
    assert site.api.post("/api/v1/auth/refresh", json={"refresh_token": refresh}).status_code == 200


def test_half_a_sign_in_gives_nothing_that_opens_anything(site: Site) -> None:
    """There is no half-authenticated state: what is due is a whole second request."""
    turned_on(site.api, site.members.join("alice", password=PASSWORD))
    body: dict[str, Any] = {"username": "alice", "password": PASSWORD}
    half = site.api.post("/api/v1/auth/login", json=body)
    assert refusal(half) == (401, "totp_required")
    assert set(half.json()) == {"type", "title", "status", "code", "detail", "request_id"}
    assert "set-cookie" not in half.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["login", "logout", "refresh"])
def test_nothing_is_signed_in_or_out_by_a_link_or_a_picture(site: Site, method: str, path: str) -> None:
    assert site.api.request(method, f"/api/v1/auth/{path}").status_code == 405


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_no_foreign_form_signs_anybody_in_or_out(site: Site, content_type: str) -> None:
    """What a page of another origin may send without being asked (CSRF) is refused by its content type."""
    alice = site.members.join("alice", password=PASSWORD)
    body = f'{{"refresh_token": "{alice.pair.refresh_token}"}}'
    for origin in ("https://evil.example", "null"):
        headers = {"Content-Type": content_type, "Origin": origin}
        answer = site.api.post("/api/v1/auth/logout", content=body, headers=headers)
        assert answer.status_code == 415
        assert "access-control-allow-origin" not in answer.headers
    assert site.send("GET", "/users/me", alice).status_code == 200
