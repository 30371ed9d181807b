"""A page to try GraphQL on, outside production: what there is, a document, its answer."""

from __future__ import annotations

from fastapi import FastAPI, Response

from runtime.http.own_pages import served


def add_playground(app: FastAPI) -> None:
    """Serve the page at `/graphql/playground`."""

    @app.get("/graphql/playground", include_in_schema=False)
    def get_playground() -> Response:
        return served("playground.html")

    @app.get("/graphql/playground.css", include_in_schema=False)
    def get_playground_style() -> Response:
        return served("playground.css")

    @app.get("/graphql/playground.js", include_in_schema=False)
    def get_playground_script() -> Response:
        return served("playground.js")
