"""Parking one's account: the edge refuses it, it invites nobody, and its owner may come back at any time."""

from __future__ import annotations

import pytest

from domain.base import SYSTEM
from domain.parking import Parking, parking_id
from projections.announce_access import announce_access
from projections.parking import parking
from runtime.rebuild import verify
from tests.bans.callers import Site, refusal
from tests.given import rows_of
from tests.members import Member

pytestmark = pytest.mark.engine


def admitted(site: Site, *members: Member) -> list[bool]:
    """What the edges are told of each."""
    site.members.catch_up()
    rows = dict(rows_of(site.platform, "SELECT user_id, enabled FROM read.announce_user"))
    return [rows[member.id] for member in members]


def test_a_parked_account_announces_nothing_until_it_is_unparked(site: Site) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    assert admitted(site, alice, bob) == [True, True]
    assert site.send("POST", "/users/me/park", alice).status_code == 200
    assert admitted(site, alice, bob) == [False, True]
    assert site.send("GET", "/users/me/parking", alice).json()["parked_at"] is not None
    assert site.send("GET", "/users/me/parking", bob).json() == {"parked_at": None}
    assert site.send("GET", "/torrents", alice).status_code == 200, "looking around is no announce"
    assert site.send("POST", "/users/me/unpark", alice).status_code == 200
    assert admitted(site, alice, bob) == [True, True]
    assert site.send("GET", "/users/me/parking", alice).json() == {"parked_at": None}


def test_parking_survives_other_changes_of_ones_rights(site: Site) -> None:
    """Whoever is unparked is not let in by that alone, and whoever is enabled again is still parked."""
    moderator, alice = site.members.join("moda", "moderator"), site.members.join("alice")
    site.send("POST", "/users/me/park", alice)
    for action in ("disable", "enable"):
        site.send("POST", f"/users/{alice.id}/{action}", moderator, {"reason": "r"})
    assert admitted(site, alice) == [False]
    again = site.members.sign_in(alice.id, "alice")
    site.ban(moderator, alice, "account")
    site.platform.store(SYSTEM).save(_unparked(site, again))
    assert admitted(site, alice) == [False]


def _unparked(site: Site, member: Member) -> Parking:
    found = site.platform.store(SYSTEM).get(Parking, parking_id(member.id))
    found.unpark()
    return found


def test_who_is_parked_invites_nobody(site: Site) -> None:
    alice = site.members.join("alice", "administrator")
    body = {"email": "friend@example.org"}
    site.send("POST", "/users/me/park", alice)
    assert refusal(site.send("POST", "/invites", alice, body)) == (403, "account_parked")
    site.send("POST", "/users/me/unpark", alice)
    assert site.send("POST", "/invites", alice, body).status_code == 201


def test_parking_twice_is_recorded_once(site: Site) -> None:
    alice = site.members.join("alice")
    for path in ("/users/me/unpark", "/users/me/park", "/users/me/park", "/users/me/unpark", "/users/me/unpark"):
        assert site.send("POST", path, alice).status_code == 200
    events = rows_of(
        site.platform,
        "SELECT t.name FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE e.stream_id = %s ORDER BY e.version",
        [parking_id(alice.id)],
    )
    assert [name for (name,) in events] == ["parking.opened", "parking.parked", "parking.unparked"]


def test_the_tables_are_built_again_as_they_are(site: Site) -> None:
    for name in ("alice", "bob"):
        site.send("POST", "/users/me/park", site.members.join(name))
    site.members.catch_up()
    assert [(t.rows, t.differences) for t in verify(site.platform, parking)] == [(2, 0)]
    assert all(t.differences == 0 for t in verify(site.platform, announce_access))
