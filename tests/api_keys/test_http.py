"""API keys over HTTP: shown once, good within their scopes, and dead with the next request after their end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.policies.enforce_decisions import enforce_decisions
from domain.api_keys import MAX_KEYS, ApiKey
from domain.base import SYSTEM
from domain.moderation import Case, Outcome
from runtime.api_keys import count_keys, forget_expired_keys, key_sha, new_key
from runtime.masking import mask_text, mask_value
from tests.bans.callers import Site, refusal, soon
from tests.given import projected, rows_of
from tests.members import PASSWORD, Member

pytestmark = pytest.mark.engine

KEYS = "/users/me/api-keys"

#: Nobody and nothing has this id.
NOTHING = "0199a4f0-0000-7000-8000-00000000dead"


def issued(site: Site, user: Member, *scopes: str, name: str = "seedbox") -> dict[str, Any]:
    """The receipt of a new key."""
    answer = site.send("POST", KEYS, user, {"name": name, "scopes": list(scopes) or ["read"]})
    assert answer.status_code == 201, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def opens(site: Site, key: str) -> int:
    """The status of the very next request, before any projection ran."""
    return site.at_once("GET", "/users/me", key).status_code


def test_a_key_acts_in_its_users_name(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    for user in (alice, bob):
        receipt = issued(site, user, "read")
        assert key_sha(receipt["key"]) is not None
        assert site.at_once("GET", "/users/me", receipt["key"]).json()["username"] == user.username


def test_a_key_is_shown_once(site: Site) -> None:
    alice, again = site.members.join("alice"), {"Idempotency-Key": str(uuid4())}
    body = {"name": "seedbox", "scopes": ["read"]}
    first, repeated = (site.send("POST", KEYS, alice, body, again) for _ in range(2))
    assert key_sha(first.json()["key"]) is not None
    assert (repeated.status_code, repeated.json()) == (201, {**first.json(), "key": None})
    (item,) = site.send("GET", KEYS, alice).json()["items"]
    assert item.keys() == {"id", "name", "scopes", "created_at", "last_used_at", "expires_at"}
    assert (item["id"], item["name"], item["scopes"]) == (first.json()["id"], "seedbox", ["read"])


def test_a_key_is_in_no_table_and_in_no_log(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    alice = site.members.join("alice")
    key = issued(site, alice, name="named in clear nowhere")["key"]
    assert opens(site, key) == 200
    assert site.at_once("GET", f"/users/me?api_key={key}", alice).status_code == 200
    assert key not in capsys.readouterr().out
    for query in (
        "SELECT data FROM es.event",
        "SELECT reply FROM es.command",
        "SELECT key_sha FROM credentials.api_key",
    ):
        kept = b"".join(bytes(row[0]) for row in rows_of(site.platform, query))
        assert kept
        assert key.encode() not in kept
        assert b"in clear" not in kept


@pytest.mark.parametrize("text", ["{}", "key={}", "GET /x?k={} HTTP/1.1", "('{}',)", "Bearer {}", '"{}"'])
def test_a_key_is_masked_by_its_looks(text: str) -> None:
    key = new_key()
    assert key[8:] not in mask_text(text.format(key))
    assert key[8:] not in str(mask_value({"what": [text.format(key)]}))


@pytest.mark.parametrize(
    ("scopes", "method", "path", "expected"),
    [
        (("read",), "GET", "/users/me", (200, "")),
        (("write",), "GET", "/users/me", (200, "")),
        (("read",), "POST", "/requests", (403, "insufficient_scope")),
        (("read",), "PUT", "/groups/member/permissions", (403, "insufficient_scope")),
        (("read",), "DELETE", f"/torrents/{NOTHING}", (403, "insufficient_scope")),
        (("write",), "POST", "/requests", (422, "invalid")),
        (("write",), "PUT", "/groups/member/permissions", (403, "not_permitted")),
        (("write",), "DELETE", f"/torrents/{NOTHING}", (404, "not_found")),
        (("read", "write"), "POST", "/requests", (422, "invalid")),
        (("requests",), "POST", "/requests", (422, "invalid")),
        (("requests",), "GET", "/requests", (200, "")),
        (("requests",), "GET", "/torrents", (403, "insufficient_scope")),
        (("requests",), "GET", "/users/me", (403, "insufficient_scope")),
        (("torrents",), "DELETE", f"/torrents/{NOTHING}", (404, "not_found")),
        (("torrents",), "GET", "/torrents", (200, "")),
        (("torrents",), "POST", "/requests", (403, "insufficient_scope")),
        (("torrents", "read"), "GET", "/requests", (200, "")),
        (("moderation",), "GET", "/moderation/cases", (403, "not_permitted")),
        (("moderation",), "PUT", "/groups/member/permissions", (403, "insufficient_scope")),
        (("torrents", "requests", "moderation"), "POST", "/users/me/passkey/reset", (403, "insufficient_scope")),
        (("read",), "POST", "/users/me/passkey/reset", (403, "insufficient_scope")),
    ],
)
def test_a_key_reaches_as_far_as_its_scopes(
    site: Site, scopes: tuple[str, ...], method: str, path: str, expected: tuple[int, str]
) -> None:
    key = issued(site, site.members.join("alice"), *scopes)["key"]
    bodies = {"PUT": {"permissions": []}, "POST": {}, "DELETE": {"reason": "r"}}
    assert refusal(site.at_once(method, path, key, bodies.get(method))) == expected


def test_a_reading_key_may_ask_for_heads(site: Site) -> None:
    key = issued(site, site.members.join("alice"))["key"]
    assert site.at_once("HEAD", f"/torrents/{uuid4()}/download", key).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users/me/password", {"current": PASSWORD, "new": "another long passphrase"}),
        ("POST", "/users/me/passkey/reset", None),
        ("GET", "/users/me/sessions", None),
        ("DELETE", f"/users/me/sessions/{NOTHING}", None),
        ("POST", "/auth/enable-2fa", {"password": PASSWORD}),
        ("POST", "/auth/verify-2fa", {"code": "123456"}),
        ("POST", "/auth/disable-2fa", {"password": PASSWORD, "code": "123456"}),
        ("GET", KEYS, None),
        ("POST", KEYS, {"name": "n", "scopes": ["write"]}),
        ("DELETE", f"{KEYS}/{NOTHING}", None),
    ],
)
def test_no_key_touches_the_security_of_the_account(site: Site, method: str, path: str, body: Any) -> None:
    key = issued(site, site.members.join("alice", password=PASSWORD), "read", "write")["key"]
    assert refusal(site.at_once(method, path, key, body)) == (403, "sign_in_required")


def test_a_revoked_key_is_dead_with_the_next_request(site: Site) -> None:
    alice = site.members.join("alice")
    gone, kept = issued(site, alice), issued(site, alice)
    assert [opens(site, receipt["key"]) for receipt in (gone, kept)] == [200, 200]
    for _ in range(2):  # a second time changes nothing
        assert site.at_once("DELETE", f"{KEYS}/{gone['id']}", alice).status_code == 204
        assert [opens(site, receipt["key"]) for receipt in (gone, kept)] == [401, 200]
    assert site.platform.store(SYSTEM).get(ApiKey, UUID(gone["id"])).version == 2
    assert [item["id"] for item in site.send("GET", KEYS, alice).json()["items"]] == [kept["id"]]


def disable(site: Site, mod: Member, alice: Member) -> None:
    site.at_once("POST", f"/users/{alice.id}/disable", mod, {"reason": "r"})


def ban(site: Site, mod: Member, alice: Member) -> None:
    site.at_once("POST", f"/users/{alice.id}/bans", mod, {"kind": "account", "reason": "r"})


def move(site: Site, mod: Member, alice: Member) -> None:
    site.at_once("POST", f"/users/{alice.id}/group", mod, {"group": "banned", "reason": "r"})


def decide(site: Site, mod: Member, alice: Member) -> None:
    case = Case.open(uuid4(), "user", alice.id, alice.id)
    case.file_report(uuid4(), mod.id, "spam", "")
    case.claim(mod.id)
    case.decide(mod.id, Outcome.USER_DISABLED, "spam")
    site.platform.store(mod.id).save(case)
    projected(site.platform, enforce_decisions)


@pytest.mark.parametrize(
    ("shut_out", "reason"), [(disable, "disabled"), (ban, "banned"), (move, "group_changed"), (decide, "disabled")]
)
def test_who_is_shut_out_has_no_key_left(
    site: Site, shut_out: Callable[[Site, Member, Member], None], reason: str
) -> None:
    admin = site.members.join("admin1", "administrator")
    alice, bob = site.members.join("alice"), site.members.join("bob")
    keys, other = [issued(site, alice), issued(site, alice, "write")], issued(site, bob)["key"]
    shut_out(site, admin, alice)
    assert [opens(site, receipt["key"]) for receipt in keys] == [401, 401]
    assert opens(site, other) == 200
    site.members.catch_up()
    why = rows_of(site.platform, "SELECT user_id, revoke_reason FROM read.api_key ORDER BY key_id")
    assert why == [(alice.id, reason), (alice.id, reason), (bob.id, None)]


def test_a_key_that_slipped_in_is_refused(site: Site) -> None:
    """Issuing may have begun before the ban was saved."""
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    ban(site, mod, alice)
    key = issued(site, site.members.join("bob"))["key"]
    with site.platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.api_key SET user_id = %s", (alice.id,))
    site.members.catch_up()
    assert refusal(site.at_once("GET", "/users/me", key)) == (403, "account_banned")


def test_a_ban_holds_for_keys_too(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    key = issued(site, alice, "write")["key"]
    site.ban(mod, alice, "request")
    assert refusal(site.send("POST", "/requests", key, {})) == (403, "banned")


def test_a_new_password_leaves_keys_alone(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    key = issued(site, alice)["key"]
    body = {"current": PASSWORD, "new": "another long passphrase"}
    assert site.at_once("POST", "/users/me/password", alice, body).status_code == 200
    assert opens(site, key) == 200


def test_nobody_has_more_than_20_keys(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    keys = [issued(site, alice) for _ in range(MAX_KEYS)]
    body = {"name": "n", "scopes": ["read"]}
    assert refusal(site.send("POST", KEYS, alice, body)) == (409, "too_many_api_keys")
    assert issued(site, bob)["key"]
    site.send("DELETE", f"{KEYS}/{keys[0]['id']}", alice)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: site.at_once("POST", KEYS, alice, body), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    page = site.send("GET", f"{KEYS}?limit=15", alice).json()
    rest = site.send("GET", f"{KEYS}?limit=15&cursor={page['next_cursor']}", alice).json()
    assert len({item["id"] for item in page["items"] + rest["items"]}) == MAX_KEYS
    recorded = rows_of(site.platform, "SELECT count(*) FROM read.api_key WHERE user_id = %s", [alice.id])
    assert recorded == [(MAX_KEYS + 1,)]


def test_the_last_use_is_noted_once_a_minute(site: Site) -> None:
    alice, start = site.members.join("alice"), soon(1)
    used, unused = issued(site, alice), issued(site, alice)

    def noted(after_s: int) -> dict[str, str | None]:
        site.set_clock(start + timedelta(seconds=after_s))
        assert opens(site, used["key"]) == 200
        return {item["id"]: item["last_used_at"] for item in site.send("GET", KEYS, alice).json()["items"]}

    assert site.send("GET", KEYS, alice).json()["items"][0]["last_used_at"] is None
    at = [noted(seconds)[used["id"]] for seconds in (0, 30, 59, 60, 119, 121)]
    assert at[0] == at[1] == at[2] == start.isoformat().replace("+00:00", "Z")
    assert at[3] == at[4] == (start + timedelta(seconds=60)).isoformat().replace("+00:00", "Z")
    assert at[5] == (start + timedelta(seconds=121)).isoformat().replace("+00:00", "Z")
    assert noted(122)[unused["id"]] is None


def test_a_key_dies_when_it_expires(site: Site) -> None:
    alice, start = site.members.join("alice"), soon(1)
    site.set_clock(start)
    expires_at = (start + timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
    body = {"name": "n", "scopes": ["read"], "expires_at": expires_at}
    dying, other = site.send("POST", KEYS, alice, body).json(), issued(site, alice)
    site.set_clock(start + timedelta(seconds=29))
    assert [opens(site, one["key"]) for one in (dying, other)] == [200, 200]
    site.set_clock(start + timedelta(seconds=30))
    assert [opens(site, one["key"]) for one in (dying, other)] == [401, 200]
    shown = {item["id"]: item["expires_at"] for item in site.send("GET", KEYS, alice).json()["items"]}
    assert shown == {dying["id"]: expires_at, other["id"]: None}
    with site.platform.pool.connection() as connection:
        assert count_keys(connection.cursor(), alice.id, start + timedelta(seconds=30)) == 1
        assert forget_expired_keys(connection, start + timedelta(days=29)) == 0
        assert forget_expired_keys(connection, start + timedelta(days=31)) == 1


def test_keys_belong_to_their_user(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    receipt = issued(site, alice)
    assert refusal(site.send("DELETE", f"{KEYS}/{receipt['id']}", bob)) == (404, "not_found")
    unknown = site.send("DELETE", f"{KEYS}/{uuid4()}", bob)
    foreign = site.send("DELETE", f"{KEYS}/{receipt['id']}", bob)
    assert unknown.json()["detail"] == foreign.json()["detail"]
    assert site.send("GET", KEYS, bob).json()["items"] == []
    assert opens(site, receipt["key"]) == 200


@pytest.mark.parametrize("change", [str.upper, str.swapcase, lambda k: k[:-1], lambda k: k + "A", lambda k: k[4:]])
def test_what_is_not_the_key_opens_nothing(site: Site, change: Callable[[str], str]) -> None:
    key = issued(site, site.members.join("alice"))["key"]
    assert refusal(site.at_once("GET", "/users/me", change(key))) == (401, "unauthenticated")
    assert refusal(site.at_once("GET", "/users/me", new_key())) == (401, "unauthenticated")


def test_a_key_counts_in_its_header_only(site: Site) -> None:
    key = issued(site, site.members.join("alice"))["key"]
    for path in (f"/users/me?api_key={key}", f"/users/me?access_token={key}"):
        assert site.api.get(f"/api/v1{path}").status_code == 401
    for headers in ({"X-API-Key": key}, {"Cookie": f"access_token={key}"}, {"Authorization": f"Basic {key}"}):
        assert site.api.get("/api/v1/users/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "", "scopes": ["read"]}, "bad_key_name"),
        ({"name": "x" * 65, "scopes": ["read"]}, "bad_key_name"),
        ({"name": "n", "scopes": []}, "invalid"),
        ({"name": "n", "scopes": ["admin"]}, "invalid"),
        ({"name": "n", "scopes": "read"}, "invalid"),
        ({"name": "n", "scopes": ["read"] * 6}, "invalid"),
        ({"name": 1, "scopes": ["read"]}, "invalid"),
        ({"name": "n"}, "invalid"),
        ({"name": "n", "scopes": ["read"], "expires": None}, "unknown_field"),
        ({"name": "n", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "key_expires_in_past"),
        ({"name": "n", "scopes": ["read"], "expires_at": "tomorrow"}, "invalid"),
    ],
)
def test_keys_that_cannot_be_are_refused(site: Site, body: dict[str, Any], code: str) -> None:
    assert refusal(site.send("POST", KEYS, site.members.join("alice"), body)) == (422, code)
    assert rows_of(site.platform, "SELECT count(*) FROM credentials.api_key") == [(0,)]
