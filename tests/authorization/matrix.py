"""Who holds what on a new site, as one table: written by hand, compared with the default data, and what the rows of
routes are worked out from."""

from __future__ import annotations

#: In the order of the ladder: the columns of the table.
GROUPS = (
    "banned",
    "validating",
    "member",
    "power_user",
    "elite",
    "designer",
    "torrent_master",
    "vip",
    "uploader",
    "forum_moderator",
    "moderator",
    "administrator",
    "sysop",
)

# fmt: off
_TABLE = """
                                ba va me po el de to vi up fo mo ad sy
site.login                       -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
announce.seed                    -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
announce.leech                   -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
announce.freeleech               -  -  -  -  -  -  -  Y  -  -  -  -  -
announce.double_upload           -  -  -  -  -  -  -  -  -  -  -  -  -
announce.hit_and_run_immune      -  -  -  -  -  -  -  Y  Y  -  -  -  -
torrents.upload                  -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
torrents.upload_trusted          -  -  -  -  -  -  Y  Y  Y  Y  Y  Y  Y
torrents.edit_any                -  -  -  -  Y  -  Y  -  -  -  Y  Y  Y
torrents.moderate                -  -  -  -  -  -  -  -  -  -  Y  Y  Y
torrents.freeleech               -  -  -  -  -  -  -  -  -  -  Y  Y  Y
tags.vote                        -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
community.post                   -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
forums.moderate                  -  -  -  -  -  -  -  -  -  Y  Y  Y  Y
requests.open                    -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
requests.moderate                -  -  -  -  -  -  -  -  -  -  Y  Y  Y
invites.send                     -  -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
invites.grant                    -  -  -  -  -  -  -  -  -  -  -  Y  Y
applications.review              -  -  -  -  -  -  -  -  -  -  Y  Y  Y
collections.read                 -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
collections.create               -  -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
collections.personal             -  -  -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y
reports.file                     -  -  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y  Y
moderation.handle                -  -  -  -  -  -  -  -  -  Y  Y  Y  Y
users.warn                       -  -  -  -  -  -  -  -  -  Y  Y  Y  Y
users.disable                    -  -  -  -  -  -  -  -  -  -  Y  Y  Y
users.see_private                -  -  -  -  -  -  -  -  -  -  Y  Y  Y
users.override_privacy           -  -  -  -  -  -  -  -  -  Y  Y  Y  Y
users.see_swarms                 -  -  -  -  -  -  -  -  -  -  Y  Y  Y
users.see_snatches               -  -  -  -  -  -  -  -  -  -  Y  Y  Y
users.see_last_seen              -  -  -  -  -  -  -  -  -  -  Y  Y  Y
users.see_invites                -  -  -  -  -  -  -  -  -  -  Y  Y  Y
users.erase                      -  -  -  -  -  -  -  -  -  -  -  Y  Y
users.erase_approve              -  -  -  -  -  -  -  -  -  -  -  Y  Y
users.note                       -  -  -  -  -  -  -  -  -  Y  Y  Y  Y
users.edit_profiles              -  -  -  -  -  -  -  -  -  Y  Y  Y  Y
users.promote                    -  -  -  -  -  -  -  -  -  -  -  Y  Y
usernames.manage                 -  -  -  -  -  -  -  -  -  -  -  Y  Y
bonus.grant                      -  -  -  -  -  -  -  -  -  -  -  Y  Y
audit.read                       -  -  -  -  -  -  -  -  -  -  Y  Y  Y
groups.manage                    -  -  -  -  -  -  -  -  -  -  -  Y  Y
tracker.manage                   -  -  -  -  -  -  -  -  -  -  -  Y  Y
themes.edit                      -  -  -  -  -  Y  -  -  -  -  -  -  Y
site.manage                      -  -  -  -  -  -  -  -  -  -  -  -  Y
"""
# fmt: on


def _read(table: str) -> dict[str, frozenset[str]]:
    head, *lines = table.strip().splitlines()
    assert tuple(head.split()) == tuple(slug[:2] for slug in GROUPS)
    found: dict[str, frozenset[str]] = {}
    for permission, *marks in (line.split() for line in lines):
        assert permission not in found
        assert len(marks) == len(GROUPS), permission
        found[permission] = frozenset(slug for slug, mark in zip(GROUPS, marks, strict=True) if mark == "Y")
    return found


#: The groups that hold each permission.
HOLDERS = _read(_TABLE)
