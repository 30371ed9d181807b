"""Policies: event in, command out. Every one is named here."""

from __future__ import annotations

from commands.policies.award_achievements import award_achievements
from commands.policies.enforce_decisions import enforce_decisions
from commands.policies.note_invited import note_invited
from commands.policies.warn_by_decisions import warn_by_decisions
from runtime.projection import Policy

POLICIES: tuple[Policy, ...] = (enforce_decisions, warn_by_decisions, award_achievements, note_invited)
