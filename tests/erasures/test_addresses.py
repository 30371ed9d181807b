"""Where an erased person announced from is nowhere any more, though no segment was changed; others' addresses stay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import structlog
import uvloop

from domain.announce_keys import announce_key
from domain.announces import Announce, decode
from domain.metainfo import announce_hashes, parse
from projections.peers import peers
from runtime import journal_archive
from runtime.audit.verify import verify_journals
from runtime.cli.main import ANNOUNCES
from runtime.embedded import Valkey
from runtime.export.announces import Wanted, export_announces
from runtime.export.files import FileFormat
from runtime.journal import Segment, segments
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.erasures import dump
from tests.erasures.test_traces import completes
from tests.given import rows_of
from tests.members import PASSWORD, Agent, Client
from tests.peers.test_agreement import within
from tests.torrents.uploads import file_of
from tests.tracker_edge.edges import get, peer
from tracker_edge import snapshot, snapshots
from tracker_edge.http import wall_us
from tracker_edge.server import Edge, from_platform

pytestmark = pytest.mark.engine

#: Of who is erased and of somebody else: where they announce over each family.
GONE = "203.0.113.177", "2001:db8:5a5a:5a5a:5a5a:5a5a:5a5a:b177"
STAYS = "203.0.113.5", "2001:db8::5"
AGO = timedelta(days=60)
#: A journal with a head and no record has fewer bytes.
EMPTY_BYTES = 100
KEEP_DAYS = 30


def packed(address: str) -> bytes:
    return ip_address(address).packed


def places_of(found: dict[str, bytes]) -> set[str]:
    """Where the addresses are as bytes, which is how announces have them."""
    return {place for place, content in found.items() if any(packed(one) in content for one in GONE)}


class Site:
    """Two members on one torrent, who announce to a real edge through a proxy that says where they are."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.platform, self.folder = client, client.platform, folder
        self.gone = Agent(client, client.members.join("gone", password=PASSWORD))
        self.stays = client.agent("stays")
        staff, file = client.agent("staff", "moderator"), file_of("film")
        self.torrent_id = UUID(self.stays.upload(file).json()["id"])
        staff.post(f"/torrents/{self.torrent_id}/approve")
        [self.info_hash] = announce_hashes(parse(file))
        client.members.catch_up()

    @asynccontextmanager
    async def edge(self, ago: timedelta = timedelta(0)) -> AsyncIterator[Edge]:
        wanted = {
            "host": "127.0.0.1", "http_port": 0, "udp_port": 0, "ship_interval_ms": 50,
            "trusted_proxies": (ip_network("127.0.0.0/8"),),
        }  # fmt: skip
        settings = self.platform.settings.edge.model_copy(update=wanted)
        shift = int(ago.total_seconds()) * 1_000_000
        sources = from_platform(self.platform)
        edge = Edge(settings, self.folder / "edge" / settings.id, sources, now_us=lambda: wall_us() - shift)
        await edge.start()
        try:
            yield edge
        finally:
            await edge.stop()

    async def announce(self, edge: Edge, who: Agent, addresses: Sequence[str], number: int, **said: str) -> bytes:
        """Over each of the addresses; gives the last reply."""
        reply = b""
        for address in addresses:
            fields = {
                "info_hash": "".join(f"%{byte:02x}" for byte in bytes(self.info_hash)),
                "peer_id": peer(number).decode(), "port": "51413", "uploaded": "0", "downloaded": "0", "left": "5",
                "compact": "0", **said,
            }  # fmt: skip
            query = "&".join(f"{name}={value}" for name, value in fields.items())
            key = announce_key(self.platform.secrets.site, who.id, 1, self.torrent_id)
            reply = await get(edge.ports[0], f"/announce/{key}?{query}", f"X-Forwarded-For: {address}\r\n")
            assert b"failure" not in reply, reply
        return reply

    async def both(self, edge: Edge, number: int) -> None:
        for who, addresses in ((self.gone, GONE), (self.stays, STAYS)):
            await self.announce(edge, who, addresses, number, event="started")
            await self.announce(edge, who, addresses, number, uploaded="700")

    async def shipped(self, edge: Edge) -> None:
        """Nothing is left in the journal's files, which are in clear until then."""
        await within(10, lambda: not edge.journal.closed and edge.journal.depth_bytes < EMPTY_BYTES)

    def archive(self) -> int:
        """The days that are old enough; returns how many segments are in files then."""
        with self.platform.projector_pool.connection() as connection:
            for day in journal_archive.closed_days(connection, KEEP_DAYS, datetime.now(UTC)):
                journal_archive.archive(connection, self.folder / "archive", day, KEEP_DAYS)
            return sum(one.last_seq - one.first_seq + 1 for one in journal_archive.archived(connection))

    def segments(self) -> list[Segment]:
        """Those in files and those in the table."""
        with self.platform.projector_pool.connection() as connection:
            files = journal_archive.archived(connection)
            found = [one for manifest in files for one in journal_archive.read(self.folder / "archive", manifest)]
            return [*found, *segments(connection, self.platform.settings.edge.id, found[-1].seq)]

    def announces(self) -> list[Announce]:
        """All that can be read of the journal."""
        keys = self.platform.keyring.read_keys
        return [one for segment in self.segments() for one in decode(segment.payload, keys)]

    def exported(self, out: Path) -> list[dict[str, Any]]:
        wanted = Wanted(keys=self.platform.keyring.read_keys)
        with self.platform.projector_pool.connection() as connection:
            export_announces(
                connection, self.folder / "archive", ANNOUNCES, wanted, out, FileFormat.NDJSON, 1000, lambda *_: None
            )
        return [json.loads(line) for file in out.glob("*.ndjson*") for line in file.read_text().splitlines()]

    def is_whole(self) -> bool:
        """The chains through files and table; then, with all of it in the table, what a rebuild makes of it."""
        with self.platform.projector_pool.connection() as connection:
            verify_journals(connection)
            heads = list(journal_archive.verify_all(connection, self.folder / "archive"))
            for day in {one.day for one in journal_archive.archived(connection)}:
                journal_archive.restore(connection, self.folder / "archive", day)
        assert [table.differences for table in verify(self.platform, peers)] == [0] * len(peers.tables)
        return len(heads) == 1


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_an_erasure_ends_addresses_in_segments_files_exports_and_swarms(
    client: Client,
    platform: Platform,
    owner: psycopg.Connection[Any],
    database: str,
    valkey: Valkey,
    tmp_path: Path,
    logged: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "PAUSE_S", 0.2)
    site, edge_id = Site(client, tmp_path / "data"), platform.settings.edge.id
    swarms = site.folder / "edge" / edge_id / snapshot.NAME
    told: list[bytes] = []

    async def work() -> None:
        async with site.edge(AGO) as edge:
            await site.both(edge, 1)
            await site.shipped(edge)
        await asyncio.to_thread(client.members.catch_up)
        assert await asyncio.to_thread(site.archive) > 0
        async with site.edge() as edge:
            await site.both(edge, 2)
            told.append(await site.announce(edge, site.stays, STAYS, 2, event="started"))
            assert len({session.user_id for session in edge.swarms.sessions()}) == 2
            await site.shipped(edge)
            await asyncio.to_thread(client.members.catch_up)
            before.update(dump.everything(database, valkey.url(), tmp_path))
            await asyncio.to_thread(site.gone.post, "/users/me/erasure", {"password": PASSWORD}, 202)
            await asyncio.to_thread(completes, platform, owner, client.members)
            async with asyncio.timeout(30):
                while any(session.user_id == site.gone.id.bytes for session in edge.swarms.sessions()):
                    await asyncio.sleep(0.01)
                while site.gone.id.bytes in {one.user_id for one in snapshot.read(swarms, edge_id, 99).sessions}:
                    await asyncio.sleep(0.05)
            told.append(await site.announce(edge, site.stays, STAYS, 2, event="started"))
            await site.shipped(edge)
        await asyncio.to_thread(client.members.catch_up)

    before: dict[str, bytes] = {}
    uvloop.run(work())

    assert [any(one.encode() in reply for one in GONE) for reply in told] == [True, False]
    assert places_of(before) == {"read.peer", str(swarms)}
    after = dump.everything(database, valkey.url(), tmp_path, str(logged))
    assert dump.places(after, *GONE) == set()
    assert places_of(after) == set()

    read = {UUID(bytes=one.user_id): set[bytes]() for one in site.announces()}
    for one in site.announces():
        read[UUID(bytes=one.user_id)].add(one.address)
    assert read == {site.gone.id: {b""}, site.stays.id: set(map(packed, STAYS))}
    exported = {(one["user_id"], one["address"]) for one in site.exported(tmp_path / "export")}
    assert exported == {(str(site.gone.id), None), *((str(site.stays.id), one) for one in STAYS)}
    kept = snapshot.read(swarms, edge_id, 99)
    assert {session.user_id for session in kept.sessions} == {site.stays.id.bytes}

    totals = rows_of(platform, "SELECT user_id, uploaded, raw_uploaded FROM read.user_stats ORDER BY user_id")
    assert {user_id: sums for user_id, *sums in totals} == {who.id: [1400, 1400] for who in (site.gone, site.stays)}
    assert site.is_whole()
