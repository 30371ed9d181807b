"""Who is told of whom: what holds in every reply, and that a hot swarm shows each of its peers equally often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracker_edge import strict
from tests.tracker_edge.bench import Bench, packed
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, SECRET, access, target, torrent, user
from tracker_edge.access import Access, changes

CROWD = [UUID(int=1000 + n) for n in range(100)]
USERS = (ANN, BOB, EVE)
PEERS, WANTED, DRAWS = 5000, 50, 3000


class Told(NamedTuple):
    """One peer as a reply shows it: 4 or 16 bytes and a port."""

    address: bytes
    port: int


def told(body: bytes) -> list[Told]:
    """The peers of a compact reply, those of IPv4 first."""
    found: Any = strict.bencoded(body)
    shown = []
    for name, size in ((b"peers", 4), (b"peers6", 16)):
        entries = found.get(name, b"")
        for at in range(0, len(entries), size + 2):
            entry = entries[at : at + size + 2]
            shown.append(Told(entry[:size], int.from_bytes(entry[size:], "big")))
    return shown


def crowded_access() -> Access:
    found = access()
    found.apply(changes(SECRET, [user(each) for each in CROWD], [], (1, 1), False))
    return found


def host_of(number: int, *, six: bool = False) -> str:
    return f"2600::{number + 1:x}" if six else f"8.8.{number >> 8}.{number & 255}"


def hot_swarm(seeders: bool, *, six: bool = False) -> Bench:
    """So many peers of a hundred users, of which every fourth has left and come back: what is packed has moved."""
    bench = Bench(crowded_access())
    left = "0" if seeders else "9"
    for number in range(PEERS):
        asked = target(number, CROWD[number % 100], left=left, event="started", port="6881", numwant="0")
        bench.body(asked, host=host_of(number, six=six))
    for event in ("stopped", "started"):
        for number in range(0, PEERS, 4):
            asked = target(number, CROWD[number % 100], left=left, event=event, port="6881", numwant="0")
            bench.body(asked, host=host_of(number, six=six))
    return bench


def chi_square(shown: Counter[Told], draws: int) -> float:
    """Per peer: 1 where each is equally likely to be in a reply, however the peers of one reply hang together."""
    expected = draws * WANTED / PEERS
    missing = (PEERS - len(shown)) * expected
    return (sum((count - expected) ** 2 / expected for count in shown.values()) + missing) / PEERS


def is_fair(shown: Counter[Told], draws: int = DRAWS) -> bool:
    """Chi-square within a third of what equal chances give, nobody unseen or shown more than twice as often as due.

    Peers of a reply are neighbours in runs of 25, so there are about PEERS / 25 = 200 independent places: the standard
    deviation of chi-square is a tenth. Each count is binomial (mean 30, deviation 5.4): the bounds are 5 of them away.
    """
    expected = draws * WANTED / PEERS
    bounds = len(shown) == PEERS and min(shown.values()) > 0.1 * expected and max(shown.values()) < 2.1 * expected
    return bounds and 0.67 < chi_square(shown, draws) < 1.33


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("seeders", [True, False], ids=["seeders to a leecher", "leechers to a seeder"])
def test_a_hot_swarm_shows_everybody_equally_often(seeders: bool, six: bool) -> None:
    bench = hot_swarm(seeders, six=six)
    shown: Counter[Told] = Counter()
    asked = target(9999, ANN, left="9" if seeders else "0", event="started", numwant=str(WANTED))
    for _ in range(DRAWS):
        found = told(bench.body(asked, host="2600::ffff:1" if six else "9.9.9.9"))
        assert len(found) == WANTED
        shown.update(found)
    assert {packed(host_of(n, six=six)) for n in range(PEERS)} == {one.address for one in shown}
    assert is_fair(shown), (chi_square(shown, DRAWS), min(shown.values()), max(shown.values()))


def _from_begin(rng: Random) -> Iterable[int]:
    return range(WANTED)  # Ocelot's leechers


def _first_by_key(rng: Random) -> Iterable[int]:
    return range(rng.randrange(3), WANTED + 3)


def _not_the_newest(rng: Random) -> Iterable[int]:
    return rng.sample(range(PEERS * 95 // 100), WANTED)


def _never_across_the_end(rng: Random) -> Iterable[int]:
    start = rng.randrange(PEERS - WANTED)
    return range(start, start + WANTED)


def _the_old_twice_as_often(rng: Random) -> Iterable[int]:
    half = PEERS // 2
    return [*rng.sample(range(half), WANTED * 2 // 3), *rng.sample(range(half, PEERS), WANTED - WANTED * 2 // 3)]


@pytest.mark.parametrize(
    "select", [_from_begin, _first_by_key, _not_the_newest, _never_across_the_end, _the_old_twice_as_often]
)
def test_the_measure_tells_unfair_selections(select: Callable[[Random], Iterable[int]]) -> None:
    rng = Random(4)
    assert not is_fair(_counted(select, rng))


@pytest.mark.parametrize("seed", range(5))
def test_the_measure_lets_fair_ones_pass(seed: int) -> None:
    """As drawn one by one, and as two runs at random places."""

    def runs(rng: Random) -> Iterable[int]:
        half = WANTED // 2
        start = rng.randrange(PEERS)
        again = start + half + rng.randrange(PEERS - WANTED + 1)
        return [(at + n) % PEERS for at in (start, again) for n in range(half)]

    assert is_fair(_counted(lambda rng: rng.sample(range(PEERS), WANTED), Random(seed)))
    assert is_fair(_counted(runs, Random(seed)))


def _counted(select: Callable[[Random], Iterable[int]], rng: Random) -> Counter[Told]:
    shown: Counter[Told] = Counter()
    for _ in range(DRAWS):
        shown.update(Told(n.to_bytes(4, "big"), 6881) for n in select(rng))
    return shown


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    def replies(seed: int) -> list[bytes]:
        bench = Bench(seed=seed)
        for number in range(200):
            bench.body(target(number, BOB, left=str(number % 2)), host=host_of(number))
        return [bench.body(target(999, ANN, event="started"), host="9.9.9.9") for _ in range(50)]

    assert replies(3) == replies(3)
    assert replies(3) != replies(4)
    assert len(set(replies(3))) > 40


_step = st.tuples(
    st.sampled_from(USERS),
    st.integers(0, 9),  # client
    st.sampled_from((FILM, FILM, BOOK)),
    st.sampled_from(("0", "9")),
    st.sampled_from(("started", "started", "started", "completed", "stopped", "paused")),
    st.booleans(),  # IPv6
    st.sampled_from(("public", "public", "public", "private")),
    st.sampled_from(("-1", "0", "1", "3", "50")),
    st.sampled_from(("1", "0")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_step, min_size=5, max_size=60), st.integers(0, 100))
def test_no_reply_tells_what_it_must_not(steps: list[Any], seed: int) -> None:
    """Not one's own clients, no seeder to a seeder, nobody twice, no port 0, nobody of another torrent."""
    bench = Bench(seed=seed)
    here: dict[tuple[UUID, UUID, int], tuple[bool, dict[bool, Told]]] = {}
    for user_id, number, torrent_id, left, event, six, reach, numwant, compact in steps:
        host = _host(user_id, number, six, reach)
        asked = target(number, user_id, torrent_id, left=left, event=event, numwant=numwant, compact=compact,
                       port="0" if event == "stopped" else str(7000 + number))  # fmt: skip
        body = bench.body(asked, host=host)
        found: Any = strict.bencoded(body)
        shown = _long(found[b"peers"]) if compact == "0" else told(body)
        own = torrent_id, user_id, number
        if event == "stopped":
            here.pop(own, None)
            allowed, limit = set(), 0
        else:
            addresses = here[own][1] if own in here else {}
            addresses.pop(six, None)
            if reach == "public":
                addresses[six] = Told(packed(host), 7000 + number)
            here[own] = left == "0", addresses
            allowed = {
                address
                for (t, u, _), (seeder, theirs) in here.items()
                for address in theirs.values()
                if t == torrent_id and u != user_id and not (seeder and left == "0")
            }
            limit = 50 if numwant == "-1" else int(numwant)
        assert len(shown) == len(set(shown)) <= limit
        assert set(shown) <= allowed
        on_torrent = [seeder for (t, _, _), (seeder, _) in here.items() if t == torrent_id]
        assert (found[b"complete"], found[b"incomplete"]) == (sum(on_torrent), len(on_torrent) - sum(on_torrent))
        if limit == 50 and six:
            assert set(shown) == allowed, "a short list is shown whole"


def _host(user_id: UUID, number: int, six: bool, reach: str) -> str:
    last = user_id.int * 16 + number
    if six:
        return f"{'2600' if reach == 'public' else 'fd00'}::{last:x}"
    return f"{'8.8.8' if reach == 'public' else '10.0.0'}.{last}"


def _long(peers: list[dict[bytes, Any]]) -> list[Told]:
    return [Told(packed(peer[b"ip"].decode()), peer[b"port"]) for peer in peers]


def test_nobody_is_told_of_a_closed_torrents_peers() -> None:
    bench = Bench()
    bench.body(target(1, BOB, left="0"))
    bench.tracker.access.apply(changes(SECRET, [], [torrent(FILM, "deleted")], (1, 1), False))
    assert bench.body(target(2, ANN)).startswith(b"d14:failure reason")
