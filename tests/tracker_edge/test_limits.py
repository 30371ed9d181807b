"""Limits of a user: what is over them is counted, credited and told of nobody; and how busy an edge says it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.announces import Event
from tests.tracker_edge import edges
from tests.tracker_edge.edges import (
    BOOK,
    FILM,
    HASH,
    SECRET,
    MemoryStore,
    Table,
    get,
    peer,
    running,
    target,
    torrent,
    user,
)
from tracker_edge.access import changes
from tracker_edge.flood import WINDOW_S, Flood
from tracker_edge.load import MAX_INTERVAL_S, MAX_WAIT_S, STRETCH, Load
from tracker_edge.swarms import NO_SLOT, TOO_MANY_PEERS, Swarms

FILMS = (b"F" * 16, b"G" * 16, b"H" * 16)
ANN, BOB = b"a" * 16, b"b" * 16


class Allowance:
    """Two clients on a torrent, one download at a time for Bob."""

    peers_per_torrent = 2

    def __init__(self) -> None:
        self.of = {BOB: 1}

    def slots(self, user_id: bytes) -> int:
        return self.of.get(user_id, 2**31)


class Place:
    """Swarms under that allowance."""

    def __init__(self) -> None:
        self.allowance = Allowance()
        self.swarms = Swarms(Random(5), allowance=self.allowance)

    def come(self, user: bytes, number: int, film: int = 0, left: int = 1, event: int = Event.REGULAR) -> int:
        address = bytes((8, 8, 8, number))
        return self.swarms.announce(
            self.swarms.swarm(FILMS[film]), self.swarms.user(user), peer(number), event, left, address, 6881, 1000
        )[1]

    def shown(self, film: int = 0, *, seeder: bool = False) -> list[int]:
        """The numbers of the clients that a stranger is told of."""
        found = self.swarms.draw(
            self.swarms.swarm(FILMS[film]), self.swarms.user(b"?" * 16), 50, six=False, seeder=seeder
        )
        return sorted(found[3::6])


def test_a_third_client_on_a_torrent_is_counted_and_not_shown() -> None:
    place = Place()
    assert [place.come(ANN, number) for number in (1, 2, 3)] == [0, 0, TOO_MANY_PEERS]
    assert place.shown() == [1, 2]
    assert place.swarms.counts(FILMS[0]).incomplete == 3
    assert place.come(ANN, 4, film=1) == 0


def test_a_hidden_client_is_shown_when_another_one_left() -> None:
    place = Place()
    for number in (1, 2, 3):
        place.come(ANN, number)
    place.come(ANN, 1, event=Event.STOPPED)
    assert place.shown() == [2]
    assert place.come(ANN, 3) == 0
    assert place.shown() == [2, 3]


def test_a_second_download_waits_for_a_slot_and_seeding_needs_none() -> None:
    place = Place()
    assert [place.come(BOB, 1, film) for film in (0, 1)] == [0, NO_SLOT]
    assert place.come(BOB, 1, film=2, left=0) == 0
    assert (place.shown(0), place.shown(1), place.shown(2)) == ([1], [], [1])
    assert place.come(BOB, 1, film=0, left=0, event=Event.COMPLETED) == 0
    assert place.come(BOB, 1, film=1) == 0
    assert place.shown(1) == [1]


def test_more_slots_help_at_the_next_announce() -> None:
    place = Place()
    place.come(BOB, 1)
    assert place.come(BOB, 1, film=1) == NO_SLOT
    place.allowance.of[BOB] = 2
    assert place.come(BOB, 1, film=1) == 0


def test_a_restarted_client_takes_its_place_over() -> None:
    """Ten crashes in two hours are one client still, and its user's limit is not used up by ghosts."""
    place = Place()
    swarm, ann = place.swarms.swarm(FILMS[0]), place.swarms.user(ANN)
    for number in range(10):
        _, hidden, _ = place.swarms.announce(
            swarm, ann, peer(number), Event.STARTED, 1, b"\x08\x08\x08\x07", 6881, 1000
        )
        assert hidden == 0
    assert place.shown() == [7]
    assert place.swarms.counts(FILMS[0]).incomplete == 10


class Announcer:
    """A count, as users have one."""

    announces = minute_s = 0


