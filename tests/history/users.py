"""Two members join, and live through everything that can happen to an account."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from domain.announce_rules import RatioRule
from domain.claims import Claim
from domain.permissions import Permission
from domain.users import WAITING_GROUP, User
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    past.users.extend(_user(past, name) for name in ("ada", "grace"))


def _user(past: Past, name: str) -> User:
    user = User.register(uuid4(), name, f"{name}@example.org", WAITING_GROUP)
    claim = Claim.make(uuid4(), "username", user.id)
    past.save(user, claim, actor=user.id)
    user.verify_email()
    user.rename(f"{name}-2", "asked for it")
    user.reset_password()
    user.change_group("elite", "promoted")
    user.disable("a break")
    user.enable("back again")
    user.reset_passkey()
    user.change_password()
    user.enable_two_factor()
    user.replace_recovery_codes()
    user.disable_two_factor()
    user.grant_freeleech(NOW + timedelta(days=1), now=NOW)
    user.end_freeleech(now=NOW)
    for rule in (RatioRule(60, 0), RatioRule()):
        user.hold_to_ratio(rule, frozenset({Permission.LEECH}), 50, 100, now=NOW)
    claim.release()
    claim.retake(user.id)
    past.save(user, claim, actor=user.id)
    return user
