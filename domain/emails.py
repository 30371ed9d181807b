"""E-mail addresses: which are taken, and the one form by which they are unique and looked up."""

from __future__ import annotations

import re

from domain.errors import Conflict, Malformed

_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


class BadEmail(Malformed):
    """Not one plain address of the form local@domain."""


class EmailTaken(Conflict):
    """Another account has this address."""


class EmailTokenInvalid(Malformed):
    """The link is unknown, too old, or was used."""


def check_email(email: str) -> None:
    """Raises `BadEmail`."""
    if len(email) > 254 or not _EMAIL.fullmatch(email):  # RFC 5321 section 4.5.3.1
        raise BadEmail("not an e-mail address")


def email_key(email: str) -> str:
    """The one normal form by which addresses are unique and looked up."""
    return email.lower()
