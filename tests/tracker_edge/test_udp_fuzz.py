"""A slice of the campaign `tests.campaigns.udp_fuzz`, and Hypothesis on the desk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.tracker_edge.udp_fuzz import Fuzz


def test_five_thousand_datagrams_win_nothing() -> None:
    outcomes = Fuzz(15).run(5000)
    assert min(outcomes[each] for each in ("silence", "connected", "accepted", "scraped", "refused")) > 50


@given(st.lists(st.tuples(st.binary(max_size=200), st.binary(min_size=4, max_size=4)), max_size=10))
def test_any_datagrams_win_nothing(datagrams: list[tuple[bytes, bytes]]) -> None:
    fuzz = Fuzz(0)
    for datagram, address in datagrams:
        assert fuzz._judge(datagram, address) in ("silence", "connected")


@given(st.integers(), st.binary(max_size=600))
def test_any_bytes_behind_a_proof_win_nothing(seed: int, rest: bytes) -> None:
    fuzz = Fuzz(seed)
    own = fuzz.ids.issue(b"\x08\x08\x08\x08", int(fuzz.unix_s))
    fuzz._judge(own + rest, b"\x08\x08\x08\x08")
