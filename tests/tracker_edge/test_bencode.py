"""Replies, byte for byte: the vectors B1 to B13 that a sorted encoder gives, and an encoder to compare with."""

from __future__ import annotations

from ipaddress import ip_address

import bencodepy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker_edge.protocol.bencode import announce_reply, failure, refusal, scrape_reply
from tracker_edge.protocol.types import (
    BadQuery,
    Counts,
    PasskeyNotFound,
    Peer,
    Reply,
    TorrentDeleted,
    TorrentPending,
    UnregisteredTorrent,
)

V4 = bytes((203, 0, 113, 7)) + (6881).to_bytes(2, "big")
V6 = ip_address("2001:db8::1").packed + (51413).to_bytes(2, "big")
PEER = Peer(b"-XX0001-abcdefghijkl", V4[:4], 6881)
HEAD = b"d8:completei0e10:downloadedi0e10:incompletei1e8:intervali1800e12:min intervali900e"


def leecher_alone(peers: bytes = b"", peers6: bytes | None = None) -> Reply:
    return Reply(0, 1, 0, 1800, 900, peers, peers6)


@pytest.mark.parametrize(
    ("body", "vector", "size"),
    [
        (announce_reply(leecher_alone()), HEAD + b"5:peers0:e", 92),
        (announce_reply(leecher_alone(b"", b"")), HEAD + b"5:peers0:6:peers60:e", 102),
        (announce_reply(leecher_alone(V4)), HEAD + b"5:peers6:\xcb\x00\x71\x07\x1a\xe1e", 98),
        (
            announce_reply(leecher_alone(b"", V6)),
            HEAD + b"5:peers0:6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xc8\xd5e",
            121,
        ),
        (
            announce_reply(Reply(1, 0, 1, 1800, None, b"", None, b"x", bytes((198, 51, 100, 9)), b"t")),
            b"d8:completei1e10:downloadedi1e11:external ip4:\xc6\x33\x64\x0910:incompletei0e8:intervali1800e"
            b"5:peers0:10:tracker id1:t15:warning message1:xe",
            None,
        ),
        (
            failure(b"Passkey not found", 5400),
            b"d14:failure reason17:Passkey not found8:intervali5400e12:min intervali5400ee",
            76,
        ),
        (
            failure(b"Unregistered torrent", 5400, b"never"),
            b"d14:failure reason20:Unregistered torrent8:intervali5400e12:min intervali5400e8:retry in5:nevere",
            96,
        ),
        (
            failure(b"Unregistered torrent", None, 90),
            b"d14:failure reason20:Unregistered torrent8:retry ini90ee",
            56,
        ),
        (
            announce_reply(Reply(1, 1, None, 1800, None, [PEER])),
            b"d8:completei1e10:incompletei1e8:intervali1800e5:peersl"
            b"d2:ip11:203.0.113.77:peer id20:-XX0001-abcdefghijkl4:porti6881eeee",
            None,
        ),
        (
            announce_reply(Reply(1, 1, None, 1800, None, [PEER._replace(peer_id=b"")])),
            b"d8:completei1e10:incompletei1e8:intervali1800e5:peersld2:ip11:203.0.113.74:porti6881eeee",
            None,
        ),
        (
            scrape_reply({b"x" * 20: Counts(1, 2, 3)}),
            b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei1e10:downloadedi2e10:incompletei3eeee",
            None,
        ),
        (
            scrape_reply({b"a" * 20: Counts(1, 2, 3, 2)}, 900),
            b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi2e11:downloadersi2e10:incompletei3eee"
            b"5:flagsd20:min_request_intervali900eee",
            None,
        ),
        (scrape_reply({}), b"d5:filesdee", None),
    ],
    ids=[f"B{n}" for n in range(1, 14)],
)
def test_the_reply_is_the_vector(body: bytes, vector: bytes, size: int | None) -> None:
    assert body == vector
    assert size is None or len(body) == size


def test_two_files_of_bep_48() -> None:
    files = {b"y" * 20: Counts(21, 206, 20), b"x" * 20: Counts(11, 13772, 19)}
    assert scrape_reply(files) == (
        b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19ee"
        b"20:yyyyyyyyyyyyyyyyyyyyd8:completei21e10:downloadedi206e10:incompletei20eeee"
    )


@given(st.dictionaries(st.binary(min_size=20, max_size=20), st.builds(Counts, *[st.integers(0, 2**63 - 1)] * 4)))
def test_a_scrape_is_what_a_sorting_encoder_writes(files: dict[bytes, Counts]) -> None:
    names = (b"complete", b"downloaded", b"incomplete", b"downloaders")
    plain = {info_hash: dict(zip(names, counts, strict=True)) for info_hash, counts in files.items()}
    flags = {b"min_request_interval": 900}
    assert scrape_reply(files, 900) == bencodepy.encode({b"files": plain, b"flags": flags})


@given(
    st.integers(0, 2**63 - 1),
    st.binary(max_size=60),
    st.none() | st.binary(max_size=60),
    st.none() | st.binary(min_size=1, max_size=9),
)
def test_an_announce_reply_is_what_a_sorting_encoder_writes(
    count: int, peers: bytes, peers6: bytes | None, warning: bytes | None
) -> None:
    plain: dict[bytes, object] = {
        b"complete": count, b"downloaded": count, b"incomplete": count, b"interval": 1800, b"min interval": 900,
        b"peers": peers,
    }  # fmt: skip
    if peers6 is not None:
        plain[b"peers6"] = peers6
    if warning is not None:
        plain[b"warning message"] = warning
    reply = Reply(count, count, count, 1800, 900, peers, peers6, warning)
    assert announce_reply(reply) == bencodepy.encode(plain)


def test_refusals_say_when_to_come_again() -> None:
    assert refusal(PasskeyNotFound("Passkey not found")).endswith(b"8:intervali5400e12:min intervali5400ee")
    assert refusal(BadQuery("x")).endswith(b"8:intervali5400e12:min intervali5400ee")
    assert refusal(UnregisteredTorrent("x")).endswith(b"min intervali5400e8:retry ini90ee")
    assert refusal(TorrentDeleted("x")).endswith(b"min intervali5400e8:retry in5:nevere")
    assert refusal(TorrentPending("x")).endswith(b"8:intervali300e12:min intervali300e8:retry ini5ee")


def test_reasons_are_cut_where_clients_cut_them() -> None:
    assert b"14:failure reason64:" in refusal(TorrentDeleted("ä" * 100))
