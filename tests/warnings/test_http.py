"""Warnings over HTTP: who gives them, who sees them, what they keep their user from, and how decisions give them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from httpx import Response

from commands.policies.warn_by_decisions import warn_by_decisions
from domain.base import SYSTEM
from domain.invites import InviteAllowance
from domain.moderation import Case, Outcome
from domain.warnings import WARNED_FOR, Warnings, warnings_id
from runtime.store import new_id
from runtime.worker.due import expire_all_warnings
from tests.bans.callers import Site, refusal, soon
from tests.given import projected, rows_of
from tests.members import Member

pytestmark = pytest.mark.engine


class Staff:
    """Alice, who has three invites, bob, and a forum moderator who warns."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.alice, self.bob = (site.members.join(name, "power_user") for name in ("alice", "bob"))
        self.forum = site.members.join("forum", "forum_moderator")
        for member in (self.alice, self.bob):
            allowance = InviteAllowance.open(member.id)
            allowance.grant(3, "for the logo")
            site.platform.store(SYSTEM).save(allowance)

    def warn(self, who: Member, **fields: Any) -> Response:
        return self.site.send("POST", f"/users/{who.id}/warnings", self.forum, {"reason": "rude"} | fields)

    def lift(self, who: Member, warning_id: str) -> Response:
        return self.site.send("DELETE", f"/users/{who.id}/warnings/{warning_id}", self.forum, {"reason": "sorry"})

    def invite(self, who: Member, email: str = "guest@example.org") -> Response:
        return self.site.send("POST", "/invites", who, {"email": email})

    def listed(self, who: Member, by: Member) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.site.get(by, f"/users/{who.id}/warnings").json()["items"]
        return items

    def decide(self, case: Case, outcome: Outcome) -> None:
        case.decide(self.forum.id, outcome, "so it is")
        self.site.platform.store(self.forum.id).save(case)
        projected(self.site.platform, warn_by_decisions)


@pytest.fixture
def staff(site: Site) -> Staff:
    return Staff(site)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_who_is_warned_invites_nobody_until_it_is_over_or_lifted(site: Site, staff: Staff) -> None:
    sent = staff.invite(staff.alice, "early@example.org").json()
    until = soon(300)
    given = staff.warn(staff.alice, until=until.isoformat())
    assert given.status_code == 201, given.text
    for refused in (staff.invite(staff.alice), site.post(staff.alice, f"/invites/{sent['id']}/resend")):
        assert refusal(refused) == (409, "inviter_warned")
    assert site.get(staff.alice, "/users/me/invites/allowance").json() == {"balance": 2}
    assert staff.invite(staff.bob, "other@example.org").status_code == 201
    site.set_clock(until)
    assert staff.invite(staff.alice).status_code == 201
    second = staff.warn(staff.alice).json()
    assert refusal(staff.invite(staff.alice, "late@example.org")) == (409, "inviter_warned")
    assert staff.lift(staff.alice, second["id"]).status_code == 200
    assert staff.invite(staff.alice, "late@example.org").status_code == 201


def test_a_warning_counts_before_any_table_knows_of_it(site: Site, staff: Staff) -> None:
    site.members.catch_up()
    site.at_once("POST", f"/users/{staff.alice.id}/warnings", staff.forum, {"reason": "rude"})
    answer = site.at_once("POST", "/invites", staff.alice, {"email": "guest@example.org"})
    assert refusal(answer) == (409, "inviter_warned")


def test_without_an_end_a_warning_lasts_thirty_days(staff: Staff) -> None:
    staff.warn(staff.alice)
    (shown,) = staff.listed(staff.alice, staff.forum)
    assert at(shown["until"]) - at(shown["given_at"]) < WARNED_FOR
    assert at(shown["until"]) - at(shown["given_at"]) > WARNED_FOR - timedelta(minutes=1)


def test_a_warning_is_shown_to_the_warned_one_and_to_staff_and_to_nobody_else(site: Site, staff: Staff) -> None:
    until = soon(300)
    first = staff.warn(staff.alice, until=until.isoformat()).json()["id"]
    staff.warn(staff.bob)
    (seen,) = staff.listed(staff.alice, staff.forum)
    (own,) = staff.listed(staff.alice, staff.alice)
    assert (seen["id"], seen["reason"], seen["state"], seen["given_by"]) == (
        first,
        "rude",
        "active",
        str(staff.forum.id),
    )
    assert own == seen | {"given_by": None}
    assert refusal(site.get(staff.bob, f"/users/{staff.alice.id}/warnings")) == (403, "not_permitted")
    shown = [site.get(who, f"/users/{staff.alice.id}").json()["warned_until"] for who in (staff.alice, staff.forum)]
    assert [at(one) for one in shown] == [until, until]
    assert site.get(staff.bob, f"/users/{staff.alice.id}").json()["warned_until"] is None
    assert at(site.get(staff.alice, "/users/me").json()["warned_until"]) == until
    listed = {one["username"]: one["warned_until"] for one in site.get(staff.forum, "/users").json()["items"]}
    assert (at(listed["alice"]), listed["forum"]) == (until, None)
    site.set_clock(until)
    assert site.get(staff.alice, "/users/me").json()["warned_until"] is None
    assert [one["state"] for one in staff.listed(staff.alice, staff.alice)] == ["expired"]


