"""A slice of the campaign `tests.campaigns.http_fuzz`, and Hypothesis on one connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.tracker_edge.edges import ANN, target
from tests.tracker_edge.http_fuzz import Fuzz


def test_five_thousand_streams_win_nothing() -> None:
    fuzz = Fuzz(15)
    outcomes = fuzz.run(5000)
    common = ("accepted", "refused", "scraped", "silence", "400", "404", "405")
    assert min(outcomes[each] for each in common) > 50
    assert outcomes["414"]
    assert len(fuzz.reasons) > 15


@given(st.binary(max_size=300), st.sampled_from(["8.8.8.8", "127.0.0.1", "2600::1"]), st.integers(0, 1))
def test_any_bytes_win_nothing(stream: bytes, host: str, which: int) -> None:
    fuzz = Fuzz(0)
    fuzz.judge(fuzz.benches[which], stream, host)
    assert not fuzz.outcomes["accepted"]


@given(st.integers(), st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_in_the_midst_of_an_announce_win_nothing(seed: int, noise: bytes, at: int) -> None:
    fuzz = Fuzz(seed)
    stream = f"GET {target(1, ANN)} HTTP/1.1\r\nHost: t\r\n\r\n".encode()
    fuzz.judge(fuzz.benches[0], stream[:at] + noise + stream[at:], "8.8.8.8")
