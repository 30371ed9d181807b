"""Who may make an account: whoever comes, whoever is invited, whose application was approved, or nobody."""

from __future__ import annotations

from enum import StrEnum

from domain.errors import NotAllowed


class RegistrationClosed(NotAllowed):
    """The site takes no newcomers in this way."""


class Mode(StrEnum):
    """How newcomers come in. The value is a setting."""

    OPEN = "open"  # as they like; an invite is welcome
    INVITE = "invite"
    APPLICATION = "application"  # invited, or after the staff approved what they wrote
    CLOSED = "closed"


def check_registration(mode: str, *, invited: bool) -> None:
    """Raises `RegistrationClosed`."""
    if mode == Mode.CLOSED:
        raise RegistrationClosed("registration is closed")
    if mode != Mode.OPEN and not invited:
        raise RegistrationClosed("registration needs an invite")


def check_inviting(mode: str) -> None:
    """Raises `RegistrationClosed`: an invite would open nothing."""
    if mode == Mode.CLOSED:
        raise RegistrationClosed("registration is closed")


def check_applying(mode: str) -> None:
    """Raises `RegistrationClosed`."""
    if mode != Mode.APPLICATION:
        raise RegistrationClosed("this site takes no applications")
