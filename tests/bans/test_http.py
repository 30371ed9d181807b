"""Bans over HTTP: who imposes and lifts them, what each kind takes away and how soon, and that there is one of each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response

from domain.bans import Ban, BanKind, ban_claim_id
from domain.base import SYSTEM
from domain.claims import Claim
from domain.sessions import Session
from projections.bans import bans
from runtime.worker.due import expire_bans
from tests.bans.callers import Site, refusal, soon
from tests.given import rows_of
from tests.members import PASSWORD, Member
from tests.torrents.uploads import file_of

pytestmark = pytest.mark.engine

NOWHERE = UUID("0199a4f0-0000-7000-8000-00000000dead")


def upload(site: Site, user: Member, name: str = "film") -> Response:
    data = {"name": "", "description": "d", "category": "movies-hd"}
    return site.send("POST", "/torrents", user, files={"file": ("x.torrent", file_of(name))}, data=data)


def open_request(site: Site, user: Member) -> Response:
    wish = {"title": "t", "description": "d", "category": "movies-hd", "bounty": 1}
    return site.send("POST", "/requests", user, wish)


def report(site: Site, user: Member) -> Response:
    subject = {"subject_type": "user", "subject_id": str(user.id), "reason": "r"}
    return site.send("POST", "/reports", user, subject)


def permissions(site: Site, user: Member) -> set[str]:
    return set(site.send("GET", "/users/me", user).json()["permissions"])


#: What is left to try for each right that has routes; kinds without routes yet show in `/users/me` only.
TRIES: dict[str, Callable[[Site, Member], Response]] = {
    "torrents.upload": upload,
    "requests.open": open_request,
    "reports.file": report,
}


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("upload", {"torrents.upload", "torrents.upload_trusted"}),
        ("download", {"announce.leech"}),
        ("post", {"community.post"}),
        ("request", {"requests.open"}),
        ("invite", {"invites.send"}),
        ("report", {"reports.file"}),
    ],
)
def test_each_kind_takes_its_rights_and_no_others(site: Site, kind: str, taken: set[str]) -> None:
    mod, alice, bob = (site.members.join(n, g) for n, g in (("moda", "moderator"), ("alice", "vip"), ("bob", "vip")))
    before = permissions(site, alice)
    assert site.ban(mod, alice, kind).status_code == 201
    assert before - permissions(site, alice) == taken
    assert permissions(site, bob) == before
    for right, attempt in TRIES.items():
        banned = refusal(attempt(site, alice)) == (403, "banned")
        assert banned is (right in taken), right
        assert attempt(site, bob).json().get("code") != "banned"


def test_a_banned_account_is_out_at_once_on_every_device(site: Site) -> None:
    mod, alice, bob = site.members.join("moda", "moderator"), site.members.join("alice"), site.members.join("bob")
    second = site.members.sign_in(alice.id, "alice")
    assert site.ban(mod, alice).status_code == 201
    for session in (alice, second):  # before any projection ran
        assert refusal(site.at_once("GET", "/users/me", session)) == (401, "unauthenticated")
        refreshed = site.api.post("/api/v1/auth/refresh", json={"refresh_token": session.pair.refresh_token})
        assert refusal(refreshed) == (401, "unauthenticated")
        assert site.platform.store(SYSTEM).get(Session, session.pair.session_id).ended
    assert site.at_once("GET", "/users/me", bob).status_code == 200


def test_a_banned_account_signs_in_no_more_than_a_disabled_one(site: Site) -> None:
    mod = site.members.join("moda", "moderator")
    alice, bob = (site.members.join(name, password=PASSWORD) for name in ("alice", "bob"))
    site.ban(mod, alice)
    site.send("POST", f"/users/{bob.id}/disable", mod, {"reason": "r"})
    said = []
    for name in ("alice", "bob", "nobody-at-all"):
        answer = site.api.post("/api/v1/auth/login", json={"username": name, "password": PASSWORD})
        said.append({**answer.json(), "request_id": answer.status_code})
    assert said[0] == said[1] == said[2]
    assert said[0]["code"] == "wrong_credentials"


def test_a_session_that_slipped_in_is_refused(site: Site) -> None:
    """Signing in may have begun before the ban was saved."""
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    site.ban(mod, alice)
    late = site.members.sign_in(alice.id, "alice")
    assert refusal(site.send("GET", "/users/me", late)) == (403, "account_banned")
    refreshed = site.api.post("/api/v1/auth/refresh", json={"refresh_token": late.pair.refresh_token})
    assert refusal(refreshed) == (401, "unauthenticated")
    assert site.platform.store(SYSTEM).get(Session, late.pair.session_id).ended


def test_who_may_not_download_fetches_its_own_torrents_only(site: Site) -> None:
    mod, alice, bob = (site.members.join(n, g) for n, g in (("moda", "moderator"), ("alice", "vip"), ("bob", "vip")))
    own, other = (upload(site, user, user.username).json()["id"] for user in (alice, bob))
    site.ban(mod, alice, "download")
    fetched = [site.send("GET", f"/torrents/{t}/download", u) for u in (alice, bob) for t in (own, other)]
    assert [answer.status_code for answer in fetched] == [200, 403, 200, 200]
    assert fetched[1].json()["code"] == "banned"
    assert site.send("GET", f"/torrents/{other}", alice).status_code == 200


def test_a_lifted_ban_gives_back_what_it_took(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    before = permissions(site, alice)
    receipt = site.ban(mod, alice, "upload").json()
    lifted = site.send("DELETE", f"/bans/{receipt['id']}", mod, {"reason": "appeal"}, {"If-Match": "1"})
    assert (lifted.status_code, lifted.json()["id"], lifted.json()["version"]) == (200, receipt["id"], 2)
    assert permissions(site, alice) == before
    again = site.send("DELETE", f"/bans/{receipt['id']}", mod, {"reason": "appeal"})
    assert refusal(again) == (409, "ban_ended")


def test_an_account_whose_ban_was_lifted_signs_in_again(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice", password=PASSWORD)
    ban = site.ban(mod, alice).json()
    site.send("DELETE", f"/bans/{ban['id']}", mod, {"reason": "appeal"})
    assert site.send("GET", "/users/me", alice).status_code == 401  # its sessions stay ended
    tokens = site.api.post("/api/v1/auth/login", json={"username": "alice", "password": PASSWORD}).json()
    assert site.send("GET", "/users/me", tokens["access_token"]).status_code == 200


def test_imposing_and_lifting_need_the_right_and_a_higher_level(site: Site) -> None:
    mod, other = site.members.join("moda", "moderator"), site.members.join("mod2", "moderator")
    admin, alice = site.members.join("admin1", "administrator"), site.members.join("alice")
    forum = site.members.join("forum", "forum_moderator")
    assert refusal(site.ban(alice, mod)) == (403, "not_permitted")
    assert refusal(site.ban(forum, alice)) == (403, "not_permitted")
    for staff, user in ((mod, mod), (mod, other), (mod, admin)):
        assert refusal(site.ban(staff, user)) == (403, "above_own_level")
    ban = site.ban(admin, mod, "upload").json()["id"]
    for caller, code in ((mod, "above_own_level"), (other, "above_own_level"), (alice, "not_permitted")):
        assert refusal(site.send("DELETE", f"/bans/{ban}", caller, {"reason": "r"})) == (403, code)
    assert permissions(site, mod).isdisjoint({"torrents.upload"})


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"until": "2001-01-01T00:00:00Z"}, 422, "ban_ends_in_past"),
        ({"until": "2101-01-01"}, 422, "invalid"),
        ({"until": "2101-01-01T00:00:00"}, 422, "invalid"),
        ({"until": 4133980800}, 422, "invalid"),
        ({"reason": " "}, 422, "reason_missing"),
        ({"reason": "x" * 1001}, 422, "reason_missing"),
        ({"reason": None}, 422, "invalid"),
        ({"kind": "ip"}, 422, "invalid"),
        ({"kind": "Account"}, 422, "invalid"),
        ({"forever": True}, 422, "unknown_field"),
    ],
)
def test_bans_that_cannot_be_are_refused(site: Site, fields: dict[str, Any], status: int, code: str) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    assert refusal(site.ban(mod, alice, **fields)) == (status, code)
    assert rows_of(site.platform, "SELECT count(*) FROM read.ban") == [(0,)]


def test_whom_and_what_nobody_knows_is_not_found(site: Site) -> None:
    mod = site.members.join("moda", "moderator")
    body = {"kind": "upload", "reason": "r"}
    for user in (NOWHERE, SYSTEM):
        assert refusal(site.send("POST", f"/users/{user}/bans", mod, body)) == (404, "not_found")
    assert refusal(site.send("GET", f"/users/{NOWHERE}/bans", mod)) == (404, "not_found")
    assert refusal(site.send("DELETE", f"/bans/{NOWHERE}", mod, {"reason": "r"})) == (404, "not_found")
    assert refusal(site.send("DELETE", f"/bans/{mod.id}", mod, {"reason": "r"})) == (404, "not_found")


def test_one_ban_of_a_kind_is_in_force(site: Site) -> None:
    mod, alice, bob = site.members.join("moda", "moderator"), site.members.join("alice"), site.members.join("bob")
    first = site.ban(mod, alice, "upload").json()
    assert refusal(site.ban(mod, alice, "upload")) == (409, "already_banned")
    assert site.ban(mod, alice, "download").status_code == 201
    assert site.ban(mod, bob, "upload").status_code == 201
    site.send("DELETE", f"/bans/{first['id']}", mod, {"reason": "appeal"})
    assert site.ban(mod, alice, "upload").status_code == 201


def test_of_bans_at_the_same_moment_one_wins(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    body = {"kind": "upload", "reason": "r"}
    for attempt in range(3):
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: site.at_once("POST", f"/users/{alice.id}/bans", mod, body), range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409], attempt
        (won,) = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        claim = site.platform.store(SYSTEM).get(Claim, ban_claim_id(alice.id, BanKind.UPLOAD))
        assert str(claim.holder_id) == won
        assert site.send("DELETE", f"/bans/{won}", mod, {"reason": "r"}).status_code == 200


def test_a_ban_lifted_twice_at_the_same_moment_is_lifted_once(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    ban = site.ban(mod, alice, "upload").json()["id"]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: site.at_once("DELETE", f"/bans/{ban}", mod, {"reason": "r"}), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert site.platform.store(SYSTEM).get(Ban, UUID(ban)).version == 2


def test_a_repeated_command_imposes_one_ban(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    body, key = {"kind": "upload", "reason": "r"}, {"Idempotency-Key": str(uuid4())}
    first, again = (site.send("POST", f"/users/{alice.id}/bans", mod, body, key) for _ in range(2))
    assert again.status_code == 201
    assert again.json() == first.json()
    assert rows_of(site.platform, "SELECT count(*) FROM read.ban") == [(1,)]


def test_a_ban_ends_at_its_time_to_the_second_whether_or_not_that_was_recorded(site: Site) -> None:
    mod, alice, until = site.members.join("moda", "moderator"), site.members.join("alice"), soon(300)
    site.ban(mod, alice, "upload", until=until.isoformat())
    site.set_clock(until - timedelta(seconds=1))
    assert "torrents.upload" not in permissions(site, alice)
    site.set_clock(until)
    assert "torrents.upload" in permissions(site, alice)
    (shown,) = site.send("GET", f"/users/{alice.id}/bans", alice).json()["items"]
    assert (shown["state"], shown["ended_at"]) == ("expired", None)
    late = site.send("DELETE", f"/bans/{shown['id']}", mod, {"reason": "late"})
    assert refusal(late) == (409, "ban_ended")


def test_an_overdue_ban_makes_way_for_a_new_one(site: Site) -> None:
    """The edge sees the old ban end first: in the other order the new one would not hold there."""
    mod, alice, until = site.members.join("moda", "moderator"), site.members.join("alice"), soon(300)
    old = site.ban(mod, alice, "download", until=until.isoformat()).json()["id"]
    site.set_clock(until)
    new = site.ban(mod, alice, "download").json()
    assert new["version"] == 1
    states = {item["id"]: item["state"] for item in site.send("GET", f"/users/{alice.id}/bans", mod).json()["items"]}
    assert states == {old: "expired", new["id"]: "active"}
    leech = rows_of(site.platform, "SELECT can_leech FROM read.announce_user WHERE user_id = %s", [alice.id])
    assert leech == [(False,)]


def test_the_worker_records_every_end_once_and_nothing_early(site: Site) -> None:
    mod, alice, bob = site.members.join("moda", "moderator"), site.members.join("alice"), site.members.join("bob")
    until = soon(300)
    site.ban(mod, alice, "account", until=until.isoformat())
    site.ban(mod, bob, "account")
    site.members.catch_up()

    def states() -> list[tuple[Any, ...]]:
        site.members.catch_up()
        return rows_of(
            site.platform,
            "SELECT a.username, b.state, u.enabled FROM read.ban b JOIN read.announce_user u USING (user_id)"
            " JOIN read.account a USING (user_id) ORDER BY a.username",
        )

    expire_bans(site.platform, until - timedelta(seconds=1))
    assert states() == [("alice", "active", False), ("bob", "active", False)]
    with ThreadPoolExecutor(3) as threads:  # several workers, and read tables that none of them has moved yet
        list(threads.map(lambda _: expire_bans(site.platform, until), range(6)))
    assert states() == [("alice", "expired", True), ("bob", "active", False)]
    expire_bans(site.platform, until)
    ends = rows_of(
        site.platform,
        "SELECT e.actor_id, e.origin FROM es.event e JOIN es.event_type t ON t.id = e.type"
        " WHERE t.name = 'ban.expired'",
    )
    assert ends == [(SYSTEM, "policy")]


def test_of_lifting_and_expiring_at_the_same_moment_one_wins(site: Site) -> None:
    mod, alice, until = site.members.join("moda", "moderator"), site.members.join("alice"), soon(300)
    ban = site.ban(mod, alice, "upload", until=until.isoformat()).json()["id"]
    site.members.catch_up()
    with ThreadPoolExecutor(2) as threads:
        lifting = threads.submit(site.at_once, "DELETE", f"/bans/{ban}", mod, {"reason": "appeal"})
        threads.submit(expire_bans, site.platform, until).result()
    site.members.catch_up()
    (state,) = rows_of(site.platform, "SELECT state, version FROM read.ban")
    assert state == (("lifted", 2) if lifting.result().status_code == 200 else ("expired", 2))
    claim = site.platform.store(SYSTEM).get(Claim, ban_claim_id(alice.id, BanKind.UPLOAD))
    assert claim.holder_id is None


def test_bans_are_listed_for_staff_and_for_their_user(site: Site) -> None:
    mod, alice, bob = site.members.join("moda", "moderator"), site.members.join("alice"), site.members.join("bob")
    kinds = ["upload", "post", "invite"]
    for kind in kinds:
        site.ban(mod, alice, kind, reason=f"no {kind}")
    site.ban(mod, bob, "upload")
    own, seen = (site.send("GET", f"/users/{alice.id}/bans", caller).json()["items"] for caller in (alice, mod))
    assert [(item["kind"], item["reason"], item["state"]) for item in own] == [
        (kind, f"no {kind}", "active") for kind in reversed(kinds)
    ]
    assert {item["imposed_by"] for item in own} == {None}
    assert {item["imposed_by"] for item in seen} == {str(mod.id)}
    assert refusal(site.send("GET", f"/users/{alice.id}/bans", bob)) == (403, "not_permitted")
    page = site.send("GET", f"/users/{alice.id}/bans?limit=2", mod).json()
    rest = site.send("GET", f"/users/{alice.id}/bans?cursor={page['next_cursor']}", mod).json()
    assert [item["kind"] for item in page["items"] + rest["items"]] == list(reversed(kinds))
    assert rest["next_cursor"] is None


def test_a_list_waits_for_the_ban_that_the_caller_saw(site: Site) -> None:
    mod, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    position = str(site.ban(mod, alice, "upload").json()["position"])
    behind = site.at_once("GET", f"/users/{alice.id}/bans", mod, headers={"X-Min-Position": position})
    assert refusal(behind) == (503, "projection_behind")
    site.platform.engine().drain(bans)
    seen = site.at_once("GET", f"/users/{alice.id}/bans", mod, headers={"X-Min-Position": position})
    assert len(seen.json()["items"]) == 1


def test_who_warns_users_keeps_them_from_posting_and_from_nothing_else(site: Site) -> None:
    alice, forum, mod = (
        site.members.join(name, group)
        for name, group in (("alice", "member"), ("forum", "forum_moderator"), ("moda", "moderator"))
    )
    imposed = site.ban(forum, alice, "post")
    assert imposed.status_code == 201, imposed.text
    assert "community.post" not in permissions(site, alice)
    for kind in set(BanKind) - {BanKind.POST}:
        assert refusal(site.ban(forum, alice, kind)) == (403, "not_permitted")
    other = site.ban(mod, alice, "upload").json()["id"]
    assert refusal(site.send("DELETE", f"/bans/{other}", forum, {"reason": "r"})) == (403, "not_permitted")
    lifted = site.send("DELETE", f"/bans/{imposed.json()['id']}", forum, {"reason": "r"})
    assert lifted.status_code == 200, lifted.text
    assert {"community.post", "torrents.upload"} & permissions(site, alice) == {"community.post"}
