"""Edge processes on one machine: shared ports, peers known to all, a kill that loses nothing, an end that drains."""

from __future__ import annotations

import asyncio
import http.client
import signal
import socket
import statistics
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
import pytest

from domain.announces import decode
from runtime.journal import segments, verify
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.up import roles
from tests.site import eventually, free_ports
from tests.tracker_edge.edges import ANN, BOB, FILM, HASH
from tests.tracker_edge.processes import EdgeProcess, announce_path, ending, request
from tests.tracker_edge.test_several import rights

Owner = psycopg.Connection[tuple[Any, ...]]

#: What the issue promises.
VISIBLE_WITHIN_S = 0.5


def uploaded(owner: Owner, *edge_ids: str) -> list[int]:
    """The counters of all records in the store."""
    found = []
    for edge_id in edge_ids:
        stored = list(segments(owner, edge_id))
        verify(stored)
        found += [record.uploaded for segment in stored for record in decode(segment.payload)]
    return found


def has_stored(owner: Owner, counter: int) -> bool:
    return uploaded(owner, "edge-1")[-1:] == [counter]


def seeders(edge: EdgeProcess) -> int:
    answer = edge.scrape(BOB, FILM, HASH[FILM])
    return int(answer.partition(b"8:completei")[2].partition(b"e")[0])


def counts(edge: EdgeProcess, wanted: int) -> bool:
    return seeders(edge) == wanted


def lag(one: EdgeProcess, other: EdgeProcess, number: int) -> float:
    """Seconds from the acknowledgement of a new seeder until the other process counts it."""
    before = seeders(other)
    assert b"failure" not in one.announce(ANN, FILM, HASH[FILM], number, event="started")
    began = time.monotonic()
    while seeders(other) == before:
        assert time.monotonic() - began < 5, "never seen"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.engine
def test_two_processes_share_a_port_see_each_other_and_lose_nothing_to_a_kill(
    platform: Platform, settings: Settings, owner: Owner
) -> None:
    rights(owner)
    port, other_port = free_ports(2)
    one, two = (EdgeProcess(settings, f"edge-{n}", port, processes=2) for n in (1, 2))
    apart = EdgeProcess(settings, "apart", other_port)
    with ending(one, two, apart):
        for edge in (one, two, apart):
            edge.start()
        lags = [lag(one, apart, number) for number in range(10)]
        assert statistics.median(lags) < VISIBLE_WITHIN_S, lags
        for number in range(100, 140):
            assert b"failure" not in one.announce(ANN, FILM, HASH[FILM], number, uploaded=number)
        one.end(signal.SIGKILL)
        assert b"failure" not in two.announce(ANN, FILM, HASH[FILM], 200, uploaded=200), "the other one has the port"
        one.start()
        for edge in (one, two, apart):  # what the killed one had not shipped is now in its journal only
            eventually(partial(counts, edge, 51), 5, "every acknowledged peer is known to all")
        codes = [edge.end() for edge in (one, two, apart)]
    assert codes == [0, 0, 0]
    assert sorted(n for n in uploaded(owner, "edge-1", "edge-2", "apart") if n) == [*range(100, 140), 200]


@pytest.mark.engine
def test_a_crowd_that_says_nothing_takes_no_file_from_the_journal(
    platform: Platform, settings: Settings, owner: Owner
) -> None:
    """With more connections than files may be open, who is in is answered and shipped, and nobody else comes in."""
    rights(owner)
    [port] = free_ports(1)
    edge = EdgeProcess(settings, "edge-1", port, files=256)
    with ending(edge), ExitStack() as crowd:
        edge.start()
        first = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        crowd.callback(first.close)
        first.connect()
        for _ in range(400):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
        for number in range(1, 6):
            first.request("GET", announce_path(edge.secret, ANN, FILM, HASH[FILM], 1, uploaded=number))
            assert b"failure" not in first.getresponse().read()
            eventually(partial(has_stored, owner, number), 5, "each in a segment of its own")
        assert b"busy" in request(port, "/")
        assert edge.end() == 0


@pytest.mark.engine
def test_a_journal_that_somebody_has_to_look_at_is_named_in_one_line(platform: Platform, settings: Settings) -> None:
    edge = EdgeProcess(settings, "edge-1", 0)
    home = edge.settings.data_dir / "edge" / "edge-1"
    home.mkdir(parents=True)
    for number in (1, 3):
        (home / f"{number:016d}.journal").touch()
    with ending(edge), pytest.raises(AssertionError, match="a journal file between 1 and 3 is missing"):
        edge.start()
    assert edge.end() == 1
    said = (edge.settings.data_dir / "edge-1.log").read_text().splitlines()
    assert said[-1] == f"tracker: {home}: a journal file between 1 and 3 is missing"
    assert not [line for line in said if "Traceback" in line]


@pytest.mark.engine
def test_sigterm_under_load_loses_no_acknowledged_announce_and_cuts_no_reply(
    platform: Platform, settings: Settings, owner: Owner
) -> None:
    rights(owner)
    edge = EdgeProcess(settings, "edge-1", free_ports(1)[0])
    acknowledged: list[int] = []
    cut: list[bytes] = []
    kept: set[int] = set()  # asked over a connection that had an answer before
    dropped: list[int] = []

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """Whether the connection lives on; what is answered at all is answered whole."""
        path = announce_path(edge.secret, ANN, FILM, HASH[FILM], number % 500, uploaded=number)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        head = b""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            cut.extend(part for part in (head, getattr(error, "partial", b"")) if part)
            if number in kept:
                dropped.append(number)
            return False
        if b" 200 " in head and b"failure" not in body:
            acknowledged.append(number)
        return b"\r\nConnection: close" not in head

    async def client(number: int) -> None:
        for turn in range(10_000):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            except OSError:
                return
            alive = await ask(reader, writer, number * 10_000 + turn + 1)
            while alive and number % 2:
                turn += 1
                kept.add(number * 1_000_000 + turn)
                alive = await ask(reader, writer, number * 1_000_000 + turn)
            writer.close()

    async def load() -> None:
        clients = [asyncio.create_task(client(number)) for number in range(1, 17)]
        await asyncio.sleep(1.0)
        edge.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*clients), 20)

    with ending(edge):
        edge.start()
        asyncio.run(load())
        assert edge.end() == 0
        edge.start()  # ships what was left
        edge.end()
    assert (cut, dropped) == ([], [])
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(uploaded(owner, "edge-1"))


def test_the_supervisor_runs_as_many_edges_as_are_wanted(settings: Settings) -> None:
    wanted = settings.model_copy(update={"edge": settings.edge.model_copy(update={"id": "north", "processes": 3})})
    edges = [child for child in roles(wanted) if child.argv[-1] == "edge"]
    assert [child.name for child in edges] == ["edge-1", "edge-2", "edge-3"]
    assert [child.env["APP__EDGE__ID"] for child in edges] == ["north-1", "north-2", "north-3"]
    assert len({child.ready_file for child in edges}) == 3
