"""How often the site writes to an address that others can name: nobody fills a stranger's mailbox through it.

What was sent lately is counted in the transaction of the mail, one row for each mailbox and occasion, so that requests
at the same moment see each other and a command that fails has used nothing up.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection, Cursor

from runtime.secrets import ensure
from runtime.settings import Settings

DAY = timedelta(days=1)


class Occasion(StrEnum):
    """Why a mail is written. Those of one occasion use up nothing of another: whoever names an address again and again
    keeps its owner neither from a new password nor from a notice."""

    OWNER = "owner"  #: what an owner has to know, to an address that has answered: never held back
    NOTICE = "notice"  #: the same to an address that has not
    LINK = "link"  #: what anybody can ask for, to the address of an account
    NAMED = "named"  #: to an address that somebody has named


_SENT: LiteralString = "SELECT at FROM unnest(b.sent_at) at WHERE at > now() - "
_COUNT: LiteralString = (
    "INSERT INTO credentials.mail_bound AS b (mailbox, sent_at) VALUES (%(mailbox)s, ARRAY[now()])"
    f" ON CONFLICT (mailbox) DO UPDATE SET sent_at = ARRAY({_SENT} interval '1 day') || now()"
    f" WHERE cardinality(ARRAY({_SENT} interval '1 hour')) < %(per_hour)s"
    f" AND cardinality(ARRAY({_SENT} interval '1 day')) < %(per_day)s"
)


def has_room(cursor: Cursor[Any], settings: Settings, address: str, occasion: Occasion) -> bool:
    """Whether one more mail may be written, which is counted then; until the transaction ends, others to the same
    mailbox wait."""
    if occasion is Occasion.OWNER:
        return True
    values = {
        "mailbox": _mac(ensure(settings).site, address, occasion),
        "per_hour": settings.mail.per_address_hour,
        "per_day": settings.mail.per_address_day,
    }
    return cursor.execute(_COUNT, values).rowcount > 0


def mailbox(address: str) -> str:
    """Where mail to that address arrives, as far as anybody knows: with most providers dots and what follows a + make
    no other mailbox. That it is another one elsewhere costs two people their share of the bound."""
    local, _, host = address.lower().rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{host}"


def forget_mailboxes(db: Connection[Any], now: datetime) -> None:
    """Delete what counts no more."""
    db.execute("DELETE FROM credentials.mail_bound WHERE (SELECT max(at) FROM unnest(sent_at) at) <= %s", (now - DAY,))


def _mac(site_secret: bytes, address: str, occasion: Occasion) -> bytes:
    return hmac.digest(site_secret, f"mail bound:{occasion}:{mailbox(address)}".encode(), hashlib.sha256)
