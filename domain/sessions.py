"""Sessions: that somebody logged in and when it ended. Tokens live in the credentials store, never here."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event

#: The first mark that a User-Agent has; those that others imitate come after them.
_PROGRAMS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"), ("python", "Python"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


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


def device_of(user_agent: str | None) -> str:
    """A few words for a person, as in `Firefox on Linux`; what a User-Agent says is a claim."""
    text = user_agent or ""
    program, system = (next((name for mark, name in marks if mark in text), None) for marks in (_PROGRAMS, _SYSTEMS))
    return f"{program or 'a program'} on {system}" if system else program or "an unknown device"
