"""Debian's BitTorrent programs against a whole site: each seeds and leeches, and is credited to the byte.

`python -m tests.campaigns.real_clients [PROGRAM ...]` runs those that are installed and prints a table. What is
credited must be what was announced; where a program reports something else than it announces, the row says so.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import bencodepy
import libtorrent as lt
import psycopg

from domain.announces import Announce, Event, decode
from runtime.embedded import Postgres
from runtime.journal import segments
from tests.bittorrent import make_torrent
from tests.campaigns.client_programs import DEBIAN, LibTorrent, Process, Program, wait_for
from tests.site import Api, Site, eventually, running

SIZE = 2_000_017
TIMEOUT_S = 60.0
#: Programs refresh what they show now and then: qBittorrent every 1.5 s.
SHOWN_S = 5.0
FLAGS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}
HOSTS = {"IPv4": "127.0.0.1", "IPv6": "::1"}
#: Short: a program that waits for the interval does not wait long, and no announce is early.
SETTINGS = {
    "APP__EDGE__HOST": "127.0.0.1,::1",
    "APP__EDGE__INTERVAL_S": "10",
    "APP__EDGE__MIN_INTERVAL_S": "2",
}


class Transfer(NamedTuple):
    """One torrent that one program seeds and another downloads."""

    seeder: type[Program]
    leecher: type[Program]
    listener: str = "http"
    family: str = "IPv4"
    version: str = "v1"

    def __str__(self) -> str:
        names = f"{self.seeder.name:>12} → {self.leecher.name:12}"
        return f"{names} {self.listener:4} {self.family} {self.version:6}"


class Moved(NamedTuple):
    """Bytes of one side by the three who count them."""

    reported: tuple[int, int]
    announced: tuple[int, int]
    credited: tuple[int, int]


def transfers(programs: list[type[Process]]) -> Iterator[Transfer]:
    """Every program on both sides of libtorrent and of each other, as far as they can reach one another."""
    for program in programs:
        listeners = ("http", "udp") if program.sends_url_data else ("http",)
        for listener in listeners:
            for family in HOSTS:
                for version in program.reads():
                    yield Transfer(program, LibTorrent, listener, family, version)
                    yield Transfer(LibTorrent, program, listener, family, version)
    yield from (
        Transfer(one, other)
        for one in programs
        for other in programs
        if one is not other and (one.dials_loopback or other.dials_loopback)
    )


class Campaign:
    """A site with two members, who each run one program at a time."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.sysop = site.sysop()
        self.members = site.register("ann"), site.register("bob")
        self.number = 0

    def run(self, transfer: Transfer) -> tuple[Moved, Moved]:
        """Transfers the file; returns what the seeder and the leecher moved. Raises AssertionError."""
        folder = self._next_folder()
        torrent = self._upload(folder, transfer.version)
        files = [self._file(member, torrent, transfer.listener, transfer.family) for member in self.members]
        before = [self._stats(member) for member in self.members]
        host = HOSTS[transfer.family]
        with (
            ended(transfer.seeder(folder / "seeder", host)) as seeder,
            ended(transfer.leecher(folder / "leecher", host)) as leecher,
        ):
            seeder.add(files[0], folder / "seed")
            wait_for(lambda: self._counts(torrent) == (1, 0, 0), (seeder,), TIMEOUT_S, "the seeder has announced")
            leecher.add(files[1], folder / "leech")
            wait_for(
                lambda: self._counts(torrent) == (2, 0, 1), (seeder, leecher), TIMEOUT_S, "two seeders, one snatch"
            )
            self._check_peers(torrent)
            self._stop(leecher, torrent, (1, 0, 1))
            self._stop(seeder, torrent, (0, 0, 1))
            sides = zip(self.members, before, (seeder, leecher), strict=True)
            of_seeder, of_leecher = (self._moved(torrent, *side) for side in sides)
        copies = [(folder / side / f"film-{self.number}.bin").read_bytes() for side in ("seed", "leech")]
        assert copies[0] == copies[1], "the file arrived whole"
        self._check_events(torrent, transfer.version)
        assert self._stats(self.members[1])["snatched"] == before[1]["snatched"] + 1
        assert self._stats(self.members[0])["snatched"] == before[0]["snatched"], "who had it all has snatched nothing"
        return of_seeder, of_leecher

    def refused(self, program: type[Program]) -> str:
        """What a program without BEP 41 shows of the UDP tracker; nothing of it is journaled."""
        folder = self._next_folder()
        torrent = self._upload(folder, "v1")
        file = self._file(self.members[0], torrent, "udp", "IPv4")
        told: list[str] = []

        def is_told() -> bool:
            told[:] = [one.report().told]
            return "passkey required" in told[0]

        with ended(program(folder / "seeder", HOSTS["IPv4"])) as one:
            one.add(file, folder / "seed")
            wait_for(is_told, (one,), TIMEOUT_S, "the program shows the tracker's words")
        assert self._announces(torrent) == []
        return "passkey required" + told[0].partition("passkey required")[2][:40]

    def _next_folder(self) -> Path:
        self.number += 1
        return self.folder / str(self.number)

    def _upload(self, folder: Path, version: str) -> Any:
        """A private torrent of a new random file."""
        name = f"film-{self.number}.bin"
        file = make_torrent(folder / "seed", name, SIZE, FLAGS[version])
        data = {"name": name, "description": "", "category": "movies-hd", "tags": "", "anonymous": "false"}
        torrent = self.sysop.post("/torrents", files={"file": ("x.torrent", file)}, data=data, expect=201)
        for member in self.members:
            member.position = self.sysop.position
        return torrent

    def _file(self, member: Api, torrent: Any, listener: str, family: str) -> bytes:
        """The member's own .torrent with its announce URL's scheme and host changed, and nothing else."""
        found = bencodepy.decode(member.get(f"/torrents/{torrent['id']}/download"))
        assert found[b"info"][b"private"] == 1
        host = f"[{HOSTS[family]}]" if family == "IPv6" else HOSTS[family]
        path = found[b"announce"].decode().removeprefix(self.site.edge_url)
        found[b"announce"] = f"{listener}://{host}:{self.site.edge_port}{path}".encode()
        found.pop(b"announce-list", None)
        return bytes(bencodepy.encode(found))

    def _counts(self, torrent: Any) -> tuple[int, int, int]:
        detail = self.sysop.get(f"/torrents/{torrent['id']}")
        return detail["seeders"], detail["leechers"], detail["times_completed"]

    def _check_peers(self, torrent: Any) -> None:
        peers = self.sysop.get(f"/torrents/{torrent['id']}/peers")["items"]
        assert sorted(peer["user"]["username"] for peer in peers) == ["ann", "bob"]

    def _stop(self, program: Program, torrent: Any, counts: tuple[int, int, int]) -> None:
        """Stops it and waits until the swarm is without it."""
        program.stop()
        eventually(lambda: self._counts(torrent) == counts, TIMEOUT_S, f"{program.name} has stopped: {counts}")

    def _announces(self, torrent: Any) -> list[Announce]:
        """The journal's, of this torrent, in order."""
        wanted = UUID(torrent["id"]).bytes
        with psycopg.connect(Postgres(self.site.directory / "var").url()) as connection:
            found = [a for segment in segments(connection, "edge-1") for a in decode(segment.payload)]
        return [announce for announce in found if announce.torrent_id == wanted]

    def _check_events(self, torrent: Any, version: str) -> None:
        """Each program said once, or once for each hash, that it begins, has all of it, ends."""
        hashes = 2 if version == "hybrid" else 1
        for member in self.members:
            mine = [a.event for a in self._announces(torrent) if a.user_id == UUID(member.id).bytes]
            assert mine[0] == Event.STARTED
            assert mine[-1] == Event.STOPPED
            assert mine.count(Event.COMPLETED) <= hashes

    def _moved(self, torrent: Any, member: Api, before: Any, program: Program) -> Moved:
        """The three counts; raises AssertionError when the credit is not exactly what was announced."""
        last: dict[bytes, tuple[int, int]] = {}
        for announce in self._announces(torrent):
            if announce.user_id == UUID(member.id).bytes:
                last[announce.peer_id] = announce.uploaded, announce.downloaded
        announced = sum(up for up, _ in last.values()), sum(down for _, down in last.values())

        def credited() -> tuple[int, int]:
            now = self._stats(member)
            return now["uploaded"] - before["uploaded"], now["downloaded"] - before["downloaded"]

        eventually(lambda: credited() == announced, 10, f"{announced} are credited to the byte, not {credited()}")
        return Moved(last_report(program, announced), announced, credited())

    def _stats(self, member: Api) -> Any:
        return member.get(f"/users/{member.id}/stats")


