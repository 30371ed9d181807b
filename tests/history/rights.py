"""Of rights given to one member, one of each kind is taken back, one expires, one holds."""

from __future__ import annotations

from datetime import timedelta

from domain.permissions import Permission
from domain.rights import Rights
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        rights, until = Rights.open(user.id), NOW + timedelta(hours=1)
        for permission in (Permission.INVITE, Permission.UPLOAD_TRUSTED):
            rights.grant(permission, "helps newcomers", until, now=NOW)
        for group in ("designer", "vip"):
            rights.give_group(group, "drew the logo", until, now=NOW)
        rights.withdraw(Permission.INVITE, "a mistake", now=NOW)
        rights.take_group("vip", "a mistake", now=NOW)
        rights.expire(now=until)
        rights.grant(Permission.UPLOAD_TRUSTED, "knows the rules", None, now=NOW)
        rights.deny(Permission.INVITE, "sold one", None, now=NOW)
        rights.give_group("designer", "draws", None, now=NOW)
        for _ in range(2):
            rights.unlock_class("a mistake")
            rights.lock_class("as agreed")
        past.save(rights)
