"""Which torrents are there, what is each like, and what is the caller's own copy of its .torrent?

Members see what is approved and their own uploads that are not yet; staff see everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, LiteralString, NamedTuple
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel, ConfigDict, Field

from domain.announce_keys import announce_key
from domain.errors import Conflict
from domain.metainfo import personal
from domain.metainfo.bencode import decode_members
from domain.permissions import Permission
from domain.privacy import Answer, PrivacyKey, Viewer
from domain.torrents import TorrentState
from queries.people import Person
from queries.privacy import list_shown
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Banned, Caller, Clock, Member, NotPermitted, ReadDb, SecretsDep, SettingsDep
from runtime.http.openapi import problem_response
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id
from runtime.secrets import Secrets
from runtime.settings import Settings
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/torrents", tags=["torrents"], route_class=StrictRoute)

MEDIA_TYPE = "application/x-bittorrent"
#: RFC 8187 section 3.2.1: what stands for itself; letters and digits do anyway.
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"
FILE_NAME_MAX = 200  # bytes in UTF-8, below NAME_MAX of the usual file systems with the ending


#: Declared so that a model of a query string may refuse other names; `PageDep` is what reads them.
Limit = Annotated[str | None, Field(exclude=True)]
Cursor = Annotated[str | None, Field(exclude=True)]


class TorrentGone(Conflict):
    """The torrent is deleted; only staff learn that it was there."""

    status = 410


class TorrentFileResponse(Response):
    """A .torrent."""

    media_type = MEDIA_TYPE


class Sort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    LARGEST = "largest"
    SEEDERS = "seeders"
    COMPLETED = "completed"


class TorrentItem(BaseModel):
    """One torrent in a list. `uploader` is null when the upload is anonymous and the caller is neither it nor staff,
    or when the uploader hides what it uploads: then `privacy` says so, as it tells staff who see it all the same.

    The percents say what its own promotion counts at this moment, `promoted_until` how long: null until it is ended,
    and when there is none. `free_until` is the end of one that charges no downloads, 9999-12-31 when nobody knows it.
    """

    id: UUID
    name: str
    category: str
    tags: list[str]
    size: int
    file_count: int
    status: TorrentState
    anonymous: bool
    uploader: Person | None
    privacy: dict[str, Answer]
    info_hash_v1: str | None
    info_hash_v2: str | None
    uploaded_at: datetime
    listed_at: datetime
    free_until: datetime | None
    upload_percent: int
    download_percent: int
    promoted_until: datetime | None
    seeders: int
    leechers: int
    times_completed: int
    version: int


class TorrentFile(BaseModel):
    path: str
    length: int


class TorrentDetail(TorrentItem):
    """One torrent. `reason` is that of its rejection or deletion."""

    description: str
    piece_length: int
    reason: str | None
    files: list[TorrentFile]


#: Whether the caller may know of this torrent who uploaded it; and whether the uploader lets everybody see its uploads.
NAMED: LiteralString = "(NOT t.anonymous OR t.uploader_id = %(caller)s OR %(staff)s)"
UPLOADS_SHOWN: LiteralString = (
    f"(p.user_id IS NULL OR t.uploader_id = %(caller)s OR {list_shown(PrivacyKey.UPLOADS, 'p')})"
)

ITEM: LiteralString = f"""
t.torrent_id AS id, t.name, t.category, t.tags, t.size, t.file_count, t.state AS status, t.anonymous,
CASE WHEN {NAMED} AND ({UPLOADS_SHOWN} OR %(sees_uploads)s)
     THEN jsonb_build_object('id', t.uploader_id, 'username', a.username) END AS uploader,
CASE WHEN {UPLOADS_SHOWN} OR NOT {NAMED} THEN '{{}}'::jsonb
     WHEN %(sees_uploads)s THEN '{{"uploader": "overridden"}}' ELSE '{{"uploader": "hidden"}}' END AS privacy,
t.info_hash_v1, t.info_hash_v2, t.uploaded_at, t.listed_at, t.free_until,
CASE WHEN t.promoted_until <= %(now)s THEN 100 ELSE t.upload_percent END AS upload_percent,
CASE WHEN t.promoted_until <= %(now)s THEN 100 ELSE t.download_percent END AS download_percent,
CASE WHEN t.promoted_until > %(now)s THEN t.promoted_until END AS promoted_until, coalesce(s.seeders, 0) AS seeders,
coalesce(s.leechers, 0) AS leechers, coalesce(s.times_completed, 0) AS times_completed, t.version
"""
SOURCE: LiteralString = """
FROM torrent t LEFT JOIN account a ON a.user_id = t.uploader_id LEFT JOIN privacy p ON p.user_id = t.uploader_id
LEFT JOIN torrent_stats s USING (torrent_id)
"""
VISIBLE: LiteralString = "(t.state = 'approved' OR %(staff)s OR (t.uploader_id = %(caller)s AND t.state <> 'deleted'))"

_WANTED: LiteralString = f"""
(CASE WHEN %(status)s::text IS NULL THEN t.state = 'approved' ELSE t.state = %(status)s END)
AND (%(shelves)s::text[] IS NULL OR t.category = ANY (%(shelves)s))
AND (%(uploader)s::uuid IS NULL
     OR (t.uploader_id = %(uploader)s AND {NAMED} AND ({UPLOADS_SHOWN} OR %(sees_uploads)s)))
