"""Percentile ranks: how a user's numbers compare with those of everybody else, in Gazelle's eleven dimensions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction


class Dimension(StrEnum):
    UPLOADED = "uploaded"
    DOWNLOADED = "downloaded"
    UPLOADS = "uploads"
    REQUESTS_FILLED = "requests_filled"
    POSTS = "posts"
    BOUNTY_SPENT = "bounty_spent"
    ARTISTS_ADDED = "artists_added"
    COLLECTION_ENTRIES = "collection_entries"
    TAG_VOTES = "tag_votes"
    BONUS_SPENT = "bonus_spent"
    TORRENT_COMMENTS = "torrent_comments"


#: Gazelle's, of the overall rank.
WEIGHTS: dict[Dimension, int] = {
    Dimension.UPLOADED: 8,
    Dimension.DOWNLOADED: 20,
    Dimension.UPLOADS: 25,
    Dimension.REQUESTS_FILLED: 10,
    Dimension.POSTS: 3,
    Dimension.BOUNTY_SPENT: 4,
    Dimension.ARTISTS_ADDED: 1,
    Dimension.COLLECTION_ENTRIES: 5,
    Dimension.TAG_VOTES: 5,
    Dimension.BONUS_SPENT: 6,
    Dimension.TORRENT_COMMENTS: 18,
}


#: How many steps divide those who have something.
STEPS = 100


def percentile(value: int, steps: Sequence[int]) -> int:
    """The rank of a value: how many hundredths of those who have something have as much or less, rounded down.

    The n-th of the `steps` is what n hundredths do not exceed. 0 for nothing, 1 to 100 for more; ties are equal.
    """
    return max(1, bisect_right(steps, value)) if value > 0 else 0


def overall(ranks: Mapping[Dimension, int | None], uploaded: int, downloaded: int) -> int | None:
    """The weighted mean of the ranks there are, times the ratio where that is below 1; None without any rank.

    A dimension that is hidden, or in which nobody has anything, has no rank and no weight.
    """
    known = {dimension: rank for dimension, rank in ranks.items() if rank is not None}
    if not known:
        return None
    weight = sum(WEIGHTS[dimension] for dimension in known)
    mean = Fraction(sum(WEIGHTS[dimension] * rank for dimension, rank in known.items()), weight)
    ratio = Fraction(uploaded, downloaded) if downloaded else Fraction(1)
    return round(mean * min(ratio, Fraction(1)))
