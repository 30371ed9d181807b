"""Swarms: counts, addresses, who is told of whom, and that no order of events breaks them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.announces import Event
from tests.tracker_edge.edges import peer
from tracker_edge.protocol.types import Counts
from tracker_edge.swarms import Swarms

FILM, BOOK = b"F" * 16, b"B" * 16
ANN, BOB, EVE = b"a" * 16, b"b" * 16, b"e" * 16


def v4(number: int) -> bytes:
    return bytes((8, 8, number >> 8, number & 255))


def v6(number: int) -> bytes:
    return bytes.fromhex("2600") + bytes(12) + number.to_bytes(2, "big")


@pytest.fixture
def swarms() -> Swarms:
    return Swarms(Random(7))


def come(
    swarms: Swarms, user: bytes, number: int, left: int = 1, event: int = Event.REGULAR, address: bytes | None = None,
    port: int = 6881, now: int = 1000, torrent: bytes = FILM,
) -> int | None:  # fmt: skip
    swarm = swarms.swarm(torrent)
    ago, hidden, _ = swarms.announce(
        swarm, swarms.user(user), peer(number), event, left, address or v4(number), port, now
    )
    assert not hidden
    return ago


def seen(
    swarms: Swarms, user: bytes, count: int = 50, *, six: bool = False, seeder: bool = False, torrent: bytes = FILM
) -> list[bytes]:
    """The addresses that the user is told of."""
    addresses = swarms.draw(swarms.swarm(torrent), swarms.user(user), count, six=six, seeder=seeder)
    stride = 18 if six else 6
    return [bytes(addresses[n : n + stride - 2]) for n in range(0, len(addresses), stride)]


def test_the_sequence_of_a_swarm(swarms: Swarms) -> None:
    expected = []
    for user, number, left, event in (
        (ANN, 1, 9, Event.STARTED), (ANN, 1, 0, Event.COMPLETED), (BOB, 2, 9, Event.STARTED),
        (EVE, 3, 9, Event.STARTED), (EVE, 3, 9, Event.STOPPED), (ANN, 1, 0, Event.STOPPED), (BOB, 2, 9, Event.STOPPED),
    ):  # fmt: skip
        come(swarms, user, number, left, event)
        counts = swarms.counts(FILM)
        expected.append((counts.complete, counts.incomplete))
    assert expected == [(0, 1), (1, 0), (1, 1), (1, 2), (1, 1), (0, 1), (0, 0)]
    assert swarms.counts(FILM).downloaded == 1
    assert len(swarms) == 0


def test_a_stop_of_an_unknown_peer_and_a_second_stop_change_nothing(swarms: Swarms) -> None:
    come(swarms, ANN, 1)
    for _ in range(2):
        come(swarms, BOB, 2, event=Event.STOPPED)
    assert swarms.counts(FILM) == Counts(0, 0, 1, 1)


def test_nobody_is_told_of_themselves_or_of_their_own_other_clients(swarms: Swarms) -> None:
    for number in (1, 2, 3):
        come(swarms, ANN, number)
    come(swarms, BOB, 4)
    assert seen(swarms, ANN) == [v4(4)]
    assert sorted(seen(swarms, BOB)) == [v4(1), v4(2), v4(3)]


def test_the_same_peer_id_of_two_users_is_two_peers(swarms: Swarms) -> None:
    come(swarms, ANN, 1, address=v4(1))
    come(swarms, BOB, 1, address=v4(2))
    assert swarms.counts(FILM).incomplete == 2
    assert seen(swarms, ANN) == [v4(2)]


def test_seeders_are_told_of_leechers_only_and_leechers_of_seeders_first(swarms: Swarms) -> None:
    come(swarms, ANN, 1, left=0)
    come(swarms, BOB, 2, left=5)
    assert seen(swarms, EVE, seeder=True) == [v4(2)]
    assert seen(swarms, EVE, 1) == [v4(1)]
    assert seen(swarms, EVE) == [v4(1), v4(2)]


def test_port_zero_and_private_addresses_are_counted_but_not_told(swarms: Swarms) -> None:
    come(swarms, ANN, 1, port=0)
    come(swarms, BOB, 2, address=bytes((10, 0, 0, 1)))
    assert swarms.counts(FILM).incomplete == 2
    assert seen(swarms, EVE) == []
    come(swarms, BOB, 2, address=v4(2))
    assert seen(swarms, EVE) == [v4(2)]
    come(swarms, BOB, 2, address=bytes((10, 0, 0, 1)))
    assert seen(swarms, EVE) == []


def test_one_peer_has_an_address_in_each_family(swarms: Swarms) -> None:
    come(swarms, ANN, 1, left=0)
    come(swarms, ANN, 1, left=0, address=v6(1))
    assert swarms.counts(FILM) == Counts(1, 0, 0, 0)
    assert seen(swarms, BOB) == [v4(1)]
    assert seen(swarms, BOB, six=True) == [v6(1)]
    come(swarms, ANN, 1, left=7, address=v6(1))  # a recheck found holes: both addresses change sides
    assert swarms.counts(FILM) == Counts(0, 0, 1, 1)
    assert seen(swarms, BOB, seeder=True) == [v4(1)]
    assert seen(swarms, BOB, six=True, seeder=True) == [v6(1)]


def test_a_new_address_replaces_the_old_one(swarms: Swarms) -> None:
    come(swarms, ANN, 1, address=v4(1))
    come(swarms, ANN, 1, address=v4(9))
    assert seen(swarms, BOB) == [v4(9)]


def test_partial_seeds_are_no_downloaders(swarms: Swarms) -> None:
    come(swarms, ANN, 1, left=5, event=Event.PAUSED)
    come(swarms, BOB, 2, left=5)
    assert swarms.counts(FILM) == Counts(0, 0, 2, 1)
    come(swarms, ANN, 1, left=5, event=Event.STARTED)
    assert swarms.counts(FILM) == Counts(0, 0, 2, 2)


def test_a_second_announce_says_how_long_ago_the_first_was(swarms: Swarms) -> None:
    assert come(swarms, ANN, 1, now=1000) is None
    assert come(swarms, ANN, 1, now=1000, address=v6(1)) is None
    assert come(swarms, ANN, 1, now=1900) == 900


def test_who_fell_silent_goes_and_is_named(swarms: Swarms) -> None:
    come(swarms, ANN, 1, left=0, now=1000)
    come(swarms, BOB, 2, now=5000)
    gone = swarms.expire(5000, 1000)
    assert [(g.user_id, g.torrent_id, g.peer_id, g.address, g.port) for g in gone] == [
        (ANN, FILM, peer(1), v4(1), 6881)
    ]
    assert swarms.counts(FILM) == Counts(0, 0, 1, 1)
    assert swarms.expire(5000, 1000) == []


def test_an_address_that_fell_silent_goes_alone(swarms: Swarms) -> None:
    come(swarms, ANN, 1, now=1000)
    come(swarms, ANN, 1, now=5000, address=v6(1))
    assert swarms.expire(2000, 1000) == []
    assert seen(swarms, BOB) == []
    assert seen(swarms, BOB, six=True) == [v6(1)]


def test_users_torrents_and_leechers_can_be_sent_away(swarms: Swarms) -> None:
    come(swarms, ANN, 1, left=0)
    come(swarms, ANN, 2, torrent=BOOK)
    come(swarms, BOB, 3)
    come(swarms, EVE, 4, left=0)
    assert {g.peer_id for g in swarms.evict_leechers([ANN]) if g} == {peer(2)}
    assert {g.peer_id for g in swarms.evict([EVE, b"?" * 16], []) if g} == {peer(4)}
    assert {g.peer_id for g in swarms.evict([], [FILM]) if g} == {peer(1), peer(3)}
    assert len(swarms) == 0


def test_a_large_swarm_is_drawn_from_evenly(swarms: Swarms) -> None:
    for number in range(500):
        come(swarms, BOB, number)
    drawn = Counter(address for _ in range(400) for address in seen(swarms, ANN))
    assert len(drawn) == 500
    assert sum(drawn.values()) == 400 * 50
    assert max(drawn.values()) < 4 * min(drawn.values())


def test_no_draw_gives_a_peer_twice_or_more_than_was_asked(swarms: Swarms) -> None:
    for number in range(120):
        come(swarms, (ANN, BOB)[number % 2], number, left=number % 3)
    for count in (0, 1, 2, 7, 50, 53, 54, 200):
        for _ in range(50):
            found = seen(swarms, EVE, count)
            assert len(found) == len(set(found)) == min(count, 120)


class Swarming(RuleBasedStateMachine):
    """The swarms beside a plain dictionary of peers."""

    def __init__(self) -> None:
        super().__init__()
        self.swarms = Swarms(Random(3))
        self.model: dict[tuple[bytes, bytes, int], tuple[bool, dict[bool, bytes]]] = {}

    @rule(
        torrent=st.sampled_from((FILM, BOOK)), user=st.sampled_from((ANN, BOB, EVE)), number=st.integers(0, 5),
        left=st.integers(0, 2), event=st.sampled_from(Event), six=st.booleans(), place=st.integers(0, 3),
        port=st.sampled_from((0, 6881)),
    )  # fmt: skip
    def announce(
        self, torrent: bytes, user: bytes, number: int, left: int, event: Event, six: bool, place: int, port: int
    ) -> None:
        address = (v6 if six else v4)(number * 4 + place)
        come(self.swarms, user, number, left, event, address, port, torrent=torrent)
        name = torrent, user, number
        if event in (Event.STOPPED, Event.EXPIRED):
            self.model.pop(name, None)
            return
        addresses = self.model[name][1] if name in self.model else {}
        addresses.pop(six, None)
        if port:
            addresses[six] = address
        self.model[name] = left == 0, addresses

    @rule(user=st.sampled_from((ANN, BOB, EVE)))
    def evict(self, user: bytes) -> None:
        gone = [one for one in self.swarms.evict([user], []) if one is not None]
        left = {name: state for name, state in self.model.items() if name[1] != user}
        assert len(gone) == len(self.model) - len(left)
        self.model = left

    @invariant()
    def counts_and_lists_are_the_models(self) -> None:
        assert len(self.swarms) == len(self.model)
        for torrent in (FILM, BOOK):
            here = [(user, state) for (t, user, _), state in self.model.items() if t == torrent]
            counts = self.swarms.counts(torrent)
            assert counts.complete == sum(seeder for _, (seeder, _) in here)
            assert counts.incomplete == len(here) - counts.complete
            for asking in (ANN, BOB, EVE):
                for six in (False, True):
                    for asks_as_seeder in (False, True):
                        expected = sorted(
                            addresses[six]
                            for user, (seeder, addresses) in here
                            if user != asking and six in addresses and not (seeder and asks_as_seeder)
                        )
                        found = seen(self.swarms, asking, 100, six=six, seeder=asks_as_seeder, torrent=torrent)
                        assert sorted(found) == expected


TestSwarming = Swarming.TestCase
TestSwarming.settings = hypothesis_settings(max_examples=40, stateful_step_count=40, deadline=None)
