"""What is left of a person beside the log, and how it goes: rows in clear, mail, copies of read tables."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor

from runtime.backup import erased
from runtime.facts import FactLog
from runtime.mail_delivery import discard
from runtime.platform import Platform
from runtime.rebuild.forgotten import drop_copies
from runtime.settings import Settings


def forget_person(db: Connection[Any] | Cursor[Any], user_id: UUID) -> None:
    """Credentials, callers' addresses and tracebacks: gone with the caller's transaction."""
    db.execute("SELECT es.forget_person(%s)", (user_id,))


def forget_traces(platform: Platform, user_id: UUID, addresses: AbstractSet[str]) -> int:
    """The same, with mail to these addresses and copies of read tables; may be done again and again. Returns how much
    mail there was."""
    mails = discard(platform.pool, platform.settings, addresses)
    with platform.pool.connection() as connection:
        forget_person(connection, user_id)
    with platform.projector_pool.connection() as connection:
        drop_copies(connection)
    return mails


def note_erased(settings: Settings, user_id: UUID) -> None:
    """Beside everything that goes back before this moment: it would bring the key back, and the list ends it."""
    for root in lists(settings):
        erased.add(root, {user_id: datetime.now(UTC)})


def lists(settings: Settings) -> list[Path]:
    """Where lists of the erased belong: beside the log, and beside the backups if they have their usual place."""
    log = [Path(settings.backup.wal_dir).resolve()] if settings.backup.wal_dir else []
    backups = settings.data_dir.resolve() / "backups"
    return [*log, *([backups] if backups.is_dir() else [])]


def addresses_of(platform: Platform, user_id: UUID) -> set[str]:
    """Everything that the streams about the person have ever said and that may be an address, confirmed or not.

    It is known as long as the person's data key is there.
    """
    with platform.pool.connection() as connection:
        beside = connection.execute(
            "SELECT change_id FROM read.email_change WHERE user_id = %(user)s"
            " UNION ALL SELECT application_id FROM read.application WHERE applicant_id = %(user)s"
            " UNION ALL SELECT invite_id FROM read.invite WHERE invitee_id = %(user)s",
            {"user": user_id},
        ).fetchall()
    codec, log = platform.history.codec, FactLog(platform.history)
    texts = [
        getattr(fact.event, name)
        for stream_id in (user_id, *(stream_id for (stream_id,) in beside))
        for fact in log.stream(stream_id)
        for name in codec.shape(type(fact.event)).personal
    ]
    return {text.lower() for text in texts if text and "@" in text}
