"""Addresses in segments: read with the keys of their users, and without them gone while all else stays."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.announce_addresses import encrypted
from domain.announces import Announce, DamagedRecords, Event, decode, encode, same_records
from tests.announces.test_records import announces, ids

some = st.lists(announces, min_size=1, max_size=40)


def keys(users: Sequence[bytes]) -> list[bytes]:
    return [sha256(user).digest() for user in users]


def without(erased: set[bytes], users: Sequence[bytes]) -> list[bytes | None]:
    return [None if user in erased else key for user, key in zip(users, keys(users), strict=True)]


def nowhere(record: Announce) -> Announce:
    return record._replace(address=b"", port=0)


@given(some)
def test_with_the_keys_everything_is_read(records: list[Announce]) -> None:
    assert decode(encrypted(encode(records), keys), keys) == records


@given(some, st.sets(ids))
def test_without_a_users_key_only_that_users_addresses_are_gone(records: list[Announce], erased: set[bytes]) -> None:
    columns = encrypted(encode(records), keys)
    left = decode(columns, lambda users: without(erased, users))
    assert left == [nowhere(record) if record.user_id in erased else record for record in records]
    assert decode(columns) == [nowhere(record) for record in records]


@given(some)
def test_the_same_announces_give_the_same_bytes_of_the_same_length(records: list[Announce]) -> None:
    columns = encode(records)
    assert encrypted(columns, keys) == encrypted(columns, keys)
    assert len(encrypted(columns, keys)) == len(columns)


def at(second: int, address: bytes = bytes([203, 0, 113, 177]), user: bytes = b"u" * 16) -> Announce:
    return Announce(second, user, b"t" * 16, b"p" * 20, Event.REGULAR, 0, 0, 0, address, 51413, 0)


@pytest.mark.parametrize("address", [bytes([203, 0, 113, 177]), b"\x20\x01\x0d\xb8" + b"\x5a" * 12])
def test_an_address_is_not_there_to_be_found_nor_to_be_compared(address: bytes) -> None:
    """Not as it is, and not as bytes that are the same in another place or for another user."""
    found = [
        encrypted(encode([at(1, address, user), at(2, address, user)]), keys)[-2 * len(address) :]
        for user in (b"u" * 16, b"v" * 16)
    ]
    pieces = [part[start : start + len(address)] for part in found for start in (0, len(address))]
    later = encrypted(encode([at(3, address), at(4, address)]), keys)[-2 * len(address) :]
    pieces += [later[: len(address)], later[len(address) :]]
    assert len({address, *pieces}) == 7


def test_many_announces_of_one_user_take_more_than_one_block_of_its_stream() -> None:
    records = [at(n, bytes([n]) * 16) for n in range(100)]
    assert decode(encrypted(encode(records), keys), keys) == records


@given(some)
def test_the_same_records_are_known_again_whatever_became_of_their_addresses(records: list[Announce]) -> None:
    """A segment that was shipped before an erasure, or by an older version, and is made again after it."""
    columns = encode(records)
    shipped = encrypted(columns, keys)
    again = encrypted(columns, lambda users: [b"\0" * 32 for _ in users])
    assert same_records(shipped, again)
    assert same_records(columns, again)
    other = [records[0]._replace(key=records[0].key ^ 1), *records[1:]]
    assert not same_records(shipped, encrypted(encode(other), keys))


@given(some, st.data())
def test_encrypted_columns_cut_anywhere_or_longer_are_refused(records: list[Announce], data: st.DataObject) -> None:
    columns = encrypted(encode(records), keys)
    cut = data.draw(st.integers(0, len(columns) - 1))
    for damaged in (columns[:cut], columns + b"\0"):
        for asked in (keys, lambda users: [None] * len(users)):
            with pytest.raises(DamagedRecords):
                decode(damaged, asked)


@given(st.binary(max_size=400))
def test_other_bytes_are_refused_or_read_but_never_crash(data: bytes) -> None:
    for version in (b"\1", b"\2"):
        try:
            decode(version + data, keys)
        except DamagedRecords:
            continue


def test_nothing_is_still_nothing() -> None:
    assert decode(encrypted(encode([]), keys), keys) == []
