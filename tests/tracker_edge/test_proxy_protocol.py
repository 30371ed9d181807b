"""The PROXY protocol's version 2: byte for byte, and on connections of trusted proxies only."""

from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import ip_network
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from runtime.configuration import load
from runtime.settings import SettingsError
from tests.tracker_edge.edges import ANN, MemoryStore, exchange, running, target
from tracker_edge.protocol.proxy import SIGNATURE, Header, Malformed, read

FOUR, SIX = socket.inet_aton("8.8.8.8"), socket.inet_pton(socket.AF_INET6, "2600::8")
TRUSTED = (ip_network("127.0.0.0/8"),)


def header(address: bytes, *, command: int = 0x21, family: int | None = None, tail: bytes = b"") -> bytes:
    if family is None:
        family = 0x11 if len(address) == 4 else 0x21
    addresses = address + bytes(len(address)) + struct.pack(">HH", 6881, 80) + tail
    return SIGNATURE + struct.pack(">BBH", command, family, len(addresses)) + addresses


def test_the_header_as_haproxy_sends_it() -> None:
    sent = bytes.fromhex("0d0a0d0a000d0a515549540a 2111000c 08080808 7f000001 d903 1b39".replace(" ", ""))
    assert read(sent + b"GET / HTTP/1.1") == Header(28, FOUR)


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        (header(FOUR), FOUR),
        (header(SIX), SIX),
        (header(FOUR, tail=b"\x03\x00\x04abcd"), FOUR),
        (header(FOUR, command=0x20), None),
        (header(b"", family=0), None),
        (header(bytes(104), family=0x31), None),
        (header(FOUR, family=0x12), None),
    ],
    ids=["ipv4", "ipv6", "with tlv", "local", "unspecified", "unix", "datagram"],
)
def test_headers(sent: bytes, address: bytes | None) -> None:
    assert read(sent + b"rest") == Header(len(sent), address)
    for cut in range(1, len(sent)):
        assert read(sent[:cut]) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 8.8.8.8 127.0.0.1 6881 80\r\n",
        b"\r\n\r\nGET",
        header(FOUR, command=0x11),
        header(FOUR, command=0x22),
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 11) + bytes(11),
        SIGNATURE + struct.pack(">BBH", 0x21, 0x21, 12) + bytes(12),
        SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 65535),
    ],
)
def test_what_is_no_header(sent: bytes) -> None:
    with pytest.raises(Malformed):
        read(sent)


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_header_or_none(rest: bytes, signed: bool) -> None:
    try:
        found = read(SIGNATURE + rest if signed else rest)
    except Malformed:
        return
    assert found is None or found.address is None or len(found.address) in (4, 16)


def announced(tmp_path: Path, *pieces: bytes, fields: str = "", trusted: bool = True, on: bool = True) -> list[bytes]:
    """The addresses in the journal after a connection that sends these pieces and then an announce."""
    store = MemoryStore()

    async def run() -> None:
        proxies = TRUSTED if trusted else ()
        async with running(tmp_path, store=store, trusted_proxies=proxies, proxy_protocol=on) as edge:
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.ports[0])
            request = f"GET {target(1, ANN)} HTTP/1.0\r\n{fields}\r\n".encode()
            for piece in (*pieces[:-1], pieces[-1] + request):
                writer.write(piece)
                await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(reader.read(), 5)
            except ConnectionError:
                pass
            writer.close()

    uvloop.run(run())
    return [announce.address for announce in store.announces]


@pytest.mark.parametrize("address", [FOUR, SIX, bytes(10) + b"\xff\xff" + FOUR])
def test_a_trusted_proxy_says_who_the_client_is(tmp_path: Path, address: bytes) -> None:
    assert announced(tmp_path, header(address)) == [FOUR if address[-4:] == FOUR else SIX]


def test_a_header_may_come_in_pieces(tmp_path: Path) -> None:
    sent = header(FOUR)
    assert announced(tmp_path, sent[:5], sent[5:20], sent[20:]) == [FOUR]


def test_a_proxy_may_speak_for_itself(tmp_path: Path) -> None:
    assert announced(tmp_path, header(FOUR, command=0x20)) == [b"\x7f\0\0\x01"]


def test_behind_two_proxies_the_fields_of_the_first_count(tmp_path: Path) -> None:
    inner = header(b"\x7f\0\0\x09")
    assert announced(tmp_path, inner, fields="X-Forwarded-For: 1.1.1.1, 8.8.8.8\r\n") == [FOUR]
    assert announced(tmp_path / "2", header(FOUR), fields="X-Forwarded-For: 1.1.1.1\r\n") == [FOUR]


def test_without_the_header_a_proxy_is_not_served(tmp_path: Path) -> None:
    assert announced(tmp_path, b"") == []


@pytest.mark.parametrize(("trusted", "on"), [(False, True), (True, False), (False, False)])
def test_nobody_else_may_send_one(tmp_path: Path, trusted: bool, on: bool) -> None:
    assert announced(tmp_path, header(FOUR), trusted=trusted, on=on) == []
    assert announced(tmp_path / "2", b"", trusted=trusted, on=on) == [b"\x7f\0\0\x01"]


def test_the_switch_needs_proxies_that_are_trusted(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="^APP__EDGE__PROXY_PROTOCOL: means nothing without"):
        load({"APP__EDGE__PROXY_PROTOCOL": "true"}, tmp_path)
    assert load(
        {"APP__EDGE__PROXY_PROTOCOL": "true", "APP__EDGE__TRUSTED_PROXIES": "::1"}, tmp_path
    ).edge.proxy_protocol


def test_a_half_sent_header_is_not_waited_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path, trusted_proxies=TRUSTED, proxy_protocol=True) as edge:
            asking = asyncio.create_task(exchange(edge.ports[0], SIGNATURE))
            await asyncio.sleep(0.05)
            later = edge.server.now_s + 11
            edge.server._clock_s = lambda: later
            edge.server.tick()
            assert await asking == b""
            assert edge.server.connections == set()

    uvloop.run(run())
