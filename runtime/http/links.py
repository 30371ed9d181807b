"""The page that the links of mails open: a form for each, which calls the API as any other client does."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Response

_FILES = Path(__file__).parent / "static"
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
#: Its own script and style and calls of this API: no other page frames it, and nothing of it comes from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


def add_links(app: FastAPI) -> None:
    """Serve the page at `/`, where links lead to."""
    files = {name: (_FILES / name).read_bytes() for name in ("links.html", "links.css", "links.js")}

    def served(name: str) -> Response:
        headers = {"Content-Security-Policy": _POLICY}
        return Response(files[name], media_type=_TYPES[Path(name).suffix], headers=headers)

    @app.get("/", include_in_schema=False)
    def get_link_page() -> Response:
        return served("links.html")

    @app.get("/links.css", include_in_schema=False)
    def get_link_style() -> Response:
        return served("links.css")

    @app.get("/links.js", include_in_schema=False)
    def get_link_script() -> Response:
        return served("links.js")
