"""Arrays packed by hand are to PostgreSQL what its own driver sends."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.packed_arrays import ByteaArray, IntArray, SmallintArray, UuidArray

Owner = psycopg.Connection[tuple[object, ...]]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.uuids()),
    st.lists(st.integers(-(2**31), 2**31 - 1)),
    st.lists(st.integers(-(2**15), 2**15 - 1)),
    st.lists(st.binary()),
)
def test_every_array_arrives_as_it_was(owner: Owner, ids: list, ints: list, smalls: list, data: list) -> None:  # type: ignore[type-arg]
    packed = UuidArray.of(ids), IntArray.of(ints), SmallintArray.of(smalls), ByteaArray.pack(data)
    kinds = "SELECT pg_typeof(a)::text, pg_typeof(b)::text, pg_typeof(c)::text, pg_typeof(d)::text, a, b, c, d"
    row = owner.execute(f"{kinds} FROM (SELECT %s AS a, %s AS b, %s AS c, %s AS d) AS sent", packed).fetchone()
    assert row == ("uuid[]", "integer[]", "smallint[]", "bytea[]", ids, ints, smalls, data)


def test_a_number_that_its_type_has_no_room_for_is_refused() -> None:
    for kind, beyond in ((SmallintArray, 2**15), (IntArray, 2**31)):
        with pytest.raises(OverflowError):
            kind.of([beyond])
