"""Does parsing stay near 50 ms and within 32 MiB for each MiB of input, whatever the input?"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from domain.metainfo.v2 import layer_root
from tests.metainfo.samples import PIECE_LENGTH, code_of, single_info, torrent, v1_info, v2_info

MIB = 2**20

#: Time is told in turns of an empty Python loop, measured on the spot, so that a slow or busy machine judges alike.
#: On an idle core of the machine that this was written on, a million turns take 10 ms.
TURNS = 1_000_000

#: For each MiB: the goal is 50 ms of an idle core, and other work on the machine may double that. 20,000 files in
#: little more than a MiB are nothing but names to check, and half as dear again.
TURNS_PER_MIB = 2 * 5 * TURNS
TURNS_PER_MIB_OF_NAMES = 3 * 5 * TURNS


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
}
REFUSED = {
    repr(item)[2:-1]: b"d4:infol" + item * (MIB // len(item)) + b"ee"
    for item in (b"0:", b"le", b"de", b"i1e", b"i-1e", b"i123456789e", b"1:a", b"d0:lee", b"d1:a0:e", b"d6:lengthi1e4:")
} | {
    "endless path": b"d4:infold6:lengthi1e4:pathl" + b"1:a" * 349_000,
    "open lists": b"l" * MIB,
    "long integer": b"di" + b"9" * MIB,
    "long length": b"9" * MIB,
}


def turns(data: bytes, enough: float) -> float:
    """As how many turns of an empty loop parsing takes; the best of several runs, or the first below `enough`."""
    best = float("inf")
    for _ in range(7):
        best = min(best, seconds(lambda: code_of(data)) * TURNS / seconds(loop))
        if best < enough:
            break
    return best


def loop() -> None:
    for _ in range(TURNS):
        pass


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def traced(data: bytes) -> tuple[str | None, int]:
    """The code of refusal, and the most memory in use at a time, in bytes."""
    tracemalloc.start()
    try:
        return code_of(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refuse_cost(data: bytes, turns_per_mib: float, *, accepted: bool) -> None:
    code, peak = traced(data)
    assert (code is None) == accepted
    assert peak < 32 * len(data)
    bound = turns_per_mib * len(data) / MIB
    assert turns(data, bound) < bound


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_a_mebibyte_of_torrent_is_parsed_within_its_time_and_memory(data: bytes) -> None:
    refuse_cost(data, TURNS_PER_MIB, accepted=True)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_a_mebibyte_of_nonsense_is_refused_within_its_time_and_memory(data: bytes) -> None:
    refuse_cost(data, TURNS_PER_MIB, accepted=False)


def test_twenty_thousand_files_are_parsed_within_their_time_and_memory() -> None:
    refuse_cost(many_files(), TURNS_PER_MIB_OF_NAMES, accepted=True)


def test_a_mebibyte_of_empty_file_entries_costs_no_more_than_real_ones() -> None:
    data = b"d4:infol" + b"d6:lengthi1e4:pathlee" * 49_000 + b"ee"
    refuse_cost(data, TURNS_PER_MIB_OF_NAMES, accepted=False)


def test_ten_million_digits_are_refused_by_their_number() -> None:
    data = b"d4:infoi" + b"9" * 10_000_000 + b"e"
    assert code_of(data) == "int_range"
    assert turns(data, TURNS / 10) < TURNS / 10
