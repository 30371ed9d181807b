"""Which torrents match some words, be they mistyped? Meilisearch says, or PostgreSQL while there is none up to date.

Meilisearch gives ids only: what is shown always comes from the read tables, so nothing deleted or pending ever is.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal, LiteralString, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Header, Query
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import Conflict
from queries.torrents import ITEM, SOURCE, Browser, Cursor, Limit, TorrentItem, shelves, viewer
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, ReadDb, SettingsDep
from runtime.http.openapi import problem_response
from runtime.http.pages import PageDep, PageRequest
from runtime.http.types import WholeNumber
from runtime.search import Hits, MeiliIndex, SearchAway, quoted, standing
from runtime.search_text import folded
from runtime.settings import Settings

router = APIRouter(prefix="/api/v1/search", tags=["search"], route_class=StrictRoute)

TEXT_MAX = 256
SUGGESTIONS = 10
INDEX = "torrents"
#: pg_trgm's default of 0.6 finds a missing letter, not two that changed places in a short word.
SIMILARITY = "0.4"
#: Of a word that is in nearly all titles, so many of the newest are ranked and counted.
RANKED = 10_000

Engine = Literal["meilisearch", "postgresql"]
MinPosition = Annotated[WholeNumber | None, Header(include_in_schema=False)]

#: Words, "phrases", and both with a minus for what must not be there.
_TERM = re.compile(r'(-?)"([^"]*)"?|(-?)(\S+)')


class EngineChanged(Conflict):
    """The page before this one came from another engine, whose order of results is another one."""


class SearchSort(StrEnum):
    RELEVANCE = "relevance"
    NEWEST = "newest"
    LARGEST = "largest"


class TorrentSearch(BaseModel):
    """What is looked for. `q` knows "phrases" and -without; names that are not here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: str = Field(max_length=TEXT_MAX)
    category: str | None = Field(None, max_length=64, description="a slug; its subcategories count too")
    tag: str | None = Field(None, max_length=40)
    free: bool | None = Field(None, description="freeleech at this moment, or not")
    min_size: WholeNumber | None = None
    max_size: WholeNumber | None = None
    sort: SearchSort = SearchSort.RELEVANCE
    limit: Limit = None
    cursor: Cursor = None


class TorrentsFound(BaseModel):
    """`facets` counts all that match by category, on the first page only."""

    items: list[TorrentItem]
    facets: dict[str, dict[str, int]]
    engine: Engine
    next_cursor: str | None = None


class Suggestion(BaseModel):
    """What to search for instead of what has been typed so far; `id` is the torrent's if it is a title."""

    type: Literal["torrent", "tag"]
    text: str
    id: UUID | None = None


class Suggestions(BaseModel):
    items: list[Suggestion]
    facets: dict[str, dict[str, int]] = {}
    engine: Engine
    next_cursor: None = None


@router.get(
    "/torrents",
    dependencies=[fresh("torrents", "categories", "privacy")],
    responses={409: problem_response("The page before came from another engine: search again from the first page.")},
)
def search_torrents(
    wanted: Annotated[TorrentSearch, Query()],
    page: PageDep,
    caller: Browser,
    db: ReadDb,
    settings: SettingsDep,
    now: Clock,
    x_min_position: MinPosition = None,
) -> TorrentsFound:
    """Approved torrents, the best match first. A mistyped word finds what is spelled like it."""
    name = f"search:{wanted.sort}"
    after = page.after(name)
    query = parsed(wanted.q)
    if not query.words:
        return TorrentsFound(items=[], facets={}, engine="postgresql")
    params = {**viewer(caller), **wanted.model_dump(exclude={"q"}), **query._asdict(), "now": now}
    params["shelves"] = shelves(wanted.category, db)
    index = usable_index(settings, db, x_min_position)
    if index is not None and (after is None or after[0] == "meilisearch"):
        try:
            return _ask_meilisearch(index, wanted, query, params, page, after, db)
        except SearchAway:
            pass
    if after is not None and after[0] == "meilisearch":
        raise EngineChanged("search again from the first page")
    return _ask_postgresql(wanted, query, params, page, after, db)


@router.get("/suggest", dependencies=[fresh("torrents")])
def suggest(
    q: Annotated[str, Query(max_length=TEXT_MAX)],
    caller: Browser,
    db: ReadDb,
    settings: SettingsDep,
    x_min_position: MinPosition = None,
) -> Suggestions:
    """Titles and tags that begin, or are spelled, like what has been typed."""
    query = parsed(q)
    if not query.words:
        return Suggestions(items=[], engine="postgresql")
    engine: Engine = "meilisearch"
    index = usable_index(settings, db, x_min_position)
    try:
        ids = index.search(query.words, limit=SUGGESTIONS).ids if index else None
    except SearchAway:
        ids = None
    if ids is None:
        engine, ids = "postgresql", _matching_ids(query, db)
    titles = db.execute(
        "SELECT name, torrent_id FROM torrent WHERE torrent_id = ANY (%(ids)s::uuid[]) AND state = 'approved'"
        " ORDER BY array_position(%(ids)s::uuid[], torrent_id)",
        {"ids": ids},
    ).fetchall()
    items = [Suggestion(type="tag", text=tag) for tag in _tags(q, db)]
    items += [Suggestion(type="torrent", text=name, id=torrent_id) for name, torrent_id in titles]
    return Suggestions(items=items[:SUGGESTIONS], engine=engine)


