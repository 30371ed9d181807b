"""The verdicts that an edge remembers: one for each kind of client, and no more than so many."""

from __future__ import annotations

from domain.client_patterns import AGENT_SEEN
from domain.client_rules import ClientRuleKind, ClientRules, Terms
from tracker_edge.client_rules import VERDICTS, ClientCheck

QB = Terms("qBittorrent", "-qB{x}", "qBittorrent/{n}", [4], [4], None, [])


class Asked(ClientRules):
    """Rules that note what they were asked."""

    def __init__(self) -> None:
        super().__init__([(ClientRuleKind.ALLOW, QB)])
        self.asked: list[tuple[bytes, bytes | None]] = []

    def refusal(self, peer_id: bytes, agent: bytes | None) -> str | None:
        self.asked.append((peer_id, agent))
        return super().refusal(peer_id, agent)


def test_the_rules_are_asked_once_for_each_kind_of_client() -> None:
    rules = Asked()
    check = ClientCheck(rules)
    old, new = b"-qB3990-", b"-qB4250-"
    for number in range(3):
        chance = b"%012d" % number
        assert check.refusal(new + chance, b"qBittorrent/4") is None
        assert check.refusal(new + chance, None) is None
        assert check.refusal(new + chance, b"") == "Client is not on the allow list"
        assert check.refusal(old + chance, None) == "Version too low: qBittorrent needs 4"
    assert rules.asked == [(new, b"qBittorrent/4"), (new, None), (new, b""), (old, None)]


def test_what_nobody_looks_at_makes_no_other_client() -> None:
    rules = Asked()
    check = ClientCheck(rules)
    agent = b"qBittorrent/4" + b" " * AGENT_SEEN
    assert [check.refusal(b"-qB4250-", agent + b"%d" % n) for n in range(3)] == [None] * 3
    assert rules.asked == [(b"-qB4250-", agent[:AGENT_SEEN])]


def test_made_up_clients_fill_no_memory() -> None:
    rules = Asked()
    check = ClientCheck(rules)
    for number in range(VERDICTS + 10):
        assert check.refusal(b"%08d" % number, b"") is not None
    assert len(check._verdicts) == 10
    assert check.refusal(b"-qB4250-", b"qBittorrent/5") is None
