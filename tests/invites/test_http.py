"""Invites over HTTP: one code, one address, one account; what is not used comes back; the tree of who came by whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import Response

from commands.policies.note_invited import note_invited
from domain.bans import Ban, BanKind, ban_claim_id
from domain.base import SYSTEM
from domain.claims import Claim
from domain.groups import Group, group_id
from domain.invites import InviteAllowance, allowance_id
from domain.users import User
from runtime.platform import Platform
from runtime.store import new_id
from runtime.worker.due import expire_invites
from tests.given import projected, rows_of
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member, Members

pytestmark = pytest.mark.engine

GUEST = "guest@example.org"
REFUSED = (422, "invite")


@pytest.fixture
def in_mode(platform: Platform, members: Members, app: FastAPI) -> Callable[[str], TestClient]:
    """The API of a site that takes newcomers in this way."""

    def make(mode: str) -> TestClient:
        changed = platform.settings.registration.model_copy(update={"mode": mode})
        platform.settings = platform.settings.model_copy(update={"registration": changed})
        return TestClient(app)

    return make


@pytest.fixture
def alice(platform: Platform, members: Members) -> Member:
    """A member with three invites."""
    member = members.join("alice", "power_user", password=PASSWORD)
    give(platform, member, 3)
    return member


def give(platform: Platform, member: Member, invites: int) -> None:
    allowance = InviteAllowance.open(member.id)
    allowance.grant(invites, "for the logo")
    platform.store(SYSTEM).save(allowance)


def send(client: Client, who: Member, email: str = GUEST, **fields: Any) -> Response:
    return client.post(who, "/invites", {"email": email, **fields})


def outcome(answer: Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def register(api: TestClient, code: str | None, name: str = "newcomer", email: str = GUEST) -> Response:
    body = {"username": name, "email": email, "password": PASSWORD} | ({} if code is None else {"invite": code})
    answer: Response = api.post("/api/v1/auth/register", json=body)
    return answer


def code_for(platform: Platform, email: str = GUEST) -> str:
    return links(mails(platform, email)[-1])["invite"]


def balance(platform: Platform, member: Member) -> int:
    return platform.store(SYSTEM).get(InviteAllowance, allowance_id(member.id)).balance


def test_who_is_invited_makes_an_account_that_is_confirmed(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, alice: Member
) -> None:
    api = in_mode("invite")
    sent = send(client, alice)
    assert (sent.status_code, sent.json()["balance"]) == (201, 2)
    assert register(api, None).json()["code"] == "registration_closed"
    made = register(api, code_for(platform), email="Guest@Example.org")
    assert (made.status_code, made.json()["group"]) == (201, "member")
    user = platform.store(SYSTEM).get(User, UUID(made.json()["id"]))
    assert (user.email_verified, user.username) == (True, "newcomer")
    (item,) = client.get(alice, "/users/me/invites").json()["items"]
    assert (item["state"], item["invitee_id"], item["note"]) == ("accepted", str(user.id), None)


def test_invites_that_do_not_work_have_one_answer(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, members: Members
) -> None:
    """F7: used, revoked, expired, of a banned or disabled inviter, for another address, unknown."""
    api = in_mode("invite")
    codes, senders = {}, {}
    for why in ("used", "revoked", "expired", "banned", "disabled", "another"):
        senders[why] = members.join(f"by-{why}", "power_user")
        give(platform, senders[why], 1)
        invite_id = send(client, senders[why], f"{why}@example.org").json()["id"]
        codes[why] = code_for(platform, f"{why}@example.org")
        if why == "revoked":
            assert client.send("DELETE", f"/invites/{invite_id}", senders[why]).status_code == 200
    assert register(api, codes["used"], "used", "used@example.org").status_code == 201
    ban = Ban.impose(new_id(), senders["banned"].id, BanKind.ACCOUNT, "r", None, now=datetime.now(UTC))
    platform.store(SYSTEM).save(ban, Claim.make(ban_claim_id(senders["banned"].id, BanKind.ACCOUNT), "ban", ban.id))
    gone = platform.store(SYSTEM).get(User, senders["disabled"].id)
    gone.disable("spam")
    platform.store(SYSTEM).save(gone)
    client.members.catch_up()
    with platform.pool.connection() as connection:
        kept = connection.execute("SELECT invite_id, code_sha, issued_at FROM credentials.invite_code").fetchall()
    assert len(kept) == 4, "what is used or revoked has no code any more"
    answers = [register(api, codes[why], f"x-{why}", f"{why}@example.org") for why in ("used", "revoked", "banned")]
    answers += [register(api, codes["disabled"], "x-disabled", "disabled@example.org")]
    answers += [register(api, codes["another"], "x-another", "elsewhere@example.org")]
    answers += [register(api, code, "x-unknown") for code in ("A" * 43, "", "x")]
    expire_invites(platform, datetime.now(UTC) + timedelta(days=15))
    answers.append(register(api, codes["expired"], "x-expired", "expired@example.org"))
    assert {outcome(answer) for answer in answers} == {REFUSED}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert rows_of(platform, "SELECT count(*) FROM credentials.password") == [(1,)]


def test_of_20_uses_of_one_invite_at_once_one_wins(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, alice: Member
) -> None:
    api = in_mode("invite")
    send(client, alice)
    code = code_for(platform)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: outcome(register(api, code, f"new-{chr(97 + n)}")), range(20)))
    assert outcomes.count((201, None)) == 1
    assert set(outcomes) <= {(201, None), REFUSED, (409, "email_taken"), (409, "version_conflict"), (503, "busy")}
    assert rows_of(platform, "SELECT count(*) FROM credentials.password") == [(2,)], "alice, and the one newcomer"


def test_where_everybody_may_come_an_invite_is_welcome_and_has_to_work(
    api: TestClient, client: Client, platform: Platform, alice: Member
) -> None:
    send(client, alice)
    assert outcome(register(api, "A" * 43)) == REFUSED
    assert register(api, code_for(platform)).status_code == 201
    assert register(api, None, "another", "another@example.org").status_code == 201


def test_a_closed_site_lets_nobody_in(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, alice: Member
) -> None:
    send(client, alice)
    api = in_mode("closed")
    assert outcome(register(api, code_for(platform))) == (403, "registration_closed")
    answer = api.post("/api/v1/invites", json={"email": "more@example.org"}, headers=alice.headers)
    assert outcome(answer) == (403, "registration_closed")


def test_no_code_is_kept(client: Client, platform: Platform, alice: Member) -> None:
    send(client, alice)
    code = code_for(platform).encode()
    for query in (
        "SELECT data FROM es.event",
        "SELECT reply FROM es.command",
        "SELECT code_sha FROM credentials.invite_code",
    ):
        assert all(code not in bytes(row[0]) for row in rows_of(platform, query))
    assert all(b"guest" not in bytes(row[0]) for row in rows_of(platform, "SELECT data FROM es.event"))


def test_invites_run_out_and_a_ban_takes_them_all(
    client: Client, platform: Platform, alice: Member, members: Members
) -> None:
    assert [send(client, alice, f"guest{n}@example.org").status_code for n in range(3)] == [201] * 3
    assert outcome(send(client, alice)) == (409, "no_invites_left")
    assert outcome(send(client, members.join("bob"))) == (403, "not_permitted")
    moderator = members.join("mia", "moderator")
    ban = {"kind": "invite", "reason": "sold invites"}
    assert client.post(moderator, f"/users/{alice.id}/bans", ban).status_code == 201
    assert outcome(send(client, alice)) == (403, "banned")


def test_addresses_that_cannot_be_invited_have_one_answer(
    client: Client, platform: Platform, alice: Member, members: Members
) -> None:
    """G17: to a member, to somebody who is invited already, to oneself, to nothing that is an address."""
    members.join("bob", password=PASSWORD)
    send(client, alice)
    answers = [send(client, alice, email) for email in ("BOB@example.org", "Guest@example.org")]
    assert [outcome(answer) for answer in answers] == [(409, "address_not_invitable")] * 2
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert outcome(send(client, alice, "alice@example.org")) == (422, "own_address")
    assert outcome(send(client, alice, "a@x.org\u2028b@x.org")) == (422, "bad_email")
    assert balance(platform, alice) == 2


def test_of_many_invites_to_one_address_at_once_one_is_sent(
    client: Client, api: TestClient, platform: Platform, alice: Member, members: Members
) -> None:
    bob = members.join("bob", "power_user")
    give(platform, bob, 3)
    client.members.catch_up()
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda who: client.at_once("POST", "/invites", who, {"email": GUEST}), [alice, bob, alice, bob])
        )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert balance(platform, alice) + balance(platform, bob) == 5
    assert len(mails(platform, GUEST)) == 1


def test_a_revoked_invite_comes_back_and_an_expired_one_once(
    client: Client, platform: Platform, alice: Member, members: Members
) -> None:
    bob, admin = members.join("bob", "power_user"), members.join("ada", "administrator")
    revoked, expired = (send(client, alice, f"{n}@example.org").json()["id"] for n in ("one", "two"))
    assert outcome(client.send("DELETE", f"/invites/{revoked}", bob)) == (404, "not_found")
    assert client.send("DELETE", f"/invites/{revoked}", alice).status_code == 200
    assert outcome(client.send("DELETE", f"/invites/{revoked}", alice)) == (409, "invite_over")
    assert balance(platform, alice) == 2
    client.members.catch_up()
    for _ in range(3):
        expire_invites(platform, datetime.now(UTC) + timedelta(days=14, seconds=1))
    assert balance(platform, alice) == 3
    assert outcome(client.send("DELETE", f"/invites/{expired}", admin)) == (409, "invite_over")
    assert send(client, alice, "one@example.org").status_code == 201, "the address can be invited again"
    states = {item["email"]: item["state"] for item in client.get(alice, "/users/me/invites").json()["items"][1:]}
    assert states == {"one@example.org": "revoked", "two@example.org": "expired"}


def test_an_invite_is_sent_again_with_another_code(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, alice: Member, members: Members
) -> None:
    api = in_mode("invite")
    invite_id = send(client, alice).json()["id"]
    first = code_for(platform)
    assert outcome(client.post(alice, f"/invites/{invite_id}/resend")) == (409, "mailed_lately")
    assert outcome(client.post(members.join("bob", "power_user"), f"/invites/{invite_id}/resend")) == (404, "not_found")
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.invite_code SET issued_at = issued_at - interval '5 minutes'")
    assert client.post(alice, f"/invites/{invite_id}/resend").status_code == 202
    assert code_for(platform) != first
    assert outcome(register(api, first)) == REFUSED
    assert register(api, code_for(platform)).status_code == 201


def test_staff_grant_invites_and_need_none(client: Client, platform: Platform, members: Members) -> None:
    admin, bob = members.join("ada", "administrator"), members.join("bob", "power_user")
    granted = client.post(admin, f"/users/{bob.id}/invites/grants", {"invites": 2, "reason": "for the logo"})
    assert (granted.status_code, granted.json()["balance"]) == (201, 2)
    refused = client.post(bob, f"/users/{bob.id}/invites/grants", {"invites": 2, "reason": "please"})
    assert outcome(refused) == (403, "not_permitted")
    assert client.get(bob, "/users/me/invites/allowance").json() == {"balance": 2}
    sent = send(client, admin, note="plays the bass").json()
    assert sent["balance"] == 0
    assert client.send("DELETE", f"/invites/{sent['id']}", admin).status_code == 200
    assert client.get(admin, "/users/me/invites/allowance").json() == {"balance": 0}, "what cost nothing is no refund"


def test_notes_are_by_staff_for_staff(client: Client, alice: Member, members: Members) -> None:
    admin, moderator = members.join("ada", "administrator"), members.join("mia", "moderator")
    assert outcome(send(client, alice, note="a friend")) == (403, "not_permitted")
    send(client, admin, note="plays the bass")
    (shown,) = client.get(moderator, f"/users/{admin.id}/invites").json()["items"]
    assert (shown["note"], shown["email"]) == ("plays the bass", GUEST)
    assert outcome(client.get(alice, f"/users/{admin.id}/invites")) == (403, "not_permitted")


def test_a_note_stays_with_whoever_comes_by_the_invite(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, members: Members
) -> None:
    api, admin, moderator = in_mode("invite"), members.join("ada", "administrator"), members.join("mia", "moderator")
    came = []
    for name, note in (("newcomer", "plays the bass"), ("another", "")):
        send(client, admin, f"{name}@example.org", note=note)
        code = code_for(platform, f"{name}@example.org")
        came.append(register(api, code, name, f"{name}@example.org").json()["id"])
        projected(platform, note_invited)

    def noted(user_id: str) -> list[tuple[str, str]]:
        items = client.get(moderator, f"/users/{user_id}/notes").json()["items"]
        return [(one["author"]["username"], one["text"]) for one in items]

    assert [noted(user_id) for user_id in came] == [[("ada", "plays the bass")], []]
    newcomer = members.sign_in(UUID(came[0]), "newcomer")
    assert outcome(client.get(newcomer, f"/users/{came[0]}/notes")) == (403, "not_permitted")
    with platform.projector_pool.connection() as db:
        db.execute("UPDATE es.follower SET position = 0 WHERE name = 'note_invited'")
    projected(platform, note_invited)
    assert len(noted(came[0])) == 1, "once, however often it is read"


def test_a_group_gives_invites_every_month(client: Client, platform: Platform, members: Members) -> None:
    bob = members.join("bob", "power_user")
    group = platform.store(SYSTEM).get(Group, group_id("power_user"))
    group.change_monthly_invites(2)
    platform.store(SYSTEM).save(group)
    assert client.get(bob, "/users/me/invites/allowance").json() == {"balance": 2}
    assert send(client, bob).json()["balance"] == 1
    assert client.get(bob, "/users/me/invites/allowance").json() == {"balance": 1}
    assert [send(client, bob, f"{n}@example.org").status_code for n in ("one", "two")] == [201, 409]


def test_the_tree_shows_who_came_by_whom(
    in_mode: Callable[[str], TestClient], client: Client, platform: Platform, alice: Member, members: Members
) -> None:
    """alice invited bob and dora, bob invited carl; eve came by somebody else."""
    api = in_mode("invite")
    joined: dict[str, Member] = {"alice": alice, "other": members.join("other", "power_user")}
    give(platform, joined["other"], 1)
    for name, by in (("bob", "alice"), ("carl", "bob"), ("dora", "alice"), ("eve", "other")):
        send(client, joined[by], f"{name}@example.org")
        made = register(api, code_for(platform, f"{name}@example.org"), name, f"{name}@example.org")
        joined[name] = members.sign_in(UUID(made.json()["id"]), name)
        if name == "bob":
            promoted = platform.store(SYSTEM).get(User, joined[name].id)
            promoted.change_group("power_user", "r")
            platform.store(SYSTEM).save(promoted)
            give(platform, joined[name], 1)
    carl = platform.store(SYSTEM).get(User, joined["carl"].id)
    carl.disable("spam")
    platform.store(SYSTEM).save(carl)
    path, moderator = f"/users/{alice.id}/invite-tree", members.join("mia", "moderator")
    own, staff = (client.get(who, path, limit=2).json() for who in (alice, moderator))
    rest = client.get(moderator, path, limit=2, cursor=staff["next_cursor"]).json()
    tree = {one["username"]: one for one in [*staff["items"], *rest["items"]]}
    assert {name: (one["depth"], one["members"], one["disabled"]) for name, one in tree.items()} == {
        "bob": (1, 1, 1), "carl": (2, 0, 1), "dora": (1, 0, 0),
    }  # fmt: skip
    assert tree["carl"]["inviter_id"] == str(joined["bob"].id)
    assert [(one["state"], one["disabled"]) for one in own["items"]] == [(None, None)] * 2
    assert outcome(client.get(joined["bob"], path)) == (403, "not_permitted")
    branch = client.get(joined["bob"], f"/users/{joined['bob'].id}/invite-tree").json()["items"]
    assert [one["username"] for one in branch] == ["carl"]
