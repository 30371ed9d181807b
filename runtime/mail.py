"""Mail as commands send it: posted in the command's own transaction, so it leaves if and only if the command is done.

What delivers it is `runtime.mail_delivery`.
"""

from __future__ import annotations

from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Cursor

from runtime.keyring import Sealer
from runtime.mail_bounds import Occasion, has_room
from runtime.secrets import ensure
from runtime.settings import Settings
from runtime.store import new_id
from runtime.telemetry import MAILS


class Mail(msgspec.Struct, frozen=True):
    """One message to one address, as plain text."""

    to: str
    subject: str
    text: str

    def __post_init__(self) -> None:
        """Raises `ValueError` for what would be another mail than this one: line breaks in headers (RFC 5322 section
        2.2), two addresses in one. Callers check what comes from outside and answer in their own words."""
        if "\r" in self.subject or "\n" in self.subject or not self.subject:
            raise ValueError("a subject is one line")
        Address(addr_spec=self.to)


def post(
    cursor: Cursor[Any], settings: Settings, *, to: str, subject: str, text: str, occasion: Occasion
) -> UUID | None:
    """Write a mail that is delivered once the transaction of `cursor` is committed; returns its id.

    None when the address has had its share: nobody is told, or the answer would tell strangers what others asked for.
    """
    mail_id, mail = new_id(), Mail(to, subject, text)
    if not has_room(cursor, settings, to, occasion):
        MAILS.labels("held_back").inc()
        return None
    cursor.execute(
        "INSERT INTO credentials.mail (mail_id, sealed) VALUES (%s, %s)",
        (mail_id, sealer(settings).seal(msgspec.json.encode(mail))),
    )
    return mail_id


def sealer(settings: Settings) -> Sealer:
    """What mail is sealed with while it waits."""
    return Sealer(ensure(settings).key_encryption, "mail")


def message(mail_id: UUID, mail: Mail, sender: str, posted_at: datetime) -> EmailMessage:
    """The mail as RFC 5322 has it. Its Message-ID follows from `mail_id`, so that whoever gets it twice sees that."""
    made = EmailMessage(policy=policy.SMTP)
    made["From"] = Address("Tracker", addr_spec=sender)
    made["To"] = Address(addr_spec=mail.to)
    made["Subject"] = mail.subject
    made["Date"] = format_datetime(posted_at)
    made["Message-ID"] = f"<{mail_id}@{Address(addr_spec=sender).domain}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5: nobody's holiday notice answers it
    made.set_content(mail.text)
    return made
