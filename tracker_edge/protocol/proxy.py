"""The PROXY protocol's binary header, version 2: the client's address as a proxy writes it before the first request.

Who may write it is not this module's question; a connection that has to begin with it and does not is refused.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

#: haproxy.org's proxy-protocol.txt, section 2.2.
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_HEAD = Struct(">12sBBH")  # signature, version and command, family and transport, bytes that follow
#: Addresses take 36 bytes at most; the rest are TLVs (TLS data and the like), which a proxy sends few of.
MAX_REST_BYTES: Final = 4096

_LOCAL, _PROXY = 0x20, 0x21
_STREAM4, _STREAM6 = 0x11, 0x21


class Malformed(Exception):
    """Bytes that begin no header of version 2."""


class Header(NamedTuple):
    """`size` bytes of the stream; `address` is the client's (4 or 16 bytes), None: the proxy speaks for itself."""

    size: int
    address: bytes | None


def read(data: bytes) -> Header | None:
    """The header at the beginning of the stream, None while it is not whole; raises `Malformed`."""
    if not data.startswith(SIGNATURE[: len(data)]):
        raise Malformed("no PROXY header")
    if len(data) < _HEAD.size:
        return None
    _, command, family, rest = _HEAD.unpack_from(data)
    if command not in (_LOCAL, _PROXY) or rest > MAX_REST_BYTES:
        raise Malformed("a PROXY header of another version")
    length = {_STREAM4: 4, _STREAM6: 16}.get(family, 0)
    # Two addresses and two ports. Other families (UNSPEC, Unix sockets, datagrams) name no client that can be told.
    if command == _PROXY and rest < 2 * length + (4 if length else 0):
        raise Malformed("a PROXY header without its addresses")
    size = _HEAD.size + rest
    if len(data) < size:
        return None
    return Header(size, data[_HEAD.size : _HEAD.size + length] if command == _PROXY and length else None)
