"""A small history of a site in which every event type happens at least twice, in an order that could be real.

A module for each feature says what becomes of it; a new feature adds its own, and a line below.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.platform import Platform
from tests.history import (
    achievements,
    announce_rules,
    api_keys,
    applications,
    bans,
    client_rules,
    default_data,
    emails,
    erasures,
    exports,
    freeleech_tokens,
    groups,
    inactivity,
    invites,
    key_resets,
    linked_accounts,
    looks,
    moderation,
    parking,
    peers,
    privacy,
    profiles,
    projections,
    reenable_requests,
    relations,
    requests,
    rights,
    sessions,
    site_promotions,
    staff_notes,
    strangers,
    torrents,
    usernames,
    users,
    warnings,
)
from tests.history.past import Past

#: In this order. The first three make what all others may use: default data, two members and a torrent of each.
PARTS: tuple[Callable[[Past], None], ...] = (
    default_data.tell,
    users.tell,
    torrents.tell,
    emails.tell,
    inactivity.tell,
    parking.tell,
    reenable_requests.tell,
    key_resets.tell,
    sessions.tell,
    privacy.tell,
    staff_notes.tell,
    looks.tell,
    linked_accounts.tell,
    relations.tell,
    profiles.tell,
    bans.tell,
    warnings.tell,
    rights.tell,
    api_keys.tell,
    requests.tell,
    moderation.tell,
    site_promotions.tell,
    freeleech_tokens.tell,
    invites.tell,
    erasures.tell,
    strangers.tell,
    exports.tell,
    achievements.tell,
    groups.tell,
    usernames.tell,
    applications.tell,
    client_rules.tell,
    announce_rules.tell,
    projections.tell,
    peers.tell,
    torrents.tell_the_end,
)


def write_history(platform: Platform) -> None:
    """Save everything: what the site begins with, and what its parts tell."""
    past = Past(platform)
    for tell in PARTS:
        tell(past)
