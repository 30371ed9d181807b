"""How a refusal or a failure is answered: problem details (RFC 9457) with a stable code, never the caller's input."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from eventsourcing.persistence import OperationalError as StoreOperationalError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import OperationalError
from psycopg_pool import PoolClosed, PoolTimeout
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from domain.errors import DomainError

log = structlog.get_logger()

#: Seconds after which an answer of 503 is worth another try.
RETRY_AFTER_S = 1

#: What says that a store is away for the moment.
AWAY = (OperationalError, PoolTimeout, PoolClosed, StoreOperationalError, RedisError)

_FIELD = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
}
#: Kinds of validation errors with a code of their own.
_SPECIAL = {"extra_forbidden": "unknown_field", "json_invalid": "malformed_json"}


def problem(
    request_id: str,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, Any]] | None = None,
) -> Response:
    """The answer of one refusal or failure."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    if errors is not None:
        content["errors"] = list(errors)
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def install_problems(app: FastAPI) -> None:
    """Register every handler; what they do not know is answered by `runtime.http.middleware`."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    for kind in AWAY:
        app.add_exception_handler(kind, _unavailable)


def _id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.status in (429, 503):
        headers["Retry-After"] = str(getattr(error, "retry_after_s", RETRY_AFTER_S))
    errors = getattr(error, "errors", None)
    return problem(_id(request), error.status, error.code, str(error), headers=headers, errors=errors)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    codes = [_SPECIAL[e["type"]] for e in found if e["type"] in _SPECIAL]
    errors = [{"field": _field(e["loc"]), "message": str(e["msg"])} for e in found]
    return problem(_id(request), 422, codes[0] if codes else "invalid", "the request is not valid", errors=errors)


def _field(location: Sequence[object]) -> str:
    """Where the error is. A name that the caller chose is repeated only when it is a plain word."""
    names = [str(part) for part in location]
    return ".".join(name if _FIELD.fullmatch(name) else "?" for name in names[1:] or names)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    return problem(
        _id(request), error.status_code, code, HTTPStatus(error.status_code).description, headers=error.headers
    )


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("unavailable", request_id=_id(request), error=repr(error)[:500])
    return unavailable(_id(request))


def unavailable(request_id: str) -> Response:
    """503: a store is away for the moment."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return problem(request_id, 503, "unavailable", "a part of the site is away, try again", headers=headers)
