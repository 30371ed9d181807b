"""The queue of cases, and a case as it was at any version or time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from commands.moderation import (
    AppealDecision,
    CommentOnCase,
    DecideCase,
    FileReport,
    SubjectType,
    appeal_decision,
    claim_case,
    close_case,
    comment_on_case,
    decide_case,
    file_report,
)
from domain.claims import Claim, claim_id
from domain.moderation import CaseState, Outcome
from projections.moderation import moderation
from projections.users import users
from queries.moderation import case, case_facts, cases, replay, reports_of
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import everything, projected
from tests.members import Member, Members

pytestmark = pytest.mark.engine

NO_FILTER: dict[str, Any] = {"state": None, "subject_type": None, "claimed_by": None}


def reports(member: Member, subject_type: SubjectType, subject_id: UUID, text: str = "") -> UUID:
    command = FileReport(subject_type=subject_type, subject_id=subject_id, reason="dupe", text=text)
    return file_report(command, member.caller, member.store).case_id


def decides(member: Member, case_id: UUID, outcome: Outcome) -> None:
    decide_case(case_id, DecideCase(outcome=outcome, reason="so it is"), member.caller, member.store)


def test_two_cases_go_their_own_ways(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = reports(ada, SubjectType.TORRENT, bob.uploads().id)
    person = reports(bob, SubjectType.USER, ada.id)
    claim_case(film, carol.caller, carol.store)
    comment_on_case(film, CommentOnCase(text="looking"), carol.caller, carol.store)
    decides(carol, film, Outcome.UPHELD)
    appeal_decision(film, AppealDecision(text="no"), bob.caller, bob.store)
    projected(platform, moderation, users)
    with platform.pool.connection() as db:
        appealed, waiting = case(db, film), case(db, person)
    assert appealed is not None
    assert waiting is not None
    assert (appealed.state, appealed.outcome, appealed.moderator, appealed.appeals) == ("appealed", "upheld", None, 1)
    assert (appealed.concerned.username, appealed.report_count, appealed.version) == ("bob", 1, 6)
    assert (waiting.state, waiting.outcome, waiting.decided_at, waiting.version) == ("open", None, None, 2)

    decides(carol, film, Outcome.DISMISSED)
    close_case(film, carol.caller, carol.store)
    projected(platform, moderation)
    with platform.pool.connection() as db:
        closed = case(db, film)
    assert closed is not None
    assert (closed.state, closed.outcome, closed.version) == ("closed", "dismissed", 9)
    assert closed.moderator is not None
    assert closed.moderator.username == "carol"
    assert closed.closed_at is not None


def test_the_queue_filters_and_goes_on_after_a_position(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = reports(ada, SubjectType.TORRENT, bob.uploads().id)
    person = reports(ada, SubjectType.USER, bob.id)
    claim_case(person, carol.caller, carol.store)
    projected(platform, moderation, users)
    with platform.pool.connection() as db:
        both = cases(db, NO_FILTER, None, 10)
        assert [c.id for c in both] == [person, film]
        assert [c.id for c in cases(db, NO_FILTER, both[0].opened_position, 10)] == [film]
        assert [c.id for c in cases(db, {**NO_FILTER, "state": "open"}, None, 10)] == [film]
        assert [c.id for c in cases(db, {**NO_FILTER, "subject_type": "user"}, None, 10)] == [person]
        assert [c.id for c in cases(db, {**NO_FILTER, "claimed_by": carol.id}, None, 10)] == [person]
        assert [(r.case_id, r.state) for r in reports_of(db, ada.id, None, 10)] == [
            (person, "claimed"),
            (film, "open"),
        ]
        assert reports_of(db, bob.id, None, 10) == []


def test_further_reports_join_an_undecided_case_and_open_a_new_one_afterwards(
    members: Members, platform: Platform
) -> None:
    ada, bob, eve = members.join("ada"), members.join("bob"), members.join("eve")
    carol = members.join("carol", "moderator")
    film = bob.uploads().id
    first = reports(ada, SubjectType.TORRENT, film)
    assert reports(eve, SubjectType.TORRENT, film) == first
    assert reports(eve, SubjectType.USER, bob.id) != first
    decides(carol, first, Outcome.DISMISSED)
    second = reports(ada, SubjectType.TORRENT, film)
    assert second != first
    close_case(first, carol.caller, carol.store)
    assert reports(eve, SubjectType.TORRENT, film) == second, "closing an old case leaves the present one alone"
    decides(carol, second, Outcome.DISMISSED)
    close_case(second, carol.caller, carol.store)
    assert carol.store.get(Claim, claim_id("case", f"torrent:{film}")).holder_id is None
    assert reports(ada, SubjectType.TORRENT, film) not in {first, second}


def test_a_case_is_replayed_step_by_step(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = reports(ada, SubjectType.TORRENT, bob.uploads().id, text="seen before")
    decides(carol, film, Outcome.WARNED)
    steps = list(replay(case_facts(platform.history, film)))
    assert [(s.fact.topic, s.after.state, s.after.reports) for s in steps] == [
        ("case.opened", CaseState.OPEN, 0),
        ("case.report_filed", CaseState.OPEN, 1),
        ("case.claimed", CaseState.CLAIMED, 1),
        ("case.decided", CaseState.DECIDED, 1),
    ]
    assert steps[1].fact.event.text == "seen before"


def test_a_second_replay_gives_the_same_rows_and_none_holds_what_was_said(members: Members, platform: Platform) -> None:
    ada, bob = members.join("ada"), members.join("bob")
    reports(ada, SubjectType.USER, bob.id, text="words of Ada's")
    reports(bob, SubjectType.USER, ada.id, text="words of Bob's")
    projected(platform, moderation)
    assert [(check.rows, check.differences) for check in verify(platform, moderation)] == [(2, 0), (2, 0)]
    rows = everything(platform, "moderation_case") | everything(platform, "moderation_report")
    assert not any("words of" in row for row in rows)
