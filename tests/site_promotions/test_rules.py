"""A promotion of the whole site starts, and ends once."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.factors import FREE, FULL, BadPromotion, PromotionInPast
from domain.site_promotions import SitePromotion
from tests.given import NOON

HOUR = timedelta(hours=1)


def topics(promotion: SitePromotion) -> list[str]:
    return [type(event).__name__ for event in promotion.pending_events]


def test_it_is_ended_once() -> None:
    promotion = SitePromotion.start(UUID(int=1), FREE, None, now=NOON)
    promotion.end(now=NOON + HOUR)
    promotion.end(now=NOON + HOUR)
    assert topics(promotion) == ["Started", "Ended"]


def test_one_whose_time_is_over_is_not_ended() -> None:
    promotion = SitePromotion.start(UUID(int=1), FREE, NOON + HOUR, now=NOON)
    promotion.end(now=NOON + HOUR)
    assert topics(promotion) == ["Started"]


def test_one_that_promises_nothing_or_is_over_never_starts() -> None:
    with pytest.raises(BadPromotion):
        SitePromotion.start(UUID(int=1), FULL, None, now=NOON)
    with pytest.raises(PromotionInPast):
        SitePromotion.start(UUID(int=1), FREE, NOON, now=NOON)
