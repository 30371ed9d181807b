"""The write-ahead journal of one edge: a reply leaves only after its announce is on the disk."""

from tracker_edge.journal.files import (
    JournalDamaged,
    JournalInUse,
    NoRoom,
    held,
    is_empty,
    read_rows,
    recover,
    remove,
    remove_upto,
    write_whole,
)
from tracker_edge.journal.writer import Appender, Journal, JournalFailed, Waiter

__all__ = [
    "Appender",
    "Journal",
    "JournalDamaged",
    "JournalFailed",
    "JournalInUse",
    "NoRoom",
    "Waiter",
    "held",
    "is_empty",
    "read_rows",
    "recover",
    "remove",
    "remove_upto",
    "write_whole",
]
