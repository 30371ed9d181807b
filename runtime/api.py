"""The API process: every router, in one readable list of lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

import commands
import queries
from runtime import health
from runtime.graphql.playground import add_playground
from runtime.heartbeat import keep_beating
from runtime.http.body import StrictRoute
from runtime.http.deps import PlatformDep
from runtime.http.links import add_links
from runtime.http.middleware import RequestMiddleware
from runtime.http.openapi import DescribedApi, operation_id
from runtime.http.problems import install_problems
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.site import open_platform
from runtime.telemetry import configure_logging, metrics_app, serve_metrics

DESCRIPTION = """Commands answer `id`, `version` and `position`; send the position back as `X-Min-Position` and a query
waits until it shows what the command did. `Idempotency-Key` (a UUID of yours) makes a repeated command answer as the
first time. Errors are `application/problem+json` with a stable `code`."""

TAGS = {
    "auth": "Coming in and going out: registration, sign-in, tokens, the second factor.",
    "users": "Accounts: one's own, those of others, and what staff do to them.",
    "erasures": "Forgetting people: for themselves, or for two of the staff.",
    "profiles": "What users say of themselves, and their pictures.",
    "relations": "Friends, blocked users, and those whose uploads one follows.",
    "exports": "Everything about me, in one archive.",
    "staff tools": "What staff write down, look at and find out about users; every look is recorded.",
    "invites": "Who may come, by whose word, and what came of it.",
    "bans": "What users may not do for a while, and why.",
    "warnings": "Whom staff told off, why, and for how long that counts.",
    "api keys": "Keys for programs, with fewer rights than their owner.",
    "user stats": "What users have moved and done, the facts that say so, over time, and compared with others.",
    "site stats": "What all users have moved and done together.",
    "achievements": "What there is to achieve, who has achieved it, and how far everybody is.",
    "rights": "What single users may do and may not beside what their groups say.",
    "groups": "The ladder of groups and what their members may do.",
    "torrents": "Uploads: sharing, finding, downloading, and what staff decide about them.",
    "reenable requests": "Asking to be let in again.",
    "rss": "What is new, for feed readers.",
    "peers": "Who is in a swarm.",
    "history": "The past of torrents and users, in hours and days.",
    "tracker": "By which rules the announce edges let clients in, and whom they turned away.",
    "search": "Torrents and users by words, be they mistyped.",
    "categories": "Where torrents belong.",
    "requests": "Wishes with a bounty on them.",
    "bonus": "Points: rules, grants and the ledger.",
    "moderation": "Reports and the cases that they open.",
    "audit": "Who did what to which subject, when, and why.",
    "forums": "The boards.",
    "chat": "The rooms.",
    "projections": "Where the read tables stand, for operators.",
    "graphql": "Many questions at once.",
    "health": "Whether the site is well; for probes.",
}


def create_app(platform: Platform) -> FastAPI:
    """The application; `platform` is closed by whoever opened it."""
    documented = not platform.settings.production
    app = DescribedApi(
        title="Unified Tracker Platform",
        version="0.1.0",
        description=DESCRIPTION,
        openapi_url="/openapi.json" if documented else None,
        docs_url="/docs" if documented else None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        openapi_tags=[{"name": name, "description": about} for name, about in TAGS.items()],
    )
    app.state.platform = platform
    app.router.route_class = StrictRoute
    for router in (*commands.ROUTERS, *queries.ROUTERS):
        app.include_router(router)
    _add_health(app)
    add_links(app)
    if documented:
        add_playground(app)
    if platform.settings.telemetry.metrics_enabled:
        app.mount("/metrics", metrics_app())
    install_problems(app)
    app.add_middleware(RequestMiddleware)
    return app


class Liveness(BaseModel):
    status: Literal["ok"] = "ok"


class Health(BaseModel):
    """`components` says of each part `ok`, `away`, or which projections are behind."""

    status: Literal["ok", "degraded", "unavailable"]
    components: dict[str, str]


def _add_health(app: FastAPI) -> None:
    away: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "What is away or behind."}}

    @app.get("/health/live", tags=["health"])
    def get_liveness() -> Liveness:
        """The process answers."""
        return Liveness()

    @app.get("/health/ready", tags=["health"], responses=away)
    def get_readiness(platform: PlatformDep, response: Response) -> Health:
        """503 while the store is away or a projection is far behind."""
        return _report(platform, response)

    @app.get("/health", tags=["health"], responses=away)
    def get_health(platform: PlatformDep, response: Response) -> Health:
        """Every component."""
        return _report(platform, response)


def _report(platform: Platform, response: Response) -> Health:
    found = health.report(platform)
    response.status_code = 200 if found.pop("ready") else 503
    return Health(**found)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logging(settings, "api")
    stop_metrics = serve_metrics(settings, "api")
    platform = open_platform(settings)

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        beating = asyncio.create_task(keep_beating())
        yield
        beating.cancel()
        stop_metrics()
        platform.close()

    app = create_app(platform)
    app.router.lifespan_context = closing
    uvicorn.run(
        app,
        host=settings.server.host,
        port=settings.server.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
