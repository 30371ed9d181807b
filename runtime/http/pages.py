"""Keyset pagination: `limit`, and a signed `cursor` that holds the last row's sort keys for one query."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from domain.errors import Malformed
from runtime.http.types import AS_TEXT

T = TypeVar("T")

LIMIT_DEFAULT = 25
LIMIT_MAX = 100

#: How many rows of a list the caller wants.
PageLimit = Annotated[int, Field(ge=1, le=LIMIT_MAX), AS_TEXT, Query()]

_MAC_BYTES = 16


class BadCursor(Malformed):
    """The cursor was not made by this site for this query."""


class Page(BaseModel, Generic[T]):
    """Some of the answers; `next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


class PageRequest:
    """Which part of a list the caller wants."""

    def __init__(self, limit: int, cursor: str | None, key: bytes) -> None:
        self.limit = limit
        self._cursor = cursor
        self._key = key

    @property
    def fetch(self) -> int:
        """Rows to select: one more than the page holds tells whether there is a next one."""
        return self.limit + 1

    def after(self, query: str) -> list[Any] | None:
        """The sort keys (JSON scalars) after which the page starts, None for the first; raises `BadCursor`."""
        return None if self._cursor is None else _open(self._key, query, self._cursor)

    def page(self, query: str, rows: Sequence[T], keys: Callable[[T], Sequence[object]]) -> Page[T]:
        """The page of at most `fetch` rows; `keys` gives a row's sort keys (str() is taken of what JSON has not)."""
        items = list(rows[: self.limit])
        more = len(rows) > self.limit
        return Page(items=items, next_cursor=_seal(self._key, query, keys(items[-1])) if more else None)


async def page_request(
    request: Request,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> PageRequest:
    """The dependency behind `PageDep`."""
    return PageRequest(limit, cursor, request.app.state.platform.site_key("cursors"))


PageDep = Annotated[PageRequest, Depends(page_request)]


def _seal(key: bytes, query: str, keys: Sequence[object]) -> str:
    text = json.dumps([query, *keys], default=str, separators=(",", ":")).encode()
    return urlsafe_b64encode(_mac(key, text) + text).rstrip(b"=").decode()


def _open(key: bytes, query: str, cursor: str) -> list[Any]:
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raise BadCursor("this cursor was not made here") from None
    mac, text = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, text)):
        raise BadCursor("this cursor was not made here")
    keys: list[Any]
    name, *keys = json.loads(text)
    if name != query:
        raise BadCursor("this cursor belongs to another list")
    return keys


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, hashlib.sha256)[:_MAC_BYTES]
