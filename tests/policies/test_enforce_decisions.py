"""Given decisions, the commands that the policy issues: once each, and nothing for what is already so."""

from __future__ import annotations

from uuid import UUID

import pytest

from commands.moderation import (
    AppealDecision,
    DecideCase,
    FileReport,
    SubjectType,
    appeal_decision,
    decide_case,
    file_report,
)
from commands.policies.enforce_decisions import enforce_decisions
from domain.base import SYSTEM
from domain.moderation import Case, Outcome
from domain.sessions import Session
from domain.torrents import Torrent, TorrentState
from domain.users import User
from runtime.facts import AnyCaused, FactLog
from runtime.follow import Step
from runtime.platform import Platform
from tests.given import projected, rows_of
from tests.members import Member, Members

pytestmark = pytest.mark.engine


def reported(reporter: Member, subject_type: SubjectType, subject_id: UUID) -> UUID:
    command = FileReport(subject_type=subject_type, subject_id=subject_id, reason="bad", text="")
    return file_report(command, reporter.caller, reporter.store).case_id


def decided(moderator: Member, case_id: UUID, outcome: Outcome) -> None:
    """The decision, carried out."""
    decide_case(case_id, DecideCase(outcome=outcome, reason="so it is"), moderator.caller, moderator.store)
    projected(moderator.platform, enforce_decisions)


def of_kind(platform: Platform, stream_id: UUID, kind: type) -> list[AnyCaused]:
    return [fact for fact in FactLog(platform.history).stream(stream_id) if isinstance(fact.event, kind)]


def test_a_torrent_that_is_to_go_is_deleted_for_the_reason_given(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film, other = bob.uploads(), bob.uploads()
    case = reported(ada, SubjectType.TORRENT, film.id)
    decided(carol, case, Outcome.TORRENT_DELETED)
    assert carol.store.get(Torrent, film.id).state is TorrentState.DELETED
    assert carol.store.get(Torrent, other.id).state is TorrentState.APPROVED
    [deletion] = of_kind(platform, film.id, Torrent.Deleted)
    [decision] = of_kind(platform, case, Case.Decided)
    assert (deletion.event.reason, deletion.actor_id, deletion.origin) == ("so it is", SYSTEM, "policy")
    assert (deletion.causation_id, deletion.correlation_id) == (decision.event_id, decision.correlation_id)


def test_a_torrent_that_is_gone_is_not_deleted_again(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = bob.uploads()
    case = reported(ada, SubjectType.TORRENT, film.id)
    film.delete("gone before", by=carol.id, staff=True, now=film.created_on)
    carol.store.save(film)
    decided(carol, case, Outcome.TORRENT_DELETED)
    assert [f.event.reason for f in of_kind(platform, film.id, Torrent.Deleted)] == ["gone before"]


@pytest.mark.parametrize("outcome", [Outcome.DISMISSED, Outcome.UPHELD, Outcome.WARNED])
def test_other_outcomes_do_nothing(members: Members, platform: Platform, outcome: Outcome) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    case = reported(ada, SubjectType.TORRENT, bob.uploads().id)
    decided(carol, case, outcome)
    assert rows_of(platform, "SELECT count(*) FROM es.event WHERE origin = 'policy'") == [(0,)]


def test_a_disabled_user_is_signed_out_everywhere(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    decided(carol, reported(ada, SubjectType.USER, bob.id), Outcome.USER_DISABLED)
    assert not carol.store.get(User, bob.id).enabled
    assert carol.store.get(User, ada.id).enabled
    assert carol.store.get(Session, bob.caller.session_id).ended
    living = rows_of(platform, "SELECT user_id FROM credentials.session WHERE revoked_at IS NULL")
    assert {row[0] for row in living} == {ada.id, carol.id}


def test_the_uploader_is_disabled_for_a_torrent(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    decided(carol, reported(ada, SubjectType.TORRENT, bob.uploads().id), Outcome.USER_DISABLED)
    assert not carol.store.get(User, bob.id).enabled


def test_an_appeal_that_clears_a_user_lets_the_user_in_again(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    case = reported(ada, SubjectType.USER, bob.id)
    decided(carol, case, Outcome.USER_DISABLED)
    appeal_decision(case, AppealDecision(text="not me"), bob.caller, bob.store)
    decided(carol, case, Outcome.DISMISSED)
    assert carol.store.get(User, bob.id).enabled
    assert len(of_kind(platform, bob.id, User.Enabled)) == 1


def test_one_save_deletes_the_torrent_and_clears_the_user(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    film = bob.uploads()
    case = reported(ada, SubjectType.TORRENT, film.id)
    decided(carol, case, Outcome.USER_DISABLED)
    appeal_decision(case, AppealDecision(text="not me"), bob.caller, bob.store)
    decided(carol, case, Outcome.TORRENT_DELETED)
    [deletion], [pardon] = of_kind(platform, film.id, Torrent.Deleted), of_kind(platform, bob.id, User.Enabled)
    assert deletion.command_id == pardon.command_id


def test_clearing_one_case_does_not_lift_what_others_decided(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    first = reported(ada, SubjectType.USER, bob.id)
    second = reported(ada, SubjectType.TORRENT, bob.uploads().id)
    decided(carol, first, Outcome.USER_DISABLED)
    decided(carol, second, Outcome.USER_DISABLED)
    appeal_decision(second, AppealDecision(text="not me"), bob.caller, bob.store)
    decided(carol, second, Outcome.DISMISSED)
    assert not carol.store.get(User, bob.id).enabled
    assert len(of_kind(platform, bob.id, User.Disabled)) == 1


def test_reading_the_same_decisions_again_changes_nothing(members: Members, platform: Platform) -> None:
    ada, bob, carol = members.join("ada"), members.join("bob"), members.join("carol", "moderator")
    decided(carol, reported(ada, SubjectType.TORRENT, bob.uploads().id), Outcome.TORRENT_DELETED)
    decided(carol, reported(ada, SubjectType.USER, bob.id), Outcome.USER_DISABLED)
    bob_now = carol.store.get(User, bob.id)
    bob_now.enable("by hand")
    carol.store.save(bob_now)
    before = rows_of(platform, "SELECT max(position) FROM es.event")
    with platform.projector_pool.connection() as db:
        db.execute("UPDATE es.follower SET position = 0 WHERE name = 'enforce_decisions'")
    assert platform.engine().drain(enforce_decisions) is Step.IDLE
    assert rows_of(platform, "SELECT max(position) FROM es.event") == before
    assert carol.store.get(User, bob.id).enabled
