"""The judge of replies that other tests ask: it takes what is sound, and nothing else."""

from __future__ import annotations

import pytest

from tests.tracker_edge import strict
from tests.tracker_edge.vectors import B1


@pytest.mark.parametrize("sound", [
    b"d8:intervali1042e12:min intervali10e5:peers0:e", b"d5:peers0:15:warning message12:test messagee",
    b"d8:completei3e10:downloadedi2e10:incompletei0e8:intervali1803e12:min intervali1800e5:peers6:\x7f\0\0\1\xfc'e",
    b"d8:completei333e10:incompletei444e8:intervali111e12:min intervali222e5:peersld2:ip15:105.105.105.1057:peer id20:"
    b"-qB000000000000000014:porti28784eeee",
    b"d5:filesd20:iiiiiiiiiiiiiiiiiiiid8:completei1e10:downloadedi2e10:incompletei3eeee",
    b"d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe", b"d5:filesdee", b"i-5e", b"le", b"0:", B1,
])  # fmt: skip
def test_replies_that_are_sound(sound: bytes) -> None:
    strict.bencoded(sound)


@pytest.mark.parametrize("unsound", [
    b"d14:failure reason1:x12:min intervali5400e8:intervali5400ee",  # Ocelot
    b"d8:completei1e10:incompletei1e10:downloadedi1ee",  # Ocelot's scrape
    b"d1:ai1e1:ai1ee", b"i-0e", b"i03e", b"i+1e", b"i e", b"02:ab", b"2:a", b"d1:ae", b"di1ei1ee", b"l", b"d", b"",
    B1 + b"\r\n", b"i1", b"-1:a",
])  # fmt: skip
def test_replies_that_are_not(unsound: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict.bencoded(unsound)


@pytest.mark.parametrize("unsound", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length:  0\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"d5:filesdee",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/1.1 200 OK\r\nContent-Length: 00\r\n\r\n",
])  # fmt: skip
def test_responses_that_are_none(unsound: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict.responses(unsound)
