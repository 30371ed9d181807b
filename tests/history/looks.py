"""Staff looks for an address, and finds somebody or nobody."""

from __future__ import annotations

from uuid import uuid4

from domain.looks import Look, LookAt
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        past.save(*(Look.take(uuid4(), about, LookAt.BY_EMAIL, "a claim to an account") for about in (user.id, None)))
