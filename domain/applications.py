"""Applications: what strangers write to be let in, and what the staff make of it.

An application names the id that the account will have, as an invite does: what is in it belongs to that person.
"""

from __future__ import annotations

import re
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event
from domain.errors import Conflict, Malformed
from domain.torrents import check_reason

TEXT_MIN, TEXT_MAX = 50, 10_000
LINKS_MAX, LINK_MAX = 10, 300
_LINK = re.compile(r"https?://[!-~]+")


class BadApplication(Malformed):
    """An application has a text of some length, and a few links to what it tells of."""


class AlreadyApplied(Conflict):
    """An application for this address is open."""


class ApplicationAnswered(Conflict):
    """The application was approved or rejected."""


class Application(Aggregate):
    """One application, open until the staff answer it."""

    TOPIC = "application"

    class Filed(Created):
        """`links` has one on each line."""

        TOPIC = "application.filed"
        SUBJECT = "applicant_id"
        applicant_id: UUID
        email: Personal
        text: Personal
        links: Personal

    class Approved(Aggregate.Event):
        """The invite is on its way."""

        TOPIC = "application.approved"
        invite_id: UUID

    class Rejected(Aggregate.Event):
        """The applicant was told why."""

        TOPIC = "application.rejected"
        reason: str

    @classmethod
    def file(cls, application_id: UUID, applicant_id: UUID, email: str, text: str, links: list[str]) -> Application:
        """The caller has checked the address. Raises `BadApplication`."""
        if not TEXT_MIN <= len(text.strip()) or len(text) > TEXT_MAX:
            raise BadApplication(f"write {TEXT_MIN} to {TEXT_MAX} characters about yourself")
        if len(links) > LINKS_MAX or not all(len(link) <= LINK_MAX and _LINK.fullmatch(link) for link in links):
            raise BadApplication(f"at most {LINKS_MAX} links, each to http:// or https://")
        return cls._create(
            cls.Filed, id=application_id, applicant_id=applicant_id, email=email, text=text, links="\n".join(links)
        )

    def __init__(self, applicant_id: UUID, email: str, text: str, links: str) -> None:
        self.applicant_id = applicant_id
        self.email = email
        self.answered = False

    def approve(self, invite_id: UUID) -> None:
        """Raises `ApplicationAnswered`."""
        self._must_be_open()
        self._approved(invite_id)

    def reject(self, reason: str) -> None:
        """Raises `ReasonMissing`, `ApplicationAnswered`."""
        check_reason(reason)
        self._must_be_open()
        self._rejected(reason)

    def _must_be_open(self) -> None:
        if self.answered:
            raise ApplicationAnswered("this application was answered")

    @event(Approved)
    def _approved(self, invite_id: UUID) -> None:
        self.answered = True

    @event(Rejected)
    def _rejected(self, reason: str) -> None:
        self.answered = True