def last_report(program: Program, announced: tuple[int, int]) -> tuple[int, int]:
    """What the program says that it moved, once it shows what it announced; else what it says in the end."""
    deadline = time.monotonic() + SHOWN_S
    while True:
        report = program.report()
        if (report.uploaded, report.downloaded) == announced or time.monotonic() > deadline:
            return report.uploaded, report.downloaded
        time.sleep(0.1)


@contextmanager
def ended(program: Program) -> Iterator[Program]:
    """`with ended(program) as program`: its `end` is called at the end."""
    try:
        yield program
    finally:
        program.end()


def line(transfer: Transfer, sides: tuple[Moved, Moved]) -> str:
    """A row of the table: bytes that the seeder sent and the leecher got, by each of the three."""
    of_seeder, of_leecher = sides
    shown = f"{transfer}  up {of_seeder.credited[0]:>9,}  down {of_leecher.credited[1]:>9,}"
    notes = [
        f"{side} reports {moved.reported[way]:,} {what}, announced {moved.announced[way]:,}"
        for side, moved in (("seeder", of_seeder), ("leecher", of_leecher))
        for way, what in enumerate(("up", "down"))
        if moved.reported[way] != moved.announced[way]
    ]
    return shown + ("  " + "; ".join(notes) if notes else "  exact")


def main() -> None:
    wanted = sys.argv[1:] or [program.name for program in DEBIAN]
    programs = [program for program in DEBIAN if program.name in wanted and program.installed()]
    missing = [program.name for program in DEBIAN if not program.installed()]
    sys.stdout.write(f"not installed: {', '.join(missing) or 'none'}\n")
    folder = Path(tempfile.mkdtemp(prefix="real-clients-"))
    failed = 0
    with running(folder, **SETTINGS) as site:
        campaign = Campaign(site, folder)
        for transfer in transfers(programs):
            try:
                shown = line(transfer, campaign.run(transfer))
            except AssertionError as error:
                failed, shown = failed + 1, f"{transfer}  FAILED: {error}"
            sys.stdout.write(shown + "\n")
            sys.stdout.flush()
        for program in (program for program in programs if not program.sends_url_data):
            try:
                shown = f"is told: {campaign.refused(program)}"
            except AssertionError as error:
                failed, shown = failed + 1, f"FAILED: {error}"
            sys.stdout.write(f"{program.name:>12} over UDP without BEP 41 {shown}\n")
    if failed:
        sys.exit(f"{failed} failed; logs are in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
