"""Sessions: that somebody logged in and when it ended. Tokens live in the credentials store, never here."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event


class Session(Aggregate):
    """One login on one device, however often its tokens are refreshed."""

    TOPIC = "session"

    class Started(Created):
        """Somebody logged in."""

        TOPIC = "session.started"
        user_id: UUID

    class Ended(Aggregate.Event):
        TOPIC = "session.ended"
        reason: str  # logout, revoked, reuse, disabled, banned, group_changed, password_changed, factor_changed

    @classmethod
    def start(cls, session_id: UUID, user_id: UUID) -> Session:
        return cls._create(cls.Started, id=session_id, user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.ended = False

    def end(self, reason: str) -> None:
        if not self.ended:
            self._ended(reason)

    @event(Ended)
    def _ended(self, reason: str) -> None:
        self.ended = True
