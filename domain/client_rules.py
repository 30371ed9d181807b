"""Client rules: which programs may announce, by peer_id and user agent, and from which version on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.client_patterns import AGENT_SEEN, PEER_ID_SEEN, BadPattern, Pattern
from domain.errors import Conflict, Malformed

#: Some clients show no more of a failure reason.
TEXT_BYTES = 64
NAME_MAX = 24
#: Of a reason or comment; the client is shown what fits.
REASON_MAX = 200
EXCEPTIONS_MAX = 50

NOT_ALLOWED = "Client is not on the allow list"


class BadClientRule(Malformed):
    """What the rule says does not fit its kind."""


class ClientRuleWithdrawn(Conflict):
    """The rule was withdrawn; define another one."""


class ClientRuleKind(StrEnum):
    """Whether a rule lets clients in or keeps them out. The value is stored in events and shown by the API."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule says; events have the same fields.

    An allow rule is a family of clients with the lowest versions that may announce, and exceptions from it: objects of
    `peer_id_pattern`, `agent_pattern` and `comment`. A deny rule has a reason.
    """

    name: str
    peer_id_pattern: str | None
    agent_pattern: str | None
    peer_id_minimum: list[int]
    agent_minimum: list[int]
    reason: str | None
    exceptions: list[dict[str, str | None]]


class ClientRule(Aggregate):
    """One family of clients that may announce, or one denial."""

    TOPIC = "client_rule"

    class Defined(Created):
        """A rule from now on; `domain.client_rules.Terms` tells what its fields say."""

        TOPIC = "client_rule.defined"
        kind: str
        name: str
        peer_id_pattern: str | None
        agent_pattern: str | None
        peer_id_minimum: list[int]
        agent_minimum: list[int]
        reason: str | None
        exceptions: list[dict[str, str | None]]

    class Changed(Aggregate.Event):
        """Other terms of the same kind; all of them, each time."""

        TOPIC = "client_rule.changed"
        name: str
        peer_id_pattern: str | None
        agent_pattern: str | None
        peer_id_minimum: list[int]
        agent_minimum: list[int]
        reason: str | None
        exceptions: list[dict[str, str | None]]

    class Withdrawn(Aggregate.Event):
        TOPIC = "client_rule.withdrawn"

    @classmethod
    def define(cls, rule_id: UUID, kind: ClientRuleKind, terms: Terms) -> ClientRule:
        """A rule from now on; raises `BadClientRule` or `BadPattern`."""
        check_terms(kind, terms)
        return cls._create(cls.Defined, id=rule_id, kind=str(kind), **asdict(terms))

    def __init__(
        self,
        kind: str,
        name: str,
        peer_id_pattern: str | None,
        agent_pattern: str | None,
        peer_id_minimum: list[int],
        agent_minimum: list[int],
        reason: str | None,
        exceptions: list[dict[str, str | None]],
    ) -> None:
        self.kind = ClientRuleKind(kind)
        self.terms = Terms(name, peer_id_pattern, agent_pattern, peer_id_minimum, agent_minimum, reason, exceptions)
        self.withdrawn = False

    def change(self, terms: Terms) -> None:
        """Other terms of the same kind; raises `ClientRuleWithdrawn`, `BadClientRule` or `BadPattern`."""
        self._must_hold()
        check_terms(self.kind, terms)
        if terms != self.terms:
            self._changed(**asdict(terms))

    def withdraw(self) -> None:
        """End it; raises `ClientRuleWithdrawn`."""
        self._must_hold()
        self._withdrawn()

    def _must_hold(self) -> None:
        if self.withdrawn:
            raise ClientRuleWithdrawn("this rule was withdrawn")

    @event(Changed)
    def _changed(
        self,
        name: str,
        peer_id_pattern: str | None,
        agent_pattern: str | None,
        peer_id_minimum: list[int],
        agent_minimum: list[int],
        reason: str | None,
        exceptions: list[dict[str, str | None]],
    ) -> None:
        self.terms = Terms(name, peer_id_pattern, agent_pattern, peer_id_minimum, agent_minimum, reason, exceptions)

    @event(Withdrawn)
    def _withdrawn(self) -> None:
        self.withdrawn = True


def check_terms(kind: ClientRuleKind, terms: Terms) -> None:
    """Raises `BadClientRule` or `BadPattern`."""
    if not 1 <= len(terms.name) <= NAME_MAX or not _is_line(terms.name):
        raise BadClientRule(f"a name has 1 to {NAME_MAX} characters on one line, and blanks only between others")
    signature = Signature.of(terms.peer_id_pattern, terms.agent_pattern)
    if kind == ClientRuleKind.ALLOW:
        _check_family(terms, signature)
    else:
        _check_reason(terms.reason)
        if terms.peer_id_minimum or terms.agent_minimum or terms.exceptions:
            raise BadClientRule("a deny rule has no lowest version and no exceptions")


def _check_family(terms: Terms, signature: Signature) -> None:
    if signature.peer_id is None:  # over UDP there is nothing else to know it by
        raise BadClientRule("an allow rule says how the peer_id begins")
    if terms.reason is not None:
        raise BadClientRule("an allow rule has no reason")
    if len(terms.exceptions) > EXCEPTIONS_MAX:
        raise BadClientRule(f"a rule has at most {EXCEPTIONS_MAX} exceptions")
    for exception in terms.exceptions:
        Signature.of(exception["peer_id_pattern"], exception["agent_pattern"])
        _check_reason(exception["comment"])
    for pattern, minimum in ((signature.peer_id, terms.peer_id_minimum), (signature.agent, terms.agent_minimum)):
        if len(minimum) > (pattern.catches if pattern else 0) or any(number < 0 for number in minimum):
            raise BadClientRule("a lowest version has at most as many numbers as its pattern has of {x} and {n}")


def _check_reason(reason: str | None) -> None:
    if reason is None or not 1 <= len(reason) <= REASON_MAX or not _is_line(reason):
        raise BadClientRule(f"a denial has a reason of 1 to {REASON_MAX} characters on one line")


def _is_line(text: str) -> bool:
    return text.isprintable() and text == text.strip()


class Signature(NamedTuple):
    """How clients show who they are; both have to match where both are given."""

    peer_id: Pattern | None
    agent: Pattern | None

    @classmethod
    def of(cls, peer_id_pattern: str | None, agent_pattern: str | None) -> Signature:
        """Raises `BadPattern`, also when there is nothing to match."""
        if peer_id_pattern is None and agent_pattern is None:
            raise BadPattern("give a pattern of the peer_id, of the agent, or both")
        return cls(
            None if peer_id_pattern is None else Pattern(peer_id_pattern, PEER_ID_SEEN),
            None if agent_pattern is None else Pattern(agent_pattern, AGENT_SEEN),
        )

    def versions(self, peer_id: bytes, agent: bytes | None) -> tuple[tuple[int, ...], tuple[int, ...] | None] | None:
        """The version numbers in the peer_id and in the agent (None where it was not looked at); None for other
        clients."""
        by_peer_id: tuple[int, ...] | None = ()
        by_agent: tuple[int, ...] | None = None
        if self.peer_id is not None:
            by_peer_id = self.peer_id.numbers(peer_id[:PEER_ID_SEEN])
        elif agent is None:
            return None
        if by_peer_id is None:
            return None
        if self.agent is not None and agent is not None:
            by_agent = self.agent.numbers(agent[:AGENT_SEEN])
            if by_agent is None:
                return None
        return by_peer_id, by_agent


class _Denial:
    """Clients that are kept out, and what they are told."""

    def __init__(self, peer_id_pattern: str | None, agent_pattern: str | None, reason: str | None) -> None:
        self.signature = Signature.of(peer_id_pattern, agent_pattern)
        self.text = _fitting(f"Client denied: {reason}")

    def holds(self, peer_id: bytes, agent: bytes | None) -> bool:
        return self.signature.versions(peer_id, agent) is not None


class _Family:
    """Clients that are let in, if they are new enough."""

    def __init__(self, terms: Terms) -> None:
        self.signature = Signature.of(terms.peer_id_pattern, terms.agent_pattern)
        self.exceptions = [_Denial(e["peer_id_pattern"], e["agent_pattern"], e["comment"]) for e in terms.exceptions]
        self._peer_id_minimum = tuple(terms.peer_id_minimum)
        self._agent_minimum = tuple(terms.agent_minimum)
        lowest = ".".join(map(str, self._agent_minimum or self._peer_id_minimum))
        self.too_low = _fitting(f"Version too low: {terms.name} needs {lowest}")

    def takes(self, by_peer_id: tuple[int, ...], by_agent: tuple[int, ...] | None) -> bool:
        """Whether such versions are high enough: the first number that differs decides."""
        return by_peer_id >= self._peer_id_minimum and (by_agent is None or by_agent >= self._agent_minimum)


class ClientRules:
    """Every rule of a site, as one decision."""

    def __init__(self, rules: Sequence[tuple[ClientRuleKind, Terms]]) -> None:
        self._families = [_Family(terms) for kind, terms in rules if kind == ClientRuleKind.ALLOW]
        self._denials = [
            _Denial(terms.peer_id_pattern, terms.agent_pattern, terms.reason)
            for kind, terms in rules
            if kind == ClientRuleKind.DENY
        ]

    def refusal(self, peer_id: bytes, agent: bytes | None) -> str | None:
        """Why this client may not announce, in at most 64 bytes, or None. `agent` is None over UDP, where the peer_id
        alone decides; a client that sends none over HTTP has an empty one.

        Denials and exceptions win over families; where there is no family every other client is let in.
        """
        for denial in self._denials:
            if denial.holds(peer_id, agent):
                return denial.text
        if not self._families:
            return None
        allowed, refusal = False, NOT_ALLOWED
        for family in self._families:
            versions = family.signature.versions(peer_id, agent)
            if versions is None:
                continue
            for exception in family.exceptions:
                if exception.holds(peer_id, agent):
                    return exception.text
            if family.takes(*versions):
                allowed = True
            elif refusal == NOT_ALLOWED:
                refusal = family.too_low
        return None if allowed else refusal


def _fitting(text: str) -> str:
    return text.encode()[:TEXT_BYTES].decode(errors="ignore").rstrip()
