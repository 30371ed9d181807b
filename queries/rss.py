"""What is new, for feed readers: RSS 2.0 with links that a torrent client can follow."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from xml.etree import ElementTree

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.security import APIKeyQuery
from psycopg import Connection
from psycopg.rows import namedtuple_row

from domain.feed_keys import feed_key, named_user, opens
from domain.key_resets import ResetKind
from domain.metainfo import personal_size
from queries.key_resets import present_key
from queries.torrents import MEDIA_TYPE, TorrentFileResponse, browsing, links_of_copy, personal_copy, shelves
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.conditional import entity_tag, has_it
from runtime.http.deps import Bearer, Caller, Clock, PlatformDep, ReadDb, SecretsDep, SettingsDep, account_of, caller
from runtime.http.openapi import problem_response
from runtime.http.pages import LIMIT_DEFAULT, PageLimit
from runtime.http.types import Id
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.tokens import Unauthenticated

router = APIRouter(prefix="/api/v1/rss", tags=["rss"], route_class=StrictRoute)

FEED_TYPE = "application/rss+xml"
#: Kept by its reader alone, and asked about before it is used again.
CACHE = "private, no-cache"
#: Minutes until a reader should look again.
TTL = 15
#: What XML 1.0 section 2.2 has no way to write.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

FeedKey = Annotated[str | None, Depends(APIKeyQuery(name="key", auto_error=False, description="a feed key"))]


class FeedResponse(Response):
    """An RSS 2.0 document."""

    media_type = FEED_TYPE


def feed_reader(
    request: Request, platform: PlatformDep, now: Clock, bearer: Bearer, db: ReadDb, key: FeedKey
) -> Caller:
    """Whoever holds the feed key, or signed in; and takes part in swarms. Raises `Unauthenticated` and what `caller`
    does."""
    if key is None:
        return browsing(caller(request, platform, now, bearer))
    return _key_holder(platform, db, key, None, now)


def link_follower(
    request: Request, platform: PlatformDep, now: Clock, bearer: Bearer, db: ReadDb, key: FeedKey, torrent_id: Id
) -> Caller:
    """The same, or whoever holds the key of a link to this torrent."""
    if key is None:
        return browsing(caller(request, platform, now, bearer))
    return _key_holder(platform, db, key, torrent_id, now)


Reader = Annotated[Caller, Depends(feed_reader)]
Follower = Annotated[Caller, Depends(link_follower)]


@router.get(
    "/torrents",
    dependencies=[fresh("torrents", "categories", "key_resets")],
    response_class=FeedResponse,
    responses={
        200: {"content": {FEED_TYPE: {"schema": {"type": "string"}}}},
        304: {"description": "The reader has this feed already."},
    },
)
def get_torrent_feed(
    reader: Reader,
    db: ReadDb,
    settings: SettingsDep,
    secrets: SecretsDep,
    now: Clock,
    category: Annotated[str | None, Query(max_length=64)] = None,
    free: bool = False,
    limit: PageLimit = LIMIT_DEFAULT,
    if_none_match: Annotated[str | None, Header(description="the ETag of a feed that the reader has")] = None,
) -> Response:
    """The newest approved torrents, all or of a category, or only those that are freeleech now. Each link carries a
    key of its own that opens that torrent for the reader, until the reader resets its feed key.

    Last-Modified says when the newest one was listed. Whether a feed is another one only its ETag tells: torrents are
    edited, taken away, and free for a while."""
    key_no, _ = present_key(db, reader.user_id, ResetKind.RSS_KEY)
    rss = ElementTree.Element("rss", version="2.0")
    channel = ElementTree.SubElement(rss, "channel")
    _write(channel, title="New torrents", link=settings.server.base_url, description="The newest torrents", ttl=TTL)
    newest = _newest(db, reader, category, now if free else None, limit)
    for torrent in newest:
        link_key = feed_key(secrets.site, reader.user_id, key_no, torrent.torrent_id)
        links = links_of_copy(torrent.torrent_id, reader.user_id, torrent.passkey_no, settings, secrets)
        _add(channel, torrent, settings, link_key, personal_size(torrent.stored, *links))
    content = ElementTree.tostring(rss, encoding="utf-8", xml_declaration=True)
    headers = {"ETag": entity_tag(content), "Cache-Control": CACHE}
    if newest:
        headers["Last-Modified"] = format_datetime(newest[0].listed_at, usegmt=True)
    if has_it(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return FeedResponse(content, headers=headers)


@router.get(
    "/torrents/{torrent_id}/download",
    dependencies=[fresh("torrents", "users", "announce_access", "key_resets")],
    response_class=TorrentFileResponse,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        410: problem_response("The torrent is deleted."),
    },
)
def download_from_feed(
    torrent_id: Id, reader: Follower, db: ReadDb, settings: SettingsDep, secrets: SecretsDep
) -> TorrentFileResponse:
    """The .torrent with the reader's own announce key, for whom a feed's link has brought here."""
    return personal_copy(torrent_id, reader, db, settings, secrets)


def _key_holder(platform: Platform, db: Connection[Any], key: str, torrent_id: UUID | None, now: datetime) -> Caller:
    user_id = named_user(key)
    if user_id is None:
        raise Unauthenticated
    key_no, _ = present_key(db, user_id, ResetKind.RSS_KEY)
    if not opens(key, platform.secrets.site, user_id, key_no, torrent_id):
        raise Unauthenticated
    return browsing(account_of(platform, user_id, now, frozenset({"rss"})))


def _newest(
    db: Connection[Any], reader: Caller, category: str | None, free_at: datetime | None, limit: int
) -> list[Any]:
    with db.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT t.*, octet_length(b.data) AS stored, a.passkey_no FROM (SELECT torrent_id, name, category, tags,"
            "  size, file_count, listed_at, metainfo_sha256 FROM torrent"
            "  WHERE state = 'approved' AND (%(shelves)s::text[] IS NULL OR category = ANY (%(shelves)s))"
            "  AND (%(free_at)s::timestamptz IS NULL OR free_until > %(free_at)s)"
            "  ORDER BY listed_at DESC, torrent_id DESC LIMIT %(limit)s) t"
            " JOIN es.blob b ON b.sha256 = decode(t.metainfo_sha256, 'hex') JOIN account a ON a.user_id = %(reader)s"
            " ORDER BY listed_at DESC, torrent_id DESC",
            {"shelves": shelves(category, db), "free_at": free_at, "limit": limit, "reader": reader.user_id},
            prepare=False,  # a plan for these values, as for the list of torrents
        ).fetchall()


def _add(channel: ElementTree.Element, torrent: Any, settings: Settings, link_key: str, size: int) -> None:
    page = f"{settings.server.base_url}/torrents/{torrent.torrent_id}"
    item = ElementTree.SubElement(channel, "item")
    _write(
        item,
        title=torrent.name,
        link=page,
        pubDate=format_datetime(torrent.listed_at),
        category=torrent.category,
        description=f"{torrent.size} bytes in {torrent.file_count} files; {', '.join(torrent.tags)}",
    )
    ElementTree.SubElement(item, "guid", isPermaLink="false").text = str(torrent.torrent_id)
    url = _download_url(settings, torrent.torrent_id, link_key)
    ElementTree.SubElement(item, "enclosure", url=url, length=str(size), type=MEDIA_TYPE)


def _download_url(settings: Settings, torrent_id: UUID, link_key: str) -> str:
    query = urlencode({"key": link_key})
    return f"{settings.server.base_url}/api/v1/rss/torrents/{torrent_id}/download?{query}"


def _write(parent: ElementTree.Element, **texts: object) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = _NO_XML.sub("\ufffd", str(text))
