"""Announce rules: what they may say, and that each change says all of it."""

from __future__ import annotations

from typing import Any

import pytest

from domain.announce_rules import (
    ANNOUNCE_RULES,
    DEFAULT_PEERS_PER_TORRENT,
    DEFAULT_REFUSED_PORTS,
    AnnounceRules,
    BadAnnounceRules,
    RatioRule,
)


def decided(rules: AnnounceRules) -> list[Any]:
    return list(rules.collect_events())


def test_the_defaults_are_rules() -> None:
    rules = AnnounceRules.lay_down(DEFAULT_REFUSED_PORTS, DEFAULT_PEERS_PER_TORRENT)
    assert (rules.id, rules.version) == (ANNOUNCE_RULES, 1)
    assert (rules.refused_ports, rules.peers_per_torrent) == (frozenset(DEFAULT_REFUSED_PORTS), 3)


def test_a_change_replaces_all_of_the_rules() -> None:
    rules = AnnounceRules.lay_down([8080, 6881, 8080], 3)
    rules.change([9000], 1)
    assert (rules.version, rules.refused_ports, rules.peers_per_torrent) == (2, frozenset({9000}), 1)
    first, second = decided(rules)
    assert (first.refused_ports, first.peers_per_torrent) == ([6881, 8080], 3)
    assert (second.originator_version, second.refused_ports, second.peers_per_torrent) == (2, [9000], 1)


def test_the_rules_follow_from_their_events() -> None:
    rules, again = AnnounceRules.lay_down([8080], 3), None
    rules.change([], 5)
    rules.change([1024], 5)
    for event in decided(rules):
        again = event.mutate(again)
    assert isinstance(again, AnnounceRules)
    assert (again.version, again.refused_ports, again.peers_per_torrent) == (3, frozenset({1024}), 5)


def test_the_same_rules_again_are_no_news() -> None:
    rules = AnnounceRules.lay_down([8080, 6881], 3)
    decided(rules)
    rules.change([6881, 8080, 6881], 3)
    assert decided(rules) == []


@pytest.mark.parametrize(
    ("ports", "peers"), [([0], 3), ([65536], 3), ([-1], 3), (range(1, 102), 3), ([], 0), ([], -1), ([], 1001)]
)
def test_other_rules_are_refused(ports: Any, peers: int) -> None:
    with pytest.raises(BadAnnounceRules):
        AnnounceRules.lay_down(ports, peers)
    rules = AnnounceRules.lay_down([], 1)
    with pytest.raises(BadAnnounceRules):
        rules.change(ports, peers)
    assert len(decided(rules)) == 1


@pytest.mark.parametrize("ratio", [(-1, 0), (1001, 0), (60, -1), (60, 1024**5 + 1)])
def test_other_ratios_are_refused(ratio: tuple[int, int]) -> None:
    with pytest.raises(BadAnnounceRules):
        AnnounceRules.lay_down([], 1, RatioRule(*ratio))
    rules = AnnounceRules.lay_down([], 1)
    with pytest.raises(BadAnnounceRules):
        rules.change([], 1, RatioRule(*ratio))
    assert len(decided(rules)) == 1


def test_no_ratio_is_required_by_default() -> None:
    assert AnnounceRules.lay_down([], 1).ratio == RatioRule(0, 5 * 1024**3)
    assert not RatioRule().broken(0, 2**63 - 1)


def test_a_ratio_rule_is_part_of_the_rules() -> None:
    rules = AnnounceRules.lay_down([], 1)
    rules.change([], 1, RatioRule(60, 100))
    rules.change([], 1, RatioRule(60, 100))
    rules.change([9000], 1)
    assert rules.ratio == RatioRule(60, 100)
    told = [(e.refused_ports, e.required_ratio_percent, e.ratio_counts_from_bytes) for e in decided(rules)]
    assert told == [([], 0, 5 * 1024**3), ([], 60, 100), ([9000], 60, 100)]


@pytest.mark.parametrize(
    ("uploaded", "downloaded", "broken"),
    [
        (0, 0, False), (0, 999, False), (0, 1000, True), (599, 1000, True), (600, 1000, False), (600, 1001, True),
        (2**63 - 1, 2**63 - 1, False), (2**63 // 10 * 6, 2**63 - 1, True),
    ],
)  # fmt: skip
def test_the_rule_is_exact_and_holds_from_its_number_of_bytes(uploaded: int, downloaded: int, broken: bool) -> None:
    assert RatioRule(60, 1000).broken(uploaded, downloaded) is broken
