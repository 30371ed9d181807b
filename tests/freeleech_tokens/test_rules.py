"""What a token costs, and when it may be spent."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from domain.base import MAX_COUNT
from domain.errors import DomainError
from domain.factors import FREE, NEUTRAL, Factors
from domain.freeleech_tokens import (
    BadTokens,
    FreeleechTokens,
    InsufficientTokens,
    TokenActive,
    TorrentFree,
    TorrentNotApproved,
    price,
)
from domain.torrents import ReasonMissing, Torrent
from tests.given import NOON
from tests.torrents.uploads import upload

MIB = 1024**2
HOUR, MONTH = timedelta(hours=1), timedelta(days=30)


def account(tokens: int = 10) -> FreeleechTokens:
    made = FreeleechTokens.open(UUID(int=1))
    made.grant(tokens, "well done")
    return made


def film(size: int = 1000) -> Torrent:
    return upload(size=size, trusted=True)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [(0, 1), (1, 1), (512 * MIB, 1), (512 * MIB + 1, 2), (1024 * MIB, 2), (2**50, 2**21), (2**63 - 1, 2**34)],
)
def test_each_begun_half_gibibyte_costs_a_token(size: int, tokens: int) -> None:
    assert price(size) == tokens


def test_tokens_are_spent_to_the_last_and_hold_for_thirty_days() -> None:
    mine, torrent = account(3), film(1025 * MIB)
    mine.spend(torrent, now=NOON)
    spent = mine.pending_events[-1]
    assert isinstance(spent, FreeleechTokens.Spent)
    assert (spent.user_id, spent.torrent_id, spent.tokens, spent.until) == (UUID(int=1), torrent.id, 3, NOON + MONTH)
    assert mine.balance == 0
    with pytest.raises(InsufficientTokens):
        mine.spend(film(), now=NOON)


def test_a_torrent_is_freed_again_only_when_the_token_is_over() -> None:
    mine, torrent = account(), film()
    mine.spend(torrent, now=NOON)
    with pytest.raises(TokenActive):
        mine.spend(torrent, now=NOON + MONTH - timedelta(microseconds=1))
    mine.spend(film(), now=NOON)
    mine.spend(torrent, now=NOON + MONTH)
    assert mine.balance == 7


@pytest.mark.parametrize("factors", [FREE, NEUTRAL, Factors(200, 0)], ids=str)
def test_what_is_free_anyway_costs_no_token(factors: Factors) -> None:
    mine, torrent = account(), film()
    torrent.promote(factors, NOON + HOUR, now=NOON)
    with pytest.raises(TorrentFree):
        mine.spend(torrent, now=NOON)
    mine.spend(torrent, now=NOON + HOUR)
    assert mine.balance == 9


def test_half_price_is_not_free() -> None:
    mine, torrent = account(), film()
    torrent.promote(Factors(100, 50), None, now=NOON)
    mine.spend(torrent, now=NOON)
    assert mine.balance == 9


def test_a_torrent_that_is_not_listed_is_not_freed() -> None:
    waiting, deleted = upload(), film()
    deleted.delete("a copy", by=UUID(int=8), staff=True, now=NOON)
    for torrent in (waiting, deleted):
        with pytest.raises(TorrentNotApproved):
            account().spend(torrent, now=NOON)


@pytest.mark.parametrize(
    ("tokens", "reason", "refusal"),
    [(0, "r", BadTokens), (-1, "r", BadTokens), (MAX_COUNT, "r", BadTokens), (1, " ", ReasonMissing)],
)
def test_a_grant_is_some_tokens_for_a_reason(tokens: int, reason: str, refusal: type[DomainError]) -> None:
    mine = account()
    with pytest.raises(refusal):
        mine.grant(tokens, reason)
    assert mine.balance == 10
