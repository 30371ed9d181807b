"""What does a user say of itself, and what does it look like?"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import UUID

from fastapi import APIRouter, Response
from psycopg import Connection
from pydantic import BaseModel

from domain.base import ERASED
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import PlatformDep, read_db
from runtime.markdown import safe_html
from runtime.pictures import MEDIA_TYPE
from runtime.platform import Platform
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/avatars", tags=["profiles"], route_class=StrictRoute)

#: For what asks for a data key too: nobody waits for one connection while holding another.
_reading = contextmanager(read_db)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
#: Its name is its hash: what is there never changes. The picture is data, whatever a browser would make of it.
_HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": 'inline; filename="avatar.webp"',
}


_KEPT: LiteralString = """
SELECT p.user_id, p.avatar, b.data FROM read.profile p JOIN es.blob b ON b.sha256 = decode(p.avatar_blob, 'hex')
"""


class ProfileShown(BaseModel):
    """`bio` is Markdown as it was written, `bio_html` the same as HTML that is safe to show; `avatar` is a path."""

    title: str
    bio: str
    bio_html: str
    avatar: str | None


class Avatar(Response):
    """A picture."""

    media_type = MEDIA_TYPE


def profiles(db: Connection[Any], user_ids: Iterable[UUID]) -> dict[UUID, ProfileShown]:
    """The profile of each of these users; an empty one before the first change."""
    wanted = list(user_ids)
    rows = db.execute(
        "SELECT user_id, title, bio, avatar FROM read.profile WHERE user_id = ANY (%s)", (wanted,)
    ).fetchall()
    return dict.fromkeys(wanted, _shown("", "", None)) | {user_id: _shown(*row) for user_id, *row in rows}


def _shown(title: str, bio: str, avatar: str | None) -> ProfileShown:
    return ProfileShown(title=title, bio=bio, bio_html=safe_html(bio), avatar=avatar and f"/api/v1/avatars/{avatar}")


@router.get(
    "/{sha256}",
    dependencies=[fresh("profiles")],
    response_class=Avatar,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
def get_avatar(sha256: str, platform: PlatformDep) -> Avatar:
    """A picture of somebody who still shows it. Browsers ask for it without a token: nobody guesses a hash."""
    if _SHA256.fullmatch(sha256):
        with _reading(platform) as db:
            kept = db.execute(f"{_KEPT} WHERE p.avatar = %s", (sha256,)).fetchone()
        if (picture := _opened(platform, kept)) is not None:
            return Avatar(picture, headers=_HEADERS)
    raise NoSuchThing("no such picture")


def avatar_of(platform: Platform, db: Connection[Any], user_id: UUID) -> bytes | None:
    """The picture that the user shows."""
    return _opened(platform, db.execute(f"{_KEPT} WHERE p.user_id = %s", (user_id,)).fetchone())


def _opened(platform: Platform, kept: tuple[Any, ...] | None) -> bytes | None:
    """The picture of a row of `_KEPT`; None when its user's key is destroyed."""
    if kept is None:
        return None
    user_id, name, sealed = kept
    opened = platform.keyring.open(user_id, bytes(sealed).decode(), f"avatar/{name}")
    return None if opened == ERASED else b64decode(opened)
