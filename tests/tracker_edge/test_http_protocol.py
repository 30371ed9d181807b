"""HTTP bytes in, requests and refusals out, whatever the pieces they come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker_edge.protocol.http import Refusal, Request, RequestReader, error_response, response

GET = b"GET /announce/k?a=1 HTTP/1.1\r\nHost: t\r\nUser-Agent: x/1\r\n\r\n"


def read(*pieces: bytes) -> list[Request | Refusal]:
    reader = RequestReader()
    return [one for piece in pieces for one in reader.feed(piece)]


def one(data: bytes) -> Request:
    [request] = read(data)
    assert isinstance(request, Request)
    return request


def status(data: bytes) -> int:
    last = read(data)[-1]
    assert isinstance(last, Refusal), last
    return last.status


def test_a_request() -> None:
    assert one(GET)[:4] == (b"GET", b"/announce/k?a=1", False, False)


@pytest.mark.parametrize(
    ("version", "connection", "close"),
    [
        (b"1.1", b"", False),
        (b"1.1", b"Connection: close\r\n", True),
        (b"1.1", b"CONNECTION:Close\r\n", True),
        (b"1.1", b"Connection: x, close\r\n", True),
        (b"1.0", b"", True),
        (b"1.0", b"Connection: Keep-Alive\r\n", False),
        (b"1.2", b"", False),
    ],
)
def test_who_ends_the_connection(version: bytes, connection: bytes, close: bool) -> None:
    assert one(b"GET / HTTP/%b\r\n%b\r\n" % (version, connection)).close is close


def test_a_missing_host_is_fine() -> None:
    assert one(b"GET / HTTP/1.1\r\n\r\n").target == b"/"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://host/announce?x=1", b"/announce?x=1"),
        (b"HTTPS://host:80/a", b"/a"),
        (b"http://host", b"/"),
        (b"http://host?x=/a", b"/?x=/a"),
    ],
)
def test_absolute_targets_are_cut_to_their_path(target: bytes, path: bytes) -> None:
    assert one(b"GET " + target + b" HTTP/1.1\r\n\r\n").target == path


def test_a_hundred_pipelined_requests_are_a_hundred() -> None:
    targets = [b"/%d" % n for n in range(100)]
    data = b"".join(b"GET %b HTTP/1.1\r\n\r\n" % target for target in targets)
    assert [r.target for r in read(data) if isinstance(r, Request)] == targets


@given(st.lists(st.integers(1, 400), max_size=8))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    chunked = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    sized = b"GET /c HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    data = GET + chunked + sized + GET + b"BAD\r\n\r\n"
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in zip(places, places[1:], strict=False)]
    assert read(*pieces) == read(data)
    assert [r.target if isinstance(r, Request) else r.status for r in read(data)] == [
        b"/announce/k?a=1", b"/b", b"/c", b"/announce/k?a=1", 400,
    ]  # fmt: skip


def test_byte_by_byte_is_the_same_too() -> None:
    data = GET * 3
    assert read(*(data[n : n + 1] for n in range(len(data)))) == read(data)


def test_what_comes_after_the_last_request_is_not_read() -> None:
    assert len(read(b"GET /a HTTP/1.0\r\n\r\n" + GET)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"GET /announce\r\n\r\n",  # HTTP/0.9
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET /a\x80 HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/2.0\r\n\r\n",
        b"GET announce HTTP/1.1\r\n\r\n",
        b"GET ftp://x/ HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"GET /a HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nUser-Agent: \x1b[31m\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"F" * 20 + b"\r\n",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(data: bytes) -> None:
    assert status(data) == 400


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET /" + b"a" * 9000, 414),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 1000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"FFFFFF\r\n", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 90_000, 413),
    ],
)
def test_what_is_too_long_is_refused_before_it_is_kept(data: bytes, expected: int) -> None:
    refusal = read(data)[-1]
    assert isinstance(refusal, Refusal)
    assert refusal.status == expected
    assert "too long" in refusal.reason or expected == 431


def test_a_scrape_of_fifty_escaped_hashes_fits() -> None:
    target = b"/scrape/" + b"k" * 32 + b"?" + b"&".join([b"info_hash=" + b"%ab" * 20] * 50)
    assert one(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n").target == target


@pytest.mark.parametrize(
    ("field", "browser"),
    [
        (b"User-Agent: qBittorrent/5.1.0", False),
        (b"User-Agent: Mozilla/5.0", True),
        (b"User-Agent: " + b"x" * 65, True),
        (b"Accept-Language: de", True),
        (b"Referer: http://x/", True),
        (b"Cookie: a=b", True),
        (b"Accept-Encoding: gzip", False),
    ],
)
def test_browsers_are_told_from_clients(field: bytes, browser: bool) -> None:
    assert one(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % field).fields.browser is browser


def test_hops_are_read_in_order() -> None:
    request = one(b"GET / HTTP/1.1\r\nX-Forwarded-For: a, b\r\nx-forwarded-for:c\r\n\r\n")
    assert request.fields.forwarded == (b"a", b"b", b"c")


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_no_bytes_crash_the_reader(pieces: list[bytes]) -> None:
    for found in read(*pieces):
        assert isinstance(found, Request | Refusal)
    read(GET, *pieces)
    read(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", *pieces)


def test_answers() -> None:
    assert response(b"de") == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nde"
    old = response(b"de", old=True)
    assert b"\r\nConnection: keep-alive\r\n\r\nde" in old
    assert b"\r\nConnection: close\r\n\r\nde" in response(b"de", close=True, old=True)
    assert error_response(405, b"no", close=False, head=True, fields=b"Allow: GET\r\n") == (
        b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nAllow: GET\r\n\r\n"
    )
