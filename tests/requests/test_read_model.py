"""What happened to requests, as lists and details show it."""

from __future__ import annotations

from uuid import UUID

import pytest

from commands.requests import (
    AddBounty,
    FillRequest,
    OpenRequest,
    RejectFill,
    accept_fill,
    add_bounty,
    cancel_request,
    fill_request,
    open_request,
    reject_fill,
)
from projections.requests import requests
from projections.users import users
from queries.requests import request
from queries.requests import requests as listed
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import projected
from tests.members import Member, Members

pytestmark = pytest.mark.engine


def opens(member: Member, title: str, category: str = "movies-hd", bounty: int = 5) -> UUID:
    command = OpenRequest(title=title, description="please", category=category, bounty=bounty)
    return open_request(command, member.caller, member.store).id


def test_two_requests_go_their_own_ways(members: Members, platform: Platform) -> None:
    ada, bob = members.join("ada", points=100), members.join("bob", points=100)
    film, album = opens(ada, "A film"), opens(bob, "An album", "music-flac", bounty=9)
    add_bounty(film, AddBounty(points=2), bob.caller, bob.store)
    add_bounty(film, AddBounty(points=1), bob.caller, bob.store)
    torrent = bob.uploads()
    fill_request(film, FillRequest(torrent_id=torrent.id), bob.caller, bob.store)
    reject_fill(film, RejectFill(reason="wrong cut"), ada.caller, ada.store)
    projected(platform, requests, users)
    with platform.pool.connection() as db:
        rejected, untouched = request(db, film), request(db, album)
    assert rejected is not None
    assert untouched is not None
    assert (rejected.state, rejected.filler, rejected.torrent_id, rejected.rejection) == (
        "open", None, None, "wrong cut",
    )  # fmt: skip
    assert [(b.contributor.username, b.amount) for b in rejected.bounties] == [("ada", 5_000), ("bob", 3_000)]
    assert (untouched.bounty, untouched.requester.username, untouched.rejection) == (9_000, "bob", None)

    fill_request(film, FillRequest(torrent_id=torrent.id), bob.caller, bob.store)
    accept_fill(film, ada.caller, ada.store)
    cancel_request(album, bob.caller, bob.store)
    projected(platform, requests)
    with platform.pool.connection() as db:
        accepted, cancelled = request(db, film), request(db, album)
    assert accepted is not None
    assert cancelled is not None
    assert (accepted.state, accepted.bounty, accepted.torrent_id) == ("accepted", 8_000, torrent.id)
    assert accepted.filler is not None
    assert accepted.filler.username == "bob"
    assert accepted.rejection is None
    assert (cancelled.state, cancelled.bounty, cancelled.filler) == ("cancelled", 9_000, None)
    assert cancelled.closed_at is not None
    assert accepted.version == 8


def test_the_list_filters_and_goes_on_after_a_position(members: Members, platform: Platform) -> None:
    ada = members.join("ada", points=100)
    film, album, book = opens(ada, "A film"), opens(ada, "An album", "music-flac"), opens(ada, "A book", "books-ebooks")
    cancel_request(album, ada.caller, ada.store)
    projected(platform, requests, users)
    with platform.pool.connection() as db:
        everything = listed(db, None, None, None, 10)
        assert [r.id for r in everything] == [book, album, film]
        assert [r.id for r in listed(db, None, None, everything[0].opened_position, 1)] == [album]
        assert [r.id for r in listed(db, "open", None, None, 10)] == [book, film]
        assert [r.id for r in listed(db, None, "music-flac", None, 10)] == [album]
        assert listed(db, "open", "music-flac", None, 10) == []


def test_a_second_replay_gives_the_same_rows(members: Members, platform: Platform) -> None:
    ada, bob = members.join("ada", points=100), members.join("bob", points=100)
    for member in (ada, bob):
        wish = opens(member, "A film")
        add_bounty(wish, AddBounty(points=2), ada.caller, ada.store)
    projected(platform, requests)
    assert [(check.rows, check.differences) for check in verify(platform, requests)] == [(2, 0), (3, 0)]
