"""Warns whom moderators decide to warn, and lifts the warning where a later decision of the case is another one."""

from __future__ import annotations

from datetime import UTC, datetime

from commands.warnings import warnings_of
from domain.moderation import Case, Outcome
from domain.warnings import WARNED_FOR, TooManyWarnings, WarningEndsInPast
from runtime.facts import Fact
from runtime.projection import Policy
from runtime.store import Store, new_id

warn_by_decisions = Policy("warn_by_decisions")


@warn_by_decisions.on(Case.Decided)
def decided(fact: Fact[Case.Decided], store: Store) -> None:
    warnings, now = warnings_of(store, fact.event.concerned_id), datetime.now(UTC)
    present = warnings.given_by_case(fact.stream_id, now)
    warned = fact.event.outcome == Outcome.WARNED
    if warned is (present is not None):
        return
    if present is not None:
        warnings.lift(present, fact.event.reason, now=now)
    else:
        try:
            warnings.give(new_id(), fact.event.reason, fact.at + WARNED_FOR, case_id=fact.stream_id, now=now)
        except (WarningEndsInPast, TooManyWarnings):  # a decision that is read late; one warning more says nothing
            return
    store.save(warnings)
