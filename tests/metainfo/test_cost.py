"""Does parsing stay within 32 MiB of memory for each MiB of input, whatever the input? (`bench/metainfo.py`: time.)"""

from __future__ import annotations

import tracemalloc

import pytest

from domain.metainfo.v2 import layer_root
from tests.metainfo.samples import PIECE_LENGTH, code_of, single_info, torrent, v1_info, v2_info

MIB = 2**20


def many_files() -> bytes:
    paths = [[b"Season %02d" % (number % 30), b"An Episode %05d 1080p.mkv" % number] for number in range(20_000)]
    files = [{b"length": 100_000 + number, b"path": path} for number, path in enumerate(paths)]
    size = sum(100_000 + number for number in range(20_000))
    pieces = bytes(-(-size // 2**20) * 20)
    return torrent(v1_info(files=files, pieces=pieces, piece_length=2**20))


def long_layer() -> bytes:
    layer = bytes(range(256)) * 4096
    root = layer_root(layer, PIECE_LENGTH)
    leaf = {b"length": len(layer) // 32 * PIECE_LENGTH, b"pieces root": root}
    return torrent(v2_info(file_tree={b"t": {b"": leaf}}), piece_layers={root: layer})


ACCEPTED = {
    "hashes": torrent(single_info(pieces=bytes(20 * 50_000), length=50_000 * PIECE_LENGTH)),
    "piece layer": long_layer(),
    "20,000 files": many_files(),
}
REFUSED = {
    repr(item)[2:-1]: b"d4:infol" + item * (MIB // len(item)) + b"ee"
    for item in (b"0:", b"le", b"de", b"i1e", b"i-1e", b"i123456789e", b"1:a", b"d0:lee", b"d1:a0:e", b"d6:lengthi1e4:")
} | {
    "endless path": b"d4:infold6:lengthi1e4:pathl" + b"1:a" * 349_000,
    "open lists": b"l" * MIB,
    "long integer": b"di" + b"9" * MIB,
    "long length": b"9" * MIB,
    "empty file entries": b"d4:infol" + b"d6:lengthi1e4:pathlee" * 49_000 + b"ee",
}


def traced(data: bytes) -> tuple[str | None, int]:
    """The code of refusal, and the most memory in use at a time, in bytes."""
    tracemalloc.start()
    try:
        return code_of(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def in_bounds(data: bytes, *, accepted: bool) -> None:
    code, peak = traced(data)
    assert (code is None) == accepted
    assert peak < 32 * len(data)


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_a_torrent_is_parsed_within_its_memory(data: bytes) -> None:
    in_bounds(data, accepted=True)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_nonsense_is_refused_within_its_memory(data: bytes) -> None:
    in_bounds(data, accepted=False)


def test_ten_million_digits_are_refused_by_their_number() -> None:
    assert code_of(b"d4:infoi" + b"9" * 10_000_000 + b"e") == "int_range"
