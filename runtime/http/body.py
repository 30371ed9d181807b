"""What a request may look like before any command sees it: strict JSON, strict query strings, buffered bodies.

JSON leaves room for surprises (RFC 8259 sections 4, 6 and 8): duplicate keys, numbers beyond 64 bits, lone surrogates.
Two readers of one body must never disagree, so all of these are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, ClassVar, get_origin
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from domain.base import MAX_COUNT
from domain.errors import DomainError, Malformed
from runtime.http.types import JsonObject
from runtime.store import AlreadyDone, VersionConflict
from runtime.telemetry import COMMANDS

MAX_JSON_BYTES = 2**20
MAX_JSON_DEPTH = 100
#: Fields and files of one multipart form.
MAX_FORM_PARTS = 50
#: Attempts of a command that names no version: load, decide and save again when somebody else was faster.
ATTEMPTS = 3
#: RFC 9110 section 8.3.1, without what RFC 2231 adds to parameters: no two readers agree on that.
_VALUE = r"""("[^"\\\x00-\x1f\x7f-\uffff]{1,100}"|[^\s"\\;,*\x00-\x1f\x7f-\uffff]{1,100})"""
_PARAMETER = rf"([!#$%&'+.^_`|~0-9A-Za-z-]{{1,40}})={_VALUE}"
_CONTENT_TYPE = re.compile(rf"([A-Za-z0-9.+-]{{1,60}}/[A-Za-z0-9.+-]{{1,60}})(?:[ \t]*;[ \t]*{_PARAMETER}){{0,3}}")
#: Controls other than tab and line ends, and halves of surrogate pairs: never text that somebody typed.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class UnsupportedMediaType(DomainError):
    """The body is not of the content type that this route reads."""

    status: ClassVar[int] = 415


class BodyTooLarge(DomainError):
    """The body is longer than this route reads."""

    status: ClassVar[int] = 413


class MalformedJson(DomainError):
    """The body is not one JSON document in UTF-8."""

    status: ClassVar[int] = 400


class DuplicateKey(Malformed):
    """An object of the body names one key twice, or a form one field."""


class NumberOutOfRange(Malformed):
    """A number of the body is not finite or does not fit 64 bits."""


class ControlCharacters(Malformed):
    """A text holds control characters or halves of surrogate pairs."""


class DuplicateParameter(Malformed):
    """The query string names one parameter twice."""


class MalformedParameter(Malformed):
    """The query string is not percent-encoded UTF-8 text."""


class StrictRoute(APIRoute):
    """A route whose query string can be read in one way only."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            check_query(request.scope["query_string"])
            return await handle(request)

        return strict


class CommandRoute(StrictRoute):
    """A route that changes something: its body is read strictly and once, and a repeat gets the first answer."""

    def get_route_handler(self) -> Handler:
        handle = _counted(self.name, super().get_route_handler())
        has_form = self.body_field is not None and isinstance(self.body_field.field_info, Form)
        has_json = self.body_field is not None and not has_form
        repeatable = _lists(self.body_field.field_info.annotation) if self.body_field else frozenset()

        async def carry_out(request: Request) -> Response:
            body = await request.body()
            parsed = parse_json_body(request, body) if has_json and body else None
            boundary = content_type(request)[1].get("boundary", "") if has_form else ""
            request.state.request_sha = request_sha(request, body, boundary)
            for attempt in range(1, ATTEMPTS + 1):
                buffered = _Buffered(request, body, parsed)
                try:
                    if has_form:
                        await check_form(buffered, repeatable)
                    return await handle(buffered)
                except VersionConflict:
                    if attempt == ATTEMPTS or "if-match" in request.headers:
                        raise
                except AlreadyDone as done:
                    return self._repeated(done.reply)
                finally:
                    await buffered.close()
            raise AssertionError("unreachable: the last attempt returns or raises")

        return carry_out

    def _repeated(self, reply: dict[str, Any]) -> Response:
        """The first answer again, in the shape and under the status that this route answers with."""
        status, headers = self.status_code or 200, {"Idempotent-Replayed": "true"}
        if status == 204:
            return Response(status_code=status, headers=headers)
        model = self.response_model
        if isinstance(model, type) and issubclass(model, BaseModel):
            reply = model.model_validate(reply).model_dump(mode="json", by_alias=True)
        return JSONResponse(reply, status, headers)


class QuestionRoute(StrictRoute):
    """A route whose body is a question: read as strictly as a command, and nothing is changed by it."""

    max_bytes = 2**17

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def ask(request: Request) -> Response:
            body = await request.body()
            parsed = parse_json_body(request, body, self.max_bytes) if body else None
            return await handle(_Buffered(request, body, parsed))

        return ask


