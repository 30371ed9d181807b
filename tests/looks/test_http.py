"""Looks at what is private: what they show, whom they may be at, and that each leaves its trace before its answer."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response

from domain.looks import Look
from runtime.store import new_id
from tests.given import Given, event, rows_of
from tests.in_process import TestClient
from tests.members import PASSWORD, Client, Member

pytestmark = pytest.mark.engine

WHY = {"reason": "a claim to an account"}


class Site:
    """Ada and grace share an address, linus has one of the same network, and each has one of their own."""

    def __init__(self, client: Client) -> None:
        self.client, self.members, self.seen = client, client.members, "0"
        self.mod, self.admin = self.members.join("mod", "moderator"), self.members.join("admin", "administrator")
        self.ada, self.grace, self.linus = (
            self.members.join(name, password=PASSWORD) for name in ("ada", "grace", "linus")
        )
        home, mobile, phone = "203.0.113.7", "203.0.113.99", "2001:db8::1"
        calls = [(self.ada, home), (self.ada, home), (self.ada, phone)]
        calls += [(self.grace, home), (self.linus, mobile), (self.admin, home)]
        with ExitStack() as stack:
            for number, (who, address) in enumerate(calls):
                api = stack.enter_context(TestClient(client.api.app, client=(address, 4711)))
                said = Client(self.members, api).send("PUT", "/users/me/profile", who, {"title": str(number)})
                assert said.json()["position"], "nothing was recorded"

    def look(self, path: str, who: Member | None = None, body: Any = WHY, **headers: str) -> Response:
        return self.client.post(who or self.mod, f"/users/{path}", body, **headers)

    def looks(self) -> list[tuple[str, str | None, str, str]]:
        """Who looked at whom, at what and why since this was asked last, as the audit log has it."""
        names = {str(one.id): one.username for one in (self.ada, self.grace, self.linus)}
        asked = self.client.get(self.admin, "/audit", type="look.taken", after=self.seen)
        entries = asked.json()["items"]
        self.seen = str(entries[0]["position"]) if entries else self.seen
        return [
            (entry["actor"]["username"], names.get(entry["subject"]["id"]), entry["data"]["at"], entry["reason"])
            for entry in reversed(entries)
        ]


@pytest.fixture(scope="module")
def shared_site(shared_client: Client) -> Site:
    return Site(shared_client)


@pytest.fixture
def site(shared_site: Site) -> Site:
    shared_site.looks()
    return shared_site


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_email_address_is_shown_for_a_reason(site: Site) -> None:
    assert site.client.get(site.mod, f"/users/{site.ada.id}").json()["email"] is None
    listed = site.client.get(site.mod, "/users").json()["items"]
    assert {one["email"] for one in listed if one["id"] != str(site.mod.id)} == {None}
    seen = site.look(f"{site.ada.id}/email/looks")
    assert (seen.status_code, seen.json()["email"]) == (201, "ada@example.org")
    assert site.looks() == [("mod", "ada", "email", WHY["reason"])]


def test_addresses_are_shown_with_how_often_they_were_used(site: Site) -> None:
    seen = site.look(f"{site.ada.id}/addresses/looks").json()["addresses"]
    assert {(one["ip"], one["commands"]) for one in seen} == {("203.0.113.7", 2), ("2001:db8::1", 1)}
    assert [one["ip"] for one in seen] == ["2001:db8::1", "203.0.113.7"], "the latest first"
    assert site.look(f"{site.linus.id}/addresses/looks").json()["addresses"][0]["ip"] == "203.0.113.99"
    assert site.looks() == [("mod", name, "addresses", WHY["reason"]) for name in ("ada", "linus")]


def test_who_shares_an_address_is_looked_at_too(site: Site) -> None:
    """The administrator shares it as well, and is not a moderator's business."""
    seen = site.look(f"{site.ada.id}/shared-addresses/looks").json()["users"]
    assert [(one["username"], one["ip"]) for one in seen] == [("grace", "203.0.113.7")]
    assert sorted(site.looks()) == [("mod", name, "shared_addresses", WHY["reason"]) for name in ("ada", "grace")]


def test_users_are_found_by_address_and_network(site: Site) -> None:
    wanted: list[tuple[str, str | None, str, str]] = []
    searches: list[tuple[str, list[str | None]]] = [
        ("203.0.113.7", ["ada", "grace"]),
        ("203.0.113.0/24", ["ada", "grace", "linus"]),
        ("203.0.113.96/28", ["linus"]),
        ("2001:db8::/32", ["ada"]),
        ("198.51.100.1", []),
    ]
    for address, found in searches:
        answer = site.look("searches/by-address", body={"address": address, **WHY})
        assert answer.status_code == 201
        assert sorted({one["username"] for one in answer.json()["users"]}) == found
        wanted += [("mod", name, "by_address", WHY["reason"]) for name in found or [None]]
    assert sorted(site.looks(), key=str) == sorted(wanted, key=str)


