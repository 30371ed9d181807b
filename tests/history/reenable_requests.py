"""Who was disabled asks to come back, in vain at first."""

from __future__ import annotations

from datetime import timedelta

from domain.reenable_requests import ReenableRequest
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        request = ReenableRequest.first(user.id, f"{user.username} is back")
        request.reject("not yet", now=NOW - timedelta(days=8))
        request.file_again(f"{user.username} is really back", now=NOW)
        request.approve()
        past.save(request, actor=user.id)
