"""A member hides something from everybody, and something from nearly everybody."""

from __future__ import annotations

from domain.privacy import Privacy, PrivacyKey, PrivacySettings
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        privacy = Privacy.open(user.id)
        privacy.choose(PrivacySettings(frozenset({PrivacyKey.LAST_SEEN}), frozenset({PrivacyKey.SEEDING})))
        past.save(privacy, actor=user.id)
