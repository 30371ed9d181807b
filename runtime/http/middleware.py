"""What every answer of the API has in common: a request id, a log line, a metric, headers, and no uncaught error."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.http.body import BodyTooLarge
from runtime.http.problems import problem
from runtime.store import new_id
from runtime.telemetry import HTTP_DURATION, HTTP_REQUESTS

log = structlog.get_logger()

#: A .torrent file of 10 MiB with the form around it.
MAX_BODY_BYTES = 12 * 2**20

#: What logs and metrics say of a request that was cut short; no answer ever carries it.
CLIENT_GONE = 499

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)
#: RFC 9110 section 7.2: a name or an address literal, and a port; user data and paths have no place in it.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")

#: Set where the route has not set its own.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class RequestMiddleware:
    """Wraps one HTTP request; other connections pass through.

    `allowed_hosts` None takes every well-formed Host header; names are compared without port, in lower case.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: frozenset[str] | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        headers: Mapping[str, str] = SECURITY_HEADERS,
    ) -> None:
        self.app = app
        self._allowed_hosts = allowed_hosts
        self._max_body_bytes = max_body_bytes
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await _Exchange(scope, send, self._headers).run(self.app, self._refusal(scope), self._capped(receive))

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, code and detail of what is refused before routing."""
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return 400, "bad_host", "send exactly one well-formed Host header"
        if self._allowed_hosts is not None and _host_name(hosts[0]) not in self._allowed_hosts:
            return 421, "misdirected_request", "this server does not answer for that host"
        if _CONTROLS.search(scope["path"]):
            return 404, "not_found", "there is nothing here"
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length[:19]) > self._max_body_bytes:
            return 413, "body_too_large", f"a body has at most {self._max_body_bytes} bytes"
        return None

    def _capped(self, receive: Receive) -> Receive:
        """The body's messages until there are too many: a length can be left out, and can lie."""
        left = self._max_body_bytes

        async def capped() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise BodyTooLarge("the body is too large")
            return message

        return capped


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, headers: Mapping[str, str]) -> None:
        self._scope = scope
        self._send = send
        self._headers = headers
        self._started = time.monotonic()
        self._status = 0
        self._request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = self._request_id

    async def run(self, app: ASGIApp, refusal: tuple[int, str, str] | None, receive: Receive) -> None:
        try:
            if refusal is not None:
                await problem(self._request_id, *refusal)(self._scope, receive, self._answer)
            else:
                await app(self._scope, receive, self._answer)
        except ClientDisconnect:  # in the middle of its own request: nobody is there to be answered
            self._status = self._status or CLIENT_GONE
        except Exception:
            log.exception("internal_error", request_id=self._request_id, route=self._route)
            if self._status:
                raise  # half an answer is out: the server has to close the connection
            answer = problem(self._request_id, 500, "internal", "something went wrong on our side")
            await answer(self._scope, receive, self._answer)
        finally:
            self._record()

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = self._request_id
        await self._send(message)

    @property
    def _route(self) -> str:
        """The route's template: paths carry names and keys, which belong in no log and no metric."""
        included = self._scope.get("fastapi", {}).get("effective_route_context")  # knows the routers' prefixes
        return str(getattr(included or self._scope.get("route"), "path", "") or "unmatched")

    def _record(self) -> None:
        seconds, method, route = time.monotonic() - self._started, _method(self._scope["method"]), self._route
        HTTP_REQUESTS.labels(method, route, str(self._status)).inc()
        HTTP_DURATION.labels(method, route).observe(seconds)
        log.info(
            "request",
            request_id=self._request_id,
            method=method,
            route=route,
            status=self._status,
            duration_ms=round(seconds * 1000, 1),
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(new_id())


def _host_name(host: str) -> str:
    return re.sub(r":[0-9]+$", "", host).lower()


def _method(method: str) -> str:
    """Callers may invent methods; a metric's labels may not grow with them."""
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
