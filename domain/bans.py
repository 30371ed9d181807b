"""Bans: what somebody may not do for a while or for good, who said so and why, and how that ended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.claims import claim_id
from domain.errors import Conflict, Malformed
from domain.permissions import Permission
from domain.torrents import check_reason


class BanEndsInPast(Malformed):
    """A ban ends later than it begins."""


class AlreadyBanned(Conflict):
    """A ban of this kind is in force for this user; lift it before imposing another."""


class BanEnded(Conflict):
    """The ban was lifted, or its time is over."""


class BanKind(StrEnum):
    """What is forbidden. The value is stored in events and shown by the API."""

    ACCOUNT = "account"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    POST = "post"
    REQUEST = "request"
    INVITE = "invite"
    REPORT = "report"


#: The rights that a ban takes from its user, whatever the group grants.
TAKES: dict[BanKind, frozenset[Permission]] = {
    BanKind.ACCOUNT: frozenset(Permission),
    BanKind.UPLOAD: frozenset({Permission.UPLOAD, Permission.UPLOAD_TRUSTED}),
    BanKind.DOWNLOAD: frozenset({Permission.LEECH}),
    BanKind.POST: frozenset({Permission.POST}),
    BanKind.REQUEST: frozenset({Permission.REQUESTS}),
    BanKind.INVITE: frozenset({Permission.INVITE}),
    BanKind.REPORT: frozenset({Permission.REPORT}),
}


class Ban(Aggregate):
    """One ban of one kind on one user.

    The events that end it say again whose and of which kind it was, so that followers need not remember.
    """

    TOPIC = "ban"

    class Imposed(Created):
        """`kind` is what is forbidden: account, upload, download, post, request, invite or report."""

        TOPIC = "ban.imposed"
        user_id: UUID
        kind: str
        reason: str
        until: datetime | None  # null for good

    class Lifted(Aggregate.Event):
        TOPIC = "ban.lifted"
        user_id: UUID
        kind: str
        reason: str

    class Expired(Aggregate.Event):
        """Its time came; nobody lifted it."""

        TOPIC = "ban.expired"
        user_id: UUID
        kind: str

    @classmethod
    def impose(
        cls, ban_id: UUID, user_id: UUID, kind: BanKind, reason: str, until: datetime | None, *, now: datetime
    ) -> Ban:
        """A ban from now on; raises `ReasonMissing` or `BanEndsInPast`."""
        check_reason(reason)
        if until is not None and until <= now:
            raise BanEndsInPast("a ban ends in the future, or never")
        return cls._create(cls.Imposed, id=ban_id, user_id=user_id, kind=str(kind), reason=reason, until=until)

    def __init__(self, user_id: UUID, kind: str, reason: str, until: datetime | None) -> None:
        self.user_id = user_id
        self.kind = kind
        self.until = until
        self.ended = False

    def in_force(self, now: datetime) -> bool:
        """A ban holds until it is lifted or its time comes, whether or not anybody recorded that yet."""
        return not self.ended and (self.until is None or now < self.until)

    def lift(self, reason: str, *, now: datetime) -> None:
        """End it early; raises `ReasonMissing` or `BanEnded`."""
        check_reason(reason)
        if not self.in_force(now):
            raise BanEnded("this ban has ended")
        self._lifted(self.user_id, self.kind, reason)

    def expire(self, *, now: datetime) -> None:
        """Record that its time is over; nothing happens before that time, or after its end."""
        if not self.ended and not self.in_force(now):
            self._expired(self.user_id, self.kind)

    @event(Lifted)
    def _lifted(self, user_id: UUID, kind: str, reason: str) -> None:
        self.ended = True

    @event(Expired)
    def _expired(self, user_id: UUID, kind: str) -> None:
        self.ended = True


def ban_claim_id(user_id: UUID, kind: str) -> UUID:
    """The claim by which a user has at most one ban of a kind."""
    return claim_id("ban", f"{user_id}:{kind}")
