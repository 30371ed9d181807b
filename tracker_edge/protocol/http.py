"""HTTP/1.x on a byte stream, without sockets: bytes in, requests and refusals out, in order.

Only what an announce needs: GET, keep-alive, pipelining, bodies that are read past. Anything that two parsers could
read differently (RFC 9112 section 11.2) is refused and ends the connection.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Room for a scrape of 50 fully escaped hashes (about 3.6 kB), twice.
MAX_REQUEST_LINE_BYTES = 8192
MAX_HEAD_BYTES = 16384
MAX_HEADERS = 100
#: A body on a GET means nothing; one that is larger is an attack.
MAX_BODY_BYTES = 65536
MAX_USER_AGENT_BYTES = 64

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([0-9])")
_FIELDS = re.compile(rb"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*+)*+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[\t ]*(?:;[\t -~\x80-\xff]*)?")
#: No announcing client sends these; a browser that was given a tracker's address does. (Want-Digest is aria2's.)
_BROWSER_FIELDS = frozenset({b"accept-language", b"referer", b"cookie", b"accept-charset"})
_BROWSER_WORDS = (b"mozilla", b"chrome", b"safari", b"applewebkit", b"opera", b"lynx")

_CHUNKED = -1


class Fields(NamedTuple):
    """What the header fields say that matters here."""

    body: int  # bytes of body that follow, or _CHUNKED
    close: bool | None  # what Connection asks for; None when it says nothing
    forwarded: tuple[bytes, ...]  # hops of X-Forwarded-For, nearest last
    browser: bool
    agent: bytes  # User-Agent, empty for none


class Request(NamedTuple):
    """One request; `target` is in origin form."""

    method: bytes
    target: bytes
    close: bool  # the connection ends after the answer
    old: bool  # HTTP/1.0: a kept connection must be confirmed
    fields: Fields


class Refusal(NamedTuple):
    """Bytes that are no request: the answer's status, after which the connection ends."""

    status: int
    reason: str


class BadRequest(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(status, reason)


class RequestReader:
    """The requests of one connection. `waiting` tells whether half a request has been read."""

    __slots__ = ("_body", "_buffer", "_ended")

    def __init__(self) -> None:
        self._buffer = b""
        self._body = 0
        self._ended = False

    @property
    def waiting(self) -> bool:
        return bool(self._buffer) or self._body != 0

    def feed(self, data: bytes) -> list[Request | Refusal]:
        """The requests that are complete with these bytes; after a refusal or a last request nothing more is read."""
        if self._ended:
            return []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        found: list[Request | Refusal] = []
        position = 0
        try:
            while position < len(data) and not self._ended:
                if self._body:
                    position = self._skip_body(data, position)
                    if self._body:
                        break
                    continue
                end = data.find(b"\r\n\r\n", position)
                if end < 0 or end - position > MAX_HEAD_BYTES:
                    _refuse_endless(data, position)
                    break
                request, self._body = _request(data, position, end)
                found.append(request)
                self._ended = request.close
                position = end + 4
        except BadRequest as error:
            found.append(error.refusal)
            self._ended = True
        if not self._ended and position < len(data):
            self._buffer = data[position:]
        return found

    def _skip_body(self, data: bytes, position: int) -> int:
        """The position after what is there of the body."""
        if self._body == _CHUNKED:
            end = _end_of_chunks(data, position)
            if end is None:
                return position
            self._body = 0
            return end
        taken = min(self._body, len(data) - position)
        self._body -= taken
        return position + taken


def _request(data: bytes, start: int, end: int) -> tuple[Request, int]:
    line_end = data.find(b"\r\n", start, end)
    if line_end < 0:
        line_end = end
    if line_end - start > MAX_REQUEST_LINE_BYTES:
        raise BadRequest(414, "GET string too long")
    line = _LINE.fullmatch(data, start, line_end)
    if line is None:
        raise BadRequest(400, "Malformed HTTP request")
    method, target, minor = line.groups()
    fields = read_fields(data[line_end:end])
    old = minor == b"0"
    close = old if fields.close is None else fields.close
    if not target.startswith(b"/"):
        target = _origin_form(target)
    return Request(method, target, close, old, fields), fields.body


_known_fields: dict[bytes, Fields] = {}


def known_fields(block: bytes) -> Fields | None:
    """The header fields of a block that `read_fields` has read before."""
    return _known_fields.get(block)


def read_fields(block: bytes) -> Fields:
    """The header fields, from the CRLF before the first one to the end of the last; raises `BadRequest`.

    A client sends the same block with every announce, so blocks that were read are remembered (512 kB at most).
    """
    fields = _known_fields.get(block)
    if fields is None:
        fields = _read_fields(block)
        if len(block) <= 512:
            if len(_known_fields) >= 1024:
                _known_fields.clear()
            _known_fields[block] = fields
    return fields


def _read_fields(block: bytes) -> Fields:
    if _FIELDS.fullmatch(block) is None:
        raise BadRequest(400, "Malformed HTTP header")
    lines = block.split(b"\r\n")[1:]
    if len(lines) > MAX_HEADERS:
        raise BadRequest(431, "Too many header fields")
    lengths: list[bytes] = []
    codings: list[bytes] = []
    hops: list[bytes] = []
    agents: list[bytes] = []
    close: bool | None = None
    browser = False
    for line in lines:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"connection":
            options = {option.strip() for option in value.lower().split(b",")}
            close = True if b"close" in options else False if b"keep-alive" in options else close
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value.lower())
        elif name == b"x-forwarded-for":
            hops.extend(hop.strip() for hop in value.split(b","))
        elif name == b"user-agent":
            agents.append(value)
        browser |= name in _BROWSER_FIELDS
    browser |= any(len(agent) > MAX_USER_AGENT_BYTES for agent in agents)
    browser |= any(word in agent.lower() for agent in agents for word in _BROWSER_WORDS)
    return Fields(_body_size(lengths, codings), close, tuple(hops), browser, agents[0] if agents else b"")


