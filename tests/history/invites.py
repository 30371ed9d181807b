"""One invite is accepted, one revoked, one expires, one is on its way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from domain.invites import Invite, InviteAllowance
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        allowance = InviteAllowance.open(user.id)
        allowance.grant(3, "for the logo")
        allowance.credit_month(2, now=NOW)
        terms: dict[str, Any] = {"expires_at": NOW + timedelta(days=1), "inviter_id": user.id, "charged": True}
        invites = [Invite.send(uuid4(), uuid4(), f"{n}@example.org", note="a friend", **terms) for n in range(4)]
        for invite in invites:
            allowance.spend(invite.id)
        accepted, revoked, expired, sent = invites
        accepted.accept("0@example.org", now=NOW)
        revoked.revoke(now=NOW)
        expired.expire(now=NOW + timedelta(days=1))
        sent.send_again(now=NOW)
        allowance.refund(revoked.id)
        past.save(allowance, *invites, actor=user.id)
