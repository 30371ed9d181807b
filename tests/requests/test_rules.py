"""Who may open, fill, accept, reject and cancel a request, and when."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from domain.metainfo import File, Metainfo
from domain.requests import (
    AlreadyFilled,
    BadRequestDescription,
    BadRequestTitle,
    BountyTooSmall,
    NothingToAccept,
    NotTheRequester,
    OwnFill,
    Request,
    RequestClosed,
    RequestState,
    TorrentNotListed,
)
from domain.torrents import ReasonMissing, Torrent

ADA, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)


def torrent(*, listed: bool = True) -> Torrent:
    metainfo = Metainfo(
        name="n",
        files=(File("a", 1),),
        size=1,
        piece_length=16384,
        private_added=False,
        info_hash_v1=b"1" * 20,
        info_hash_v2=None,
        info=b"de",
        piece_layers=None,
    )
    return Torrent.upload(
        uuid4(),
        metainfo,
        uploader_id=BOB,
        name="A Film",
        description="",
        category="movies-hd",
        tags=[],
        anonymous=False,
        metainfo_sha256="",
        trusted=listed,
    )


@pytest.fixture
def request_() -> Request:
    """Ada asks, with 5 points of hers and 2 of Eve's."""
    wish = Request.open(uuid4(), ADA, "That film", "", "movies-hd")
    wish.add_bounty(ADA, 5_000)
    wish.add_bounty(EVE, 2_000)
    wish.collect_events()
    return wish


def kinds(wish: Request) -> list[type]:
    return [type(e) for e in wish.pending_events]


@pytest.mark.parametrize("title", ["", "   ", "\u200b\u200b", "x" * 256])
def test_a_title_without_anything_visible_or_too_long_is_refused(title: str) -> None:
    with pytest.raises(BadRequestTitle):
        Request.open(uuid4(), ADA, title, "", "movies-hd")


def test_a_description_has_an_end() -> None:
    with pytest.raises(BadRequestDescription):
        Request.open(uuid4(), ADA, "That film", "x" * 10_001, "movies-hd")


@pytest.mark.parametrize("amount", [999, 0, -5_000])
def test_a_bounty_below_one_point_is_refused(request_: Request, amount: int) -> None:
    with pytest.raises(BountyTooSmall):
        request_.add_bounty(ADA, amount)
    assert request_.bounty == 7_000


def test_a_fill_waits_for_an_answer(request_: Request) -> None:
    request_.fill(BOB, torrent())
    assert request_.state is RequestState.FILLED
    with pytest.raises(AlreadyFilled):
        request_.fill(EVE, torrent())


def test_only_a_listed_torrent_fills(request_: Request) -> None:
    with pytest.raises(TorrentNotListed):
        request_.fill(BOB, torrent(listed=False))


def test_the_requester_accepts_and_the_filler_gets_everything(request_: Request) -> None:
    film = torrent()
    request_.fill(BOB, film)
    assert request_.accept(ADA, film, staff=False) == (BOB, 7_000)
    assert kinds(request_) == [Request.Filled, Request.Accepted]
    assert (request_.state, request_.bounty) == (RequestState.ACCEPTED, 0)


def test_staff_accept_for_a_requester_who_is_away(request_: Request) -> None:
    film = torrent()
    request_.fill(BOB, film)
    assert request_.accept(EVE, film, staff=True) == (BOB, 7_000)


def test_nobody_else_accepts(request_: Request) -> None:
    film = torrent()
    request_.fill(BOB, film)
    with pytest.raises(NotTheRequester):
        request_.accept(EVE, film, staff=False)


def test_nobody_accepts_a_fill_of_their_own_not_even_staff(request_: Request) -> None:
    film = torrent()
    request_.fill(ADA, film)
    with pytest.raises(OwnFill):
        request_.accept(ADA, film, staff=True)


def test_a_fill_whose_torrent_is_gone_earns_nothing(request_: Request) -> None:
    film = torrent()
    request_.fill(BOB, film)
    film.reject("not what it says")
    with pytest.raises(TorrentNotListed):
        request_.accept(ADA, film, staff=False)
    assert request_.bounty == 7_000


def test_nothing_is_accepted_before_it_is_filled(request_: Request) -> None:
    with pytest.raises(NothingToAccept):
        request_.accept(ADA, None, staff=False)


def test_a_rejected_fill_opens_the_request_again(request_: Request) -> None:
    request_.fill(BOB, torrent())
    request_.reject_fill(ADA, "wrong cut", staff=False)
    assert (request_.state, request_.filler_id, request_.bounty) == (RequestState.OPEN, None, 7_000)
    request_.fill(EVE, torrent())
    assert request_.filler_id == EVE


def test_a_rejection_needs_a_reason(request_: Request) -> None:
    request_.fill(BOB, torrent())
    with pytest.raises(ReasonMissing):
        request_.reject_fill(ADA, "  ", staff=False)


def test_a_cancellation_names_what_each_gets_back(request_: Request) -> None:
    request_.add_bounty(EVE, 1_500)
    assert request_.cancel(ADA, staff=False) == {ADA: 5_000, EVE: 3_500}
    assert (request_.state, request_.bounty) == (RequestState.CANCELLED, 0)


def test_a_waiting_fill_is_answered_before_the_requester_cancels(request_: Request) -> None:
    request_.fill(BOB, torrent())
    with pytest.raises(AlreadyFilled):
        request_.cancel(ADA, staff=False)
    assert request_.cancel(EVE, staff=True) == {ADA: 5_000, EVE: 2_000}


@pytest.mark.parametrize("end", ["accept", "cancel"])
def test_a_closed_request_stays_closed(request_: Request, end: str) -> None:
    film = torrent()
    if end == "accept":
        request_.fill(BOB, film)
        request_.accept(ADA, film, staff=False)
    else:
        request_.cancel(ADA, staff=False)
    for again in (
        lambda: request_.add_bounty(ADA, 1_000),
        lambda: request_.fill(BOB, film),
        lambda: request_.accept(ADA, film, staff=True),
        lambda: request_.reject_fill(ADA, "no", staff=True),
        lambda: request_.cancel(ADA, staff=True),
    ):
        with pytest.raises(RequestClosed):
            again()
