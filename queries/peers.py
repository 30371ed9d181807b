"""Who is in a torrent's swarm right now?"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import kwargs_row
from pydantic import Field

from domain.clients import client
from domain.permissions import Permission
from domain.privacy import Answer, Part, PrivacyKey, visibility
from queries.people import Person
from queries.privacy import Guarded, Private, settings_from, viewer_of
from queries.torrents import VISIBLE, Browser, viewer
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/torrents", tags=["peers"], route_class=StrictRoute)


class PeerShown(Guarded):
    """One client in the swarm; `uploaded`, `downloaded` and `left` are bytes as it announced them.

    `user` is null for the anonymous uploader, and for who hides what it seeds or leeches. Addresses are shown to staff
    and to their user.
    """

    user: Person | None
    client: str
    seeder: bool
    left: int
    uploaded: Annotated[int | None, Private(PrivacyKey.UPLOADED)]
    downloaded: Annotated[int | None, Private(PrivacyKey.DOWNLOADED)]
    first_announced_at: datetime
    last_announced_at: datetime
    ip: str | None
    addresses: list[str] | None
    key: tuple[bool, datetime, str] = Field(exclude=True)  # not the user, who may be hidden


@router.get("/{torrent_id}/peers", dependencies=[fresh("peers", "torrents", "users", "privacy")])
def list_peers(torrent_id: Id, caller: Browser, page: PageDep, db: ReadDb) -> Page[PeerShown]:
    """The clients that are in the swarm, seeders first."""
    visible = db.execute(
        f"SELECT FROM torrent t WHERE t.torrent_id = %(id)s AND {VISIBLE}", {**viewer(caller), "id": torrent_id}
    )
    if not visible.rowcount:
        raise NoSuchThing("no such torrent")
    query = f"peers:{torrent_id}"
    rows = peers(db, torrent_id, caller, page.after(query), page.fetch)
    return page.page(query, rows, lambda row: row.key)


def peers(
    db: Connection[Any], torrent_id: UUID, caller: Caller, after: list[Any] | None, limit: int
) -> list[PeerShown]:
    """At most `limit` active clients as the caller may see them, after that (leecher, first announced, peer id)."""
    with db.cursor(row_factory=kwargs_row(partial(_shown, caller))) as cursor:
        return cursor.execute(
            "SELECT p.user_id, a.username, p.peer_id, p.seeder, p.remaining, p.uploaded, p.downloaded,"
            " p.first_announced_at, p.last_announced_at,"
            " coalesce(t.anonymous AND t.uploader_id = p.user_id AND NOT %(staff)s AND p.user_id <> %(caller)s, false)"
            "  AS anonymous,"
            " CASE WHEN %(private)s OR p.user_id = %(caller)s THEN ARRAY[p.ipv4, p.ipv6] END AS addresses,"
            " ARRAY[p.port4, p.port6] AS ports, v.hidden AS hides, v.counted AS counts"
            " FROM peer p LEFT JOIN torrent t USING (torrent_id) LEFT JOIN account a USING (user_id)"
            " LEFT JOIN privacy v USING (user_id)"
            " WHERE p.torrent_id = %(id)s AND p.active AND (%(peer)s::text IS NULL OR"
            "  (NOT p.seeder, p.first_announced_at, p.peer_id) > (%(leecher)s, %(since)s, decode(%(peer)s, 'hex')))"
            " ORDER BY NOT p.seeder, p.first_announced_at, p.peer_id LIMIT %(limit)s",
            {
                **viewer(caller),
                **dict(zip(("leecher", "since", "peer"), after or (None, None, None), strict=True)),
                "private": caller.can(Permission.USERS_SEE_PRIVATE),
                "id": torrent_id,
                "limit": limit,
            },
        ).fetchall()


def _shown(
    caller: Caller,
    *,
    user_id: UUID,
    username: str | None,
    peer_id: bytes,
    remaining: int,
    anonymous: bool,
    hides: list[str] | None,
    counts: list[str] | None,
    addresses: list[bytes | None] | None,
    ports: list[int | None],
    **fields: Any,
) -> PeerShown:
    shown = None if addresses is None else [_address(a, p) for a, p in zip(addresses, ports, strict=True) if a]
    viewer, settings = viewer_of(caller, user_id), settings_from(hides, counts)
    key = PrivacyKey.SEEDING if fields["seeder"] else PrivacyKey.LEECHING
    here = visibility(settings, key, viewer, Part.LIST)
    peer = PeerShown(
        user=None if anonymous or here is Answer.HIDDEN else Person(id=user_id, username=username),
        client=client(peer_id),
        left=remaining,
        ip=next((str(ip_address(a)) for a in addresses or () if a), None),
        addresses=shown,
        key=(not fields["seeder"], fields["first_announced_at"], peer_id.hex()),
        **fields,
    ).seen_by(viewer, settings)
    if here is not Answer.ALLOWED:
        peer.privacy["user"] = here
    return peer


def _address(address: bytes, port: int | None) -> str:
    """`192.0.2.1:6881`, `[2001:db8::1]:6881`."""
    ip = ip_address(address)
    return f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}"
