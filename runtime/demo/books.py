"""What everybody should have in the end, by the demo's own account: bytes, credit and points.

Kept apart from the rules that the site applies (`domain.credit`, `domain.tally`), so that each can be held against the
other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID

#: For whom a promotion is, when it is for all.
EVERYBODY = b""


@dataclass(slots=True)
class Bytes:
    """What was moved by the clients' account, and what of it counts."""

    raw_uploaded: int = 0
    raw_downloaded: int = 0
    uploaded: int = 0
    downloaded: int = 0


@dataclass(slots=True)
class _Window:
    source: UUID
    starts_us: int
    ends_us: int | None
    upload_percent: int
    download_percent: int


@dataclass
class Books:
    """`points` are thousandths by user; `lies` are announces that nobody should believe."""

    users: defaultdict[bytes, Bytes] = field(default_factory=lambda: defaultdict(Bytes))
    torrents: defaultdict[bytes, Bytes] = field(default_factory=lambda: defaultdict(Bytes))
    points: Counter[UUID] = field(default_factory=Counter)
    lies: int = 0
    _windows: defaultdict[bytes, list[_Window]] = field(default_factory=lambda: defaultdict(list))

    def promise(
        self,
        subject: bytes,
        source: UUID,
        at_us: int,
        until_us: int | None,
        upload_percent: int,
        download_percent: int,
    ) -> None:
        """From now on; `subject` is a torrent, a user, both one after the other, or `EVERYBODY`."""
        self._windows[subject].append(_Window(source, at_us, until_us, upload_percent, download_percent))

    def withdraw(self, subject: bytes, source: UUID, at_us: int) -> None:
        """What `source` promised ends now."""
        for window in self._windows.get(subject, ()):
            if window.source == source and (window.ends_us is None or window.ends_us > at_us):
                window.ends_us = at_us

    def moved(self, at_us: int, user_id: bytes, torrent_id: bytes, up: int, down: int) -> None:
        """A client said so, and nothing speaks against it."""
        user, torrent = self.users[user_id], self.torrents[torrent_id]
        user.raw_uploaded += up
        user.raw_downloaded += down
        torrent.raw_uploaded += up
        torrent.raw_downloaded += down
        upload = download = 100
        for subject in (EVERYBODY, torrent_id, user_id, torrent_id + user_id):
            if subject in self._windows:
                up_percent, down_percent = self.percents(subject, at_us)
                upload, download = max(upload, up_percent), min(download, down_percent)
        user.uploaded += up * upload // 100
        user.downloaded += down * download // 100

    def percents(self, subject: bytes, at_us: int) -> tuple[int, int]:
        """What was promised to the subject alone: the best of each."""
        upload = download = 100
        for window in self._windows.get(subject, ()):
            if window.starts_us <= at_us and (window.ends_us is None or at_us < window.ends_us):
                upload, download = max(upload, window.upload_percent), min(download, window.download_percent)
        return upload, download
