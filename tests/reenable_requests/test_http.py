"""Asking to be let in again over HTTP: who may ask, who answers, and what both are told."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Response

from projections.reenable_requests import reenable_requests
from runtime.rebuild import verify
from tests.bans.callers import Site, refusal
from tests.given import rows_of
from tests.mailbox import mails
from tests.members import PASSWORD, Member

pytestmark = pytest.mark.engine

LIST = "/reenable-requests"


def ask(site: Site, name: str = "alice", password: str = PASSWORD, text: str = "I was on a boat") -> Response:
    site.members.catch_up()
    body = {"username": name, "password": password, "text": text}
    answer: Response = site.api.post("/api/v1/auth/reenable-requests", json=body)
    return answer


def sign_in(site: Site) -> int:
    return int(site.api.post("/api/v1/auth/login", json={"username": "alice", "password": PASSWORD}).status_code)


def listed(site: Site, staff: Member, state: str = "open") -> list[Any]:
    items: list[Any] = site.send("GET", f"{LIST}?state={state}", staff).json()["items"]
    return items


@pytest.fixture
def moderator(site: Site) -> Member:
    """Who has disabled Alice and Bob."""
    staff = site.members.join("moda", "moderator")
    for name in ("alice", "bob"):
        member = site.members.join(name, password=PASSWORD)
        assert site.send("POST", f"/users/{member.id}/disable", staff, {"reason": "inactive"}).status_code == 200
    return staff


def id_of(site: Site, name: str) -> Any:
    return rows_of(site.platform, "SELECT user_id FROM read.account WHERE username = %s", [name])[0][0]


def test_staff_let_in_who_asks(site: Site, moderator: Member) -> None:
    assert [ask(site, name).status_code for name in ("alice", "bob")] == [201, 201]
    assert [(one["user"]["username"], one["text"]) for one in listed(site, moderator)] == [
        ("alice", "I was on a boat"),
        ("bob", "I was on a boat"),
    ]
    assert sign_in(site) == 401
    path = f"/users/{id_of(site, 'alice')}/reenable-request"
    assert site.send("POST", f"{path}/approve", moderator).status_code == 200
    assert sign_in(site) == 200
    assert [one["user"]["username"] for one in listed(site, moderator)] == ["bob"]
    assert [mail["Subject"] for mail in mails(site.platform, "alice@example.org")] == ["Your account is open again"]
    assert refusal(site.send("POST", f"{path}/approve", moderator)) == (409, "no_open_request")


def test_who_is_rejected_is_told_why(site: Site, moderator: Member) -> None:
    ask(site)
    path = f"/users/{id_of(site, 'alice')}/reenable-request"
    assert site.send("POST", f"{path}/reject", moderator, {"reason": "still a cheater"}).status_code == 200
    assert sign_in(site) == 401
    assert refusal(ask(site)) == (409, "rejected_lately")
    (mail,) = mails(site.platform, "alice@example.org")
    assert "still a cheater" in mail.get_content()
    (shown,) = listed(site, moderator, "rejected")
    assert (shown["reason"], shown["answered_by"]) == ("still a cheater", str(moderator.id))


def test_who_cannot_prove_it_is_answered_as_at_sign_in(site: Site, moderator: Member) -> None:
    answers = [ask(site, password="wrong-password"), ask(site, "nobody-here"), ask(site, "nobody-here", "x")]
    assert [refusal(answer) for answer in answers] == [(401, "wrong_credentials")] * 3
    assert rows_of(site.platform, "SELECT count(*) FROM credentials.guess WHERE failure = 'password'") == [(3,)]
    assert listed(site, moderator) == []


def test_who_is_not_disabled_has_nothing_to_ask(site: Site) -> None:
    site.members.join("alice", password=PASSWORD)
    assert refusal(ask(site)) == (409, "account_not_disabled")


def test_one_asks_once(site: Site, moderator: Member) -> None:
    ask(site)
    assert refusal(ask(site)) == (409, "reenable_request_open")
    assert len(listed(site, moderator)) == 1


def test_staff_answer_for_lower_levels_only(site: Site, moderator: Member) -> None:
    other = site.members.join("modb", "moderator")
    path = f"/users/{other.id}/reenable-request/approve"
    assert refusal(site.send("POST", path, moderator)) == (403, "above_own_level")


def test_the_words_are_kept_as_ciphertext_and_the_table_is_built_again(site: Site, moderator: Member) -> None:
    ask(site, text="named in clear nowhere")
    ask(site, "bob", text="nor here")
    site.members.catch_up()
    stored = b"".join(bytes(row[0]) for row in rows_of(site.platform, "SELECT data FROM es.event"))
    assert b"in clear nowhere" not in stored
    assert [(t.rows, t.differences) for t in verify(site.platform, reenable_requests)] == [(2, 0)]
