"""The read side: questions in, rows out. Every router is named here; nothing is discovered."""

from __future__ import annotations

from fastapi import APIRouter

from queries.achievements import router as achievements
from queries.announce_rules import router as announce_rules
from queries.api_keys import router as api_keys
from queries.applications import router as applications
from queries.audit import router as audit
from queries.audit_chain import router as audit_chain
from queries.bans import router as bans
from queries.bonus import router as bonus
from queries.bonus_rules import router as bonus_rules
from queries.categories import router as categories
from queries.chat import router as chat
from queries.client_rules import router as client_rules
from queries.emails import router as emails
from queries.erasures import router as erasures
from queries.explanations import router as explanations
from queries.exports import router as exports
from queries.forums import router as forums
from queries.freeleech_tokens import router as freeleech_tokens
from queries.graphql import graphql_over, schema_over
from queries.groups import router as groups
from queries.invites import router as invites
from queries.key_resets import router as key_resets
from queries.ladder import router as ladder
from queries.linked_accounts import router as linked_accounts
from queries.login_defence import router as login_defence
from queries.moderation import router as moderation
from queries.parking import router as parking
from queries.peers import router as peers
from queries.privacy import router as privacy
from queries.profiles import router as profiles
from queries.projections import router as projections
from queries.ranks import router as ranks
from queries.reenable_requests import router as reenable_requests
from queries.relations import router as relations
from queries.requests import router as requests
from queries.rights import router as rights
from queries.rss import router as rss
from queries.search import router as search
from queries.sessions import router as sessions
from queries.site_promotions import router as site_promotions
from queries.site_stats import router as site_stats
from queries.staff_notes import router as staff_notes
from queries.stats_history import router as stats_history
from queries.torrent_history import router as torrent_history
from queries.torrents import router as torrents
from queries.tracker import router as tracker
from queries.unregistered_hashes import router as unregistered_hashes
from queries.user_history import router as user_history
from queries.user_stats import router as user_stats
from queries.usernames import router as usernames
from queries.users import router as users
from queries.warnings import router as warnings

REST: tuple[APIRouter, ...] = (
    search,
    api_keys,
    privacy,
    sessions,
    key_resets,
    parking,
    reenable_requests,
    login_defence,
    profiles,
    relations,
    staff_notes,
    linked_accounts,
    users,
    erasures,
    exports,
    usernames,
    emails,
    invites,
    applications,
    bans,
    warnings,
    rights,
    ladder,
    user_stats,
    explanations,
    ranks,
    stats_history,
    site_stats,
    achievements,
    user_history,
    groups,
    torrents,
    rss,
    freeleech_tokens,
    site_promotions,
    peers,
    torrent_history,
    tracker,
    categories,
    forums,
    chat,
    bonus,
    bonus_rules,
    requests,
    moderation,
    audit,
    audit_chain,
    client_rules,
    announce_rules,
    unregistered_hashes,
    projections,
)

#: The same questions once more: what GraphQL knows is what the routes above say.
SCHEMA = schema_over(REST)

ROUTERS: tuple[APIRouter, ...] = (*REST, graphql_over(SCHEMA))
