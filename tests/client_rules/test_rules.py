"""Client rules: which clients are let in, from which version on, what wins, and what a rule may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.client_patterns import AGENT_SEEN, BadPattern
from domain.client_rules import (
    NOT_ALLOWED,
    TEXT_BYTES,
    BadClientRule,
    ClientRule,
    ClientRuleKind,
    ClientRules,
    ClientRuleWithdrawn,
    Terms,
)

ALLOW, DENY = ClientRuleKind.ALLOW, ClientRuleKind.DENY
REST = b"a1b2c3d4e5f6"
QB = Terms("qBittorrent", "-qB{x}{x}{x}{x}-", "qBittorrent/{n}.{n}.{n}", [4, 2, 5], [4, 2, 5], None, [])
TR = Terms("Transmission", "-TR{x}{x}{x}{x}-", "Transmission/{n}.{n}", [2, 9, 4], [2, 94], None, [])
XL = Terms("Thunder", "-XL", None, [], [], "does not share", [])


def rules(*allowed: Terms, denied: tuple[Terms, ...] = ()) -> ClientRules:
    return ClientRules([*((ALLOW, terms) for terms in allowed), *((DENY, terms) for terms in denied)])


def exception(peer_id: str | None, agent: str | None, comment: str = "cheats") -> dict[str, str | None]:
    return {"peer_id_pattern": peer_id, "agent_pattern": agent, "comment": comment}


@pytest.mark.parametrize("agent", [b"qBittorrent/4.2.5", b"", None])
def test_without_rules_every_client_may_announce(agent: bytes | None) -> None:
    assert rules().refusal(b"-qB4250-" + REST, agent) is None


def test_with_denials_only_every_other_client_may_announce() -> None:
    found = rules(denied=(XL,))
    assert found.refusal(b"-XL0012-" + REST, b"Thunder/1") == "Client denied: does not share"
    assert found.refusal(b"-qB4250-" + REST, b"Thunder/1") is None


@pytest.mark.parametrize(
    ("peer_id", "agent", "refusal"),
    [
        (b"-qB4250-", b"qBittorrent/4.2.5", None),
        (b"-qB4300-", b"qBittorrent/4.3.0", None),
        (b"-qB5000-", b"qBittorrent/5.0.0 (Linux)", None),
        (b"-qB42A0-", b"qBittorrent/4.2.10", None),
        (b"-qB4240-", b"qBittorrent/4.2.4", "Version too low: qBittorrent needs 4.2.5"),
        (b"-qB3990-", b"qBittorrent/3.99.9", "Version too low: qBittorrent needs 4.2.5"),
        (b"-qB4250-", b"qBittorrent/4.2.4", "Version too low: qBittorrent needs 4.2.5"),
        (b"-qB4240-", b"qBittorrent/4.2.5", "Version too low: qBittorrent needs 4.2.5"),
        (b"-TR2940-", b"Transmission/2.94", None),
        (b"-TR2930-", b"Transmission/2.93", "Version too low: Transmission needs 2.94"),
        (b"-TR4060-", b"Transmission/4.0.6", None),
        (b"-qB4250-", b"Transmission/4.0.6", NOT_ALLOWED),
        (b"-qB4250-", b"", NOT_ALLOWED),
        (b"-XX4250-", b"qBittorrent/4.2.5", NOT_ALLOWED),
        (b"", b"", NOT_ALLOWED),
        (b"\xff" * 8, b"\xff" * 1000, NOT_ALLOWED),
    ],
)
def test_both_patterns_match_and_both_versions_are_high_enough(
    peer_id: bytes, agent: bytes, refusal: str | None
) -> None:
    assert rules(QB, TR).refusal(peer_id + REST, agent) == refusal


@pytest.mark.parametrize(
    ("peer_id", "refusal"),
    [
        (b"-qB4250-", None),
        (b"-qB4240-", "Version too low: qBittorrent needs 4.2.5"),
        (b"-XX4250-", NOT_ALLOWED),
    ],
)
def test_over_udp_the_peer_id_alone_decides(peer_id: bytes, refusal: str | None) -> None:
    assert rules(QB).refusal(peer_id + REST, None) == refusal


def test_over_udp_a_denial_by_both_holds_by_the_peer_id_and_one_by_agent_never() -> None:
    both = replace(XL, peer_id_pattern="-qB425", agent_pattern="qBittorrent Enhanced/")
    by_agent = replace(XL, peer_id_pattern=None, agent_pattern="Thunder")
    found = rules(denied=(both, by_agent))
    assert found.refusal(b"-qB4250-" + REST, b"qBittorrent/4.2.5") is None
    assert found.refusal(b"-qB4250-" + REST, None) == "Client denied: does not share"
    assert found.refusal(b"-qB5000-" + REST, b"Thunder/2") == "Client denied: does not share"
    assert found.refusal(b"-qB5000-" + REST, None) is None


def test_a_client_of_two_families_needs_one_that_takes_it() -> None:
    old = replace(QB, name="old qBittorrent", peer_id_pattern="-qB4240-", peer_id_minimum=[], agent_minimum=[])
    for found in (rules(QB, old), rules(old, QB)):
        assert found.refusal(b"-qB4240-" + REST, b"qBittorrent/4.2.4") is None
        assert found.refusal(b"-qB4230-" + REST, b"qBittorrent/4.2.3") == "Version too low: qBittorrent needs 4.2.5"


def test_a_client_too_old_for_two_families_is_told_the_first() -> None:
    newer = replace(QB, name="newer", peer_id_minimum=[5], agent_minimum=[5])
    told = [found.refusal(b"-qB4240-" + REST, b"qBittorrent/4.2.4") for found in (rules(QB, newer), rules(newer, QB))]
    assert told == ["Version too low: qBittorrent needs 4.2.5", "Version too low: newer needs 5"]


def test_denials_and_exceptions_win_over_every_family() -> None:
    qb = replace(QB, exceptions=[exception("-qB4260-", None, "wrong sums"), exception(None, "qBittorrent/4.2.7x")])
    every = Terms("anything", "-", None, [], [], None, [])
    for found in (rules(qb, every), rules(every, qb)):
        assert found.refusal(b"-qB4260-" + REST, b"qBittorrent/4.2.6") == "Client denied: wrong sums"
        assert found.refusal(b"-qB4270-" + REST, b"qBittorrent/4.2.7x") == "Client denied: cheats"
        assert found.refusal(b"-qB4270-" + REST, b"qBittorrent/4.2.7") is None
    denied = replace(XL, peer_id_pattern="-qB427", reason="too new")
    assert rules(every, qb, denied=(denied,)).refusal(b"-qB4270-" + REST, None) == "Client denied: too new"


def test_an_exception_is_one_of_its_family_only() -> None:
    qb = replace(QB, exceptions=[exception(None, "Transmission", "not that")])
    assert rules(qb, TR).refusal(b"-TR2940-" + REST, b"Transmission/2.94") is None


def test_only_the_first_eight_bytes_say_which_client_it_is() -> None:
    found = rules(replace(TR, peer_id_pattern="{?}{?}{?}{?}{?}{?}{?}{?}", peer_id_minimum=[], agent_pattern=None,
                          agent_minimum=[]))  # fmt: skip
    assert found.refusal(b"1234567", b"") == NOT_ALLOWED
    assert found.refusal(b"12345678" + b"\x00" * 12, b"") is None


@pytest.mark.parametrize("name", ["q" * 24, "ü" * 24, "🦆" * 24])
def test_a_client_is_told_in_64_bytes_of_whole_characters(name: str) -> None:
    lowest = [999_999_999] * 5
    family = replace(QB, name=name, agent_pattern="{n}.{n}.{n}.{n}.{n}", agent_minimum=lowest)
    low = rules(family).refusal(b"-qB9990-", b"1.2.3.4.5")
    denied = rules(denied=(replace(XL, reason=name * 8),)).refusal(b"-XL0012-", None)
    for text in (low, denied):
        assert text is not None
        assert TEXT_BYTES - 4 < len(text.encode()) <= TEXT_BYTES
    assert low is not None
    assert low.startswith("Version too low: ")


@given(st.binary(max_size=20), st.one_of(st.none(), st.binary(max_size=2 * AGENT_SEEN)))
def test_every_client_gets_an_answer(peer_id: bytes, agent: bytes | None) -> None:
    found = rules(QB, TR, denied=(XL,)).refusal(peer_id, agent)
    assert found is None or 0 < len(found.encode()) <= TEXT_BYTES


@given(st.lists(st.integers(0, 35), min_size=4, max_size=4), st.lists(st.integers(0, 35), max_size=4))
def test_versions_are_compared_from_the_left(version: list[int], minimum: list[int]) -> None:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    peer_id = "-qB" + "".join(digits[number] for number in version) + "-"
    family = replace(QB, agent_pattern=None, agent_minimum=[], peer_id_minimum=minimum)
    difference = next((mine - least for mine, least in zip(version, minimum, strict=False) if mine != least), 0)
    assert (rules(family).refusal(peer_id.encode(), None) is None) is (difference >= 0)


@pytest.mark.parametrize(
    ("kind", "terms", "error"),
    [
        (ALLOW, replace(QB, name=""), BadClientRule),
        (ALLOW, replace(QB, name="q" * 25), BadClientRule),
        (ALLOW, replace(QB, name=" q"), BadClientRule),
        (ALLOW, replace(QB, name="a\u202eb"), BadClientRule),
        (ALLOW, replace(QB, peer_id_pattern=None, peer_id_minimum=[]), BadClientRule),
        (ALLOW, replace(QB, peer_id_pattern="-qB4250-1"), BadPattern),
        (ALLOW, replace(QB, agent_pattern="{n}{n}"), BadPattern),
        (ALLOW, replace(QB, reason="nice"), BadClientRule),
        (ALLOW, replace(QB, peer_id_minimum=[1] * 5), BadClientRule),
        (ALLOW, replace(QB, agent_minimum=[1] * 4), BadClientRule),
        (ALLOW, replace(QB, agent_pattern=None), BadClientRule),
        (ALLOW, replace(QB, agent_minimum=[-1]), BadClientRule),
        (ALLOW, replace(QB, exceptions=[exception(None, None)]), BadPattern),
        (ALLOW, replace(QB, exceptions=[exception("{", None)]), BadPattern),
        (ALLOW, replace(QB, exceptions=[exception("-", None, "")]), BadClientRule),
        (ALLOW, replace(QB, exceptions=[exception("-", None)] * 51), BadClientRule),
        (DENY, replace(XL, peer_id_pattern=None), BadPattern),
        (DENY, replace(XL, reason=None), BadClientRule),
        (DENY, replace(XL, reason=" "), BadClientRule),
        (DENY, replace(XL, reason="x" * 201), BadClientRule),
        (DENY, replace(XL, reason="a\nb"), BadClientRule),
        (DENY, replace(XL, peer_id_pattern="-XL{x}", peer_id_minimum=[1]), BadClientRule),
        (DENY, replace(XL, exceptions=[exception("-XL1", None)]), BadClientRule),
    ],
)  # fmt: skip
def test_a_rule_that_says_nothing_sensible_is_refused(kind: ClientRuleKind, terms: Terms, error: type) -> None:
    with pytest.raises(error):
        ClientRule.define(UUID(int=1), kind, terms)
    rule = ClientRule.define(UUID(int=1), kind, QB if kind is ALLOW else XL)
    with pytest.raises(error):
        rule.change(terms)
    assert len(list(rule.collect_events())) == 1


def decided(rule: ClientRule) -> list[Any]:
    return list(rule.collect_events())


def test_a_rule_is_recorded_whole_at_each_change() -> None:
    rule = ClientRule.define(UUID(int=1), ALLOW, QB)
    rule.change(QB)
    rule.change(replace(QB, name="qB", peer_id_minimum=[5]))
    defined, changed = decided(rule)
    assert (defined.kind, defined.name, defined.peer_id_minimum) == ("allow", "qBittorrent", [4, 2, 5])
    assert (changed.name, changed.peer_id_minimum, changed.agent_minimum) == ("qB", [5], [4, 2, 5])


def test_a_withdrawn_rule_stays_withdrawn() -> None:
    rule = ClientRule.define(UUID(int=1), DENY, XL)
    rule.withdraw()
    for attempt in (rule.withdraw, lambda: rule.change(XL)):
        with pytest.raises(ClientRuleWithdrawn):
            attempt()
    assert [type(event) for event in decided(rule)] == [ClientRule.Defined, ClientRule.Withdrawn]