def _body_size(lengths: list[bytes], codings: list[bytes]) -> int:
    if codings:
        if lengths or codings != [b"chunked"]:
            raise BadRequest(400, "Ambiguous body")
        return _CHUNKED
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 10:
        raise BadRequest(400, "Ambiguous body")
    size = int(lengths[0])
    if size > MAX_BODY_BYTES:
        raise BadRequest(413, "Body too long")
    return size


def _origin_form(target: bytes) -> bytes:
    """Path and query of an absolute-form target (RFC 9112 section 3.2.2)."""
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        raise BadRequest(400, "Malformed request target")
    slash, question = rest.find(b"/"), rest.find(b"?")
    if slash < 0 or 0 <= question < slash:
        return b"/" + (rest[question:] if question >= 0 else b"")
    return rest[slash:]


def _refuse_endless(data: bytes, position: int) -> None:
    """Raises `BadRequest` when waiting for more can never make a request of these bytes."""
    line_end = data.find(b"\r\n", position, position + MAX_REQUEST_LINE_BYTES + 2)
    if line_end < 0 and len(data) - position > MAX_REQUEST_LINE_BYTES:
        raise BadRequest(414, "GET string too long")
    if len(data) - position > MAX_HEAD_BYTES:
        raise BadRequest(431, "Header fields too long")
    bare = data.find(b"\n", position)
    if bare >= 0 and (bare == position or data[bare - 1] != 13):
        raise BadRequest(400, "Malformed HTTP request")
    if line_end >= 0 and _LINE.fullmatch(data, position, line_end) is None:
        raise BadRequest(400, "Malformed HTTP request")


def _end_of_chunks(data: bytes, position: int) -> int | None:
    """The position after a chunked body, None while it is incomplete; raises `BadRequest`."""
    start = position
    while True:
        line_end = data.find(b"\r\n", position)
        if line_end < 0 or line_end - start > MAX_BODY_BYTES:
            if len(data) - start > MAX_BODY_BYTES:
                raise BadRequest(413, "Body too long")
            return None
        size = _CHUNK_SIZE.fullmatch(data, position, line_end)
        if size is None:
            raise BadRequest(400, "Malformed chunk")
        length = int(size[1], 16)
        if length == 0:
            return _end_of_trailers(data, start, line_end)
        position = line_end + 2 + length + 2
        if position - start > MAX_BODY_BYTES:
            raise BadRequest(413, "Body too long")
        if position > len(data):
            return None
        if data[position - 2 : position] != b"\r\n":
            raise BadRequest(400, "Malformed chunk")


def _end_of_trailers(data: bytes, start: int, line_end: int) -> int | None:
    end = data.find(b"\r\n\r\n", line_end)
    if end < 0:
        if len(data) - start > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            raise BadRequest(413, "Body too long")
        return None
    return end + 4


_STATUS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    414: b"Request-URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b"
_OK_CLOSE = _OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
_OK_KEPT = _OK.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
_ANY = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%b\r\n%b"


def response(body: bytes, *, close: bool = False, old: bool = False) -> bytes:
    """The answer 200; `close` ends the connection, `old` is HTTP/1.0."""
    if not close and not old:
        return _OK % (len(body), body)
    return (_OK_CLOSE if close else _OK_KEPT) % (len(body), body)


def error_response(status: int, body: bytes, *, close: bool, head: bool = False, fields: bytes = b"") -> bytes:
    """Any other answer; `head` leaves the body out, as for the method HEAD, `fields` are whole lines."""
    if close:
        fields += b"Connection: close\r\n"
    return _ANY % (status, _STATUS[status], len(body), fields, b"" if head else body)
