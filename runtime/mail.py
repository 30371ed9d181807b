"""Where mail goes: one file per message in a folder, from which the machine's mail system or a person takes it."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path

from runtime.store import new_id

FOLDER = "mail"


def leave_mail(data_dir: Path, to: str, subject: str, text: str) -> Path:
    """Write one message (RFC 5322) to `data_dir/mail`, readable by this user only; returns its path."""
    message = EmailMessage()  # refuses line breaks in headers
    message["To"] = to
    message["Subject"] = subject
    message.set_content(text)
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{new_id()}.eml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(bytes(message))
    return path
