"""Files of the site's own pages: nothing of them comes from elsewhere, and no other page frames them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import Response

_FILES = Path(__file__).parent / "static"
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
#: Its own script and style and calls of this API.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


def served(name: str) -> Response:
    """The file of that name."""
    return Response(_content(name), media_type=_TYPES[Path(name).suffix], headers={"Content-Security-Policy": _POLICY})


@cache
def _content(name: str) -> bytes:
    return (_FILES / name).read_bytes()
