"""Parts of an edge for its tests: an access snapshot that tests change, a store in memory, clients over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from domain.announce_keys import announce_key
from domain.announces import Announce, decode
from runtime.journal import GENESIS, Segment
from runtime.knowledge import RIGHTS_KNOWN_FOR_S
from runtime.settings import Edge as EdgeSettings
from tracker_edge.access import Access, Changes, TorrentRow, UserRow, changes
from tracker_edge.protocol.types import Query, Reply
from tracker_edge.server import Edge, Sources

SECRET = b"announce secret of the tests" * 2
ANN, BOB, EVE = (UUID(int=n) for n in (1, 2, 3))
FILM, BOOK, HYBRID = (UUID(int=n) for n in (11, 12, 13))
HASH = {FILM: b"\x01" * 20, BOOK: b"\x02" * 20, HYBRID: b"\x03" * 20}
V2 = b"\x04" * 32


def user(user_id: UUID, *, passkey_no: int = 1, enabled: bool = True, can_leech: bool = True, at: int = 1) -> UserRow:
    return UserRow(user_id, passkey_no, enabled, can_leech, at)


def torrent(
    torrent_id: UUID, state: str = "approved", reason: str = "", *, size: int = 10**9, at: int = 1, deleted_at: int = 0
) -> TorrentRow:
    v2 = V2 if torrent_id == HYBRID else None
    return TorrentRow(torrent_id, HASH[torrent_id], v2, state, reason, size, at, deleted_at)


def everything() -> Changes:
    users = [user(user_id) for user_id in (ANN, BOB, EVE)]
    return changes(SECRET, users, [torrent(t) for t in HASH], (-1, -1), True)


def some(users: Sequence[UserRow] = (), torrents: Sequence[TorrentRow] = ()) -> Changes:
    return changes(SECRET, users, torrents, (1, 1), False)


def access() -> Access:
    found = Access(SECRET)
    found.apply(everything())
    return found


def key(user_id: UUID, torrent_id: UUID | None = None, passkey_no: int = 1) -> str:
    return announce_key(SECRET, user_id, passkey_no, torrent_id)


def told(one: Query | Reply) -> dict[str, object]:
    """Everything that is asked or answered, by name: the hot path compares neither, so they have no equality."""
    return {name: getattr(one, name) for name in dir(type(one)) if not name.startswith("_")}


def peer(number: int) -> bytes:
    return b"-qB5100-%012d" % number


class Table:
    """The access tables: tests change them with `deliver`."""

    def __init__(self) -> None:
        self.deliver: Callable[[Changes], None]

    def follow(self, deliver: Callable[[Changes], None]) -> Table:
        self.deliver = deliver
        return self

    def start(self) -> None:
        self.deliver(everything())

    def stop(self) -> None:
        pass


class MemoryStore:
    """Segments as a store would have them; `away` makes it fail."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.away = False

    def ship(self, segments: Sequence[Segment]) -> None:
        if self.away:
            raise ConnectionError("the store is away")
        self.segments.extend(segments)

    def restore(self, replay: Callable[[Announce], None], completed: Callable[[bytes, int], None]) -> tuple[int, bytes]:
        for announce in self.announces:
            replay(announce)
        return len(self.segments) + 1, self.segments[-1].sha256 if self.segments else GENESIS

    @property
    def announces(self) -> list[Announce]:
        return [announce for segment in self.segments for announce in decode(segment.payload, keys)]


def keys(users: Sequence[bytes]) -> list[bytes]:
    """Of a site that erases nobody."""
    return [sha256(user).digest() for user in users]


def sources(table: Table, store: MemoryStore, known: Callable[[], bool] = lambda: True) -> Sources:
    return Sources(
        SECRET,
        table.follow,
        store.restore,
        store.ship,
        keys,
        rights_age_s=lambda: 0.0 if known() else RIGHTS_KNOWN_FOR_S + 1,
    )


def assembled(
    directory: Path,
    table: Table | None = None,
    store: MemoryStore | None = None,
    known: Callable[[], bool] = lambda: True,
    **settings: Any,
) -> Edge:
    """An edge for a free port of 127.0.0.1."""
    wanted = EdgeSettings.model_construct(
        **{**EdgeSettings().model_dump(), "http_port": 0, "udp_port": 0, "interval_jitter_s": 0, **settings}
    )
    return Edge(wanted, directory / "journal", sources(table or Table(), store or MemoryStore(), known), rng=Random(1))


@asynccontextmanager
async def running(
    directory: Path,
    table: Table | None = None,
    store: MemoryStore | None = None,
    known: Callable[[], bool] = lambda: True,
    **settings: Any,
) -> AsyncIterator[Edge]:
    """It serves until the end of this block."""
    edge = assembled(directory, table, store, known, **settings)
    await edge.start()
    try:
        yield edge
    finally:
        await edge.stop()


def target(
    number: int,
    user_id: UUID,
    torrent_id: UUID = FILM,
    *,
    form: str = "/announce/{key}?{query}",
    announce_key: str | None = None,
    info_hash: bytes | None = None,
    **changed: str,
) -> str:
    """The path and query of an announce."""
    parameters = {
        "info_hash": "".join(f"%{b:02x}" for b in info_hash or HASH[torrent_id]),
        "peer_id": peer(number).decode(),
        "port": str(7000 + number),
        "uploaded": "0",
        "downloaded": "0",
        "left": "100",
        **changed,
    }
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return form.format(key=announce_key or key(user_id, torrent_id), query=query)


async def exchange(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """Everything that the server answers until it closes."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def get(port: int, path: str, fields: str = "", host: str = "127.0.0.1") -> bytes:
    """The body of the answer to one request, whatever its status."""
    answer = await exchange(port, f"GET {path} HTTP/1.0\r\n{fields}\r\n".encode("latin-1"), host)
    return answer.partition(b"\r\n\r\n")[2]
