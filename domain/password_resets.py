"""Passwords that are forgotten: how long a link for a new one works, and how often one is sent."""

from __future__ import annotations

from datetime import timedelta

from domain.errors import Malformed

#: What its links and tokens are for.
RESET = "reset-password"
#: Gazelle's.
RESET_WITHIN = timedelta(hours=1)
#: Whoever asks for a user's mails gets one in this time: a mailbox is not to be filled by strangers.
ASK_AGAIN_AFTER = timedelta(minutes=5)


class ResetTokenInvalid(Malformed):
    """The link is unknown, too old, was used, or another one was sent after it."""
