"""The write side: intent in, facts out. Every router is named here; nothing is discovered."""

from __future__ import annotations

from fastapi import APIRouter

from commands.achievements import router as achievements
from commands.announce_rules import router as announce_rules
from commands.api_keys import router as api_keys
from commands.applications import router as applications
from commands.auth import router as auth
from commands.bans import router as bans
from commands.bonus import router as bonus
from commands.client_rules import router as client_rules
from commands.emails import router as emails
from commands.erasures import router as erasures
from commands.exports import router as exports
from commands.freeleech_tokens import router as freeleech_tokens
from commands.groups import router as groups
from commands.invites import router as invites
from commands.key_resets import router as key_resets
from commands.ladder import router as ladder
from commands.linked_accounts import router as linked_accounts
from commands.looks import router as looks
from commands.moderation import router as moderation
from commands.parking import router as parking
from commands.password_resets import router as password_resets
from commands.passwords import router as passwords
from commands.privacy import router as privacy
from commands.profiles import router as profiles
from commands.projections import router as projections
from commands.reenable_requests import router as reenable_requests
from commands.registration import router as registration
from commands.relations import router as relations
from commands.requests import router as requests
from commands.rights import router as rights
from commands.second_factor import router as second_factor
from commands.sessions import router as sessions
from commands.site_promotions import router as site_promotions
from commands.staff_notes import router as staff_notes
from commands.torrents import router as torrents
from commands.usernames import router as usernames
from commands.users import router as users
from commands.warnings import router as warnings

ROUTERS: tuple[APIRouter, ...] = (
    registration,
    emails,
    invites,
    applications,
    passwords,
    password_resets,
    usernames,
    auth,
    second_factor,
    sessions,
    key_resets,
    parking,
    reenable_requests,
    api_keys,
    privacy,
    profiles,
    relations,
    staff_notes,
    looks,
    linked_accounts,
    users,
    erasures,
    exports,
    bans,
    warnings,
    rights,
    groups,
    ladder,
    torrents,
    freeleech_tokens,
    site_promotions,
    bonus,
    requests,
    achievements,
    moderation,
    client_rules,
    announce_rules,
    projections,
)
