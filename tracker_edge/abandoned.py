"""Journals whose process will not come back: of a fenced edge, or of an id that is not used any more.

What was acknowledged there is as good as anything else, so any edge of the same data directory ships it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import structlog

from domain.announce_addresses import WriteKeys
from domain.announces import ROW_BYTES
from runtime.journal import AlreadyRecorded, Fenced
from tracker_edge import journal
from tracker_edge.journal import JournalDamaged, JournalInUse
from tracker_edge.segments import Ship
from tracker_edge.shipper import sealed

log = structlog.get_logger()

EVERY_S = 60
#: Nobody has written for so long: the supervisor would have started the process again.
IDLE_S = 60
#: Room for what is appended to the id, which has at most 64 characters.
_ID_CHARACTERS = 44


def set_aside(directory: Path) -> Path | None:
    """Moves what the journal holds into a directory, and so a chain, of its own; returns it, or None for nothing.

    For a fenced edge: its records have no place in the chain that somebody else has continued. Who does it again after
    a crash writes the same files, and what was added to them since: they are named after the first record.
    """
    with journal.held(directory):
        closed, last, _ = journal.recover(directory, 1)
        rows = [journal.read_rows(directory, seq) for seq in sorted(closed)]
        rows += [_open_rows(directory, last)]
        kept = [held for held in rows if held]
        aside = None
        if kept:
            first = sha256(kept[0][:ROW_BYTES]).hexdigest()[:12]
            aside = directory.with_name(f"{directory.name[:_ID_CHARACTERS]}.fenced-{first}")
            aside.mkdir(mode=0o700, exist_ok=True)
            for number, held in enumerate(kept, start=1):
                journal.write_whole(aside, number, held)
        journal.remove_upto(directory, last)
    log.warning("journal_set_aside", edge_id=directory.name, files=len(kept))
    return aside


def ship_all(own: Path, ship: Ship, keys: WriteKeys, head: Callable[[str], bytes], idle_s: float = IDLE_S) -> list[str]:
    """Ships every idle journal beside `own`; returns the edge ids. What goes wrong is tried again next time."""
    shipped = []
    for directory in sorted(own.parent.iterdir()):
        try:
            if directory != own and _is_idle(directory, idle_s) and _ship_held(directory, ship, keys, head):
                shipped.append(directory.name)
        except JournalInUse:
            continue
        except Exception as error:  # the store is away, or somebody has to look at it: this edge goes on
            log.warning("abandoned_journal_kept", edge_id=directory.name, error=type(error).__name__)
    return shipped


def _is_idle(directory: Path, idle_s: float) -> bool:
    files = list(directory.glob("*.journal"))
    return bool(files) and time.time() - max(file.stat().st_mtime for file in files) >= idle_s


def _ship_held(directory: Path, ship: Ship, keys: WriteKeys, head: Callable[[str], bytes]) -> bool:
    """Ships the journal, or gives it a chain of its own; returns whether there was anything to ship."""
    try:
        with journal.held(directory):
            return _ship(directory, ship, keys, head(directory.name))
    except Fenced:
        set_aside(directory)
        return False


def _ship(directory: Path, ship: Ship, keys: WriteKeys, previous: bytes) -> bool:
    """Ships all files and deletes them; returns whether there was anything. Raises `Fenced`, `JournalDamaged`."""
    closed, last, _ = journal.recover(directory, 1)
    found = False
    for seq in [*sorted(closed), last]:
        if _open_rows(directory, seq):
            found = True
            segment = sealed(directory, directory.name, seq, previous, keys)
            try:
                ship([segment])
                previous = segment.sha256
            except AlreadyRecorded as known:
                previous = known.sha256
        journal.remove(directory, seq)
    return found


def _open_rows(directory: Path, seq: int) -> bytes:
    """The rows of a file that may have none."""
    try:
        return journal.read_rows(directory, seq)
    except JournalDamaged:
        if journal.is_empty(directory, seq):
            return b""
        raise
