"""The journal's record survives both codecs, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.announces import ROW_BYTES, Announce, DamagedRecords, Event, decode, encode, pack, unpack
from domain.base import MAX_COUNT

counts = st.integers(0, MAX_COUNT)
ids = st.one_of(st.sampled_from([bytes([n]) * 16 for n in range(3)]), st.binary(min_size=16, max_size=16))
announces = st.builds(
    Announce,
    received_at_us=st.integers(-(2**62), 2**62),
    user_id=ids,
    torrent_id=ids,
    peer_id=st.binary(min_size=20, max_size=20),
    event=st.sampled_from(Event),
    uploaded=counts,
    downloaded=counts,
    left=counts,
    address=st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    port=st.integers(0, 65535),
    key=st.integers(0, 2**32 - 1),
)


@given(st.lists(announces, max_size=40))
def test_columns_give_back_what_was_encoded(records: list[Announce]) -> None:
    assert decode(encode(records)) == records


@given(st.lists(announces, max_size=10))
def test_rows_give_back_what_was_packed(records: list[Announce]) -> None:
    assert list(unpack(b"".join(map(pack, records)))) == records


@given(st.lists(announces, min_size=1, max_size=5), st.data())
def test_columns_cut_anywhere_or_longer_are_refused(records: list[Announce], data: st.DataObject) -> None:
    columns = encode(records)
    cut = data.draw(st.integers(0, len(columns) - 1))
    with pytest.raises(DamagedRecords):
        decode(columns[:cut])
    with pytest.raises(DamagedRecords):
        decode(columns + b"\0")


@given(st.binary(max_size=400))
def test_other_bytes_are_refused_or_read_but_never_crash(data: bytes) -> None:
    try:
        records = decode(data)
    except DamagedRecords:
        return
    assert decode(encode(records)) == records


def test_rows_that_are_not_whole_or_have_odd_addresses_are_refused() -> None:
    row = pack(Announce(1, bytes(16), bytes(16), bytes(20), Event.STARTED, 0, 0, 0, bytes(4), 6881, 0))
    with pytest.raises(DamagedRecords):
        list(unpack(row[:-1]))
    with pytest.raises(DamagedRecords):
        list(unpack(bytes(ROW_BYTES)))


def test_columns_of_a_later_version_are_refused() -> None:
    with pytest.raises(DamagedRecords, match="version 9"):
        decode(b"\x09" + encode([])[1:])