AND (%(tag)s::text IS NULL OR t.torrent_id IN (SELECT g.torrent_id FROM torrent_tag g WHERE g.tag = lower(%(tag)s)))
AND (%(free)s::boolean IS NULL OR coalesce(t.free_until > %(now)s, false) = %(free)s)
AND (%(alive)s::boolean IS NULL OR (coalesce(s.seeders, 0) > 0) = %(alive)s)
"""


class _Order(NamedTuple):
    """How one sort is written: its key, that key's type, and the comparison that leads to the next page."""

    key: LiteralString
    type: LiteralString
    after: LiteralString
    direction: LiteralString
    field: str


_ORDERS: dict[Sort, _Order] = {
    Sort.NEWEST: _Order("t.listed_at", "timestamptz", "<", "DESC", "listed_at"),
    Sort.OLDEST: _Order("t.listed_at", "timestamptz", ">", "ASC", "listed_at"),
    Sort.LARGEST: _Order("t.size", "bigint", "<", "DESC", "size"),
    Sort.SEEDERS: _Order("coalesce(s.seeders, 0)", "int", "<", "DESC", "seeders"),
    Sort.COMPLETED: _Order("coalesce(s.times_completed, 0)", "bigint", "<", "DESC", "times_completed"),
}


def browsing(caller: Member) -> Caller:
    """The caller, who may take part in swarms; what there is, is nobody else's business."""
    if not (caller.can(Permission.LEECH) or caller.can(Permission.SEED)):
        raise NotPermitted("your group may not do this")
    return caller


Browser = Annotated[Caller, Depends(browsing)]


class TorrentFilter(BaseModel):
    """What is left out of the list; null leaves nothing out. Names that are not here are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: str | None = Field(None, max_length=64, description="a slug; its subcategories count too")
    status: TorrentState | None = Field(None, description="`approved` unless given; members see their own")
    uploader: Id | None = None
    tag: str | None = Field(None, max_length=40)
    free: bool | None = Field(None, description="freeleech at this moment, or not")
    alive: bool | None = Field(None, description="with a seeder, or without")
    sort: Sort = Sort.NEWEST
    limit: Limit = None
    cursor: Cursor = None


#: Whoever downloads a .torrent announces next: the edge must know the torrent by then.
IN_STEP_WITH_THE_EDGE = fresh("torrents", "users", "announce_access")


@router.get("", dependencies=[fresh("torrents", "categories", "privacy")])
def list_torrents(
    wanted: Annotated[TorrentFilter, Query()], page: PageDep, caller: Browser, db: ReadDb, now: Clock
) -> Page[TorrentItem]:
    """The torrents that the caller may see, newest first unless sorted otherwise."""
    order, name = _ORDERS[wanted.sort], f"torrents:{wanted.sort}"
    after = page.after(name) or [None, None]
    params = {**viewer(caller), **wanted.model_dump(), "now": now, "fetch": page.fetch}
    params["shelves"] = shelves(wanted.category, db)
    with db.cursor(row_factory=class_row(TorrentItem)) as cursor:
        cursor.execute(
            f"SELECT {ITEM} {SOURCE} WHERE {VISIBLE} AND {_WANTED}"
            f" AND (%(key)s::{order.type} IS NULL OR ({order.key}, t.torrent_id) {order.after} (%(key)s, %(id)s))"
            f" ORDER BY {order.key} {order.direction}, t.torrent_id {order.direction} LIMIT %(fetch)s",
            {**params, "key": after[0], "id": after[1]},
            prepare=False,  # a plan for these values: with a generic one PostgreSQL would use no index
        )
        rows = cursor.fetchall()
    return page.page(name, rows, lambda row: [getattr(row, order.field), row.id])


@router.get("/{torrent_id}", dependencies=[fresh("torrents", "users", "privacy")])
def get_torrent(torrent_id: Id, caller: Browser, db: ReadDb, now: Clock) -> TorrentDetail:
    """One torrent with its files. Deleted ones are shown to staff only."""
    with db.cursor(row_factory=class_row(TorrentDetail)) as cursor:
        cursor.execute(
            f"SELECT {ITEM}, t.description, t.piece_length, t.reason, (SELECT jsonb_agg("
            " jsonb_build_object('path', f.path, 'length', f.length) ORDER BY f.n) FROM torrent_file f"
            f" WHERE f.torrent_id = t.torrent_id) AS files {SOURCE} WHERE t.torrent_id = %(id)s AND {VISIBLE}",
            {**viewer(caller), "id": torrent_id, "now": now},
        )
        found = cursor.fetchone()
    if found is None:
        raise NoSuchThing("no such torrent")
    return found


def torrents_seen(
    db: Connection[Any], torrent_ids: Iterable[UUID], caller: Caller, now: datetime
) -> dict[UUID, TorrentItem]:
    """Those of these torrents that the caller may see. Raises `NotPermitted` for who may see none."""
    params = {**viewer(browsing(caller)), "ids": list(torrent_ids), "now": now}
    with db.cursor(row_factory=class_row(TorrentItem)) as cursor:
        rows = cursor.execute(f"SELECT {ITEM} {SOURCE} WHERE t.torrent_id = ANY (%(ids)s) AND {VISIBLE}", params)
        return {row.id: row for row in rows.fetchall()}


@router.head("/{torrent_id}/download", include_in_schema=False, dependencies=[IN_STEP_WITH_THE_EDGE])
@router.get(
    "/{torrent_id}/download",
    dependencies=[IN_STEP_WITH_THE_EDGE],
    response_class=TorrentFileResponse,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        410: problem_response("The torrent is deleted."),
    },
)
def download_torrent(
    torrent_id: Id, caller: Browser, db: ReadDb, settings: SettingsDep, secrets: SecretsDep
) -> TorrentFileResponse:
    """The .torrent with the caller's own announce key, which opens this torrent only."""
    return personal_copy(torrent_id, caller, db, settings, secrets)


