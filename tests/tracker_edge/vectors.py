"""Announces and scrapes as text, and the exact replies to them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.tracker_edge import strict
from tests.tracker_edge.bench import NOW_US, Bench
from tests.tracker_edge.edges import ANN, BOB, FILM, key
from tests.tracker_edge.edges import torrent as torrent_row
from tracker_edge.access import TorrentRow

Changed = dict[str, str | None]

ESCAPED = "%01" * 20
#: complete, downloaded, incomplete
OK = b"d8:completei%de10:downloadedi%de10:incompletei%de8:intervali1800e12:min intervali900e"
B1 = b"d8:completei0e10:downloadedi0e10:incompletei1e8:intervali1800e12:min intervali900e5:peers0:e"
SEEDER = b"d8:completei1e10:downloadedi0e10:incompletei0e8:intervali1800e12:min intervali900e5:peers0:e"
GONE = b"d8:completei0e10:downloadedi0e10:incompletei0e8:intervali1800e12:min intervali900e5:peers0:e"
HASH_TEXT = "Invalid info_hash: 20 bytes, percent-escaped"


def failure(text: str, interval: int = 5400, retry_in: bytes = b"") -> bytes:
    times = b"8:intervali%de12:min intervali%de" % (interval, interval)
    return b"d14:failure reason%d:%b%b%be" % (len(text), text.encode(), times, retry_in)


def query(**changed: str | None) -> str:
    """A leecher's announce; None leaves a parameter out."""
    parameters: Changed = {
        "info_hash": ESCAPED, "peer_id": "-qB5100-abcdefghijkl", "port": "6881", "uploaded": "0", "downloaded": "0",
        "left": "5", **changed,
    }  # fmt: skip
    return "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)


def asked(text: str, user_id: UUID = ANN) -> str:
    return f"/announce/{key(user_id)}?{text}"


def deleted(reason: str) -> TorrentRow:
    """FILM, deleted just now."""
    return torrent_row(FILM, "deleted", reason)._replace(deleted_at_us=NOW_US)


def filled(bench: Bench, count: int, *, left: str = "0", user_id: UUID = BOB, host: str = "8.8.4.4") -> None:
    for number in range(count):
        bench.body(asked(query(peer_id=f"{number:020}", port=str(7000 + number), left=left), user_id), host=host)


def scrape(*raw: str, user_id: UUID = ANN, form: str = "/scrape/{key}?{query}") -> str:
    return form.format(key=key(user_id), query="&".join(f"info_hash={each}" for each in raw))


def counts(body: bytes) -> tuple[int, int]:
    found: Any = strict.bencoded(body)
    return found[b"complete"], found[b"incomplete"]
