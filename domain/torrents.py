"""A torrent: from upload through the queue to approval, promotion and deletion."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.errors import Conflict, Malformed, NotAllowed
from domain.factors import FREE, FULL, Factors, check_promotion
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
        """A .torrent was accepted, and waits for approval; sizes are bytes, `metainfo_sha256` names the stored file."""

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
        """The torrent is listed; `automatic` when its uploader needs no approval."""

        TOPIC = "torrent.approved"
        automatic: bool

    class Rejected(Aggregate.Event):
        """The torrent is not listed; it may still be approved."""

        TOPIC = "torrent.rejected"
        reason: str

    class Deleted(Aggregate.Event):
        TOPIC = "torrent.deleted"
        reason: str

    class FreeleechGranted(Aggregate.Event):
        """Downloads are not charged until then."""

        TOPIC = "torrent.freeleech_granted"
        until: datetime

    class FreeleechEnded(Aggregate.Event):
        """Downloads are charged from now on, before the time was over."""

        TOPIC = "torrent.freeleech_ended"

    class Promoted(Aggregate.Event):
        """Bytes count by these percents until then, or until it is ended; the newest promotion alone holds."""

        TOPIC = "torrent.promoted"
        upload_percent: int
        download_percent: int
        until: datetime | None

    class PromotionEnded(Aggregate.Event):
        """Bytes count in full from now on, before the promotion's time was over."""

        TOPIC = "torrent.promotion_ended"

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
        anonymous: bool,
        info_hash_v1: str | None,
        info_hash_v2: str | None,
        size: int,
        metainfo_sha256: str,
    ) -> None:
        self.uploader_id = uploader_id
        self.name = name
        self.category = category
        self.anonymous = anonymous
        self.info_hash_v1 = info_hash_v1
        self.info_hash_v2 = info_hash_v2
        self.size = size
        self.metainfo_sha256 = metainfo_sha256
        self.state = TorrentState.PENDING
        self.promised = FULL
        self.promised_until: datetime | None = None  # none: until it is ended

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

    def factors(self, now: datetime) -> Factors:
        """What the torrent's own promotion counts at this moment."""
        over = self.promised_until is not None and self.promised_until <= now
        return FULL if over else self.promised

    def grant_freeleech(self, until: datetime, *, now: datetime) -> None:
        """The plainest promotion; like any other it takes the place of the one before."""
        self._must_exist()
        if until <= now:
            raise FreeleechInPast("this time has passed")
        if (FREE, until) != (self.promised, self.promised_until):
            self._freeleech_granted(until)

    def end_freeleech(self, *, now: datetime) -> None:
        """End a promotion by which downloads are not charged, whatever else it gives."""
        if self.factors(now).download_percent == 0:
            self._freeleech_ended()

    def promote(self, promised: Factors, until: datetime | None, *, now: datetime) -> None:
        """Count bytes otherwise than in full until then, or until it is ended; the newest promotion alone holds.

        Raises `BadPromotion`, `PromotionInPast`, `TorrentDeleted`.
        """
        self._must_exist()
        check_promotion(promised, until, now=now)
        if (promised, until) != (self.promised, self.promised_until):
            self._promoted(promised.upload_percent, promised.download_percent, until)

    def end_promotion(self, *, now: datetime) -> None:
        if self.factors(now) != FULL:
            self._promotion_ended()

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
        self.promised, self.promised_until = FREE, until

    @event(FreeleechEnded)
    def _freeleech_ended(self) -> None:
        self.promised, self.promised_until = FULL, None

    @event(Promoted)
    def _promoted(self, upload_percent: int, download_percent: int, until: datetime | None) -> None:
        self.promised, self.promised_until = Factors(upload_percent, download_percent), until

    @event(PromotionEnded)
    def _promotion_ended(self) -> None:
        self.promised, self.promised_until = FULL, None

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
