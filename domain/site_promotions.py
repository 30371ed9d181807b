"""A promotion of everything: for its time, everybody's bytes on every torrent count by it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.factors import Factors, check_promotion


class SitePromotion(Aggregate):
    """One promotion of the whole site. Several may overlap: whoever is covered by two gets the better of each."""

    TOPIC = "site_promotion"

    class Started(Created):
        """Bytes on every torrent count by these percents until then, or until it is ended."""

        TOPIC = "site_promotion.started"
        upload_percent: int
        download_percent: int
        until: datetime | None

    class Ended(Aggregate.Event):
        TOPIC = "site_promotion.ended"

    @classmethod
    def start(cls, promotion_id: UUID, promised: Factors, until: datetime | None, *, now: datetime) -> SitePromotion:
        """Holds from now until then, or until it is ended. Raises `BadPromotion`, `PromotionInPast`."""
        check_promotion(promised, until, now=now)
        return cls._create(
            cls.Started,
            id=promotion_id,
            upload_percent=promised.upload_percent,
            download_percent=promised.download_percent,
            until=until,
        )

    def __init__(self, until: datetime | None) -> None:
        self.until = until
        self.ended = False

    def end(self, *, now: datetime) -> None:
        """End it early; nothing happens to one whose time is over."""
        if not self.ended and (self.until is None or self.until > now):
            self._ended()

    @event(Ended)
    def _ended(self) -> None:
        self.ended = True