def _counted(command: str, handle: Handler) -> Handler:
    """The handler with its outcomes counted: what was refused by a rule is no failure."""

    async def counted(request: Request) -> Response:
        outcome = "failed"
        try:
            answer = await handle(request)
            outcome = "done"
            return answer
        except AlreadyDone:
            outcome = "repeated"
            raise
        except (DomainError, RequestValidationError):
            outcome = "refused"
            raise
        finally:
            COMMANDS.labels(command, outcome).inc()

    return counted


class _Buffered(Request):
    """A request whose body is in memory, so that the handler can run again."""

    def __init__(self, request: Request, body: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._buffer = body
        self._parsed = parsed

    async def body(self) -> bytes:
        return self._buffer

    async def stream(self) -> AsyncGenerator[bytes, None]:
        yield self._buffer
        yield b""

    async def json(self) -> Any:
        return self._parsed


def _lists(form: Any) -> frozenset[str]:
    """The fields of a form that may be given more than once."""
    fields = getattr(form, "model_fields", {})
    return frozenset(name for name, field in fields.items() if get_origin(field.annotation) is list)


def content_type(request: Request) -> tuple[str, dict[str, str]]:
    """The type in lower case and its parameters; raises `UnsupportedMediaType` for another charset than UTF-8."""
    given = request.headers.getlist("content-type")
    if given in ([], [""]):
        return "", {}
    found = _CONTENT_TYPE.fullmatch(given[0])
    if found is None or len(given) > 1:
        raise UnsupportedMediaType("send one plain Content-Type")
    pairs = [(name.lower(), value.strip('"')) for name, value in re.findall(_PARAMETER, given[0])]
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or parameters.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType("send UTF-8")
    return found[1].lower(), parameters


def request_sha(request: Request, body: bytes, boundary: str = "") -> bytes:
    """What makes two requests the same one: method, target and body, whatever boundary a form was sent with."""
    if boundary:
        body = body.replace(f"--{boundary}".encode(), b"--")
    target = f"{request.method} {request.scope['path']}?".encode() + request.scope["query_string"]
    return hashlib.sha256(target + b"\n" + body).digest()


def parse_json_body(request: Request, body: bytes, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The parsed body; raises one of the refusals above."""
    if content_type(request)[0] != "application/json":
        raise UnsupportedMediaType("send application/json in UTF-8")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("send the body without content encoding")
    if len(body) > max_bytes:
        raise BodyTooLarge(f"a JSON body has at most {max_bytes} bytes here")
    return strict_json(body)


def strict_json(body: bytes) -> Any:
    """One JSON document that every reader reads alike; objects come back as `JsonObject` at the top."""
    try:
        parsed = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except (ValueError, RecursionError):
        raise MalformedJson("the body is not one JSON document in UTF-8") from None
    _check_values(parsed)
    return JsonObject(parsed, text=body) if isinstance(parsed, dict) else parsed


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise DuplicateKey("an object names one key twice")
    return made


def _constant(name: str) -> float:
    raise NumberOutOfRange("NaN and Infinity are not JSON numbers")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(number := int(digits)) > MAX_COUNT:
        raise NumberOutOfRange("an integer does not fit 64 bits")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NumberOutOfRange("a number is too large")
    return number


def _check_values(parsed: Any) -> None:
    todo = [(parsed, 1)]
    while todo:
        value, depth = todo.pop()
        if depth > MAX_JSON_DEPTH:
            raise MalformedJson("the body is nested too deeply")
        if isinstance(value, str):
            check_text(value)
        elif isinstance(value, dict):
            todo += [(part, depth + 1) for item in value.items() for part in item]
        elif isinstance(value, list):
            todo += [(part, depth + 1) for part in value]


def check_text(text: str, *, returns: bool = False) -> None:
    """Raises `ControlCharacters`; carriage returns are text only where browsers put them, in forms."""
    if _CONTROLS.search(text) or ("\r" in text and not returns):
        raise ControlCharacters("a text holds control characters")


async def check_form(request: Request, repeatable: frozenset[str] = frozenset()) -> None:
    """Parse the form once (the request keeps it); check its texts, and that fields but these are given once."""
    form = await request.form(max_files=MAX_FORM_PARTS, max_fields=MAX_FORM_PARTS)
    for name, value in form.multi_items():
        if name not in repeatable and len(form.getlist(name)) > 1:
            raise DuplicateKey("the form names one field twice")
        check_text(name)
        if isinstance(value, str):
            check_text(value, returns=True)


def check_query(query: bytes) -> None:
    """Raises when a parameter is named twice or is not text."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise MalformedParameter("the query string is not percent-encoded UTF-8 text") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise DuplicateParameter("a parameter is given twice")
    for name, value in pairs:
        check_text(name)
        check_text(value)