def test_whom_staff_may_warn_and_what_they_may_lift(site: Site, staff: Staff) -> None:
    moderator = site.members.join("moda", "moderator")
    assert refusal(staff.warn(moderator)) == (403, "above_own_level")
    assert refusal(staff.warn(staff.forum)) == (403, "above_own_level")
    body = {"reason": "r"}
    assert refusal(site.send("POST", f"/users/{staff.bob.id}/warnings", staff.alice, body)) == (403, "not_permitted")
    assert refusal(staff.warn(staff.alice, until="2001-01-01T00:00:00Z")) == (422, "warning_ends_in_past")
    assert refusal(staff.warn(staff.alice, reason=" ")) == (422, "reason_missing")
    assert refusal(site.send("POST", f"/users/{new_id()}/warnings", staff.forum, body)) == (404, "not_found")
    assert staff.listed(staff.alice, staff.forum) == []
    warning_id = staff.warn(staff.alice).json()["id"]
    assert refusal(staff.lift(staff.bob, warning_id)) == (404, "not_found"), "it is alice's"
    assert staff.lift(staff.alice, warning_id).status_code == 200
    assert refusal(staff.lift(staff.alice, warning_id)) == (409, "warning_over")


def test_the_worker_records_every_end_once_and_nothing_early(site: Site, staff: Staff) -> None:
    until = soon(300)
    staff.warn(staff.alice, until=until.isoformat())
    staff.warn(staff.alice, until=until.isoformat())
    staff.warn(staff.bob)
    site.members.catch_up()

    def states() -> list[tuple[Any, ...]]:
        site.members.catch_up()
        return rows_of(
            site.platform,
            "SELECT a.username, w.state, count(*) FROM read.warning w JOIN read.account a USING (user_id)"
            " GROUP BY 1, 2 ORDER BY 1",
        )

    expire_all_warnings(site.platform, until - timedelta(seconds=1))
    assert states() == [("alice", "active", 2), ("bob", "active", 1)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: expire_all_warnings(site.platform, until), range(6)))
    assert states() == [("alice", "expired", 2), ("bob", "active", 1)]
    assert site.platform.store(SYSTEM).get(Warnings, warnings_id(staff.alice.id)).version == 5


def test_a_decision_warns_and_another_one_after_an_appeal_takes_that_back(site: Site, staff: Staff) -> None:
    case, other = (Case.open(new_id(), "user", who.id, who.id) for who in (staff.alice, staff.bob))
    staff.decide(case, Outcome.WARNED)
    staff.decide(other, Outcome.UPHELD)
    (shown,) = staff.listed(staff.alice, staff.alice)
    assert (shown["state"], shown["reason"], shown["case_id"]) == ("active", "so it is", str(case.id))
    assert staff.listed(staff.bob, staff.forum) == []
    assert refusal(staff.invite(staff.alice)) == (409, "inviter_warned")
    by_hand = staff.warn(staff.alice).json()["id"]
    case.appeal(staff.alice.id, "I was not")
    staff.decide(case, Outcome.DISMISSED)
    states = {one["id"]: one["state"] for one in staff.listed(staff.alice, staff.alice)}
    assert states == {shown["id"]: "lifted", by_hand: "active"}, "what others decided stays"


def test_a_decision_that_is_read_again_or_late_warns_nobody_once_more(site: Site, staff: Staff) -> None:
    case = Case.open(new_id(), "user", staff.alice.id, staff.alice.id)
    staff.decide(case, Outcome.WARNED)
    before = rows_of(site.platform, "SELECT max(position) FROM es.event")
    with site.platform.projector_pool.connection() as db:
        db.execute("UPDATE es.follower SET position = 0 WHERE name = 'warn_by_decisions'")
    projected(site.platform, warn_by_decisions)
    assert rows_of(site.platform, "SELECT max(position) FROM es.event") == before
