"""Bans: from when to when they hold, how they end, and what each kind takes away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.bans import TAKES, Ban, BanEnded, BanEndsInPast, BanKind, ban_claim_id
from domain.permissions import Permission
from domain.torrents import ReasonMissing

ID, ALICE, BOB = (UUID(int=n) for n in (1, 2, 3))
NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
UNTIL = NOW + timedelta(days=1)
TICK = timedelta(microseconds=1)


def imposed(until: datetime | None = UNTIL) -> Ban:
    ban = Ban.impose(ID, ALICE, BanKind.UPLOAD, "fakes", until, now=NOW)
    ban.collect_events()
    return ban


def decided(ban: Ban) -> list[type]:
    return [type(event) for event in ban.collect_events()]


def test_a_ban_holds_until_its_time_comes() -> None:
    ban = imposed()
    assert [ban.in_force(at) for at in (NOW, UNTIL - TICK, UNTIL)] == [True, True, False]


def test_a_ban_without_end_holds_for_good() -> None:
    assert imposed(None).in_force(datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize("until", [NOW, NOW - TICK, datetime.min.replace(tzinfo=UTC)])
def test_a_ban_that_would_be_over_is_refused(until: datetime) -> None:
    with pytest.raises(BanEndsInPast):
        imposed(until)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_imposing_and_lifting_need_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissing):
        Ban.impose(ID, ALICE, BanKind.UPLOAD, reason, None, now=NOW)
    with pytest.raises(ReasonMissing):
        imposed().lift(reason, now=NOW)


def test_a_lifted_ban_has_ended() -> None:
    ban = imposed()
    ban.lift("appeal", now=NOW)
    assert not ban.in_force(NOW)
    (event,) = ban.collect_events()
    assert isinstance(event, Ban.Lifted)
    assert (event.user_id, event.kind, event.reason) == (ALICE, "upload", "appeal")


def test_a_ban_ends_once() -> None:
    lifted, over = imposed(), imposed()
    lifted.lift("appeal", now=NOW)
    lifted.collect_events()
    lifted.expire(now=UNTIL)
    assert decided(lifted) == []
    with pytest.raises(BanEnded):
        lifted.lift("again", now=NOW)
    with pytest.raises(BanEnded):
        over.lift("late", now=UNTIL)


def test_a_ban_expires_at_its_time_and_once() -> None:
    ban = imposed()
    ban.expire(now=UNTIL - TICK)
    assert decided(ban) == []
    ban.expire(now=UNTIL)
    ban.expire(now=UNTIL)
    assert decided(ban) == [Ban.Expired]
    for_good = imposed(None)
    for_good.expire(now=UNTIL)
    assert decided(for_good) == []


def test_a_user_has_one_claim_for_each_kind() -> None:
    claims = {ban_claim_id(user, kind) for user in (ALICE, BOB) for kind in BanKind}
    assert len(claims) == 2 * len(BanKind)


def test_every_kind_takes_something_and_only_the_account_takes_coming_in() -> None:
    assert set(TAKES) == set(BanKind)
    assert all(TAKES.values())
    assert [kind for kind in BanKind if Permission.LOGIN in TAKES[kind]] == [BanKind.ACCOUNT]
    assert Permission.SEED not in TAKES[BanKind.DOWNLOAD]
