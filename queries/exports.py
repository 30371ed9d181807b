"""What does the site have about me? One archive, as far as a person's own data go and no further."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from ipaddress import ip_address
from typing import Any, Literal, LiteralString
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from psycopg import Connection
from psycopg.rows import class_row, dict_row
from pydantic import BaseModel

from domain.base import SYSTEM
from queries.profiles import avatar_of
from runtime.archives import kept_archive
from runtime.facts import AnyFact, FactLog
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, Clock, CredentialsDb, PlatformDep, ReadDb
from runtime.http.openapi import problem_response
from runtime.platform import Platform
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users/me/export", tags=["exports"], route_class=StrictRoute)

MEDIA_TYPE = "application/zip"
#: Facts that are read and written at once.
BATCH = 500
#: What stands for everybody but the person itself.
ANOTHER = "another member"

README = """Everything that this site has about you, as of {now:%Y-%m-%d %H:%M} UTC.

account.json   your account as others and you see it, and what you have moved
events.json    everything that you did or that happened to your account, in order: the history itself, readable
sessions.json  where you are signed in, and from where and with which program you signed in; that for a while only
calls.json     when, from where and with which program you changed something; kept for a while only
api_keys.json  the keys that you gave to programs, without the keys themselves
ledger.json    your points, posting by posting (in thousandths of a point)
uploads.json   what you shared
avatar.webp    the picture that you show, if there is one
swarms.json    the torrents that your clients announced, and what was credited

Passwords, codes and keys are not here: the site itself cannot read them. Other people are "{another}".
Times are UTC.
"""

#: Each is one file: rows about %(user)s alone.
_SUBJECTS: dict[str, LiteralString] = {
    "account": "SELECT a.*, s.uploaded, s.downloaded, s.raw_uploaded, s.raw_downloaded, s.seed_time_s, s.snatched,"
    " b.balance AS bonus_thousandths FROM read.account a LEFT JOIN read.user_stats s USING (user_id)"
    " LEFT JOIN read.ledger_balance b USING (user_id) WHERE a.user_id = %(user)s",
    "sessions": "SELECT s.session_id, s.started_at, s.expires_at, s.revoked_at, host(c.ip) AS ip, c.user_agent"
    " FROM credentials.session s LEFT JOIN es.command_context c USING (command_id)"
    " WHERE s.user_id = %(user)s ORDER BY s.started_at",
    "calls": "SELECT c.at, host(c.ip) AS ip, c.user_agent, array_agg(a.action ORDER BY a.position) AS what"
    " FROM read.audit_entry a JOIN es.command_context c USING (command_id) WHERE a.actor_id = %(user)s"
    " GROUP BY a.command_id, c.at, c.ip, c.user_agent ORDER BY c.at",
    "api_keys": "SELECT key_id, name, scopes, created_at, revoked_at, revoke_reason FROM read.api_key"
    " WHERE user_id = %(user)s ORDER BY key_id",
    "ledger": "SELECT p.at, a.kind AS account, p.amount, p.balance, p.kind, p.subject_type, p.subject_id, p.text"
    " FROM read.ledger_posting p JOIN read.ledger_account a USING (account_id)"
    " WHERE a.owner_id = %(user)s AND a.kind = 'bonus' ORDER BY p.position, p.version",
    "uploads": "SELECT torrent_id, name, description, category, tags, anonymous, info_hash_v1, info_hash_v2, size,"
    " file_count, state, reason, uploaded_at FROM read.torrent WHERE uploader_id = %(user)s ORDER BY uploaded_at",
    "swarms": "SELECT p.torrent_id, t.name, p.peer_id, p.ipv4, p.port4, p.ipv6, p.port6, p.first_announced_at,"
    " p.last_announced_at, p.credited_uploaded, p.credited_downloaded, p.seed_time_s, s.at AS completed_at"
    " FROM read.peer p LEFT JOIN read.torrent t USING (torrent_id)"
    " LEFT JOIN read.snatch s ON s.torrent_id = p.torrent_id AND s.user_id = p.user_id"
    " WHERE p.user_id = %(user)s ORDER BY p.first_announced_at",
}


#: What somebody may know of a log that says who did what.
_ENTRIES: LiteralString = (
    "SELECT position, subject_type FROM read.audit_entry WHERE position > %(after)s"
    " AND hidden_from IS DISTINCT FROM %(user)s AND split_part(action, '.', 1) <> 'claim'"
)


class ArchiveResponse(Response):
    """A zip file."""

    media_type = MEDIA_TYPE


class ExportState(BaseModel):
    """The archive that was asked for last; `size` (bytes) and `until` are null while it is being put together."""

    state: Literal["requested", "built", "expired"]
    requested_at: datetime
    until: datetime | None
    size: int | None


@router.get("", dependencies=[fresh("exports")], responses={404: problem_response("Nobody asked for one.")})
def get_export(caller: AccountOwner, db: ReadDb, now: Clock) -> ExportState:
    """How far the caller's archive is."""
    with db.cursor(row_factory=class_row(ExportState)) as cursor:
        found = cursor.execute(
            "SELECT requested_at,"
            " CASE WHEN state = 'built' AND until <= %(now)s THEN 'expired' ELSE state END AS state,"
            " CASE WHEN state = 'built' THEN until END AS until, CASE WHEN state = 'built' THEN size END AS size"
            " FROM export WHERE user_id = %(user)s",
            {"user": caller.user_id, "now": now},
        ).fetchone()
    if found is None:
        raise NoSuchThing("you have not asked for an archive")
    return found


