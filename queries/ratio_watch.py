"""Whose right to download does the ratio rule take, and to whom does it give it back?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from domain.announce_rules import RatioRule
from domain.permissions import Permission

#: Whether the downloads of an account `a` of a group `g` are free by its rights.
_FREE: LiteralString = """coalesce(
  (SELECT e.granted FROM read.permission_exception e WHERE e.user_id = a.user_id AND e.permission = %(free)s
   AND (e.until IS NULL OR e.until > %(now)s)),
  %(free)s = ANY (g.permissions) OR EXISTS (SELECT FROM read.secondary_membership m
   JOIN read.user_group s ON s.slug = m.group_slug WHERE m.user_id = a.user_id AND %(free)s = ANY (s.permissions)
   AND (m.until IS NULL OR m.until > %(now)s)))"""


class Watched(NamedTuple):
    """A user whom the rule concerns as the read tables have it: the account itself decides. Bytes are credited."""

    user_id: UUID
    version: int
    uploaded: int
    downloaded: int


def ratio_watched(
    db: Connection[Any], rule: RatioRule, now: datetime, limit: int, after: UUID | None = None
) -> list[Watched]:
    """At most `limit` users, by id, after that one: those below the rule who may leech, and those who are suspended and
    no longer below it. While no ratio is required, only the suspended are looked at."""
    with db.cursor(row_factory=class_row(Watched)) as cursor:
        return cursor.execute(
            "SELECT w.user_id, w.version, w.uploaded, w.downloaded FROM ("
            "  SELECT a.user_id, a.version, s.uploaded, s.downloaded FROM read.user_stats s"
            "  JOIN read.announce_user u USING (user_id) JOIN read.account a USING (user_id)"
            "  JOIN read.user_group g ON g.slug = a.group_slug"
            "  WHERE %(percent)s > 0 AND s.downloaded >= %(from)s"
            "  AND s.uploaded::numeric * 100 < s.downloaded::numeric * %(percent)s"
            "  AND u.enabled AND u.can_leech AND a.leeching_suspended IS NULL"
            f"  AND NOT {_FREE} AND (a.free_until IS NULL OR a.free_until <= %(now)s)"
            "  UNION ALL SELECT a.user_id, a.version, coalesce(s.uploaded, 0), coalesce(s.downloaded, 0)"
            "  FROM read.account a JOIN read.user_group g ON g.slug = a.group_slug"
            "  LEFT JOIN read.user_stats s USING (user_id) WHERE a.leeching_suspended IS NOT NULL"
            f"  AND ({_FREE} OR a.free_until > %(now)s OR coalesce(s.downloaded, 0) < %(from)s"
            "  OR coalesce(s.uploaded, 0)::numeric * 100 >= coalesce(s.downloaded, 0)::numeric * %(percent)s)"
            ") w WHERE %(after)s::uuid IS NULL OR w.user_id > %(after)s ORDER BY w.user_id LIMIT %(limit)s",
            {
                "percent": rule.required_percent,
                "from": rule.counts_from_bytes,
                "free": Permission.FREELEECH,
                "now": now,
                "after": after,
                "limit": limit,
            },
        ).fetchall()
