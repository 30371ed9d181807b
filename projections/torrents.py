"""Torrents as they are listed, shown and searched: standing, files, tags, freeleech, and the words of each."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.torrents import Torrent
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection
from runtime.search_text import folded

torrents = Projection("torrents", "torrent", "torrent_file", "torrent_tag")

#: Characters of a description that searches look at: what a reader sees first, and far below a tsvector's 1 MiB.
SEARCHED_DESCRIPTION = 10_000


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
    db.execute(
        "INSERT INTO torrent_file (torrent_id, n, path, length)"
        " SELECT %s, n, path, length FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS f (path, length, n)",
        (torrent_id, it.file_paths, it.file_lengths),
    )
    db.execute(
        "INSERT INTO torrent_tag (tag, torrent_id) SELECT tag, %s FROM unnest(%s::text[]) AS t (tag)",
        (torrent_id, it.tags),
    )


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
    _change(fact, db, "free_until = %s", fact.event.until)


@torrents.on(Torrent.FreeleechEnded)
def freeleech_ended(fact: Fact[Torrent.FreeleechEnded], db: Writer) -> None:
    _change(fact, db, "free_until = NULL")


def _change(fact: AnyFact, db: Writer, columns: LiteralString, *values: object) -> None:
    db.update(
        f"UPDATE torrent SET {columns}, version = %s, changed_pos = %s WHERE torrent_id = %s",
        (*values, fact.version, fact.position, fact.stream_id),
    )
