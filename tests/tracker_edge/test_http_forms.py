"""What surrounds the query of an announce: header fields, paths, methods, and who is where."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tracker_edge import strict
from tests.tracker_edge.bench import Bench
from tests.tracker_edge.edges import BOB
from tests.tracker_edge.vectors import B1, GONE, OK, asked, failure, query


@pytest.mark.parametrize("fields", [
    "Accept-Encoding: gzip, deflate, br\r\n", "Range: bytes=0-9\r\n", "Expect: 100-continue\r\n",
    "If-Modified-Since: Sat, 01 Jan 2028 00:00:00 GMT\r\n", "If-None-Match: *\r\n", "User-Agent: qBittorrent/5.1\r\n",
    "Host: tracker.example:80\r\n", "Host:\r\n", "X-Forwarded-For: 1.2.3.4\r\n", "X-Real-IP: 1.2.3.4\r\n",
    "Forwarded: for=1.2.3.4\r\n", "Connection: keep-alive\r\n", "Accept: */*\r\n",
    "Want-Digest: SHA-512;q=1\r\n", "",
])  # fmt: skip
def test_header_fields_change_no_byte_of_the_answer(bench: Bench, fields: str) -> None:
    raw = f"GET {asked(query())} HTTP/1.1\r\n{fields}\r\n".encode()
    assert bench.exchange(raw) == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 92\r\n\r\n" + B1
    assert bench.announces[0].address == b"\x08" * 4


@pytest.mark.parametrize("fields", [
    "Accept-Language: en\r\n", "Referer: http://x/\r\n", "Cookie: a=b\r\n", "Accept-Charset: utf-8\r\n",
    "User-Agent: Mozilla/5.0\r\n", "user-agent: SAFARI\r\n",
    f"User-Agent: {'x' * 65}\r\n",
])  # fmt: skip
def test_browsers_are_told_that_they_are_none(bench: Bench, fields: str) -> None:
    assert bench.body(asked(query()), fields) == failure("Not a BitTorrent client")
    assert bench.journal.rows == []


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"GET {} HTTP/1.0\r\n\r\n", 1),
        (b"GET {} HTTP/1.1\r\n\r\n", 1),
        (b"GET http://other.example:8080{} HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        (b"GET {}#fragment HTTP/1.1\r\n\r\n", 1),
        (b"GET {} HTTP/1.1\r\n\r\nGET {} HTTP/1.1\r\n\r\n", 2),
        (b"GET {} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET {} HTTP/1.1\r\n\r\n", 2),
        (b"GET {} HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET {} HTTP/1.1\r\n\r\n", 2),
        (b"GET {} HTTP/1.1\r\nConnection: close\r\n\r\nGET {} HTTP/1.1\r\n\r\n", 1),
    ],
)
def test_forms_of_a_request(bench: Bench, raw: bytes, count: int) -> None:
    data = raw.replace(b"{}", asked(query(event="started", left="0")).encode())
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        bench.journal.rows.clear()
        found = strict.responses(bench.exchange(data[:cut], data[cut:]))
        assert [(each.status, each.body[:12]) for each in found] == [(200, b"d8:completei")] * count
        assert len(bench.journal.rows) == count


def test_what_follows_an_unknown_torrent_is_answered_after_it(bench: Bench) -> None:
    """In one piece and in several, and when the client has said its last meanwhile."""
    known = f"GET {asked(query(event='stopped'))} HTTP/1.1\r\n\r\n".encode()
    unknown = f"GET {asked(query(info_hash='%09' * 20))} HTTP/1.1\r\n\r\n".encode()
    reason = failure("Unregistered torrent", retry_in=b"8:retry ini90e")
    stream = known + unknown + known + unknown + known
    for cut in range(0, len(stream), 7):
        connection, wire = bench.connect()
        connection.data_received(stream[:cut])
        connection.data_received(stream[cut:])
        assert connection.eof_received(), "there is more to be told"
        bench.timers.elapse()
        assert [each.body for each in strict.responses(bytes(wire.received))] == [GONE, reason, GONE, reason, GONE]
        assert wire.ended


def test_no_more_is_read_while_an_unknown_torrent_is_waited_for(bench: Bench) -> None:
    """Each takes its moment: a client that sends thousands of them must not have them all kept."""
    connection, wire = bench.connect()
    for _ in range(3):
        connection.data_received(f"GET {asked(query(info_hash='%09' * 20))} HTTP/1.1\r\n\r\n".encode())
    assert wire.paused
    bench.timers.elapse()
    assert not wire.paused
    assert len(strict.responses(bytes(wire.received))) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "TRACE", "DELETE", "PATCH", "get", "announce"])
def test_only_get_announces(bench: Bench, method: str) -> None:
    answer = bench.exchange(f"{method} {asked(query())} HTTP/1.1\r\n\r\n".encode())
    body = b"" if method == "HEAD" else b"Only GET"
    head = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nAllow: GET\r\n\r\n"
    assert answer == head + body
    assert (bench.journal.rows, len(bench.swarms)) == ([], 0)


@pytest.mark.parametrize("host", [
    "127.0.0.1", "10.1.2.3", "169.254.1.1", "0.0.0.0", "100.64.0.1", "192.168.0.1", "::", "::1", "fe80::1", "fc00::1",
    "2002:7f00:1::", "64:ff9b::7f00:1", "224.0.0.1", "ff02::1", "255.255.255.255",
])  # fmt: skip
def test_who_is_not_on_the_internet_is_told_to_nobody(host: str) -> None:
    bench = Bench()
    bench.body(asked(query(left="0"), BOB), host=host)
    body = bench.body(asked(query(compact="0", event="started")), host="2600::1")
    found: Any = strict.bencoded(body)
    assert (found[b"complete"], found[b"peers"]) == (1, [])
    assert len(bench.announces) == 2


def test_a_mapped_address_is_an_ipv4_peer(bench: Bench) -> None:
    bench.body(asked(query(left="0"), BOB), host="::ffff:8.8.4.4")
    assert bench.body(asked(query()), host="::ffff:8.8.8.8") == OK % (1, 0, 1) + b"5:peers6:\x08\x08\x04\x04\x1a\xe1e"
