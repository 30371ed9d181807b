"""The second factor: what of it can be wrong.

Whoever changes it has shown the password, and leaves only the session in which that was done: what somebody else got
hold of under the old factor ends with it.
"""

from __future__ import annotations

from domain.errors import Conflict, Malformed

#: Why the other sessions end when the factor is turned on or off.
FACTOR_CHANGED = "factor_changed"


class WrongCode(Malformed):
    """The code is no present one of the secret, or was used."""


class TwoFactorOn(Conflict):
    """The second factor is on already."""


class TwoFactorOff(Conflict):
    """There is no second factor to change."""
