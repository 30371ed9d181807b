"""The queries of docs/analysts.md, as they stand there, over the export of a history that can be reckoned by hand."""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
import typer
from typer.testing import CliRunner

import domain
from domain.announces import Announce, Event, decode, encode
from domain.base import SYSTEM
from domain.bonus import Account
from domain.clients import client
from domain.moderation import Case
from domain.torrents import Torrent
from domain.users import User
from runtime.cli.events import add_journal_export, events_commands
from runtime.export.announces import Reading
from runtime.journal import GENESIS, seal
from runtime.platform import Platform
from tests.given import Given, event
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "analysts.md"
MONDAY = datetime(2031, 1, 6, tzinfo=UTC)
MB = 10**6
ADA, BOB, CAT = (UUID(int=n) for n in (1, 2, 3))
OLD, NEW, FAST = (UUID(int=n) for n in (11, 12, 13))  # torrents
CASES = UUID(int=21), UUID(int=22)
ISSUANCE, BONUS = UUID(int=31), UUID(int=32)
QBITTORRENT, TRANSMISSION, LIBTORRENT = b"-qB5100-", b"-TR4040-", b"-LT2110-"


def after(days: float = 0, hours: float = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hours)


def uploaded(torrent_id: UUID, uploader_id: UUID, at: datetime) -> Any:
    fields = {
        "name": "A",
        "description": "",
        "category": "movies",
        "tags": [],
        "anonymous": False,
        "info_hash_v1": None,
    }
    sizes: dict[str, Any] = {
        "info_hash_v2": None,
        "size": 1000,
        "piece_length": 1,
        "file_paths": [],
        "file_lengths": [],
    }
    return event(Torrent.Uploaded, torrent_id, 1, at, uploader_id=uploader_id, metainfo_sha256="", **fields, **sizes)


def posted(account_id: UUID, version: int, at: datetime, amount: int) -> Any:
    said = {"entry_id": UUID(int=9), "balance": 0, "kind": "granted", "subject_type": "grant", "subject_id": ADA}
    other = BONUS if account_id == ISSUANCE else ISSUANCE
    return event(Account.Posted, account_id, version, at, amount=amount, text="", counter_account_id=other, **said)


def write_events(given: Given) -> None:
    for user_id, at in ((ADA, after(0)), (BOB, after(1)), (CAT, after(7))):
        given.facts(event(User.Registered, user_id, 1, at, username="x", email="x@x.org", group="member"))
    given.facts(uploaded(OLD, ADA, after(hours=1)), event(Torrent.Approved, OLD, 2, after(hours=3), automatic=False))
    given.facts(uploaded(NEW, BOB, after(hours=2)), event(Torrent.Rejected, NEW, 2, after(hours=12), reason="dupe"))
    given.facts(event(Torrent.Approved, NEW, 3, after(hours=13), automatic=False))
    given.facts(uploaded(FAST, ADA, after(1)), event(Torrent.Approved, FAST, 2, after(1), automatic=True))
    given.facts(event(Torrent.FreeleechGranted, OLD, 3, after(7), until=after(30)))
    given.facts(event(Torrent.FreeleechEnded, OLD, 4, after(9)))
    for case_id in CASES:
        given.facts(event(Case.Opened, case_id, 1, after(2), subject_type="user", subject_id=BOB, concerned_id=BOB))
    decision = {"outcome": "upheld", "reason": "x", "subject_type": "user", "subject_id": BOB, "concerned_id": BOB}
    given.facts(event(Case.Decided, CASES[0], 2, after(2, 6), moderator_id=ADA, **decision))
    for account_id, kind in ((ISSUANCE, "issuance"), (BONUS, "bonus")):
        given.facts(event(Account.Opened, account_id, 1, after(1), kind=kind, owner_id=ADA))
    for version, (at, amount) in enumerate([(after(4), 1_000_000), (after(5), 500_000), (after(40), 300_000)], start=2):
        given.facts(posted(ISSUANCE, version, at, -amount), posted(BONUS, version, at, amount))


