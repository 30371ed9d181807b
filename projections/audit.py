"""Who did what to which subject, why and when: one row per event, without what names or traces a person."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, get_type_hints
from uuid import UUID

from msgspec.json import encode
from psycopg.types.json import Jsonb

from domain.api_keys import ApiKey
from domain.bans import Ban
from domain.base import PERSONAL, Aggregate
from domain.bonus import Account, AccountKind
from domain.claims import Claim
from domain.emails import EmailChange
from domain.erasures import Erasure, ErasureProposal
from domain.exports import Export
from domain.feed_keys import FeedKey
from domain.freeleech_tokens import FreeleechTokens
from domain.inactivity import Inactivity
from domain.invites import InviteAllowance
from domain.looks import Look
from domain.moderation import Case
from domain.parking import Parking
from domain.privacy import Privacy
from domain.profiles import Profile
from domain.reenable_requests import ReenableRequest
from domain.relations import Relations
from domain.rights import Rights
from domain.sessions import Session
from domain.staff_notes import StaffNotes
from domain.warnings import Warnings
from runtime.db import Writer
from runtime.facts import AnyCaused, Caused
from runtime.projection import Projection

audit = Projection("audit", "audit_entry", "audit_stream", causes=True)

#: Longer texts are cut and longer lists are counted: the history has them whole.
TEXT_MAX = 1_000
ITEMS_MAX = 50

_ENVELOPE = {"originator_id", "originator_version", "originator_topic", "timestamp"}
_public_names: dict[type[Any], tuple[str, ...]] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about. `hidden_from` is the user who may not read who did it."""

    type: str
    id: UUID
    hidden_from: UUID | None = None


@audit.on(Account.Opened)
def account_opened(fact: Caused[Account.Opened], db: Writer) -> None:
    """An account's entries are about its owner."""
    owner = "request" if fact.event.kind == AccountKind.ESCROW else "user"
    _begin(fact, Subject(owner, fact.event.owner_id), db)


@audit.on(
    Session.Started,
    Ban.Imposed,
    ApiKey.Issued,
    FeedKey.Reset,
    Inactivity.Warned,
    Parking.Opened,
    ReenableRequest.Filed,
    FreeleechTokens.Opened,
    Rights.Opened,
    Warnings.Opened,
    Privacy.Opened,
    Profile.Opened,
    Relations.Opened,
    EmailChange.Asked,
    InviteAllowance.Opened,
    Erasure.Begun,
    Erasure.RetentionEnded,
    ErasureProposal.Made,
    Export.Opened,
)
def of_a_user(fact: AnyCaused, db: Writer) -> None:
    """Streams of their own that are about a user."""
    _begin(fact, Subject("user", fact.event.user_id), db)


@audit.on(StaffNotes.Opened, StaffNotes.Written)
def noted(fact: AnyCaused, db: Writer) -> None:
    """Whom a note is about does not learn here that there is one."""
    _record(fact, Subject("user", fact.event.user_id, hidden_from=fact.event.user_id), db)


@audit.on(Look.Taken)
def looked(fact: Caused[Look.Taken], db: Writer) -> None:
    """Nor does whoever was looked at."""
    user_id = fact.event.user_id
    _record(fact, Subject("user", user_id, hidden_from=user_id) if user_id else Subject("look", fact.stream_id), db)


@audit.on(Case.Opened)
def case_opened(fact: Caused[Case.Opened], db: Writer) -> None:
    """The first reporter opens a case: whom it is about does not learn here who that was."""
    _begin(fact, Subject("case", fact.stream_id, hidden_from=fact.event.concerned_id), db)


@audit.on(Case.ReportFiled)
def report_filed(fact: Caused[Case.ReportFiled], db: Writer) -> None:
    _record(fact, _of_stream(fact, db), db)


@audit.on(Case.Decided)
def decided(fact: Caused[Case.Decided], db: Writer) -> None:
    _record(fact, Subject(fact.event.subject_type, fact.event.subject_id), db)


@audit.on(Claim.Made, Claim.Retaken)
def claimed(fact: AnyCaused, db: Writer) -> None:
    """A case's claim is made by whoever reports, and the case is saved before its claim."""
    holder = _remembered(fact.event.holder_id, db)
    _begin(fact, Subject("claim", fact.stream_id, hidden_from=holder.hidden_from if holder else None), db)


@audit.on(Claim.Released)
def released(fact: Caused[Claim.Released], db: Writer) -> None:
    _record(fact, _of_stream(fact, db), db)


@audit.on(Aggregate.Event)
def anything_else(fact: AnyCaused, db: Writer) -> None:
    subject = _of_stream(fact, db)
    _record(fact, Subject(subject.type, subject.id) if subject.hidden_from else subject, db)


def _begin(fact: AnyCaused, subject: Subject, db: Writer) -> None:
    """Record the event and remember for the later ones of its stream what they are about."""
    db.execute(
        "INSERT INTO audit_stream (stream_id, subject_type, subject_id, hidden_from) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (stream_id) DO UPDATE SET hidden_from = excluded.hidden_from",
        (fact.stream_id, subject.type, subject.id, subject.hidden_from),
    )
    _record(fact, subject, db)


def _of_stream(fact: AnyCaused, db: Writer) -> Subject:
    return _remembered(fact.stream_id, db) or Subject(fact.topic.partition(".")[0], fact.stream_id)


def _remembered(stream_id: UUID, db: Writer) -> Subject | None:
    rows = db.rows("SELECT subject_type, subject_id, hidden_from FROM audit_stream WHERE stream_id = %s", (stream_id,))
    return Subject(*rows[0]) if rows else None


def _record(fact: AnyCaused, subject: Subject, db: Writer) -> None:
    data = public_fields(fact.event)
    db.execute(
        "INSERT INTO audit_entry (position, at, actor_id, action, stream_id, subject_type, subject_id, reason,"
        " command_id, correlation_id, origin, data, hidden_from)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            fact.position,
            fact.at,
            fact.actor_id,
            fact.topic,
            fact.stream_id,
            subject.type,
            subject.id,
            _reason(fact.event),
            fact.command_id,
            fact.correlation_id,
            fact.origin,
            Jsonb(data, encode),
            subject.hidden_from,
        ),
    )


def _reason(event: object) -> str | None:
    """The words that were given for it, unless they are personal; a posting's words say why points moved."""
    name = "text" if isinstance(event, Account.Posted) else "reason"
    return getattr(event, name) or None if name in _names(type(event)) else None


def public_fields(event: Any) -> dict[str, Any]:
    """The event's own fields as JSON, without personal ones."""
    return {name: _shown(getattr(event, name)) for name in _names(type(event))}


def _names(kind: type[Any]) -> tuple[str, ...]:
    if kind not in _public_names:
        _public_names[kind] = _names_of(kind)
    return _public_names[kind]


def _names_of(kind: type[Any]) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in _ENVELOPE]
    return tuple(name for name in names if not _is_personal(hints[name]))


def _is_personal(hint: Any) -> bool:
    return PERSONAL in getattr(hint, "__metadata__", ()) or any(map(_is_personal, getattr(hint, "__args__", ())))


def _shown(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        text = value.replace("\x00", "\ufffd")  # jsonb has no NUL
        return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "…"
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value] if len(value) <= ITEMS_MAX else {"items": len(value)}
    return value