class ParsedQuery(NamedTuple):
    """One question, put in three ways: its words, websearch syntax, and a tsquery whose last word may go on."""

    words: str
    websearch: str
    prefix: str

    def ways(self) -> list[str]:
        """How to look for it, the strictest first. Of a letter or two there is no likeness."""
        return ["words", *["prefix"] * bool(self.prefix), *["similar"] * (len(self.words) > 2)]


def parsed(text: str) -> ParsedQuery:
    """Without any word that must be there, there is no question: `words` is empty then."""
    words: list[str] = []
    terms: list[str] = []
    for minus, phrase, minus_too, word in _TERM.findall(text):
        plain = folded(phrase or word)
        if not plain:
            continue
        without = bool(minus or minus_too)
        # Quoted too: `or`, which PostgreSQL would take for an operator and Meilisearch for a word.
        terms.append(f'{"-" * without}"{plain}"' if phrase or without or plain == "or" else plain)
        if not without:
            words += plain.split()
    prefix = " & ".join(f"'{word}'" for word in words)
    begun = words and (len(words[-1]) > 1 or not words[-1].isascii())  # what begins with `a` is half of everything
    return ParsedQuery(" ".join(words), " ".join(terms), f"{prefix}:*" if begun else "")


class _Way(NamedTuple):
    """One way of matching: the condition and the rank of what fulfils it."""

    matches: LiteralString
    rank: LiteralString


_WEBSEARCH: LiteralString = "websearch_to_tsquery('pg_catalog.simple', %(websearch)s)"
_PREFIX: LiteralString = "to_tsquery('pg_catalog.simple', %(prefix)s)"

#: The operator is pg_trgm's `<%`, with its percent sign doubled.
_WAYS: dict[str, _Way] = {
    "words": _Way(f"t.lexemes @@ {_WEBSEARCH}", f"ts_rank_cd(t.lexemes, {_WEBSEARCH})"),
    "prefix": _Way(f"t.lexemes @@ {_PREFIX}", f"ts_rank_cd(t.lexemes, {_PREFIX})"),
    "similar": _Way(
        "%(words)s::text OPERATOR(public.<%%) t.folded_name", "public.word_similarity(%(words)s, t.folded_name)"
    ),
}
_SORT_KEYS: dict[SearchSort, tuple[LiteralString, LiteralString]] = {
    SearchSort.NEWEST: ("t.listed_at", "timestamptz"),
    SearchSort.LARGEST: ("t.size", "bigint"),
}
_WANTED: LiteralString = """
t.state = 'approved'
AND (%(shelves)s::text[] IS NULL OR t.category = ANY (%(shelves)s))
AND (%(tag)s::text IS NULL OR t.torrent_id IN (SELECT g.torrent_id FROM torrent_tag g WHERE g.tag = lower(%(tag)s)))
AND (%(free)s::boolean IS NULL OR coalesce(t.free_until > %(now)s, false) = %(free)s)
AND t.size BETWEEN coalesce(%(min_size)s::bigint, 0) AND coalesce(%(max_size)s::bigint, 9223372036854775807)
"""
_NEWEST: LiteralString = "ORDER BY t.listed_at DESC LIMIT %(ranked)s"


class _Ranked(TorrentItem):
    rank: Any = Field(exclude=True)


def _ask_postgresql(
    wanted: TorrentSearch,
    query: ParsedQuery,
    params: dict[str, Any],
    page: PageRequest,
    after: list[Any] | None,
    db: Connection[Any],
) -> TorrentsFound:
    _allow_typing_errors(db)
    for way in [after[0]] if after else query.ways():
        rows = _rows(way, wanted.sort, {**params, "fetch": page.fetch}, after, db)
        if rows:
            break
    found = page.page(f"search:{wanted.sort}", rows, lambda row: [way, row.rank, row.id])
    facets = {} if after else {"category": _count_by_category(way, params, db)}
    items: list[TorrentItem] = list(found.items)
    return TorrentsFound(items=items, facets=facets, engine="postgresql", next_cursor=found.next_cursor)


def _rows(
    way: str, sort: SearchSort, params: dict[str, Any], after: list[Any] | None, db: Connection[Any]
) -> list[_Ranked]:
    key, kind = _SORT_KEYS.get(sort, (f"{_WAYS[way].rank}::float8", "float8"))
    among = _NEWEST if sort is SearchSort.RELEVANCE else ""
    with db.cursor(row_factory=class_row(_Ranked)) as cursor:
        cursor.execute(
            f"WITH torrent AS ({_matching(way)} {among}) SELECT {ITEM}, {key} AS rank {SOURCE}"
            f" WHERE (%(key)s::{kind} IS NULL OR ({key}, t.torrent_id) < (%(key)s::{kind}, %(id)s::uuid))"
            f" ORDER BY {key} DESC, t.torrent_id DESC LIMIT %(fetch)s",
            {**params, "ranked": RANKED, "key": after and after[1], "id": after and after[2]},
            prepare=False,
        )
        return cursor.fetchall()


