"""Who stays away is warned twice."""

from __future__ import annotations

from datetime import timedelta

from domain.inactivity import Inactivity
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        warned = Inactivity.first_warning(user.id, NOW - timedelta(days=113), NOW + timedelta(days=7))
        warned.warn_again(NOW, NOW + timedelta(days=120))
        past.save(warned)