@router.get(
    "/archive",
    response_class=ArchiveResponse,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        404: problem_response("There is none: nobody asked for one, or its time is over."),
    },
)
def download_export(caller: AccountOwner, db: CredentialsDb, platform: PlatformDep, now: Clock) -> ArchiveResponse:
    """The caller's archive, until its time is over."""
    archive = kept_archive(db, platform.keyring, caller.user_id, now)
    if archive is None:
        raise NoSuchThing("there is no archive: ask for one")
    return ArchiveResponse(archive, headers={"Content-Disposition": 'attachment; filename="about-me.zip"'})


def due_exports(db: Connection[Any], limit: int) -> list[UUID]:
    """At most `limit` persons who wait for an archive, the longest waiting first."""
    rows = db.execute(
        "SELECT user_id FROM read.export WHERE state = 'requested' ORDER BY requested_at LIMIT %s", (limit,)
    )
    return [row[0] for row in rows.fetchall()]


def archive_of(platform: Platform, user_id: UUID, now: datetime) -> bytes:
    """A zip file with a README and a JSON file for each subject, of one moment.

    It has the person's own sessions and addresses, which the role that callers are shown things by may not see.
    """
    file = io.BytesIO()
    with platform.pool.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", README.format(now=now, another=ANOTHER))
            for name, query in _SUBJECTS.items():
                rows = connection.cursor(row_factory=dict_row).execute(query, {"user": user_id}).fetchall()
                _write(archive, name, iter([rows]), connection, user_id)
            _write(archive, "events", _events(platform, connection, user_id), connection, user_id)
            if picture := avatar_of(platform, connection, user_id):
                archive.writestr("avatar.webp", picture)
    return file.getvalue()


def _write(
    archive: zipfile.ZipFile,
    name: str,
    batches: Iterator[list[dict[str, Any]]],
    connection: Connection[Any],
    user_id: UUID,
) -> None:
    """One JSON array, however long, in which others have no ids."""
    with archive.open(f"{name}.json", "w") as file:
        separator = b"[\n"
        for rows in batches:
            plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
            others = _others(connection, plain, user_id)
            for row in plain:
                file.write(separator + json.dumps(_masked(row, others), ensure_ascii=False).encode())
                separator = b",\n"
        file.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _events(platform: Platform, connection: Connection[Any], user_id: UUID) -> Iterator[list[dict[str, Any]]]:
    """What the person did and what was done about the person, but for what the person may not know."""
    log, after = FactLog(platform.history), 0
    while True:
        rows = connection.execute(
            # Two walks along an index each: one with OR would read the whole log for somebody of few words.
            f"({_ENTRIES} AND actor_id = %(user)s ORDER BY position LIMIT %(limit)s)"
            f" UNION ({_ENTRIES} AND subject_id = %(user)s ORDER BY position LIMIT %(limit)s)"
            " ORDER BY position LIMIT %(limit)s",
            {"after": after, "user": user_id, "limit": BATCH},
        ).fetchall()
        if not rows:
            return
        about, after = dict(rows), rows[-1][0]
        facts = [log.fact(entry) for entry in log.at(connection, list(about))]
        yield [_event(platform, fact, about[fact.position], user_id) for fact in facts]


def _event(platform: Platform, fact: AnyFact, about: str, user_id: UUID) -> dict[str, Any]:
    shape = platform.history.codec.shape(type(fact.event))
    own = getattr(fact.event, type(fact.event).SUBJECT) == user_id
    names = [name for name in shape.names if name != "timestamp" and (own or name not in shape.personal)]
    by = {user_id: "you", SYSTEM: "the site"}.get(fact.actor_id, ANOTHER)
    fields = {name: getattr(fact.event, name) for name in names}
    return {"at": fact.at, "what": fact.topic, "about": about, "id": fact.stream_id, "by": by, **fields}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return str(ip_address(value)) if len(value) in (4, 16) else value.hex()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _others(connection: Connection[Any], rows: list[dict[str, Any]], user_id: UUID) -> set[UUID]:
    """Which of the ids in these rows are other persons."""
    ids = {one for row in rows for one in _ids(row)} - {user_id}
    found = connection.execute("SELECT user_id FROM read.account WHERE user_id = ANY (%s)", (list(ids),)).fetchall()
    return {other for (other,) in found}


def _ids(value: Any) -> Iterator[UUID]:
    if isinstance(value, UUID):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _ids(one)
    elif isinstance(value, list):
        for one in value:
            yield from _ids(one)


def _masked(value: Any, others: set[UUID]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(one, others) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, others) for one in value]
    if isinstance(value, UUID):
        return ANOTHER if value in others else str(value)
    return value
