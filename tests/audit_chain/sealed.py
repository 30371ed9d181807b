"""A site whose log is sealed, and hands that change it behind the platform's back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

import psycopg
import pytest

from runtime.append_only import changeable
from runtime.audit.block import PURPOSE, signing_key
from runtime.audit.chain import Tampered
from runtime.audit.seal import seal
from runtime.audit.verify import Verified, verify
from runtime.platform import Platform

T = TypeVar("T")
Owner = psycopg.Connection[tuple[Any, ...]]

COLUMNS = (
    "recorded_at, stream_id, version, part, type, schema_version, event_id, command_id, correlation_id, causation_id,"
    " actor_id, origin, data"
)


def sealed(platform: Platform, events_per_block: int = 10) -> int:
    """Seals all that there is, in small blocks; returns how many they were."""
    key = signing_key(platform.site_key(PURPOSE))
    return seal(platform.projector_pool, key, after=timedelta(0), at_most=events_per_block)


def verified(platform: Platform, **how: Any) -> Verified:
    with platform.projector_pool.connection() as connection:
        return verify(connection, signing_key(platform.site_key(PURPOSE)).public_key(), **how)


def positions(owner: Owner) -> list[int]:
    return [row[0] for row in owner.execute("SELECT position FROM es.event ORDER BY position").fetchall()]


def tamper(owner: Owner, rng: Random, head: int) -> tuple[str, int]:
    """Changes one thing that was sealed up to position `head`; returns what was done, and where it shows first."""
    how = rng.choice(TAMPERINGS)
    return how.__name__, how(owner, rng, [p for p in positions(owner) if p <= head])


def found_after(platform: Platform, owner: Owner, change: Callable[[], T]) -> tuple[T, int | None]:
    """What the change says, and which position a verification names afterwards; the change is taken back."""
    key = signing_key(platform.site_key(PURPOSE)).public_key()
    with owner.transaction(force_rollback=True), changeable(owner, "es.event", "es.block"):
        said = change()
        with pytest.raises(Tampered) as found:
            verify(owner, key)
        return said, found.value.position


def flip_a_bit_of_data(owner: Owner, rng: Random, there: list[int]) -> int:
    position = rng.choice(there)
    (data,) = _one(owner, "SELECT data FROM es.event WHERE position = %s", position)
    bit = rng.randrange(8 * len(data))
    flipped = bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))
    owner.execute("UPDATE es.event SET data = %s WHERE position = %s", (flipped, position))
    return position


def flip_a_bit_of_a_number(owner: Owner, rng: Random, there: list[int]) -> int:
    position, column = rng.choice(there), rng.choice(["part", "schema_version", "version"])
    bits = 14 if column != "version" else 30
    owner.execute(
        f"UPDATE es.event SET {column} = {column} # %s::{'int' if column == 'version' else 'smallint'}"
        " WHERE position = %s",
        (1 << rng.randrange(bits), position),
    )
    return position


def flip_a_bit_of_an_id(owner: Owner, rng: Random, there: list[int]) -> int:
    position = rng.choice(there)
    column = rng.choice(["event_id", "command_id", "correlation_id", "causation_id", "actor_id", "stream_id"])
    (value,) = _one(owner, f"SELECT {column} FROM es.event WHERE position = %s", position)
    flipped = type(value)(int=value.int ^ 1 << rng.randrange(128))
    owner.execute(f"UPDATE es.event SET {column} = %s WHERE position = %s", (flipped, position))
    return position


def move_in_time(owner: Owner, rng: Random, there: list[int]) -> int:
    position = rng.choice(there)
    owner.execute(
        "UPDATE es.event SET recorded_at = recorded_at + %s * interval '1 microsecond' WHERE position = %s",
        (1 << rng.randrange(40), position),
    )
    return position


def name_another_type(owner: Owner, rng: Random, there: list[int]) -> int:
    position = rng.choice(there)
    owner.execute(
        "UPDATE es.event SET type = (SELECT id FROM es.event_type t WHERE t.id <> type ORDER BY random() LIMIT 1)"
        " WHERE position = %s",
        (position,),
    )
    return position


def name_another_origin(owner: Owner, rng: Random, there: list[int]) -> int:
    position = rng.choice(there)
    owner.execute("UPDATE es.event SET origin = origin || 'x' WHERE position = %s", (position,))
    return position


def delete(owner: Owner, rng: Random, there: list[int]) -> int:
    position = rng.choice(there)
    owner.execute("DELETE FROM es.event WHERE position = %s", (position,))
    return position


def insert(owner: Owner, rng: Random, there: list[int]) -> int:
    """Into one of the gaps that rolled-back commands left, or before everything."""
    gaps = sorted(set(range(there[0] - 3, there[-1])) - set(there))
    position = rng.choice(gaps)
    owner.execute(
        f"INSERT INTO es.event (position, {COLUMNS}) SELECT %s, {COLUMNS.replace('stream_id', 'gen_random_uuid()')}"
        " FROM es.event WHERE position = %s",
        (position, rng.choice(there)),
    )
    return position


def swap(owner: Owner, rng: Random, there: list[int]) -> int:
    one, other = rng.sample(there, 2)
    parking = there[-1] + 1_000_000
    for old, new in ((one, parking), (other, one), (parking, other)):
        owner.execute("UPDATE es.event SET position = %s WHERE position = %s", (new, old))
    return min(one, other)


def renumber(owner: Owner, rng: Random, there: list[int]) -> int:
    old = rng.choice(there)
    new = rng.choice([there[-1] + 1_000_000, *sorted(set(range(there[0] - 3, there[-1])) - set(there))])
    owner.execute("UPDATE es.event SET position = %s WHERE position = %s", (new, old))
    return min(old, new)


TAMPERINGS: list[Callable[[Owner, Random, list[int]], int]] = [
    flip_a_bit_of_data,
    flip_a_bit_of_a_number,
    flip_a_bit_of_an_id,
    move_in_time,
    name_another_type,
    name_another_origin,
    delete,
    insert,
    swap,
    renumber,
]


def _one(owner: Owner, query: str, position: int) -> tuple[Any, ...]:
    row = owner.execute(query.encode(), (position,)).fetchone()
    assert row is not None
    return row
