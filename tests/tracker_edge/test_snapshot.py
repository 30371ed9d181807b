"""The snapshot says what the swarms were; whatever is wrong with it, the edge starts from the store instead."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import uvloop

from domain.announces import Event
from runtime.platform import Platform
from runtime.settings import Edge as EdgeSettings
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, MemoryStore, Table, get, peer, sources
from tests.tracker_edge.test_several import asking, edge_of, rights, within
from tracker_edge import snapshot
from tracker_edge.protocol.compact import packed
from tracker_edge.snapshot import Moment, Unusable
from tracker_edge.snapshots import Snapshots
from tracker_edge.swarms import Swarms

Owner = psycopg.Connection[tuple[Any, ...]]
NOW_S = 50_000


def swarms() -> Swarms:
    return Swarms(Random(1), allow_private=True)


def filled() -> Swarms:
    """Seeders, leechers, a partial seed, both families, an address that is not handed out, a hole."""
    found = swarms()
    film, book = found.swarm(FILM.bytes), found.swarm(BOOK.bytes)
    for number, (swarm, user, event, left, address, port, elsewhere) in enumerate((
        (film, ANN, Event.STARTED, 0, "9.9.9.1", 7001, False),
        (film, BOB, Event.STARTED, 5, "9.9.9.2", 7002, True),
        (film, BOB, Event.PAUSED, 5, "9.9.9.3", 7003, False),
        (book, EVE, Event.STARTED, 5, "2a00::1", 7004, False),
        (book, ANN, Event.STARTED, 0, "0.0.0.0", 0, False),
        (book, BOB, Event.STARTED, 0, "9.9.9.6", 7006, False),
    ), start=1):  # fmt: skip
        at_s = NOW_S - number * 10
        who, here = found.user(user.bytes), packed(address)
        found.announce(swarm, who, peer(number), event, left, here, port, at_s, elsewhere=elsewhere)
    ann, bob = found.user(ANN.bytes), found.user(BOB.bytes)
    found.announce(film, ann, peer(1), Event.REGULAR, 0, packed("2a00::2"), 7001, NOW_S)
    found.announce(book, bob, peer(6), Event.STOPPED, 0, packed("9.9.9.6"), 7006, NOW_S)
    return found


def written(path: Path, **changed: Any) -> Path:
    moment = Moment.now(NOW_S)._replace(**changed)
    snapshot.write(path / snapshot.NAME, "edge-1", filled(), {"edge-1": 7, "edge-2": 9}, moment)
    return path / snapshot.NAME


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = snapshot.read(written(tmp_path), "edge-1", 60)
    again = swarms()
    snapshot.load(again, found, NOW_S, 1)
    assert (found.peers, found.ends) == (5, {"edge-1": 7, "edge-2": 9})
    assert sorted(again.sessions()) == sorted(filled().sessions())
    for torrent_id in (FILM.bytes, BOOK.bytes):
        assert again.counts(torrent_id)._replace(downloaded=0) == filled().counts(torrent_id)._replace(downloaded=0)


def test_times_go_on_by_the_clock_that_nobody_sets(tmp_path: Path) -> None:
    """Three minutes ago by the monotonic clock, whatever the machine's clock says; another boot has another one."""
    path = written(tmp_path, monotonic_s=time.monotonic() - 180, wall_s=time.time() + 86_400)
    found = snapshot.read(path, "edge-1", 600)
    assert found.age_s == 180
    again = swarms()
    snapshot.load(again, found, 1_000, 790)
    assert sorted(s.seen[0] or 0 for s in again.sessions()) == [0, 790, 790, 800, 810]


