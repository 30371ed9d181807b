"""Rules of a site that is older than the ratio rule: they load, are shown and change as any others."""

from __future__ import annotations

import pytest

from domain.announce_rules import ANNOUNCE_RULES, AnnounceRules, RatioRule
from domain.base import SYSTEM
from projections.announce_access import announce_access
from runtime.platform import Platform
from runtime.rebuild import verify
from runtime.store import new_id
from tests.given import Given, projected, rows_of

pytestmark = pytest.mark.engine

BEFORE = b'{"timestamp":"2031-01-01T12:00:00Z","refused_ports":[8080],"peers_per_torrent":2}'
COLUMNS = "refused_ports, peers_per_torrent, required_ratio_percent, ratio_counts_from_bytes, version"


def append(platform: Platform, data: bytes, schema_version: int) -> None:
    """The first event of the rules, as a platform of that time stored it."""
    type_id, command = platform.history.types.type_id("announce_rules.changed"), new_id()
    with platform.pool.connection() as connection:
        connection.execute(
            "SELECT es.append(%s, '', '', %s, %s, %s, 'api', NULL, NULL, %s, '{1}', %s, %s, %s)",
            (command, command, command, SYSTEM, [ANNOUNCE_RULES], [type_id], [schema_version], [data]),
        )


def test_rules_from_before_the_ratio_rule_have_none(given: Given) -> None:
    append(given.platform, BEFORE, 1)
    rules = given.store.get(AnnounceRules, ANNOUNCE_RULES)
    assert (rules.refused_ports, rules.peers_per_torrent, rules.ratio) == (frozenset({8080}), 2, RatioRule())
    projected(given.platform, announce_access)
    shown = f"SELECT {COLUMNS} FROM read.announce_rules"
    assert rows_of(given.platform, shown) == [([8080], 2, 0, 5 * 1024**3, 1)]
    rules.change([8080], 2, RatioRule(60, 0))
    given.aggregates(rules)
    projected(given.platform, announce_access)
    assert rows_of(given.platform, shown) == [([8080], 2, 60, 0, 2)]
    assert rows_of(given.platform, "SELECT version, schema_version FROM es.event ORDER BY version") == [(1, 1), (2, 2)]
    assert {t.table: t.differences for t in verify(given.platform, announce_access)}["announce_rules"] == 0
