"""The page that the links of mails open: a form for each, which calls the API as any other client does."""

from __future__ import annotations

from fastapi import FastAPI, Response

from runtime.http.own_pages import served


def add_links(app: FastAPI) -> None:
    """Serve the page at `/`, where links lead to."""

    @app.get("/", include_in_schema=False)
    def get_link_page() -> Response:
        return served("links.html")

    @app.get("/links.css", include_in_schema=False)
    def get_link_style() -> Response:
        return served("links.css")

    @app.get("/links.js", include_in_schema=False)
    def get_link_script() -> Response:
        return served("links.js")
