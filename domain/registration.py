"""Who may make an account: whoever comes, whoever is invited, whose application was approved, or nobody."""

from __future__ import annotations

from domain.errors import NotAllowed


class RegistrationClosed(NotAllowed):
    """The site takes no newcomers in this way."""


def must_be_open(mode: str) -> None:
    """Raises `RegistrationClosed`."""
    if mode != "open":
        raise RegistrationClosed("registration is closed")
