"""What owners of accounts are told when something happens that might not have been them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Notice(NamedTuple):
    """One mail, in plain text."""

    subject: str
    text: str


def new_device(username: str, device: str, address: str, at: datetime) -> Notice:
    """A sign-in from where the account has not been used lately."""
    return _notice(
        username,
        "A new sign-in to your account",
        f"Somebody signed in with {device} from {address} on {_shown(at)}. That address has not been used for your"
        " account in the last four weeks.",
        "If it was not you, change your password: that ends all other sessions.",
    )


def many_failures(username: str, failures: int) -> Notice:
    """Somebody guesses; told once a day."""
    return _notice(
        username,
        "Failed sign-ins to your account",
        f"In the last day {failures} tries to sign in to your account have failed. Addresses that fail are made to wait"
        " longer and longer; from where you signed in lately you still get in at any time.",
        "If it was not you, there is nothing that you have to do; a second factor makes guessing useless.",
    )


def session_stolen(username: str, at: datetime) -> Notice:
    """A refresh token came back that had been replaced."""
    return _notice(
        username,
        "A session of yours was ended",
        f"On {_shown(at)} a refresh token of your account was used that had been replaced before: two parties hold a"
        " copy of it. The session has been ended for both.",
        "Sign in again. If you know of no reason, change your password and look at what has access to your device.",
    )


def factor_changed(username: str, what: str) -> Notice:
    """`what` as in `turned on`."""
    return _notice(
        username,
        f"Your second factor was {what}",
        f"The second factor of your account was {what}, and all other sessions were ended.",
        "If it was not you, write to the staff at once.",
    )


def recovery_codes_replaced(username: str) -> Notice:
    return _notice(
        username,
        "You have new recovery codes",
        "New recovery codes were made for your account. The old ones do not work any more.",
        "If it was not you, write to the staff at once.",
    )


def recovery_code_used(username: str, left: int) -> Notice:
    """A sign-in without the authenticator."""
    return _notice(
        username,
        "A recovery code of yours was used",
        f"Somebody signed in to your account with a recovery code in place of the authenticator. {left} are left.",
        "If it was not you, change your password and get new recovery codes.",
    )


def reenable_answered(username: str, rejected_for: str | None) -> Notice:
    """What the staff said to who asked to be let in again; None when they let it."""
    if rejected_for is None:
        return _notice(username, "Your account is open again", "The staff have opened your account again.", "Welcome.")
    what = f"The staff have left your account closed: {rejected_for}"
    return _notice(username, "Your account stays closed", what, "You may ask again in a week.")


def unused_account(username: str, last_seen: datetime, disabled_from: datetime) -> Notice:
    """Nobody has used the account for a long time."""
    return _notice(
        username,
        "Your account is about to be disabled",
        f"Your account was last used on {_shown(last_seen)}. Accounts that nobody uses are disabled: yours from"
        f" {_shown(disabled_from)} on.",
        "Sign in before, and it stays as it is. If you are away for long, park it.",
    )


def _notice(username: str, subject: str, what: str, advice: str) -> Notice:
    return Notice(subject, f"Hello {username},\n\n{what}\n\n{advice}\n")


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d at %H:%M} UTC"
