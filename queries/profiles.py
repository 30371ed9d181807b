"""What does a user say of itself, and what does it look like?"""

from __future__ import annotations

import re
from base64 import b64decode
from contextlib import contextmanager
from typing import Any
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


class ProfileShown(BaseModel):
    """`bio` is Markdown as it was written, `bio_html` the same as HTML that is safe to show; `avatar` is a path."""

    title: str
    bio: str
    bio_html: str
    avatar: str | None


class Avatar(Response):
    """A picture."""

    media_type = MEDIA_TYPE


def profile(db: Connection[Any], user_id: UUID) -> ProfileShown:
    """The user's profile; an empty one before the first change."""
    row = db.execute("SELECT title, bio, avatar FROM read.profile WHERE user_id = %s", (user_id,)).fetchone()
    title, bio, avatar = row or ("", "", None)
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
            kept = db.execute(
                "SELECT p.user_id, b.data FROM profile p JOIN es.blob b ON b.sha256 = decode(p.avatar_blob, 'hex')"
                " WHERE p.avatar = %s",
                (sha256,),
            ).fetchone()
        if kept is not None:
            opened = platform.keyring.open(kept[0], bytes(kept[1]).decode(), f"avatar/{sha256}")
            if opened != ERASED:
                return Avatar(b64decode(opened), headers=_HEADERS)
    raise NoSuchThing("no such picture")
