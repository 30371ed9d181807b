"""May this client announce? The site's rules, asked once for each kind of client and not at every announce."""

from __future__ import annotations

from domain.client_patterns import AGENT_SEEN, PEER_ID_SEEN
from domain.client_rules import ClientRules

#: Clients write their version and system into both, so a site sees hundreds; whoever makes more up gains nothing.
VERDICTS = 4096


class ClientCheck:
    """One set of rules and what it says of the clients that were seen."""

    def __init__(self, rules: ClientRules) -> None:
        self._rules = rules
        self._verdicts: dict[tuple[bytes, bytes | None], str | None] = {}

    def refusal(self, peer_id: bytes, agent: bytes | None) -> str | None:
        """As `ClientRules.refusal`."""
        client = peer_id[:PEER_ID_SEEN], None if agent is None else agent[:AGENT_SEEN]
        try:
            return self._verdicts[client]
        except KeyError:
            pass
        if len(self._verdicts) >= VERDICTS:
            self._verdicts.clear()
        verdict = self._verdicts[client] = self._rules.refusal(*client)
        return verdict
