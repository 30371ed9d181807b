"""Users for tests: registered by the site's own command, signed in, and projected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from commands.default_data import seed
from commands.users import create_user
from domain.base import SYSTEM
from domain.sessions import Session
from projections.groups import groups
from projections.users import users
from runtime.platform import Platform
from runtime.store import new_id
from runtime.tokens import Pair
from tests.given import projected

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class SignedIn:
    """One user with one session; `headers` are those of its requests."""

    id: UUID
    username: str
    pair: Pair

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.pair.access_token}"}


class Members:
    """Makes users of a site that has its default data."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        seed(platform.store(SYSTEM, "seed"))
        projected(platform, groups)

    def __call__(self, username: str, group: str = "member") -> SignedIn:
        """A new user of this group with the password `PASSWORD`, signed in."""
        made = create_user(
            self.platform.store(SYSTEM),
            self.platform.secrets.site,
            username=username,
            email=f"{username}@example.org",
            password=PASSWORD,
            group=group,
            now=datetime.now(UTC),
        )
        projected(self.platform, users)
        return self.sign_in(made.id, username)

    def sign_in(self, user_id: UUID, username: str) -> SignedIn:
        """One more session of a user, as the sign-in records it."""
        now, session = datetime.now(UTC), Session.start(new_id(), user_id)
        pairs: list[Pair] = []
        self.platform.store(user_id).save(
            session,
            beside=lambda cursor: pairs.append(
                self.platform.tokens.start_session(cursor, user_id, now, session_id=session.id)
            ),
        )
        return SignedIn(user_id, username, pairs[0])
