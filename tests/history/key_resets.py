"""The key of a feed is reset twice; that of announces is of the account itself."""

from __future__ import annotations

from domain.feed_keys import FeedKey
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        feed_key = FeedKey.first_reset(user.id)
        feed_key.reset()
        past.save(feed_key, actor=user.id)
