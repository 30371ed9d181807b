"""A site is lost and brought back: to its last backup, and to a moment before it. Hashes are compared, time is taken.

`python -m tests.campaigns.restore_drill --seconds 60`: so much traffic before, between and after the backups.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg

from domain.base import ERASED
from runtime.backup import copying, erased, manifest
from runtime.backup.tables import tables
from runtime.configuration import load
from runtime.embedded import Postgres, Valkey
from runtime.site import open_platform
from runtime.up import with_embedded
from tests.site import PASSWORD, Api, Site, eventually, running
from tests.test_kills import Announcer, Trader, Uploader, check_store, first_torrent
from tracker_edge import abandoned
from tracker_edge.sources import from_platform

CLIENTS = 2
#: An edge that was fenced after the restore lays its last announces aside, and is started again.
FENCED_S = 90
#: They are whole when nothing was added for so long.
LAID_ASIDE_S = 2.0

#: Not compared: what is told again (blobs may be more), where followers stand, and who was signed in when.
_LEFT_OUT = {"es.blob", "es.follower"}
_COMPARED = ("es.", "journal.", "read.")
#: What time changes on a site at rest: where followers stand and since when, and when sessions were used last.
MOVING = {"es.follower", "credentials.session"}
#: What the second erasure of a person adds to and takes from what was there at the moment.
ERASURE_TOUCHES = (
    "es.event", "es.stream", "es.event_type", "es.command", "es.command_context",
    "credentials.password", "credentials.refresh_token", "credentials.known_device",
)  # fmt: skip


class Drill(NamedTuple):
    """One recovery: facts brought back, tables whose hashes are the same, seconds from the loss to `ready`."""

    events: int
    tables: int
    restore_s: float
    recovered_s: float


class Picture(NamedTuple):
    """A site at rest: the hash of each table, every fact in order, and a moment (UTC) at which it was so."""

    tables: dict[str, str]
    facts: list[tuple[int, bytes]]
    moment: datetime


class Life:
    """The people of the site and their clients, who go on after a recovery as if nothing had been."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder, self.phases = site, folder, 0
        self.sysop, self.judge = site.sysop(), site.sysop("judge")
        self.members = [site.register(f"member{n}") for n in range(CLIENTS)]
        self.torrent_id = first_torrent(self.sysop, folder)
        for member in self.members:
            member.position = self.sysop.position
        self.clients = [Announcer(site, member, self.torrent_id, n) for n, member in enumerate(self.members)]

    def goes_on(self, seconds: float) -> None:
        self.phases += 1
        trader = Trader(self.site, self.sysop, self.members[0], self.torrent_id)
        folder = self.folder / f"phase{self.phases}"
        uploader = Uploader(self.site, self.site.login("sysop"), self.judge, self.members[1], folder)
        for walker in (trader, uploader):
            walker.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for client in self.clients:
                client.step()
        for walker in (trader, uploader):
            walker.finish()

    def comes_to_rest(self, timeout_s: float = 30, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Every acknowledged announce is credited and every follower has read everything; `meanwhile` helps it to."""

        def credited(member: Api, client: Announcer) -> bool:
            meanwhile()
            return self._uploaded(member) == client.acknowledged

        for client, member in zip(self.clients, self.members, strict=True):
            member.position = 0
            why = f"{client.acknowledged} acknowledged bytes are credited"
            eventually(partial(credited, member, client), timeout_s, why)
        url = Postgres(self.site.directory / "var").url()
        with psycopg.connect(url, autocommit=True) as connection:
            query = "SELECT bool_and(position >= (SELECT max(position) FROM es.event)) FROM es.follower"
            eventually(lambda: connection.execute(query).fetchone() == (True,), 30, "followers are at the end")

    def close(self) -> None:
        for client in self.clients:
            client.http.close()

    def _uploaded(self, member: Api) -> int:
        return int(member.get(f"/users/{member.id}/stats")["uploaded"])


def drill(folder: Path, seconds: float, *, twice: bool = True) -> list[Drill]:
    """A recovery to a moment between two backups, after one to the last backup if it is to be done twice.

    Raises AssertionError when something is missing, doubled or not the same.
    """
    backups = folder / "backups"
    with running(folder) as site, closing(Life(site, folder)) as life:
        life.goes_on(seconds)
        backup(site, backups)
        life.goes_on(seconds)
        life.comes_to_rest()
        then = at_rest(site)
        moment = then.facts[-1][0]
        life.goes_on(seconds)
        life.comes_to_rest()
        backup(site, backups, "--since-last")
        last = at_rest(site)
        life.goes_on(seconds)  # what no backup has
        done = []
        if twice:
            verified = site.tracker("backup", "verify", "--dir", str(backups))
            assert verified.stdout.strip().endswith(" 0 flaws"), verified.stdout + verified.stderr
            done.append(recover(life, backups, last.facts[-1][0], last.tables))
            life.goes_on(seconds)
        return [*done, recover(life, backups, moment, then.tables, "--to-position", str(moment))]


def drill_log(folder: Path, seconds: float, *, twice: bool = True) -> list[Drill]:
    """A recovery from a base backup and its log to a moment before somebody was erased, after one to the end if it is
    to be done twice. Raises AssertionError when something is missing, doubled or not the same."""
    with running(folder, APP__BACKUP__WAL_DIR=str(folder / "second disk")) as site, closing(Life(site, folder)) as life:
        leaver = site.register("leaver")
        life.goes_on(seconds)
        life.comes_to_rest()
        then = at_rest(site)
        leaver.post("/users/me/erasure", {"password": PASSWORD}, expect=202)
        eventually(lambda: erased.listed(folder / "second disk"), 30, "the erasure is carried out")
        life.goes_on(seconds)
        life.comes_to_rest()
        done = []
        if twice:
            done.append(recover_log(life, at_rest(site).tables))
            life.goes_on(seconds)
            life.comes_to_rest()
        done.append(recover_log(life, then.tables, "--to-time", f"{then.moment:%Y-%m-%dT%H:%M:%S.%f}"))
        assert facts_of(site)[: len(then.facts)] == then.facts
        eventually(
            lambda: life.sysop.get(f"/users/{leaver.id}")["username"] == ERASED, 30, "who was erased is erased again"
        )
        return done


def recover_log(life: Life, before: dict[str, str], *to: str) -> Drill:
    """Loses the machine but for its secrets, the edge's journal and the second disk; recovers, starts, and compares."""
    site = life.site
    disaster(site)
    began = time.monotonic()
    done = site.tracker("backup", "recover", *to)
    assert done.returncode == 0, done.stdout + done.stderr
    restore_s = time.monotonic() - began
    with Postgres(site.directory / "var") as postgres:
        found, events = hashes_of(postgres.url()), count(postgres.url())
    changed = {name for name in before if before[name] != found.get(name)}
    if to:  # who was erased since is erased again: facts and rows of that are on top
        changed -= set(ERASURE_TOUCHES)
    assert not changed, f"not the same: {sorted(changed)}"
    looked_s = time.monotonic() - began - restore_s
    site.start()
    recovered_s = time.monotonic() - began - looked_s
    life.goes_on(1.0)
    with shipping_what_is_laid_aside(site) as ship:
        life.comes_to_rest(FENCED_S, ship)
    check_store(site)
    assert site.tracker("journal", "verify").stdout.strip().endswith(" 0 flaws")
    return Drill(events, len(before) - len(ERASURE_TOUCHES if to else ()), restore_s, recovered_s)


@contextmanager
def shipping_what_is_laid_aside(site: Site) -> Iterator[Callable[[], object]]:
    """What an edge does each minute with the announces of one that was fenced, without the wait for that minute."""
    var = site.directory / "var"
    settings = with_embedded(load(site.environment), Postgres(var))
    redis = settings.redis.model_copy(update={"url": Valkey(var).url()})
    with open_platform(settings.model_copy(update={"redis": redis})) as platform:
        own, sources = var / "edge" / settings.edge.id, from_platform(platform)
        assert sources.head is not None
        ship, keys, head = sources.ship, sources.keys, sources.head
        yield lambda: abandoned.ship_all(own, ship, keys, head, LAID_ASIDE_S)


def facts_of(site: Site) -> list[tuple[int, bytes]]:
    """Every fact, to the byte, in order."""
    with psycopg.connect(Postgres(site.directory / "var").url()) as connection:
        return connection.execute("SELECT position, data FROM es.event ORDER BY position").fetchall()


def at_rest(site: Site) -> Picture:
    """The site once nothing changes any more, but for what is `MOVING`.

    The moment lies between two equal pictures: it is to the microsecond, as the log's own times are, because to the
    second it would lie before what was written last.
    """
    seen = [picture(site)]

    def stands_still() -> bool:
        seen.append(picture(site))
        return seen[-1][:2] == seen[-2][:2]

    eventually(stands_still, 60, "nothing changes")
    return seen[-1]


def picture(site: Site) -> Picture:
    """The site from the moment on; whether it stays so, the next one tells."""
    moment = datetime.now(UTC)
    still = {name: sha for name, sha in hashes(site).items() if name not in MOVING}
    return Picture(still, facts_of(site), moment)


def recover(life: Life, backups: Path, wanted: int, before: dict[str, str], *to: str) -> Drill:
    """Loses the machine but for its secrets and the edge's journal, restores, starts, and compares."""
    site = life.site
    disaster(site)
    began = time.monotonic()
    newest = [] if to else [manifest.read_all(backups)[-1].name]
    done = site.tracker("backup", "restore", *newest, "--dir", str(backups), *to)
    assert done.returncode == 0, done.stdout + done.stderr
    restore_s = time.monotonic() - began
    with Postgres(site.directory / "var") as postgres:
        found, events = hashes_of(postgres.url()), count(postgres.url())
    same = compared(before) & {name for name, sha in found.items() if before.get(name) == sha}
    assert same == compared(before), f"not the same: {sorted(compared(before) - same)}"
    looked_s = time.monotonic() - began - restore_s
    site.start()
    recovered_s = time.monotonic() - began - looked_s
    assert position(site) > wanted
    life.goes_on(1.0)
    with shipping_what_is_laid_aside(site) as ship:
        life.comes_to_rest(FENCED_S, ship)
    check_store(site)
    verified = site.tracker("projections", "verify", "--all")
    assert verified.stdout.strip().endswith(" 0 differences"), verified.stdout + verified.stderr
    assert site.tracker("journal", "verify").stdout.strip().endswith(" 0 flaws")
    return Drill(events, len(same), restore_s, recovered_s)


def disaster(site: Site) -> None:
    """kill -9 of everything; the database's disk is gone, with all that is not on another one."""
    everything = [psutil.Process(site.process.pid), *psutil.Process(site.process.pid).children(recursive=True)]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    site.process.wait()
    site.reader.join(5)
    assert site.process.stdout is not None
    site.process.stdout.close()
    psutil.wait_procs(everything, timeout=20)
    for path in (site.directory / "var").iterdir():
        if path.name not in ("secrets.json", "edge"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def backup(site: Site, backups: Path, *options: str) -> None:
    done = site.tracker("backup", "create", "--dir", str(backups), *options)
    assert done.returncode == 0, done.stdout + done.stderr


def position(site: Site) -> int:
    with psycopg.connect(Postgres(site.directory / "var").url()) as connection:
        row = connection.execute("SELECT es.safe_position()").fetchone()
    assert row is not None
    return int(row[0])


def hashes(site: Site) -> dict[str, str]:
    return hashes_of(Postgres(site.directory / "var").url())


def hashes_of(url: str) -> dict[str, str]:
    """The hash of each table's rows, in the order of their keys."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        connection.execute("SET TIME ZONE 'UTC'")
        return {one.name: copying.hashed(cursor, one).sha256 for one in tables(connection)}


def compared(found: dict[str, str]) -> set[str]:
    """Facts and announces. Read tables are compared by `projections verify`, once they have caught up."""
    return {name for name in found if name.startswith(("es.", "journal."))} - _LEFT_OUT - {"es.command_context"}


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM es.event").fetchone()
    assert row is not None
    return int(row[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        seconds = parser.parse_args().seconds
        for name in ("backups", "log"):
            (Path(folder) / name).mkdir()
        done = [*drill(Path(folder) / "backups", seconds), *drill_log(Path(folder) / "log", seconds)]
    names = "to the last backup", "to a moment before it", "to the end of the log", "to a moment in the log"
    for name, one in zip(names, done, strict=True):
        sys.stdout.write(
            f"{name}: {one.events} events, {one.tables} tables with equal hashes, restored in {one.restore_s:.1f} s,"
            f" answering after {one.recovered_s:.1f} s; 0 differences\n"
        )


if __name__ == "__main__":
    main()