def personal_copy(
    torrent_id: UUID, caller: Caller, db: Connection[Any], settings: Settings, secrets: Secrets
) -> TorrentFileResponse:
    """The same for whoever the caller is."""
    name, info, layers, passkey_no = _stored(torrent_id, caller, db)
    content = personal(info, layers, *links_of_copy(torrent_id, caller.user_id, passkey_no, settings, secrets))
    return TorrentFileResponse(content, headers={"Content-Disposition": content_disposition(f"{name}.torrent")})


def links_of_copy(
    torrent_id: UUID, user_id: UUID, passkey_no: int, settings: Settings, secrets: Secrets
) -> tuple[str, str, str]:
    """What a user's copy names: where to announce, the torrent's page, and where to announce else ("" for nowhere)."""
    key = announce_key(secrets.site, user_id, passkey_no, torrent_id)
    page = f"{settings.server.base_url}/torrents/{torrent_id}"
    second = f"{settings.edge.udp_url}/announce/{key}" if settings.edge.udp_in_torrents else ""
    return f"{settings.edge.base_url}/announce/{key}", page, second


def shelves(category: str | None, db: Connection[Any]) -> list[str] | None:
    """The slugs of a category and its subcategories; None for None.

    Asked for apart, because the planner has to see the values to know how many torrents they have.
    """
    if category is None:
        return None
    found = db.execute("SELECT slug FROM category WHERE %(slug)s IN (slug, parent)", {"slug": category}).fetchall()
    return [slug for (slug,) in found]


def viewer(caller: Caller) -> dict[str, object]:
    """The parameters of `VISIBLE`, and of `ITEM` but for `now`."""
    return {
        "caller": caller.user_id,
        "staff": caller.can(Permission.TORRENTS_MODERATE),
        "sees_uploads": Viewer(False, caller.permissions).overrides(PrivacyKey.UPLOADS),
    }


def content_disposition(file_name: str) -> str:
    """An attachment of that name (RFC 6266), in plain ASCII and in UTF-8 (RFC 8187), whatever characters it has."""
    stem, dot, ending = file_name.rpartition(".")
    shown = "".join("_" if char in "/\\" or not char.isprintable() else char for char in stem)
    shown = shown.encode()[:FILE_NAME_MAX].decode(errors="ignore") + dot + ending
    plain = "".join(char if char.isascii() and (char.isalnum() or char in " ._-()[]") else "_" for char in shown)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(shown, safe=_ATTRIBUTE_CHARACTERS)}"


def _stored(torrent_id: UUID, caller: Caller, db: Connection[Any]) -> tuple[str, bytes, bytes | None, int]:
    """Title, info dictionary, piece layers, and the number of the caller's passkey."""
    row = db.execute(
        "SELECT t.name, t.state, t.uploader_id, b.data, a.passkey_no FROM torrent t"
        " JOIN es.blob b ON b.sha256 = decode(t.metainfo_sha256, 'hex') JOIN account a ON a.user_id = %(caller)s"
        f" WHERE t.torrent_id = %(id)s AND {VISIBLE}",
        {**viewer(caller), "id": torrent_id},
    ).fetchone()
    if row is None:
        raise NoSuchThing("no such torrent")
    name, state, uploader_id, data, passkey_no = row
    if state == TorrentState.DELETED:
        raise TorrentGone("this torrent is deleted")
    if Permission.LEECH in caller.banned_from and uploader_id != caller.user_id:
        raise Banned("a ban keeps you from this")
    _, raw = decode_members(bytes(data))
    return name, raw[b"info"], raw.get(b"piece layers"), passkey_no
