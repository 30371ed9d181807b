"""One ban is lifted, one expires, one holds."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from domain.bans import Ban, BanKind, ban_claim_id
from domain.claims import Claim
from domain.users import User
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        for kind in (BanKind.ACCOUNT, BanKind.DOWNLOAD, BanKind.UPLOAD):
            _ban(past, user, kind)


def _ban(past: Past, user: User, kind: BanKind) -> None:
    until = NOW + timedelta(hours=1)
    ban = Ban.impose(uuid4(), user.id, kind, "shared a key", until, now=NOW)
    claim = Claim.make(ban_claim_id(user.id, kind), "ban", ban.id)
    if kind is BanKind.ACCOUNT:
        ban.lift("it was stolen", now=NOW)
    elif kind is BanKind.DOWNLOAD:
        ban.expire(now=until)
    if ban.ended:
        claim.release()
    past.save(ban, claim)
