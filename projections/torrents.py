"""Torrents as they are listed, shown and searched: standing, files, tags, promotion, and the words of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

from domain.factors import FREE, FULL, NEUTRAL, Factors
from domain.torrents import Torrent
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection
from runtime.search_text import folded

torrents = Projection("torrents", "torrent", "torrent_file", "torrent_tag", stream="torrent_id")

#: Characters of a description that searches look at: what a reader sees first, and far below a tsvector's 1 MiB.
SEARCHED_DESCRIPTION = 10_000
#: `free_until` of a torrent that is free until somebody ends it: the last second that every client can read.
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@torrents.on(Torrent.Uploaded)
def uploaded(fact: Fact[Torrent.Uploaded], db: Writer) -> None:
    it = fact.event
    db.execute(
        "INSERT INTO torrent (torrent_id, name, description, category, tags, anonymous, uploader_id, info_hash_v1,"
        " info_hash_v2, size, piece_length, file_count, metainfo_sha256, state, uploaded_at, listed_at, version,"
        " changed_pos, folded_name, folded_rest)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'pending', %s, %s, %s, %s, %s, %s)",
        (
            *(fact.stream_id, it.name, it.description, it.category, it.tags, it.anonymous, it.uploader_id),
            *(it.info_hash_v1, it.info_hash_v2, it.size, it.piece_length, len(it.file_paths), it.metainfo_sha256),
            *(fact.at, fact.at, fact.version, fact.position),
            *(folded(it.name), folded(" ".join([*it.tags, it.description[:SEARCHED_DESCRIPTION]]))),
        ),
    )
    _insert_parts(fact.stream_id, it, db)


def _insert_parts(torrent_id: UUID, it: Torrent.Uploaded, db: Writer) -> None:
    files = enumerate(zip(it.file_paths, it.file_lengths, strict=True), 1)
    db.many(
        "INSERT INTO torrent_file (torrent_id, n, path, length) VALUES (%s, %s, %s, %s)",
        [(torrent_id, n, path, length) for n, (path, length) in files],
    )
    db.many("INSERT INTO torrent_tag (tag, torrent_id) VALUES (%s, %s)", [(tag, torrent_id) for tag in it.tags])


@torrents.on(Torrent.Approved)
def approved(fact: Fact[Torrent.Approved], db: Writer) -> None:
    _change(fact, db, "state = 'approved', reason = NULL, listed_at = %s", fact.at)


@torrents.on(Torrent.Rejected)
def rejected(fact: Fact[Torrent.Rejected], db: Writer) -> None:
    _change(fact, db, "state = 'rejected', reason = %s", fact.event.reason)


@torrents.on(Torrent.Deleted)
def deleted(fact: Fact[Torrent.Deleted], db: Writer) -> None:
    _change(fact, db, "state = 'deleted', reason = %s", fact.event.reason)


@torrents.on(Torrent.FreeleechGranted)
def freeleech_granted(fact: Fact[Torrent.FreeleechGranted], db: Writer) -> None:
    _promote(fact, db, FREE, fact.event.until)


@torrents.on(Torrent.Promoted)
def promoted(fact: Fact[Torrent.Promoted], db: Writer) -> None:
    _promote(fact, db, Factors(fact.event.upload_percent, fact.event.download_percent), fact.event.until)


@torrents.on(Torrent.FreeleechEnded, Torrent.PromotionEnded)
def promotion_ended(fact: AnyFact, db: Writer) -> None:
    _promote(fact, db, FULL, None)


def _promote(fact: AnyFact, db: Writer, promised: Factors, until: datetime | None) -> None:
    """Neutral is not free: what is uploaded meanwhile is lost."""
    free = promised.download_percent == 0 and promised != NEUTRAL
    _change(
        fact,
        db,
        "upload_percent = %s, download_percent = %s, promoted_until = %s, free_until = %s",
        *(promised.upload_percent, promised.download_percent, until, (until or FOREVER) if free else None),
    )


def _change(fact: AnyFact, db: Writer, columns: LiteralString, *values: object) -> None:
    db.update(
        f"UPDATE torrent SET {columns}, version = %s, changed_pos = %s WHERE torrent_id = %s",
        (*values, fact.version, fact.position, fact.stream_id),
    )
