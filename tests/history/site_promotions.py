"""The whole site is promoted for a while, twice."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from domain.factors import Factors
from domain.site_promotions import SitePromotion
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for _ in past.users:
        promotion = SitePromotion.start(uuid4(), Factors(200, 0), NOW + timedelta(days=1), now=NOW)
        promotion.end(now=NOW)
        past.save(promotion)
