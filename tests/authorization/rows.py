"""One row for each route: whom its signature lets in, and what those get, with what is their own and with others'.

A route that is not here fails the suite. Write what has to be, not what the route answers: `P.X` is the permission in
the signature (`Requires`), `ANYBODY`, `SIGNED_IN` and `OWNER` (no API key) are the other gates. An answer is a status,
with the problem's code where it refuses; `only(P.X, granted, refused)` is decided in the handler.

    "approve_torrent": Row(P.TORRENTS_MODERATE, own="403 own_upload", of="pending"),

`answer` is for routes without an owner. Where the path names somebody's thing, `own` is the caller's, `others` a
member's and `above` a sysop's; what is not given is as `answer`. `of` takes another thing of the cast than the first,
`path` fixes a part of the path.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from domain.permissions import Permission as P


class Gate(NamedTuple):
    """Who passes, other than by a permission."""

    name: str


ANYBODY, SIGNED_IN, OWNER = Gate("anybody"), Gate("signed in"), Gate("signed in without a key")


class Only(NamedTuple):
    """What the holders of any of these permissions get, and what others get."""

    permissions: tuple[P, ...]
    granted: str
    refused: str


Answer = str | Only


def only(*permissions: P, granted: str = "200", refused: str = "403 not_permitted") -> Only:
    return Only(permissions, granted, refused)


class Row(NamedTuple):
    gate: Gate | P
    answer: Answer = "200"
    own: Answer | None = None
    others: Answer | None = None
    above: Answer | None = None
    of: str = ""
    path: dict[str, str] | None = None  # values of the path that are always these
    body: dict[str, Any] | None = None  # fields, instead of those made up from the schema
    query: dict[str, str] | None = None

    def expected(self, whose: str) -> Answer:
        given: Answer | None = getattr(self, whose)
        return self.answer if given is None else given


WHOSE = ("own", "others", "above")

#: Staff act on who is below them: not on themselves, and not on sysops.
NOT_BELOW = "403 above_own_level"
#: Who waits for confirmation is no member yet.
MEMBERS = only(P.SEED)
#: What is in swarms is for who takes part in them.
PEERS = only(P.SEED, P.LEECH)
SENIOR = only(P.USERS_SEE_PRIVATE)
CASES = only(P.MODERATION, refused="404 not_found")
REQUESTERS = only(P.REQUESTS_MODERATE, refused="403 not_the_requester")
APPEALS = only(P.MODERATION, granted="403 not_concerned", refused="404 not_found")
NOBODY = "404 not_found"

NEWCOMER = {"username": "newcomer", "email": "n@example.org", "password": "a good long one", "invite": None}
#: Nobody grants what they do not hold.
THEMES = only(P.THEMES_EDIT, refused="403 permission_not_held")
CRITERIA = {"follows": "validating", "ratio_percent": 9}
DESIGNER = {"slug": "designer"}
UNTIL = {"until": "2099-01-01T00:00:00Z"}
USERS = {"projections": ["users"]}
PROMOTION = {"upload_percent": 200, "download_percent": 0, **UNTIL}
_NO_MINIMUM: dict[str, list[int]] = {"peer_id_minimum": [], "agent_minimum": []}
DENIED = {"name": "x", "peer_id_pattern": "-XX", "agent_pattern": None, **_NO_MINIMUM, "reason": "r", "exceptions": []}

# fmt: off
ROWS: dict[str, Row] = {
    # health
    "get_liveness": Row(ANYBODY),
    "get_readiness": Row(ANYBODY),
    "get_health": Row(ANYBODY),
    "get_link_page": Row(ANYBODY),
    "get_link_style": Row(ANYBODY),
    "get_link_script": Row(ANYBODY),

    # auth
    "register": Row(ANYBODY, "201", body=NEWCOMER),
    "verify_email": Row(ANYBODY, "422 email_token_invalid"),
    "login": Row(ANYBODY, "401 wrong_credentials"),
    "refresh": Row(ANYBODY, "401 unauthenticated"),
    "logout": Row(ANYBODY, "204"),
    "enable_two_factor": Row(OWNER, "200", body={"password": None}),
    "verify_two_factor": Row(OWNER),
    "disable_two_factor": Row(OWNER, "409 two_factor_off"),
    "replace_recovery_codes": Row(OWNER, "409 two_factor_off"),

    # api keys
    "issue_api_key": Row(OWNER, "201"),
    "list_api_keys": Row(OWNER),
    "revoke_api_key": Row(OWNER, NOBODY, own="204"),

    # users
    "get_own_account": Row(SIGNED_IN),
    "list_own_sessions": Row(OWNER),
    "revoke_session": Row(OWNER, NOBODY, own="204"),
    "revoke_other_sessions": Row(OWNER, "204"),
    "list_own_failed_logins": Row(OWNER),
    "reset_passkey": Row(OWNER),
    "reset_rss_key": Row(OWNER),
    "park": Row(OWNER),
    "unpark": Row(OWNER),
    "get_own_parking": Row(OWNER),
    "file_reenable_request": Row(ANYBODY, "401 wrong_credentials"),
    "list_reenable_requests": Row(P.USERS_DISABLE),
    "approve_reenable_request": Row(P.USERS_DISABLE, "409 no_open_request", own=NOT_BELOW, above=NOT_BELOW),
    "reject_reenable_request": Row(P.USERS_DISABLE, "409 no_open_request", own=NOT_BELOW, above=NOT_BELOW),
    "get_own_passkey": Row(OWNER),
    "get_own_rss_key": Row(OWNER),
    "list_key_resets": Row(P.USERS_SEE_PRIVATE),
    "change_password": Row(OWNER, "403 wrong_password"),
    "mail_another_confirmation": Row(OWNER, "204"),
    "change_email": Row(OWNER, "403 wrong_password", body={"email": "other@example.org"}),
    "confirm_email": Row(ANYBODY, "422 email_token_invalid"),
    "take_back_email": Row(ANYBODY, "422 email_token_invalid"),
    "list_email_changes": Row(P.USERS_SEE_PRIVATE, "403 look_needed", query={"look": str(UUID(int=1))}),
    "forgot_password": Row(ANYBODY, "202", body={"email": "other@example.org"}),
    "reset_password": Row(ANYBODY, "422 reset_token_invalid"),
    "grant_invites": Row(P.INVITES_GRANT, "201"),
    "send_invite": Row(
        P.INVITE,
        only(P.INVITES_GRANT, granted="201", refused="409 no_invites_left"),
        body={"email": "guest@example.org", "note": ""},
    ),
    "send_invite_again": Row(P.INVITE, NOBODY, own="202"),
    "revoke_invite": Row(P.INVITE, only(P.INVITES_GRANT, refused=NOBODY), own="200"),
    "list_own_invites": Row(SIGNED_IN),
    "get_invite_allowance": Row(SIGNED_IN),
    "list_invites": Row(P.USERS_SEE_INVITES),
    "get_invite_tree": Row(SIGNED_IN, only(P.USERS_SEE_INVITES), own="200"),
    "apply": Row(ANYBODY, "403 registration_closed"),
    "list_applications": Row(P.APPLICATIONS_REVIEW),
    "approve_application": Row(P.APPLICATIONS_REVIEW),
    "reject_application": Row(P.APPLICATIONS_REVIEW),
    "rename": Row(P.USERNAMES_MANAGE, own=NOT_BELOW, above=NOT_BELOW, body={"username": "renamed"}),
    "list_former_usernames": Row(P.USERS_SEE_PRIVATE),
    "ban_names": Row(P.USERNAMES_MANAGE, "201", body={"pattern": "spam*"}),
    "allow_names": Row(P.USERNAMES_MANAGE, "409 name_pattern_not_banned", body={"pattern": "spam*"}),
    "list_banned_names": Row(P.USERNAMES_MANAGE),
    "get_user": Row(SIGNED_IN, only(P.SEED, refused="404 not_found"), own="200"),
    "list_users": Row(P.MODERATION),
    "search_users": Row(SIGNED_IN, MEMBERS, query={"q": "bob"}),
    "change_group": Row(P.USERS_PROMOTE, own=NOT_BELOW, above=NOT_BELOW),
    "disable_user": Row(P.USERS_DISABLE, own=NOT_BELOW, above=NOT_BELOW),
    "enable_user": Row(P.USERS_DISABLE, own=NOT_BELOW, above=NOT_BELOW),
    "grant_personal_freeleech": Row(P.BONUS_GRANT),
    "end_personal_freeleech": Row(P.BONUS_GRANT),

    # privacy
    "get_own_privacy": Row(SIGNED_IN),
    "choose_privacy": Row(OWNER),
    # erasures
    "erase_me": Row(OWNER, "403 wrong_password"),
    "propose_erasure": Row(P.USERS_ERASE, "201", own=NOT_BELOW, above=NOT_BELOW),
    "approve_erasure": Row(P.USERS_ERASE_APPROVE, "202", own=NOT_BELOW, above=NOT_BELOW),
    "decline_erasure": Row(P.USERS_ERASE_APPROVE, own=NOT_BELOW, above=NOT_BELOW),
    "list_erasure_proposals": Row(P.USERS_ERASE_APPROVE),

    # profiles
    "describe_oneself": Row(P.POST),
    "choose_avatar": Row(P.POST, "422 unsupported_picture", body={}),
    "remove_avatar": Row(P.POST),
    "clear_profile": Row(P.USERS_EDIT_PROFILES, own=NOT_BELOW, above=NOT_BELOW),
    "get_avatar": Row(ANYBODY, NOBODY),

    # relations
    "befriend": Row(SIGNED_IN, MEMBERS, own=only(P.SEED, granted="422 self_relation")),
    "unfriend": Row(SIGNED_IN, MEMBERS),
    "block": Row(SIGNED_IN, MEMBERS, own=only(P.SEED, granted="422 self_relation")),
    "unblock": Row(SIGNED_IN, MEMBERS),
    "follow": Row(SIGNED_IN, MEMBERS, own=only(P.SEED, granted="422 self_relation")),
    "unfollow": Row(SIGNED_IN, MEMBERS),
    "list_friends": Row(SIGNED_IN, MEMBERS),
    "list_blocks": Row(SIGNED_IN, MEMBERS),
    "list_followed": Row(SIGNED_IN, MEMBERS),
    "list_followers": Row(SIGNED_IN, MEMBERS),
    "list_followed_uploads": Row(SIGNED_IN, PEERS),
    # exports
    "request_export": Row(OWNER, "202", body={"password": None}),
    "get_export": Row(OWNER, NOBODY),
    "download_export": Row(OWNER, NOBODY),

    # staff tools
    "write_note": Row(P.USERS_NOTE, "201", own=NOT_BELOW, above=NOT_BELOW),
    "list_notes": Row(P.USERS_NOTE, own=NOT_BELOW, above=NOT_BELOW),
    "look_at_email": Row(P.USERS_SEE_PRIVATE, "201", own=NOT_BELOW, above=NOT_BELOW),
    "look_at_addresses": Row(P.USERS_SEE_PRIVATE, "201", own=NOT_BELOW, above=NOT_BELOW),
    "look_at_shared_addresses": Row(P.USERS_SEE_PRIVATE, "201", own=NOT_BELOW, above=NOT_BELOW),
    "look_at_failed_logins": Row(P.USERS_SEE_PRIVATE, "201", own=NOT_BELOW, above=NOT_BELOW),
    "find_by_address": Row(P.USERS_SEE_PRIVATE, "201", body={"address": "192.0.2.1"}),
    "find_by_email": Row(P.USERS_SEE_PRIVATE, "201"),
    "link_account": Row(P.USERS_SEE_PRIVATE, NOBODY, own=NOT_BELOW, above=NOT_BELOW),
    "unlink_account": Row(P.USERS_SEE_PRIVATE, "409 not_linked", own=NOT_BELOW, above=NOT_BELOW),
    "dissolve_link_group": Row(P.USERS_SEE_PRIVATE, NOBODY),
    "list_linked_accounts": Row(P.USERS_SEE_PRIVATE),

    # bans
    "list_bans": Row(SIGNED_IN, only(P.MODERATION), own="200"),
    "impose_ban": Row(P.USERS_WARN, only(P.USERS_DISABLE, granted="201"), own=NOT_BELOW, above=NOT_BELOW),
    "lift_ban": Row(P.USERS_WARN, only(P.USERS_DISABLE), own=NOT_BELOW, above=NOT_BELOW),

    # warnings
    "list_warnings": Row(SIGNED_IN, only(P.MODERATION), own="200"),
    "give_warning": Row(P.USERS_WARN, "201", own=NOT_BELOW, above=NOT_BELOW),
    "lift_warning": Row(P.USERS_WARN, own=NOT_BELOW, above=NOT_BELOW),

    # user stats, history
    "get_user_stats": Row(SIGNED_IN, MEMBERS, own="200"),
    "list_transfers": Row(SIGNED_IN, SENIOR, own="200"),
    "get_user_ranks": Row(SIGNED_IN, MEMBERS, own="200"),
    "list_user_achievements": Row(SIGNED_IN, MEMBERS, own="200"),
    "list_achievement_changes": Row(SIGNED_IN, SENIOR, own="200"),
    "list_achievements": Row(SIGNED_IN),
    "define_achievement": Row(P.SITE_MANAGE, "201", body={"slug": "well-done"}),
    "change_achievement": Row(P.SITE_MANAGE),
    "withdraw_achievement": Row(P.SITE_MANAGE),
    "award_achievement": Row(P.BONUS_GRANT, "201"),
    "take_achievement": Row(P.BONUS_GRANT, "409 not_achieved"),
    "get_stats_history": Row(SIGNED_IN, SENIOR, own="200"),
    "get_site_stats": Row(SIGNED_IN, MEMBERS),
    "get_site_history": Row(SIGNED_IN, MEMBERS),
    "explain_number": Row(SIGNED_IN, SENIOR, own="200", path={"number": "uploaded"}),
    "get_user_history": Row(SIGNED_IN, SENIOR, own="200"),
    "get_torrent_history": Row(SIGNED_IN, PEERS),
    "get_tracker_history": Row(SIGNED_IN, PEERS),

    # groups
    "list_groups": Row(SIGNED_IN),
    "change_permissions": Row(P.GROUPS_MANAGE, own=NOT_BELOW, above=NOT_BELOW, body={"permissions": ["site.login"]}),
    "change_download_slots": Row(P.GROUPS_MANAGE, own=NOT_BELOW, above=NOT_BELOW),

    "found_group": Row(P.GROUPS_MANAGE, "201", body={"slug": "friends", "level": 150, "permissions": ["site.login"]}),
    "change_group_terms": Row(P.GROUPS_MANAGE, own=NOT_BELOW, above=NOT_BELOW, body={"level": 150}),
    "change_monthly_invites": Row(P.GROUPS_MANAGE, own=NOT_BELOW, above=NOT_BELOW),
    "get_group_history": Row(P.GROUPS_MANAGE),
    "set_criteria": Row(P.GROUPS_MANAGE, own=NOT_BELOW, above=NOT_BELOW, body=CRITERIA),
    "remove_criteria": Row(P.GROUPS_MANAGE, own=NOT_BELOW, above=NOT_BELOW),
    "get_promotion": Row(SIGNED_IN, only(P.MODERATION), own="200"),

    # rights
    "list_permissions": Row(SIGNED_IN, only(P.MODERATION), own="200"),
    "set_exception": Row(P.USERS_PROMOTE, own=NOT_BELOW, above=NOT_BELOW),
    "withdraw_exception": Row(P.USERS_PROMOTE, own=NOT_BELOW, above=NOT_BELOW),
    "give_secondary_group": Row(P.USERS_PROMOTE, THEMES, own=NOT_BELOW, above=NOT_BELOW, path=DESIGNER),
    "take_secondary_group": Row(P.USERS_PROMOTE, own=NOT_BELOW, above=NOT_BELOW, path=DESIGNER),
    "lock_class": Row(P.USERS_PROMOTE, own=NOT_BELOW, above=NOT_BELOW),
    "unlock_class": Row(P.USERS_PROMOTE, own=NOT_BELOW, above=NOT_BELOW),

    # torrents
    "upload_torrent": Row(P.UPLOAD, "201"),
    "list_torrents": Row(SIGNED_IN, PEERS),
    "get_torrent": Row(SIGNED_IN, PEERS),
    "download_torrent": Row(SIGNED_IN, only(P.SEED, P.LEECH)),
    "approve_torrent": Row(P.TORRENTS_MODERATE, own="403 own_upload", of="pending"),
    "reject_torrent": Row(P.TORRENTS_MODERATE, of="pending"),
    "delete_torrent": Row(SIGNED_IN, only(P.TORRENTS_MODERATE, refused="403 not_yours"), own="200"),
    "grant_freeleech": Row(P.TORRENTS_FREELEECH),
    "end_freeleech": Row(P.TORRENTS_FREELEECH),
    "promote_torrent": Row(P.TORRENTS_FREELEECH, body=PROMOTION),
    "end_promotion": Row(P.TORRENTS_FREELEECH),
    "get_torrent_feed": Row(SIGNED_IN, PEERS),
    "download_from_feed": Row(SIGNED_IN, PEERS),
    "list_peers": Row(SIGNED_IN, PEERS),
    "spend_tokens": Row(P.LEECH, "409 insufficient_tokens"),
    "get_own_tokens": Row(SIGNED_IN),
    "grant_tokens": Row(P.BONUS_GRANT, "201"),

    # search
    "search_torrents": Row(SIGNED_IN, PEERS, query={"q": "a film"}),
    "suggest": Row(SIGNED_IN, PEERS, query={"q": "fi"}),

    # categories, forums, chat
    "list_categories": Row(SIGNED_IN),
    "list_forums": Row(SIGNED_IN),
    "list_rooms": Row(SIGNED_IN),

    # bonus
    "list_own_ledger": Row(SIGNED_IN),
    "list_ledger": Row(SIGNED_IN, SENIOR, own="200"),
    "list_bonus_rules": Row(SIGNED_IN),
    "grant_points": Row(P.BONUS_GRANT, "201"),

    # requests
    "list_requests": Row(SIGNED_IN, MEMBERS),
    "get_request": Row(SIGNED_IN, MEMBERS),
    "open_request": Row(P.REQUESTS, "201"),
    "add_bounty": Row(P.REQUESTS, "201"),
    "fill_request": Row(P.REQUESTS),
    "accept_fill": Row(SIGNED_IN, REQUESTERS, own="200", of="filled"),
    "reject_fill": Row(SIGNED_IN, REQUESTERS, own="200", of="filled"),
    "cancel_request": Row(SIGNED_IN, REQUESTERS, own="200"),

    # moderation, audit
    "file_report": Row(P.REPORT, "201", body={"subject_type": "user"}),
    "list_own_reports": Row(SIGNED_IN),
    "list_cases": Row(P.MODERATION),
    "get_case": Row(SIGNED_IN, CASES, own="200"),
    "get_case_history": Row(SIGNED_IN, CASES, own="200"),
    "claim_case": Row(P.MODERATION, own="403 own_case"),
    "comment_on_case": Row(P.MODERATION, "201", own="403 own_case"),
    "decide_case": Row(P.MODERATION, own="403 own_case"),
    "appeal_decision": Row(SIGNED_IN, APPEALS, own="200", of="decided"),
    "close_case": Row(P.MODERATION, own="403 own_case", of="decided"),
    "list_audit_entries": Row(P.AUDIT_READ),
    "list_audit_heads": Row(SIGNED_IN),
    "get_audit_proof": Row(SIGNED_IN, "404 not_found"),
    "get_audit_consistency": Row(SIGNED_IN, "422 no_such_head", query={"first": "1"}),

    # tracker
    "list_client_rules": Row(P.TRACKER_MANAGE),
    "define_client_rule": Row(P.TRACKER_MANAGE, "201", body={"kind": "deny", **DENIED}),
    "change_client_rule": Row(P.TRACKER_MANAGE, body=DENIED),
    "withdraw_client_rule": Row(P.TRACKER_MANAGE),
    "show_announce_rules": Row(P.TRACKER_MANAGE),
    "change_announce_rules": Row(P.TRACKER_MANAGE),
    "list_unregistered_hashes": Row(P.TRACKER_MANAGE),
    "list_anomalies": Row(P.USERS_SEE_PRIVATE),
    "list_site_promotions": Row(SIGNED_IN),
    "start_site_promotion": Row(P.TRACKER_MANAGE, "201", body=PROMOTION),
    "end_site_promotion": Row(P.TRACKER_MANAGE),

    # graphql: each of its fields has the row of its route
    "get_playground": Row(ANYBODY),
    "get_playground_style": Row(ANYBODY),
    "get_playground_script": Row(ANYBODY),
    "ask_graphql": Row(SIGNED_IN, body={"query": "{ groups { __typename } }", "operationName": None}),

    # projections
    "list_projections": Row(P.SITE_MANAGE),
    "follow_progress": Row(P.SITE_MANAGE),
    "rebuild_tables": Row(P.SITE_MANAGE, "202", body=USERS),
    "verify_tables": Row(P.SITE_MANAGE, "202", body=USERS),
    "build_past": Row(P.SITE_MANAGE, "202", body={**USERS, "schema": "back_then", "position": 1}),
    "list_past": Row(P.SITE_MANAGE),
    "drop_past": Row(P.SITE_MANAGE, "404 not_found"),
    "show_differences": Row(P.SITE_MANAGE, "404 not_found"),
    "pause_projection": Row(P.SITE_MANAGE, "404 not_found"),
    "resume_projection": Row(P.SITE_MANAGE, "404 not_found"),
    "cancel_run": Row(P.SITE_MANAGE, "404 not_found"),
    "roll_tables_back": Row(P.SITE_MANAGE, "404 not_found"),
    "drop_standby": Row(P.SITE_MANAGE, "404 not_found"),
    "rebuild_one_stream": Row(P.SITE_MANAGE, "404 not_found"),
}
# fmt: on
