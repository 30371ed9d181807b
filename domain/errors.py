"""What a rule may answer instead of yes.

    DomainError                 a request that the rules refuse
    ├── Malformed        422    the request can never be valid
    ├── NotAllowed       403    the caller may not do this
    ├── NotFound         404    there is no such thing, or the caller may not see it
    └── Conflict         409    valid in itself, but not in the present state

A concrete error is a class beside the rule that it protects, named as the broken rule. Its `code` is the class name
in snake case and is part of the API: clients branch on it, so renaming the class is a breaking change.
"""

from __future__ import annotations

import re
from typing import ClassVar

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class DomainError(Exception):
    """A request that the rules refuse; `str(error)` is safe to show to the caller."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "domain_error"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            cls.code = _WORD.sub("_", cls.__name__).lower()


class Malformed(DomainError):
    """The request can never be valid, whoever sends it and whenever."""

    status = 422


class NotAllowed(DomainError):
    """The caller may not do this."""

    status = 403


class NotFound(DomainError):
    """There is no such thing, or the caller may not see it: the two are never told apart."""

    status = 404


class Conflict(DomainError):
    """Valid in itself, but not in the present state of things."""

    status = 409
