"""What does a user say of itself, and what does it look like?"""

from __future__ import annotations

import re
from base64 import b64decode
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


#: The profile of the user of `account a`, for `profile_of`; null before the first change.
PROFILE: LiteralString = (
    "(SELECT jsonb_build_object('title', p.title, 'bio', p.bio, 'avatar', p.avatar)"
    " FROM read.profile p WHERE p.user_id = a.user_id)"
)


def profile_of(written: dict[str, Any] | None) -> ProfileShown:
    """What a column of `PROFILE` says."""
    shown = written or {"title": "", "bio": "", "avatar": None}
    avatar = shown["avatar"] and f"/api/v1/avatars/{shown['avatar']}"
    return ProfileShown(title=shown["title"], bio=shown["bio"], bio_html=safe_html(shown["bio"]), avatar=avatar)


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
