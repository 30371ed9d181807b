"""Promotions of the whole site, past and present."""

from __future__ import annotations

from domain.site_promotions import SitePromotion
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

site_promotions = Projection("site_promotions", "site_promotion", stream="promotion_id")


@site_promotions.on(SitePromotion.Started)
def started(fact: Fact[SitePromotion.Started], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO site_promotion (promotion_id, upload_percent, download_percent, started_at, until, version,"
        " changed_pos) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            *(fact.stream_id, event.upload_percent, event.download_percent, fact.at, event.until),
            *(fact.version, fact.position),
        ),
    )


@site_promotions.on(SitePromotion.Ended)
def ended(fact: Fact[SitePromotion.Ended], db: Writer) -> None:
    db.update(
        "UPDATE site_promotion SET ended_at = %s, version = %s, changed_pos = %s WHERE promotion_id = %s",
        (fact.at, fact.version, fact.position, fact.stream_id),
    )
