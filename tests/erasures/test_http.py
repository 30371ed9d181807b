"""Erasures over HTTP: who may ask for whose, what ends at once, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pyotp
import pytest
from httpx import Response

from commands.erasures import begin_erasure
from domain.base import ERASED, SYSTEM
from domain.erasures import PROPOSAL_LIFE, Erasure, ErasureProposal, erasure_id
from domain.users import AccountErased, User
from runtime.store import new_id
from runtime.worker.due import erase_persons
from tests.bans.callers import Site, refusal
from tests.given import rows_of
from tests.members import PASSWORD, Member

pytestmark = pytest.mark.engine


def administrator(site: Site) -> Member:
    return site.members.join("bennie", "administrator")


def erase(site: Site, who: Member, **fields: Any) -> Response:
    return site.send("POST", "/users/me/erasure", who, {"password": PASSWORD} | fields)


def propose(site: Site, staff: Member, user_id: UUID) -> Response:
    return site.send("POST", f"/users/{user_id}/erasure-proposals", staff, {"reason": "asked by mail"})


def approve(site: Site, staff: Member, proposal: Response) -> Response:
    return site.send("POST", f"/erasure-proposals/{proposal.json()['id']}/approve", staff)


def complete(site: Site, owner: psycopg.Connection[Any]) -> None:
    """The looks of the worker, each a second later."""
    for _ in range(3):
        site.members.catch_up()
        erase_persons(site.platform, datetime.now(UTC))
        owner.execute("UPDATE keys.subject SET destroyed_at = destroyed_at - interval '2 seconds'")
    site.members.catch_up()


def test_who_erases_oneself_is_out_at_once(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    second = site.members.sign_in(alice.id, "alice")
    key = site.post(alice, "/users/me/api-keys", {"name": "laptop", "scopes": ["read"]}).json()["key"]
    answer = erase(site, alice)
    assert answer.status_code == 202
    assert answer.json()["id"] == str(erasure_id(alice.id))
    for caller in (alice, second, key):  # before any projection ran
        assert refusal(site.at_once("GET", "/users/me", caller)) == (401, "unauthenticated")
    for path, body in (
        ("login", {"username": "alice", "password": PASSWORD}),
        ("refresh", {"refresh_token": second.pair.refresh_token}),
    ):
        assert site.api.post(f"/api/v1/auth/{path}", json=body).status_code == 401
    assert refusal(erase(site, alice)) == (401, "unauthenticated")
    bob = site.members.join("bob")
    shown = site.get(bob, f"/users/{alice.id}").json()
    assert (shown["username"], shown["state"], shown["email"]) == (ERASED, "disabled", None)
    assert rows_of(site.platform, "SELECT enabled FROM read.announce_user WHERE user_id = %s", [alice.id]) == [(False,)]


def test_name_and_address_are_free_again(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    newcomer = {"username": "alice", "email": "alice@example.org", "password": "quite another passphrase 7"}
    assert site.api.post("/api/v1/auth/register", json=newcomer).status_code == 409
    assert erase(site, alice).status_code == 202
    assert site.api.post("/api/v1/auth/register", json=newcomer).status_code == 201


def test_the_password_is_asked_for(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    assert refusal(erase(site, alice, password="wrong")) == (403, "wrong_password")
    assert site.get(alice, "/users/me").status_code == 200
    assert site.platform.store(SYSTEM).find(Erasure, erasure_id(alice.id)) is None


def test_the_second_factor_is_asked_for(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    seed = site.post(alice, "/auth/enable-2fa", {"password": PASSWORD}).json()["secret"]
    codes = site.post(alice, "/auth/verify-2fa", {"code": pyotp.TOTP(seed).now()}).json()["recovery_codes"]
    for wrong in ({}, {"code": "000000"}):
        assert refusal(erase(site, alice, **wrong)) == (422, "wrong_code")
    assert site.get(alice, "/users/me").status_code == 200
    assert erase(site, alice, code=codes[0]).status_code == 202


def test_an_api_key_erases_nobody(site: Site) -> None:
    alice = site.members.join("alice", password=PASSWORD)
    key = site.post(alice, "/users/me/api-keys", {"name": "k", "scopes": ["read", "write"]}).json()["key"]
    answer = site.send("POST", "/users/me/erasure", key, {"password": PASSWORD})
    assert refusal(answer) == (403, "sign_in_required")


def test_who_manages_the_site_is_erased_on_its_machine_only(site: Site, owner: psycopg.Connection[Any]) -> None:
    sysop, admin = (
        site.members.join("root-user", "sysop", password=PASSWORD),
        site.members.join("a-dmin", "administrator"),
    )
    assert refusal(erase(site, sysop)) == (409, "manages_site")
    assert refusal(propose(site, admin, sysop.id)) == (403, "above_own_level")
    store = site.platform.store(SYSTEM, "cli")
    begin_erasure(store, store.get(User, sysop.id), datetime.now(UTC))
    complete(site, owner)
    assert site.platform.store(SYSTEM).get(Erasure, erasure_id(sysop.id)).completed


def test_staff_erase_in_pairs(site: Site, owner: psycopg.Connection[Any]) -> None:
    ann, ben = (site.members.join(name, "administrator") for name in ("annie", "bennie"))
    alice, bob = site.members.join("alice", password=PASSWORD), site.members.join("bobby", password=PASSWORD)
    proposal = propose(site, ann, alice.id)
    assert proposal.status_code == 201
    assert refusal(approve(site, ann, proposal)) == (403, "same_approver")
    assert site.get(alice, "/users/me").status_code == 200, "nothing happens before it is approved"
    assert approve(site, ben, proposal).status_code == 202
    assert refusal(approve(site, ben, proposal)) == (409, "proposal_over")
    complete(site, owner)
    (item,) = site.get(ann, "/erasure-proposals").json()["items"]
    assert (item["state"], item["answered_by"], item["reason"]) == ("approved", str(ben.id), ERASED)
    assert item["erased_at"] is not None
    assert site.get(bob, "/users/me").json()["username"] == "bobby"
    assert refusal(propose(site, ann, alice.id)) == (409, "account_erased")


def test_a_proposal_dies_after_a_week(site: Site) -> None:
    ann, ben, alice = site.members.join("annie", "administrator"), administrator(site), site.members.join("alice")
    old = ErasureProposal.make(new_id(), alice.id, ann.id, "asked", now=datetime.now(UTC) - PROPOSAL_LIFE)
    ann.store.save(old)
    assert refusal(site.post(ben, f"/erasure-proposals/{old.id}/approve")) == (409, "proposal_over")
    assert [item["state"] for item in site.get(ann, "/erasure-proposals").json()["items"]] == ["expired"]


@pytest.mark.parametrize("group", ["member", "moderator"])
def test_others_neither_propose_nor_see_nor_answer(site: Site, group: str) -> None:
    ann, ben, alice = site.members.join("annie", "administrator"), administrator(site), site.members.join("alice")
    proposal = propose(site, ann, alice.id)
    path = f"/erasure-proposals/{proposal.json()['id']}"
    assert refusal(site.post(ben, f"{path}/decline", {"reason": " "})) == (422, "reason_missing")
    assert site.post(ben, f"{path}/decline", {"reason": "a joke"}).status_code == 200
    (item,) = site.get(ann, "/erasure-proposals").json()["items"]
    assert (item["state"], item["answer"], item["erased_at"]) == ("declined", "a joke", None)
    assert refusal(approve(site, ben, proposal)) == (409, "proposal_over")
    assert site.get(alice, "/users/me").status_code == 200


def test_whom_one_may_not_act_on_one_does_not_erase(site: Site) -> None:
    ann, other = site.members.join("annie", "administrator"), site.members.join("other", "administrator")
    assert refusal(propose(site, ann, other.id)) == (403, "above_own_level")
    assert refusal(propose(site, ann, UUID(int=7))) == (404, "not_found")


def test_an_erased_account_does_not_come_back(site: Site) -> None:
    mod, alice = site.members.join("moddy", "moderator"), site.members.join("alice", password=PASSWORD)
    erase(site, alice)
    assert refusal(site.post(mod, f"/users/{alice.id}/enable", {"reason": "please"})) == (409, "account_erased")
    with pytest.raises(AccountErased):
        site.platform.store(SYSTEM).get(User, alice.id).erase()


def test_two_that_approve_at_once_erase_once(site: Site) -> None:
    ann, ben, cat = (site.members.join(name, "administrator") for name in ("annie", "bennie", "catty"))
    alice = site.members.join("alice")
    first, second = propose(site, ann, alice.id), propose(site, ben, alice.id)
    answers = [approve(site, cat, proposal) for proposal in (first, second)]
    assert [answer.status_code for answer in answers] == [202, 409]
