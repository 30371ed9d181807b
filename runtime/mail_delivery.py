"""How posted mail leaves: through an SMTP server, or into a folder where the settings name none.

A mail is leased to one worker at a time, tried again with growing pauses, and its row is deleted once it is delivered.
A worker that dies between the server's yes and that deletion sends it again: SMTP has no way to know (RFC 5321 section
6.1), and the Message-ID is the same.
"""

from __future__ import annotations

import os
import smtplib
import ssl
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.mail import Mail, message, sealer
from runtime.settings import Mail as MailSettings
from runtime.settings import Settings
from runtime.telemetry import MAIL_WAITING, MAILS

#: Pauses before the next try; after the last one, 23 hours after the first, the mail is dead. Each is longer than a
#: try may take, because it is the lease as well.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (2, 5, 15, 60, 180, 360, 720))
#: Of one exchange with the server; a delivery has about ten of them.
SMTP_TIMEOUT_S = 5.0
#: Mails that one look delivers.
AT_ONCE = 200
#: Dead mail is kept for the operator to look at, then deleted: its links are long void.
DEAD_KEPT = timedelta(days=7)
FOLDER = "mail"

log = structlog.get_logger()


class Undeliverable(Exception):
    """The server will never take this mail; `str(error)` names no address."""


class NotDelivered(Exception):
    """Another try may succeed; `str(error)` names no address."""


class Transport(Protocol):
    """Takes one mail; raises `Undeliverable` or `NotDelivered`."""

    def __call__(self, mail_id: UUID, mail: EmailMessage) -> None: ...


def deliver(pool: ConnectionPool[Connection[Any]], settings: Settings, now: datetime) -> int:
    """Deliver what is due, at most `AT_ONCE`; returns how many were delivered. Any number of workers may do so."""
    delivered = 0
    with transport(settings) as send:
        for _ in range(AT_ONCE):
            outcome = _next(pool, settings, send, now)
            if outcome is None:
                break
            MAILS.labels(outcome).inc()
            delivered += outcome == "delivered"
    _look(pool, now)
    return delivered


@contextmanager
def transport(settings: Settings) -> Iterator[Transport]:
    """What the settings name: a server, to which one connection serves for all mails of a look, or the folder."""
    if not settings.mail.url:
        folder = settings.data_dir / FOLDER
        yield lambda mail_id, mail: leave(folder, mail_id, mail)
        return
    smtp = Smtp(settings.mail)
    try:
        yield smtp
    finally:
        smtp.close()


def _next(pool: ConnectionPool[Connection[Any]], settings: Settings, send: Transport, now: datetime) -> str | None:
    """Try the mail that is longest due; None when none is."""
    with pool.connection() as connection:
        row = connection.execute(
            "UPDATE credentials.mail SET tries = tries + 1, due_at = %(now)s + (%(pauses)s::interval[])"
            "[least(tries + 1, %(most)s)] WHERE mail_id = (SELECT mail_id FROM credentials.mail WHERE dead_at IS NULL"
            " AND due_at <= %(now)s ORDER BY due_at FOR UPDATE SKIP LOCKED LIMIT 1)"
            " RETURNING mail_id, sealed, posted_at, tries",
            {"now": now, "pauses": list(PAUSES), "most": len(PAUSES)},
        ).fetchone()
    if row is None:
        return None
    mail_id, sealed, posted_at, tries = row
    try:
        mail = msgspec.json.decode(sealer(settings).open(sealed), type=Mail)
        send(mail_id, message(mail_id, mail, settings.mail.sender, posted_at))
    except InvalidTag:
        return _failed(pool, mail_id, "sealed with another key than the site has now", now, dead=True)
    except Undeliverable as error:
        return _failed(pool, mail_id, str(error), now, dead=True)
    except NotDelivered as error:
        return _failed(pool, mail_id, str(error), now, dead=tries > len(PAUSES))
    _done(pool, mail_id, now)
    return "delivered"


def _done(pool: ConnectionPool[Connection[Any]], mail_id: UUID, now: datetime) -> None:
    with pool.connection() as connection, connection.transaction():
        connection.execute("DELETE FROM credentials.mail WHERE mail_id = %s", (mail_id,))
        connection.execute(
            "INSERT INTO credentials.mail_delivered AS d (day, mails) VALUES (%s, 1)"
            " ON CONFLICT (day) DO UPDATE SET mails = d.mails + 1",
            (now.date(),),
        )