def test_what_is_not_whole_ours_and_young_is_not_used(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = path.read_bytes()
    with pytest.raises(Unusable, match="another edge"):
        snapshot.read(path, "edge-2", 60)
    for damaged in (b"", data[:20], data[:-1], data + b"x", data[:60] + bytes([data[60] ^ 1]) + data[61:]):
        path.write_bytes(damaged)
        with pytest.raises(Unusable):
            snapshot.read(path, "edge-1", 60)
    path.unlink()
    with pytest.raises(Unusable, match="No such file"):
        snapshot.read(path, "edge-1", 60)
    with pytest.raises(Unusable, match="s old"):
        snapshot.read(written(tmp_path, monotonic_s=time.monotonic() - 61), "edge-1", 60)


def test_a_copy_of_the_process_writes_while_this_one_goes_on(tmp_path: Path) -> None:
    path, here = tmp_path / snapshot.NAME, filled()
    pid = snapshot.fork_and_write(path, "edge-1", here, {}, NOW_S)
    film, ann = here.swarm(FILM.bytes), here.user(ANN.bytes)
    here.announce(film, ann, peer(99), Event.STARTED, 0, packed("9.9.9.9"), 7099, NOW_S)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert snapshot.read(path, "edge-1", 60).peers == 5
    assert [file.name for file in tmp_path.iterdir()] == [snapshot.NAME]
    assert path.stat().st_mode & 0o777 == 0o600
    lost = snapshot.fork_and_write(tmp_path / "away" / "x", "edge-1", here, {}, NOW_S)
    assert os.waitstatus_to_exitcode(os.waitpid(lost, 0)[1]) == 1


def test_a_machine_without_room_for_a_copy_of_the_process_gets_its_snapshot_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, continued = tmp_path / snapshot.NAME, replace(sources(Table(), MemoryStore()), restore_after=lambda *_: None)
    kept = Snapshots(path, EdgeSettings(), continued)

    def full() -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", full)
        kept.begin(filled(), 1, NOW_S)
    asyncio.run(kept.written())
    assert not path.exists()
    kept.begin(filled(), 1, NOW_S)
    asyncio.run(kept.written())
    assert path.exists()


@pytest.mark.engine
@pytest.mark.parametrize("damage", [False, True], ids=["whole", "damaged"])
def test_an_edge_starts_from_its_snapshot_and_what_came_after(
    platform: Platform, owner: Owner, tmp_path: Path, damage: bool
) -> None:
    """The store's own view of the sessions is empty here: no projection runs, so only segments and snapshot tell."""
    rights(owner)
    home, other_home = tmp_path / "edge" / "one", tmp_path / "edge" / "two"

    async def work() -> None:
        async with edge_of(platform, "one", home) as one, edge_of(platform, "two", other_home) as two:
            for number in (1, 2, 3):
                await get(one.ports[0], asking(platform, number, left="0", event="started"))
            await within(2, lambda: len(two.swarms) == 3)
        path = home / snapshot.NAME
        assert snapshot.read(path, "one", 60).peers == 3
        async with edge_of(platform, "two", other_home) as two:
            await get(two.ports[0], asking(platform, 4, BOB))
            await get(two.ports[0], asking(platform, 1, event="stopped"))
        if damage:
            path.write_bytes(path.read_bytes()[:-1])
        async with edge_of(platform, "one", home) as one:
            assert (one.restored_from == "snapshot") is not damage
            assert one.swarms.counts(FILM.bytes)[:1] == (2,)
            assert sorted(s.peer_id for s in one.swarms.sessions()) == [peer(2), peer(3), peer(4)]
            await get(one.ports[0], asking(platform, 5, BOB))
            await asyncio.sleep(0)

    uvloop.run(work())


@pytest.mark.engine
def test_a_store_that_does_not_continue_the_snapshot_is_believed(
    platform: Platform, owner: Owner, tmp_path: Path
) -> None:
    """A store that was restored from a backup: what the snapshot knows of other edges is not there."""
    rights(owner)
    home = tmp_path / "edge" / "one"

    async def work() -> None:
        home.mkdir(parents=True)
        snapshot.write(home / snapshot.NAME, "one", filled(), {"two": 5}, Moment.now(NOW_S))
        async with edge_of(platform, "one", home) as one:
            assert one.restored_from == "store"
            assert len(one.swarms) == 0

    uvloop.run(work())
