"""The life of a case: reported, claimed, decided, appealed once, closed; and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from domain.moderation import (
    AlreadyDecided,
    AlreadyReported,
    AppealUsed,
    BadText,
    Case,
    CaseClosed,
    CaseState,
    ClaimedByAnother,
    NotConcerned,
    NotDecided,
    Outcome,
    OutcomeDoesNotFit,
    OwnCase,
    SelfReport,
)
from domain.torrents import ReasonMissing

REPORTER, CONCERNED, CAROL, DAVE = (UUID(int=n) for n in range(1, 5))


@pytest.fixture
def case() -> Case:
    """A reported torrent of CONCERNED's."""
    found = Case.open(uuid4(), "torrent", uuid4(), CONCERNED)
    found.file_report(uuid4(), REPORTER, "dupe", "seen before")
    found.collect_events()
    return found


def kinds(case: Case) -> list[type]:
    return [type(e) for e in case.pending_events]


def test_a_second_report_joins_the_case(case: Case) -> None:
    case.file_report(uuid4(), DAVE, "dupe", "")
    assert case.reporters == {REPORTER, DAVE}


def test_the_same_person_reports_once(case: Case) -> None:
    with pytest.raises(AlreadyReported):
        case.file_report(uuid4(), REPORTER, "again", "")


def test_nobody_reports_themselves() -> None:
    about = Case.open(uuid4(), "user", CONCERNED, CONCERNED)
    with pytest.raises(SelfReport):
        about.file_report(uuid4(), CONCERNED, "me", "")


@pytest.mark.parametrize("reason", ["", " ", "x" * 1_001])
def test_a_report_needs_a_reason(case: Case, reason: str) -> None:
    with pytest.raises(ReasonMissing):
        case.file_report(uuid4(), DAVE, reason, "")


def test_a_text_has_an_end(case: Case) -> None:
    with pytest.raises(BadText):
        case.file_report(uuid4(), DAVE, "dupe", "x" * 10_001)
    with pytest.raises(BadText):
        case.comment(CAROL, " ")


def test_one_moderator_handles_a_case(case: Case) -> None:
    case.claim(CAROL)
    with pytest.raises(ClaimedByAnother):
        case.claim(DAVE)
    with pytest.raises(ClaimedByAnother):
        case.decide(DAVE, Outcome.DISMISSED, "no")
    case.claim(CAROL)
    assert kinds(case) == [Case.Claimed]


def test_an_unclaimed_case_is_claimed_by_whoever_decides_it(case: Case) -> None:
    case.decide(CAROL, Outcome.UPHELD, "it is one")
    assert kinds(case) == [Case.Claimed, Case.Decided]
    assert (case.state, case.outcome) == (CaseState.DECIDED, Outcome.UPHELD)


def test_a_decision_is_made_once(case: Case) -> None:
    case.decide(CAROL, Outcome.UPHELD, "it is one")
    with pytest.raises(AlreadyDecided):
        case.decide(CAROL, Outcome.DISMISSED, "or not")


def test_a_decided_case_takes_no_further_report(case: Case) -> None:
    case.decide(CAROL, Outcome.DISMISSED, "no")
    assert not case.takes_reports
    with pytest.raises(AlreadyDecided):
        case.file_report(uuid4(), DAVE, "dupe", "")


def test_only_a_torrent_can_be_deleted() -> None:
    about = Case.open(uuid4(), "user", CONCERNED, CONCERNED)
    with pytest.raises(OutcomeDoesNotFit):
        about.decide(CAROL, Outcome.TORRENT_DELETED, "gone")


@pytest.mark.parametrize(
    "handle",
    [
        lambda case: case.claim(CONCERNED),
        lambda case: case.comment(CONCERNED, "I did not"),
        lambda case: case.decide(CONCERNED, Outcome.DISMISSED, "I did not"),
        lambda case: case.close(CONCERNED),
    ],
)
def test_nobody_handles_a_case_about_themselves(case: Case, handle: Callable[[Case], None]) -> None:
    with pytest.raises(OwnCase):
        handle(case)
    assert case.pending_events == []


def test_whom_it_is_about_appeals_once_and_another_may_hear_it(case: Case) -> None:
    case.decide(CAROL, Outcome.USER_DISABLED, "enough")
    case.appeal(CONCERNED, "it was my brother")
    assert (case.state, case.moderator_id) == (CaseState.APPEALED, None)
    case.decide(DAVE, Outcome.DISMISSED, "it was")
    assert (case.state, case.outcome) == (CaseState.DECIDED, Outcome.DISMISSED)
    with pytest.raises(AppealUsed):
        case.appeal(CONCERNED, "and again")


def test_nobody_else_appeals(case: Case) -> None:
    case.decide(CAROL, Outcome.UPHELD, "it is one")
    with pytest.raises(NotConcerned):
        case.appeal(REPORTER, "not enough")


def test_there_is_nothing_to_appeal_or_close_before_a_decision(case: Case) -> None:
    with pytest.raises(NotDecided):
        case.appeal(CONCERNED, "early")
    with pytest.raises(NotDecided):
        case.close(CAROL)


def test_a_closed_case_stays_closed(case: Case) -> None:
    case.decide(CAROL, Outcome.UPHELD, "it is one")
    case.close(CAROL)
    assert case.state is CaseState.CLOSED
    attempts: tuple[Callable[[], None], ...] = (
        lambda: case.claim(CAROL),
        lambda: case.comment(CAROL, "late"),
        lambda: case.decide(CAROL, Outcome.DISMISSED, "late"),
        lambda: case.appeal(CONCERNED, "late"),
        lambda: case.close(CAROL),
    )
    for again in attempts:
        with pytest.raises(CaseClosed):
            again()