def test_users_are_found_by_their_whole_email_address(site: Site) -> None:
    def find(email: str, who: Member | None = None) -> Any:
        return site.look("searches/by-email", who, {"email": email, **WHY}).json()["user"]

    assert find("Grace@Example.org") == {"id": str(site.grace.id), "username": "grace"}
    assert find("grace@example") is None
    assert find("nobody@example.org") is None
    assert [one[1] for one in site.looks()] == ["grace", None, None]


def test_nobody_looks_at_their_betters_without_right_or_reason(site: Site) -> None:
    for path in ("email", "addresses", "shared-addresses"):
        assert refusal(site.look(f"{site.ada.id}/{path}/looks", site.grace)) == (403, "not_permitted")
        assert refusal(site.look(f"{site.admin.id}/{path}/looks")) == (403, "above_own_level")
        assert refusal(site.look(f"{site.mod.id}/{path}/looks")) == (403, "above_own_level")
        assert refusal(site.look(f"{uuid4()}/{path}/looks")) == (404, "not_found")
        assert refusal(site.look(f"{site.ada.id}/{path}/looks", body={"reason": " "})) == (422, "reason_missing")
        assert site.look(f"{site.ada.id}/{path}/looks", body={}).status_code == 422
    home, everywhere = "203.0.113.7", "0.0.0.0/0"
    for body in ({"address": home, "reason": " "}, {"address": home}, {"address": everywhere, **WHY}):
        assert site.look("searches/by-address", body=body).status_code == 422
    assert site.look("searches/by-email", body={"email": "ada@example.org", "reason": ""}).status_code == 422
    assert site.looks() == []


def test_a_repeated_look_is_one_look_and_shows_nothing_again(site: Site) -> None:
    key, path = str(uuid4()), f"{site.ada.id}/email/looks"
    first, again = (site.look(path, Idempotency_Key=key).json() for _ in range(2))
    assert (first["email"], again["email"]) == ("ada@example.org", None)
    assert len(site.looks()) == 1
    replies = rows_of(site.client.platform, "SELECT convert_from(reply, 'UTF8') FROM es.command")
    assert not [row for row in replies if "ada@" in row[0]]


def test_what_was_looked_for_is_in_no_event(site: Site) -> None:
    site.look("searches/by-address", body={"address": "203.0.113.7", **WHY})
    site.look("searches/by-email", body={"email": "grace@example.org", **WHY})
    events = rows_of(site.client.platform, "SELECT convert_from(data, 'UTF8') FROM es.event")
    assert not [row for row in events if "203.0.113" in row[0] or "grace@" in row[0]]


def test_who_was_looked_at_does_not_read_of_it(site: Site) -> None:
    site.look(f"{site.mod.id}/email/looks", site.admin)
    assert site.client.get(site.mod, "/audit", subject=str(site.mod.id), type="look").json()["items"] == []
    (seen,) = site.client.get(site.admin, "/audit", subject=str(site.mod.id), type="look").json()["items"]
    assert UUID(seen["subject"]["id"]) == site.mod.id


def test_a_look_opens_what_is_shown_page_by_page_for_a_while(site: Site) -> None:
    """To whoever took it, at that user, of that kind."""
    look = site.look(f"{site.ada.id}/email/looks").json()["id"]
    other_kind = site.look(f"{site.ada.id}/addresses/looks").json()["id"]

    def emails(of: Member, who: Member, look: object) -> Response:
        return site.client.get(who, f"/users/{of.id}/emails", look=look)

    assert emails(site.ada, site.mod, look).status_code == 200
    for of, who, given in (
        (site.grace, site.mod, look),
        (site.ada, site.admin, look),
        (site.ada, site.mod, other_kind),
        (site.ada, site.mod, uuid4()),
        (site.ada, site.mod, site.ada.id),
    ):
        assert refusal(emails(of, who, given)) == (403, "look_needed")
    assert refusal(emails(site.ada, site.grace, look)) == (403, "not_permitted")
    assert site.client.get(site.mod, f"/users/{site.ada.id}/emails").status_code == 422


def test_a_look_is_over_after_a_quarter_of_an_hour(site: Site) -> None:
    given, now = Given(site.client.platform, site.mod.id), datetime.now(UTC)
    for minutes, status in ((14, 200), (16, 403)):
        look, taken = new_id(), now - timedelta(minutes=minutes)
        given.facts(event(Look.Taken, look, 1, taken, user_id=site.ada.id, at="email", reason="r"))
        assert site.client.get(site.mod, f"/users/{site.ada.id}/emails", look=look).status_code == status
