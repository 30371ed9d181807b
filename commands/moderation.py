"""Reports and moderation cases: file, claim, comment, decide, appeal, close. What a decision leads to is a policy's."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from commands.torrents import visible_torrent
from domain.claims import Claim, claim_id
from domain.groups import Group, group_id
from domain.moderation import Case, CaseState, Outcome
from domain.permissions import Permission
from domain.requests import Request
from domain.users import User, must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Member, NotPermitted, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.store import NoSuchThing, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["moderation"], route_class=CommandRoute)

Reporter = Annotated[Caller, Requires(Permission.REPORT)]
Moderator = Annotated[Caller, Requires(Permission.MODERATION)]

#: What a decision carries out is a right of its own.
NEEDED = {
    Outcome.TORRENT_DELETED: Permission.TORRENTS_MODERATE,
    Outcome.USER_DISABLED: Permission.USERS_DISABLE,
    Outcome.WARNED: Permission.USERS_WARN,
}


class SubjectType(StrEnum):
    TORRENT = "torrent"
    USER = "user"
    REQUEST = "request"


class FileReport(Command):
    subject_type: SubjectType
    subject_id: Id
    reason: str = Field(min_length=1, max_length=1000)
    text: str = Field("", max_length=10_000)


class CommentOnCase(Command):
    text: str = Field(min_length=1, max_length=10_000)


class DecideCase(Command):
    outcome: Outcome
    reason: str = Field(min_length=1, max_length=1000)


class AppealDecision(Command):
    text: str = Field(min_length=1, max_length=10_000)


class Reported(Receipt):
    """The report (`id`) and the case that it opened or joined."""

    case_id: UUID


class CaseReceipt(Receipt):
    """What the case is now."""

    state: CaseState


@router.post("/reports", status_code=201)
def file_report(command: FileReport, caller: Reporter, store: StoreDep) -> Reported:
    """Tell the moderators about a torrent, a user or a request."""
    concerned_id = _concerned(command, caller, store)
    claim, case = _open_case(command, concerned_id, store)
    report_id = new_id()
    case.file_report(report_id, caller.user_id, command.reason, command.text)
    return store.save(case, *claim, answer=Reported, id=report_id, case_id=case.id)


@router.post("/moderation/cases/{case_id}/claim")
def claim_case(case_id: Id, staff: Moderator, store: StoreDep) -> CaseReceipt:
    """Handle this case; nobody else can decide it from now on."""
    case = store.edit(Case, case_id)
    case.claim(staff.user_id)
    return _saved(case, store)


@router.post("/moderation/cases/{case_id}/comments", status_code=201)
def comment_on_case(case_id: Id, command: CommentOnCase, staff: Moderator, store: StoreDep) -> CaseReceipt:
    """A note among moderators."""
    case = store.edit(Case, case_id)
    case.comment(staff.user_id, command.text)
    return _saved(case, store)


@router.post("/moderation/cases/{case_id}/decision")
def decide_case(case_id: Id, command: DecideCase, staff: Moderator, store: StoreDep) -> CaseReceipt:
    """Decide, or decide again after an appeal."""
    case = store.edit(Case, case_id)
    _must_be_able(staff, command.outcome, case, store)
    case.decide(staff.user_id, command.outcome, command.reason)
    return _saved(case, store)


@router.post("/moderation/cases/{case_id}/appeal")
def appeal_decision(case_id: Id, command: AppealDecision, caller: Member, store: StoreDep) -> CaseReceipt:
    """Ask for another look at a decision about oneself, once."""
    case = store.edit(Case, case_id)
    if caller.user_id != case.concerned_id and not caller.can(Permission.MODERATION):
        raise NoSuchThing("no such case")
    case.appeal(caller.user_id, command.text)
    return _saved(case, store)


@router.post("/moderation/cases/{case_id}/close")
def close_case(case_id: Id, staff: Moderator, store: StoreDep) -> CaseReceipt:
    """Put a decided case away: it can no longer be appealed."""
    case = store.edit(Case, case_id)
    case.close(staff.user_id)
    claim = store.get(Claim, _subject_claim(case.subject_type, case.subject_id))
    if claim.holder_id == case.id:
        claim.release()
    return store.save(case, claim, answer=CaseReceipt, state=case.state)


def _concerned(command: FileReport, caller: Caller, store: Store) -> UUID:
    """The user whom a decision would be about; raises `NoSuchThing` for what the caller may not see."""
    match command.subject_type:
        case SubjectType.TORRENT:
            return visible_torrent(command.subject_id, caller, store).uploader_id
        case SubjectType.REQUEST:
            return store.get(Request, command.subject_id).requester_id
        case SubjectType.USER:
            return store.get(User, command.subject_id).id


def _open_case(command: FileReport, concerned_id: UUID, store: Store) -> tuple[list[Claim], Case]:
    """The undecided case about the subject, or a new one with the claim that makes it the only one."""
    claim = store.find(Claim, _subject_claim(command.subject_type, command.subject_id))
    present = store.get(Case, claim.holder_id) if claim and claim.holder_id else None
    if present is not None and present.takes_reports:
        return [], present
    case = Case.open(new_id(), command.subject_type, command.subject_id, concerned_id)
    if claim is None:
        claim = Claim.make(_subject_claim(command.subject_type, command.subject_id), "case", case.id)
    else:
        claim.release()
        claim.retake(case.id)
    return [claim], case


def _subject_claim(subject_type: str, subject_id: UUID) -> UUID:
    return claim_id("case", f"{subject_type}:{subject_id}")


def _must_be_able(staff: Caller, outcome: Outcome, case: Case, store: Store) -> None:
    """Whoever decides could do by hand what the decision leads to; raises `NotPermitted` or `AboveOwnLevel`."""
    if outcome in NEEDED and not staff.can(NEEDED[outcome]):
        raise NotPermitted("your group may not decide this")
    if outcome in {Outcome.USER_DISABLED, Outcome.WARNED}:
        concerned = store.get(User, case.concerned_id)
        must_outrank(staff.level, store.get(Group, group_id(concerned.group)).level)


def _saved(case: Case, store: Store) -> CaseReceipt:
    return store.save(case, answer=CaseReceipt, state=case.state)