def write_announces(platform: Platform) -> None:
    """Of each: when, who, what, with which client, event, uploaded, downloaded, left."""
    said = [
        # Ada seeds her upload for an hour and a half, 100 MB each half hour.
        *((after(hours=4 + n / 2), ADA, OLD, QBITTORRENT, Event.REGULAR if n else Event.STARTED, n * 100 * MB, 0, 0)
          for n in range(4)),
        # Bob takes it within half an hour, seeds for half an hour, is away for three, and seeds for half an hour again.
        (after(1, 5), BOB, OLD, TRANSMISSION, Event.STARTED, 0, 0, 300 * MB),
        (after(1, 5.5), BOB, OLD, TRANSMISSION, Event.COMPLETED, 0, 300 * MB, 0),
        (after(1, 6), BOB, OLD, TRANSMISSION, Event.REGULAR, 50 * MB, 300 * MB, 0),
        (after(1, 9), BOB, OLD, TRANSMISSION, Event.REGULAR, 60 * MB, 300 * MB, 0),
        (after(1, 9.5), BOB, OLD, TRANSMISSION, Event.STOPPED, 60 * MB, 300 * MB, 0),
        # Cat takes it while it is free, never seeds; her client's counter falls once.
        (after(7, 4), CAT, OLD, LIBTORRENT, Event.STARTED, 0, 0, 300 * MB),
        (after(7, 4.5), CAT, OLD, LIBTORRENT, Event.REGULAR, 30 * MB, 200 * MB, 100 * MB),
        (after(7, 5), CAT, OLD, LIBTORRENT, Event.COMPLETED, 20 * MB, 300 * MB, 0),
        (after(7, 7), CAT, OLD, LIBTORRENT, Event.REGULAR, 20 * MB, 300 * MB, 0),
        (after(7, 7.5), CAT, OLD, LIBTORRENT, Event.EXPIRED, 0, 0, 0),
        # Ada comes back with another upload of hers, and 4 TB in half an hour.
        (after(10, 4), ADA, FAST, QBITTORRENT, Event.STARTED, 0, 0, 0),
        (after(10, 4.5), ADA, FAST, QBITTORRENT, Event.REGULAR, 4 * 10**12, 0, 0),
    ]  # fmt: skip
    previous, segments = GENESIS, []
    for seq, (at, user_id, torrent_id, program, what, up, down, left) in enumerate(said, start=1):
        peer_id = program + bytes(12)
        one = Announce(
            int(at.timestamp()) * MB, user_id.bytes, torrent_id.bytes, peer_id, what, up, down, left, bytes(4), 6881, 0
        )
        segments.append(seal("north", seq, 1, at, at, previous, encode([one])))
        previous = segments[-1].sha256
    into_store(lambda: platform.store(SYSTEM, "edge"))(segments)


def blocks() -> list[tuple[str, str]]:
    """Every SQL block of the page with the heading above it."""
    found = []
    for section in re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        heading = section.split("\n", 1)[0]
        found += [(heading, block) for block in re.findall(r"^```sql\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)]
    return found


@pytest.fixture
def answers(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[Any, ...]]]:
    """What the page's queries answer, by the number of the question, over exports made with the page's commands."""
    write_events(Given(platform))
    write_announces(platform)
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.add_typer(events_commands(lambda: nullcontext(platform), domain.EVENTS), name="events")
    journal = typer.Typer()
    journal.callback()(lambda: None)
    reading = Reading(decode, lambda number: Event(number).name.lower(), client)
    app.add_typer(add_journal_export(journal, lambda: nullcontext(platform), reading), name="journal")
    commands = re.findall(r"^tracker (.*?) *(?:#.*)?$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        result = CliRunner().invoke(app, command.split())
        assert result.exception is None, result.output
    found = {}
    with duckdb.connect(":memory:") as session:
        for heading, block in blocks():
            rows = session.execute(block).fetchall()
            if heading[0].isdigit():
                found[heading.partition(".")[0]] = rows
    return found


#: Rows as the page's queries give them, reckoned by hand from the history above.
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "1": [(date(2031, 1, 6), 2, 100.0, 50.0, 0.0), (date(2031, 1, 13), 1, 100.0, 0.0, 0.0)],
    # Ada 1.5 hours and Bob 1 on OLD, Ada half an hour on FAST; Cat's only gap is too long.
    "2": [("0: never", 1, 0.0), ("1: under an hour", 1, 0.5), ("2: under a day", 2, 2.5)],
    "3": [(date(2031, 1, 1), 1500.0, 1500.0, None), (date(2031, 2, 1), 300.0, 1800.0, 20.0)],
    # Uploads waited for 2 and for 10 hours; one was let in without waiting.
    "4": [("case", 2, 1, 6.0, 6.0), ("torrent", 2, 0, 6.0, 9.2)],
    "5": [("libtorrent 2.1.1", 1, 1, 5), ("qBittorrent 5.1.0", 1, 1, 2)],
    "6": [(4, 6, 2, 37.5), (5, 5, 3, 31.3), (7, 2, 1, 12.5), (9, 2, 1, 12.5), (6, 1, 1, 6.3)],
    "7": [
        ("1: first day", 300 * MB, 0, None),
        ("2: first week", 60 * MB, 300 * MB, 0.2),
        ("3: first month", 4 * 10**12 + 30 * MB, 300 * MB, 13333.43),
    ],
    # OLD lived for 243.5 hours, 48 of them free.
    "8": [(False, 300 * MB, 1, 195.5, 0.12), (True, 300 * MB, 1, 48.0, 0.5)],
    "9": [(str(ADA), 2, 1, 50.0), (str(BOB), 1, 0, 0.0)],
    "10": [
        ("libtorrent 2.1.1", 4, 1, 1, 0, 250.0),
        ("qBittorrent 5.1.0", 6, 1, 0, 1, 166.7),
        ("Transmission 4.0.4", 5, 1, 0, 0, 0.0),
    ],
}


def test_every_question_has_its_answer(answers: dict[str, list[tuple[Any, ...]]]) -> None:
    assert answers == EXPECTED


def test_what_personal_data_the_page_says_is_left_out_is_left_out(
    answers: dict[str, list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    with duckdb.connect(":memory:") as session:
        names = "SELECT DISTINCT payload->>'$.email' FROM 'export/events/*.parquet' WHERE topic = 'user.registered'"
        assert session.execute(names).fetchall() == [(None,)]
        columns = session.execute("DESCRIBE FROM 'export/announces/*.parquet'").fetchall()
    assert {column[0] for column in columns} & {"address", "port"} == set()