def _matching(way: str) -> LiteralString:
    return f"SELECT * FROM torrent t WHERE {_WAYS[way].matches} AND {_WANTED}"


def _count_by_category(way: str, params: dict[str, Any], db: Connection[Any]) -> dict[str, int]:
    rows = db.execute(
        f"SELECT t.category, count(*) FROM ({_matching(way)} {_NEWEST}) t GROUP BY t.category ORDER BY 2 DESC, 1",
        {**params, "ranked": RANKED},
        prepare=False,
    ).fetchall()
    return dict(rows)


def _matching_ids(query: ParsedQuery, db: Connection[Any]) -> list[str]:
    _allow_typing_errors(db)
    for way in (_WAYS[name] for name in query.ways()[1:]):
        rows = db.execute(
            f"SELECT t.torrent_id::text FROM torrent t WHERE {way.matches} AND t.state = 'approved'"
            f" ORDER BY {way.rank} DESC, t.torrent_id DESC LIMIT %(limit)s",
            {**query._asdict(), "limit": SUGGESTIONS},
            prepare=False,
        ).fetchall()
        if rows:
            return [row[0] for row in rows]
    return []


def _tags(text: str, db: Connection[Any]) -> list[str]:
    rows = db.execute(
        "SELECT g.tag FROM torrent_tag g JOIN torrent t USING (torrent_id) WHERE t.state = 'approved'"
        " AND g.tag >= %(from)s AND g.tag < %(from)s || U&'\\+10FFFF'"
        " GROUP BY g.tag ORDER BY count(*) DESC, g.tag LIMIT 5",
        {"from": text.strip().lower()},
    ).fetchall()
    return [row[0] for row in rows]


def _allow_typing_errors(db: Connection[Any]) -> None:
    db.execute("SELECT set_config('pg_trgm.word_similarity_threshold', %s, true)", (SIMILARITY,))


def usable_index(settings: Settings, db: Connection[Any], min_position: int | None) -> MeiliIndex | None:
    """The index, if there is one that answers, has been told everything once, and what the caller waits for too."""
    if not settings.search.url:
        return None
    index = _index(settings.search.url, settings.search.api_key.get_secret_value())
    if not index.answering:
        return None
    told = standing(db, INDEX)
    return index if told.complete and told.position >= (min_position or 0) else None


@lru_cache(maxsize=8)
def _index(url: str, api_key: str) -> MeiliIndex:
    """One for the process, because it remembers that the server was away."""
    return MeiliIndex(url, api_key, INDEX)


def _ask_meilisearch(
    index: MeiliIndex,
    wanted: TorrentSearch,
    query: ParsedQuery,
    params: dict[str, Any],
    page: PageRequest,
    after: list[Any] | None,
    db: Connection[Any],
) -> TorrentsFound:
    offset = int(after[1]) if after else 0
    filters = _filters(wanted, params["now"], params["shelves"])
    sort = {SearchSort.NEWEST: ["listed_at:desc"], SearchSort.LARGEST: ["size:desc"]}.get(wanted.sort, [])
    hits = Hits([], {}, 0)
    if filters is not None:
        facets = [] if after else ["category"]
        hits = index.search(query.websearch, filters=filters, facets=facets, sort=sort, offset=offset, limit=page.fetch)
    part = page.page(f"search:{wanted.sort}", hits.ids, lambda _: ["meilisearch", offset + page.limit])
    return TorrentsFound(
        items=_items(part.items, params, db), facets=hits.facets, engine="meilisearch", next_cursor=part.next_cursor
    )


def _filters(wanted: TorrentSearch, now: datetime, slugs: list[str] | None) -> list[str] | None:
    """Expressions that all hold, made of typed values only; None if nothing can fulfil them."""
    filters = []
    if slugs == []:
        return None
    if slugs is not None:
        filters.append(f"category IN [{', '.join(map(quoted, slugs))}]")
    if wanted.tag is not None:
        filters.append(f"tags = {quoted(wanted.tag.lower())}")
    if wanted.free is not None:
        filters.append(f"{'' if wanted.free else 'NOT '}free_until > {int(now.timestamp())}")
    if wanted.min_size is not None:
        filters.append(f"size >= {wanted.min_size}")
    if wanted.max_size is not None:
        filters.append(f"size <= {wanted.max_size}")
    return filters


def _items(ids: list[str], params: dict[str, Any], db: Connection[Any]) -> list[TorrentItem]:
    with db.cursor(row_factory=class_row(TorrentItem)) as cursor:
        cursor.execute(
            f"SELECT {ITEM} {SOURCE} WHERE t.torrent_id = ANY (%(ids)s::uuid[]) AND t.state = 'approved'"
            " ORDER BY array_position(%(ids)s::uuid[], t.torrent_id)",
            {**params, "ids": ids},
        )
        return cursor.fetchall()
