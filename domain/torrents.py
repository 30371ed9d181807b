"""A torrent: from upload through the queue to approval, freeleech and deletion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.errors import Conflict, Malformed, NotAllowed
from domain.metainfo import Metainfo

#: How long uploaders may take back their own upload.
OWNER_DELETES_WITHIN = timedelta(hours=24)
DESCRIPTION_MAX = 65_535
TAGS_MAX = 20
_TAG = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,38}[a-z0-9])?")


class BadTitle(Malformed):
    """A title has 1 to 255 visible characters."""


class BadDescription(Malformed):
    """A description has at most 65,535 characters."""


class BadTag(Malformed):
    """A tag has 1 to 40 lower-case letters, digits, dots and dashes; a torrent has at most 20."""


class DuplicateTorrent(Conflict):
    """A torrent with one of these info-hashes exists, perhaps rejected or deleted."""

    code = "duplicate"


class OwnUpload(NotAllowed):
    """Nobody approves an upload of their own."""


class TorrentDeleted(Conflict):
    """The torrent is deleted."""


class ReasonMissing(Malformed):
    """Such a decision needs a reason of 1 to 1,000 characters."""


class NotYours(NotAllowed):
    """Only staff, or the uploader within a day, may do this."""


class FreeleechInPast(Malformed):
    """A freeleech window ends in the future."""


class TorrentState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    DELETED = "deleted"


class Torrent(Aggregate):
    """One upload and its standing on the site."""

    TOPIC = "torrent"

    class Uploaded(Created):
        TOPIC = "torrent.uploaded"
        uploader_id: UUID
        name: str
        description: str
        category: str
        tags: list[str]
        anonymous: bool
        info_hash_v1: str | None  # 40 hexadecimal digits
        info_hash_v2: str | None  # 64 hexadecimal digits
        size: int
        piece_length: int
        file_paths: list[str]
        file_lengths: list[int]
        metainfo_sha256: str

    class Approved(Aggregate.Event):
        TOPIC = "torrent.approved"
        automatic: bool

    class Rejected(Aggregate.Event):
        TOPIC = "torrent.rejected"
        reason: str

    class Deleted(Aggregate.Event):
        TOPIC = "torrent.deleted"
        reason: str

    class FreeleechGranted(Aggregate.Event):
        TOPIC = "torrent.freeleech_granted"
        until: datetime

    class FreeleechEnded(Aggregate.Event):
        TOPIC = "torrent.freeleech_ended"

    @classmethod
    def upload(
        cls,
        torrent_id: UUID,
        metainfo: Metainfo,
        *,
        uploader_id: UUID,
        name: str,
        description: str,
        category: str,
        tags: Sequence[str],
        anonymous: bool,
        metainfo_sha256: str,
        trusted: bool,
    ) -> Torrent:
        """A new upload; that of a trusted uploader skips the queue. Raises `BadTitle`, `BadDescription`, `BadTag`."""
        _check_title(name)
        if len(description) > DESCRIPTION_MAX:
            raise BadDescription(f"a description has at most {DESCRIPTION_MAX} characters")
        torrent = cls._create(
            cls.Uploaded,
            id=torrent_id,
            uploader_id=uploader_id,
            name=name,
            description=description,
            category=category,
            tags=_normal_tags(tags),
            anonymous=anonymous,
            info_hash_v1=metainfo.info_hash_v1.hex() if metainfo.info_hash_v1 else None,
            info_hash_v2=metainfo.info_hash_v2.hex() if metainfo.info_hash_v2 else None,
            size=metainfo.size,
            piece_length=metainfo.piece_length,
            file_paths=[file.path for file in metainfo.files],
            file_lengths=[file.length for file in metainfo.files],
            metainfo_sha256=metainfo_sha256,
        )
        if trusted:
            torrent._approved(automatic=True)
        return torrent

    def __init__(
        self,
        uploader_id: UUID,
        name: str,
        category: str,
        info_hash_v1: str | None,
        info_hash_v2: str | None,
        size: int,
        metainfo_sha256: str,
    ) -> None:
        self.uploader_id = uploader_id
        self.name = name
        self.category = category
        self.info_hash_v1 = info_hash_v1
        self.info_hash_v2 = info_hash_v2
        self.size = size
        self.metainfo_sha256 = metainfo_sha256
        self.state = TorrentState.PENDING
        self.free_until: datetime | None = None

    def seen_by(self, user_id: UUID, *, staff: bool) -> bool:
        """Listed torrents are for everybody; others for staff, and for their uploader until they are deleted."""
        own = self.uploader_id == user_id and self.state is not TorrentState.DELETED
        return staff or own or self.state is TorrentState.APPROVED

    def approve(self, by: UUID) -> None:
        self._must_exist()
        if self.state is TorrentState.APPROVED:
            return
        if by == self.uploader_id:
            raise OwnUpload("somebody else must approve your upload")
        self._approved(automatic=False)

    def reject(self, reason: str) -> None:
        self._must_exist()
        check_reason(reason)
        if self.state is not TorrentState.REJECTED:
            self._rejected(reason)

    def delete(self, reason: str, *, by: UUID, staff: bool, now: datetime) -> None:
        check_reason(reason)
        self._must_exist()
        own_and_fresh = by == self.uploader_id and now - self.created_on <= OWNER_DELETES_WITHIN
        if not (staff or own_and_fresh):
            raise NotYours("only staff may delete this torrent")
        self._deleted(reason)

    def grant_freeleech(self, until: datetime, *, now: datetime) -> None:
        self._must_exist()
        if until <= now:
            raise FreeleechInPast("this time has passed")
        if until != self.free_until:
            self._freeleech_granted(until)

    def end_freeleech(self, *, now: datetime) -> None:
        if self.free_until is not None and self.free_until > now:
            self._freeleech_ended()

    @event(Approved)
    def _approved(self, automatic: bool) -> None:
        self.state = TorrentState.APPROVED

    @event(Rejected)
    def _rejected(self, reason: str) -> None:
        self.state = TorrentState.REJECTED

    @event(Deleted)
    def _deleted(self, reason: str) -> None:
        self.state = TorrentState.DELETED

    @event(FreeleechGranted)
    def _freeleech_granted(self, until: datetime) -> None:
        self.free_until = until

    @event(FreeleechEnded)
    def _freeleech_ended(self) -> None:
        self.free_until = None

    def _must_exist(self) -> None:
        if self.state is TorrentState.DELETED:
            raise TorrentDeleted("this torrent is deleted")


def check_reason(reason: str) -> None:
    """Raises `ReasonMissing`."""
    if not 1 <= len(reason.strip()) or len(reason) > 1000:
        raise ReasonMissing("give a reason of 1 to 1,000 characters")


def _check_title(name: str) -> None:
    visible = [c for c in name if not unicodedata.category(c).startswith(("C", "Z"))]
    if not visible or len(name) > 255 or any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in name):
        raise BadTitle("a title has 1 to 255 visible characters")


def _normal_tags(tags: Sequence[str]) -> list[str]:
    normal = sorted({tag.strip().lower() for tag in tags if tag.strip()})
    if len(normal) > TAGS_MAX or not all(_TAG.fullmatch(tag) for tag in normal):
        raise BadTag("a tag has 1 to 40 letters, digits, dots and dashes; at most 20 tags")
    return normal
