"""Erasures: who answers a proposal until when, and that an erased account stays so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.base import ERASED
from domain.erasures import PROPOSAL_LIFE, Erasure, ErasureProposal, ProposalOver, SameApprover, erasure_id
from domain.torrents import ReasonMissing
from domain.users import AccountErased, User

ID, ALICE, STAFF, OTHER = (UUID(int=n) for n in (1, 2, 3, 4))
NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
END = NOW + PROPOSAL_LIFE
TICK = timedelta(microseconds=1)


def proposed() -> ErasureProposal:
    proposal = ErasureProposal.make(ID, ALICE, STAFF, "asked by mail", now=NOW)
    proposal.collect_events()
    return proposal


def test_another_one_approves_until_the_end_of_the_week() -> None:
    proposal = proposed()
    with pytest.raises(SameApprover):
        proposal.approve(STAFF, now=NOW)
    with pytest.raises(ProposalOver):
        proposal.approve(OTHER, now=END)
    assert not proposal.pending_events
    proposal.approve(OTHER, now=END - TICK)
    (event,) = proposal.collect_events()
    assert isinstance(event, ErasureProposal.Approved)
    assert (event.user_id, event.approver_id) == (ALICE, OTHER)


def test_a_proposal_is_answered_once() -> None:
    declined, approved = proposed(), proposed()
    declined.decline("a joke", now=NOW)
    approved.approve(OTHER, now=NOW)
    for proposal in (declined, approved):
        with pytest.raises(ProposalOver):
            proposal.approve(OTHER, now=NOW)
        with pytest.raises(ProposalOver):
            proposal.decline("no", now=NOW)
    with pytest.raises(ProposalOver):
        proposed().decline("late", now=END)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_proposing_and_declining_need_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissing):
        ErasureProposal.make(ID, ALICE, STAFF, reason, now=NOW)
    with pytest.raises(ReasonMissing):
        proposed().decline(reason, now=NOW)


def test_what_is_said_of_a_person_goes_with_that_person() -> None:
    for kind in (ErasureProposal.Made, ErasureProposal.Declined):
        assert kind.SUBJECT == "user_id"


def test_an_erased_account_is_closed_for_good() -> None:
    user = User.register(ALICE, "alice", "alice@example.org", "member")
    user.collect_events()
    user.erase()
    assert [type(event) for event in user.collect_events()] == [User.Disabled, User.Erased]
    assert (user.enabled, user.username, user.email) == (False, ERASED, ERASED)
    with pytest.raises(AccountErased):
        user.enable("back")
    with pytest.raises(AccountErased):
        user.erase()


def test_a_disabled_account_is_erased_too() -> None:
    user = User.register(ALICE, "alice", "alice@example.org", "member")
    user.disable("a break")
    user.collect_events()
    user.erase()
    assert [type(event) for event in user.collect_events()] == [User.Erased]


def test_an_erasure_is_completed_once() -> None:
    erasure = Erasure.begin(ALICE, ID)
    assert erasure.id == erasure_id(ALICE)
    erasure.complete()
    erasure.complete()
    assert [type(event) for event in erasure.collect_events()] == [Erasure.Begun, Erasure.Completed]
