"""What the search index has to be told: which torrents changed last, and the document of each."""

from __future__ import annotations

from typing import Any, ClassVar

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from domain.torrents import Torrent
from runtime.db import Writer
from runtime.facts import AnyFact
from runtime.projection import OnError, Projection
from runtime.search import Changes, MeiliIndex, Sender
from runtime.settings import Settings

#: One document that cannot be made must not keep all others out of the index; it is recorded as a dead letter.
search = Projection("search", "search_change", stream="torrent_id", on_error=OnError.SKIP)


@search.on(
    Torrent.Uploaded,
    Torrent.Approved,
    Torrent.Rejected,
    Torrent.Deleted,
    Torrent.FreeleechGranted,
    Torrent.FreeleechEnded,
    Torrent.Promoted,
    Torrent.PromotionEnded,
)
def changed(fact: AnyFact, db: Writer) -> None:
    db.execute(
        "INSERT INTO search_change (torrent_id, position) VALUES (%s, %s)"
        " ON CONFLICT (torrent_id) DO UPDATE SET position = excluded.position",
        (fact.stream_id, fact.position),
    )


class TorrentDocuments:
    """The source of the index of torrents: approved ones only, and nothing of their uploaders."""

    uid: ClassVar[str] = "torrents"

    settings: ClassVar[dict[str, Any]] = {
        "searchableAttributes": ["name", "tags", "folded", "description"],
        "filterableAttributes": ["id", "category", "tags", "size", "free_until"],
        "sortableAttributes": ["listed_at", "size"],
        "displayedAttributes": ["id"],
        "rankingRules": ["words", "typo", "proximity", "attribute", "sort", "exactness", "listed_at:desc"],
        "typoTolerance": {"enabled": True, "minWordSizeForTypos": {"oneTypo": 4, "twoTypos": 8}},
        "separatorTokens": [".", "_", "-"],
        "faceting": {"maxValuesPerFacet": 100},
        "pagination": {"maxTotalHits": 1000},
    }

    def changes(self, connection: Connection[Any], after: int, limit: int) -> Changes:
        """At most `limit` changes of a position beyond `after`. One snapshot: the rows are as new as the positions."""
        with connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                "WITH stand AS (SELECT CASE WHEN count(*) = 2 THEN min(position) ELSE 0 END AS position"
                " FROM es.follower WHERE name IN ('torrents', 'search'))"
                " SELECT stand.position AS stand, c.position, t.torrent_id::text AS id, t.state, t.name, t.tags,"
                " t.folded_name AS folded, left(t.description, 10000) AS description, t.category, t.size,"
                " extract(epoch FROM t.free_until)::bigint AS free_until,"
                " extract(epoch FROM t.listed_at)::bigint AS listed_at"
                " FROM stand LEFT JOIN (read.search_change c JOIN read.torrent t USING (torrent_id))"
                " ON c.position > %s AND c.position <= stand.position"
                " ORDER BY c.position LIMIT %s",
                (after, limit),
            )
            rows = cursor.fetchall()
        return _changes(rows, after, limit)


def open_sender(pool: ConnectionPool[Connection[Any]], settings: Settings) -> Sender | None:
    """What keeps Meilisearch up to date, if one is configured; `pool` acts as the projector."""
    if not settings.search.url:
        return None
    source = TorrentDocuments()
    return Sender(pool, MeiliIndex(settings.search.url, settings.search.api_key.get_secret_value(), source.uid), source)


def _changes(rows: list[dict[str, Any]], after: int, limit: int) -> Changes:
    stand = max(after, rows[0]["stand"])
    found = [row for row in rows if row["id"] is not None]
    last = len(found) < limit
    return Changes(
        documents=[_document(row) for row in found if row["state"] == "approved"],
        gone=[row["id"] for row in found if row["state"] != "approved"],
        position=stand if last else found[-1]["position"],
        last=last,
    )


def _document(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"stand", "position", "state"}}
