"""Facts in, read tables out. Every projection is named here; each can be thrown away and built again."""

from __future__ import annotations

from projections.achievements import achievements
from projections.announce_access import announce_access
from projections.api_keys import api_keys
from projections.applications import applications
from projections.audit import audit
from projections.bans import bans
from projections.bonus import bonus
from projections.bonus_rules import bonus_rules
from projections.categories import categories
from projections.chat import chat
from projections.emails import emails
from projections.erasures import erasures
from projections.exports import exports
from projections.forums import forums
from projections.freeleech_tokens import freeleech_tokens
from projections.groups import groups
from projections.inactivity import inactivity
from projections.invites import invites
from projections.key_resets import key_resets
from projections.linked_accounts import linked_accounts
from projections.moderation import moderation
from projections.parking import parking
from projections.peers import peers
from projections.privacy import privacy
from projections.profiles import profiles
from projections.reenable_requests import reenable_requests
from projections.relations import relations
from projections.requests import requests
from projections.rights import rights
from projections.search import search
from projections.site_promotions import site_promotions
from projections.torrents import torrents
from projections.user_statistics import user_statistics
from projections.usernames import usernames
from projections.users import users
from projections.warnings import warnings
from runtime.projection import Projection

ALL: tuple[Projection, ...] = (
    users,
    privacy,
    usernames,
    profiles,
    relations,
    emails,
    linked_accounts,
    invites,
    applications,
    groups,
    rights,
    bans,
    warnings,
    api_keys,
    key_resets,
    inactivity,
    parking,
    reenable_requests,
    erasures,
    exports,
    announce_access,
    torrents,
    categories,
    search,
    peers,
    user_statistics,
    achievements,
    site_promotions,
    freeleech_tokens,
    bonus,
    bonus_rules,
    requests,
    moderation,
    audit,
    forums,
    chat,
)