class Limited(RuleBasedStateMachine):
    """Whatever happens: never more shown than allowed, everybody counted, and the counters come back to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Place()
        self.here: dict[tuple[bytes, int, int], int] = {}

    @rule(
        user=st.sampled_from((ANN, BOB)), number=st.integers(1, 4), film=st.integers(0, 2), left=st.integers(0, 1),
        event=st.sampled_from((Event.REGULAR, Event.STARTED, Event.STOPPED, Event.EXPIRED)),
    )  # fmt: skip
    def come(self, user: bytes, number: int, film: int, left: int, event: Event) -> None:
        self.place.come(user, number + 10 * (user == BOB), film, left, event)
        if event in (Event.STOPPED, Event.EXPIRED):
            self.here.pop((user, number, film), None)
        else:
            self.here[user, number, film] = left

    @invariant()
    def what_is_shown_is_within_the_limits(self) -> None:
        leeching = 0
        for film in range(3):
            shown = self.place.shown(film)
            of_bob = [number for number in shown if number > 10]
            assert len(shown) - len(of_bob) <= 2
            assert len(of_bob) <= 2
            leeching += len([number for number in self.place.shown(film, seeder=True) if number > 10])
            counts = self.place.swarms.counts(FILMS[film])
            assert counts.complete + counts.incomplete == sum(f == film for _, _, f in self.here)
        assert leeching <= 1

    @invariant()
    def room_is_used_when_all_come_again(self) -> None:
        if len(self.here) == 1:
            ((user, number, film), left), *_ = self.here.items()
            assert self.place.come(user, number + 10 * (user == BOB), film, left) == 0


TestLimited = Limited.TestCase
TestLimited.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_floods_are_counted_by_key_and_by_address_for_a_minute() -> None:
    ann, bob, flood = Announcer(), Announcer(), Flood(per_key=2, per_address=3)
    assert [flood.over(ann, b"1", 100) for _ in range(3)] == [None, None, "key"]
    assert [flood.over(bob, b"1", 101) for _ in range(2)] == ["address", "address"]
    assert flood.over(bob, b"2", 101) == "key"
    assert flood.over(bob, b"1", 100 + WINDOW_S) is None
    unlimited = Flood(0, 0)
    assert {unlimited.over(ann, b"1", 500) for _ in range(1000)} == {None}


def test_intervals_grow_step_by_step_while_the_edge_is_busy_and_shrink_again() -> None:
    load = Load(1800)
    grown = []
    for _ in range(6):
        load.measured(0.95, 0.0)
        grown.append(load.interval_s)
    assert grown == [2250, 2700, 3600, MAX_INTERVAL_S, MAX_INTERVAL_S, MAX_INTERVAL_S]
    assert not load.refuses
    load.measured(0.7, 0.0)
    assert load.level == len(STRETCH) - 1
    for _ in range(6):
        load.measured(0.2, 0.0)
    assert (load.level, load.interval_s) == (0, 1800)


def test_an_interval_that_is_longer_than_the_longest_stays_as_it_is() -> None:
    load = Load(6000)
    load.measured(1.0, 0.0)
    assert load.interval_s == 6000


def test_a_disk_that_does_not_keep_up_stretches_first_and_refuses_then() -> None:
    load = Load(1800)
    load.measured(0.1, 1.5)
    assert (load.level, load.refuses) == (1, False)
    load.measured(0.1, MAX_WAIT_S + 1)
    assert (load.level, load.refuses) == (2, True)
    load.measured(0.1, 0.0)
    assert (load.level, load.refuses) == (1, False)


class OneSlotEach(Table):
    """Access tables where everybody may download one torrent at a time."""

    def start(self) -> None:
        rows = [user(user_id)._replace(download_slots=1) for user_id in (edges.ANN, edges.BOB)]
        self.deliver(changes(SECRET, rows, [torrent(each) for each in HASH], (-1, -1), True))


def test_a_restart_forgets_no_limit(tmp_path: Path) -> None:
    """Who was over a limit stays hidden, over HTTP and with the metrics' word for it."""
    store = MemoryStore()

    async def announced() -> list[bytes]:
        async with running(tmp_path, OneSlotEach(), store, allow_private_addresses=True) as edge:
            port = edge.ports[0]
            for film in (FILM, BOOK):
                own = await get(port, target(1, edges.ANN, film, event="started"))
            assert edge.tally.limited["slots", 0] == 1
            assert b"15:warning message" in own
            return [await get(port, target(2, edges.BOB, film, left="0", event="started")) for film in (FILM, BOOK)]

    for _ in range(2):
        first, second = asyncio.run(announced())
        assert b"5:peers6:" in first
        assert b"5:peers0:" in second
        assert b"10:incompletei1e" in second