def _failed(pool: ConnectionPool[Connection[Any]], mail_id: UUID, why: str, now: datetime, *, dead: bool) -> str:
    with pool.connection() as connection:
        connection.execute(
            "UPDATE credentials.mail SET error = %s, dead_at = %s WHERE mail_id = %s",
            (why, now if dead else None, mail_id),
        )
    log.warning("mail_not_delivered", mail_id=str(mail_id), why=why, dead=dead)
    return "dead" if dead else "failed"


def _look(pool: ConnectionPool[Connection[Any]], now: datetime) -> None:
    """Forget what has been dead for long, and tell how many wait and how many are dead."""
    with pool.connection() as connection:
        connection.execute("DELETE FROM credentials.mail WHERE dead_at < %s", (now - DEAD_KEPT,))
        row = connection.execute("SELECT count(*) - count(dead_at), count(dead_at) FROM credentials.mail").fetchone()
    assert row is not None
    MAIL_WAITING.labels("waiting").set(row[0])
    MAIL_WAITING.labels("dead").set(row[1])


def leave(folder: Path, mail_id: UUID, mail: EmailMessage) -> None:
    """Write the mail into the folder, whole or not at all and once, readable by this user only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=".draft-")  # mode 0600
    with open(descriptor, "wb") as file:
        file.write(bytes(mail))
    os.replace(draft, folder / f"{mail_id}.eml")


class Smtp:
    """One connection to the server that the settings name, opened at the first mail and again after an error.

    `smtps://` speaks TLS from the first byte, `smtp+starttls://` insists on STARTTLS (RFC 3207), `smtp://` does
    neither. Certificates are verified against the system's authorities.
    """

    def __init__(self, settings: MailSettings) -> None:
        parts = urlsplit(settings.url)
        assert parts.hostname is not None
        self._scheme, self._host = parts.scheme, parts.hostname
        self._port = parts.port or {"smtps": 465, "smtp+starttls": 587, "smtp": 25}[parts.scheme]
        password = settings.password.get_secret_value()
        self._login = (unquote(parts.username), password) if parts.username else None
        self._server: smtplib.SMTP | None = None

    def __call__(self, mail_id: UUID, mail: EmailMessage) -> None:
        try:
            self._server = self._server or self._connect()
            self._server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, _),) = error.recipients.values()
            raise _refusal("recipient", code) from None
        except smtplib.SMTPDataError as error:
            raise _refusal("mail", error.smtp_code) from None
        except smtplib.SMTPResponseException as error:  # of the sender or the login: the next mail fares no better
            self.close()
            raise NotDelivered(f"{type(error).__name__} {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException, UnicodeError) as error:  # a password of SMTP is ASCII
            self.close()
            raise NotDelivered(type(error).__name__) from None

    def close(self) -> None:
        if self._server is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._server.quit()
            self._server = None

    def _connect(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=SMTP_TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=SMTP_TIMEOUT_S)
        try:
            if self._scheme == "smtp+starttls":
                server.starttls(context=ssl.create_default_context())
            if self._login:
                server.login(*self._login)
        except BaseException:
            server.close()
            raise
        return server


def _refusal(what: str, code: int) -> Exception:
    """5xx is for good (RFC 5321 section 4.2.1)."""
    kind: Callable[[str], Exception] = Undeliverable if code >= 500 else NotDelivered
    return kind(f"{what} refused: {code}")


def discard(pool: ConnectionPool[Connection[Any]], settings: Settings, addresses: Collection[str]) -> int:
    """Remove what waits for any of these addresses (lower case), in the table and in the folder; returns how much."""
    with pool.connection() as connection:
        waiting = connection.execute("SELECT mail_id, sealed FROM credentials.mail").fetchall()
        found = [mail_id for mail_id, sealed in waiting if _recipient(settings, sealed) in addresses]
        connection.execute("DELETE FROM credentials.mail WHERE mail_id = ANY (%s)", (found,))
    left = [path for path in (settings.data_dir / FOLDER).glob("*.eml") if _addressee(path) in addresses]
    for path in left:
        path.unlink(missing_ok=True)
    return len(found) + len(left)


def _recipient(settings: Settings, sealed: bytes) -> str:
    try:
        return msgspec.json.decode(sealer(settings).open(sealed), type=Mail).to.lower()
    except InvalidTag:  # of another key than the site has now: nobody reads it any more
        return ""


def _addressee(path: Path) -> str:
    with path.open("rb") as file:
        return str(BytesHeaderParser(policy=default).parse(file)["To"]).lower()
