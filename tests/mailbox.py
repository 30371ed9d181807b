"""What a test's site has mailed: posted mail is delivered into the folder, as a worker does, and read there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

from runtime.mail_delivery import FOLDER, deliver
from runtime.platform import Platform

_TOKEN = re.compile(r"/#([a-z-]+)=([A-Za-z0-9_-]+)")


def mails(platform: Platform, to: str | None = None) -> list[EmailMessage]:
    """Every mail so far, or those to one address, the oldest first."""
    deliver(platform.pool, platform.settings, datetime.now(UTC) + timedelta(seconds=1))
    files = sorted((platform.settings.data_dir / FOLDER).glob("*.eml"))
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in files]
    return [mail for mail in found if to in (None, mail["To"])]


def links(mail: EmailMessage) -> dict[str, str]:
    """The tokens in the links of a mail, by what each link does."""
    return dict(_TOKEN.findall(mail.get_content()))
