"""Why a document is not executed at all.

DocumentRefused                 the document as a whole
├── MalformedDocument   400     it is no GraphQL
├── InvalidDocument     400     it does not fit the schema
├── InvalidVariables    400     its variables do not fit their types
├── InvalidArguments    422     an argument has a value that its rule refuses
└── …                   422     it is over one of the limits
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from graphql import GraphQLError

from domain.errors import DomainError

#: What the library tells after these words is what the caller wrote, or what is in the schema.
_TOLD_ONLY_UNTIL = re.compile(r"(, found |; |: | got invalid value | Did you mean ).*", re.DOTALL)
_QUOTED = re.compile(r"(['\"])(.*?)\1", re.DOTALL)
_NAME = re.compile(r"[\[\]!A-Za-z0-9_$.]{1,64}", re.ASCII)
ERRORS_MAX = 10


class DocumentRefused(DomainError):
    """No resolver ran. `errors` says why in the shape that GraphQL clients look for."""

    status: ClassVar[int] = 422

    def __init__(self, message: str, errors: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        extensions = {"code": self.code}
        self.errors = [{**error, "extensions": extensions} for error in errors] or [
            {"field": "query", "message": message, "extensions": extensions}
        ]


class MalformedDocument(DocumentRefused):
    """The text is not a GraphQL document."""

    status = 400


class InvalidDocument(DocumentRefused):
    """The document asks for what the schema does not have, has two operations, or one that is no query."""

    status = 400


class InvalidVariables(DocumentRefused):
    """A variable is missing, unknown or of another type than the document declares."""

    status = 400


class InvalidArguments(DocumentRefused):
    """An argument has a value that the same parameter of the REST route refuses."""


class TooManyTokens(DocumentRefused):
    """The document is too long."""


class TooDeep(DocumentRefused):
    """Fields are nested too deeply, or fragments in circles."""


class TooManyAliases(DocumentRefused):
    """Fields are renamed too often, in fragments as often as these are spread."""


class TooManyRootFields(DocumentRefused):
    """Too many questions in one document."""


class TooManyFragments(DocumentRefused):
    """More fragments than anybody writes."""


class TooRepetitive(DocumentRefused):
    """One field is selected over and over in the same place."""


class TooManyJoins(DocumentRefused):
    """One root field leads to too many other answers."""


class TooCostly(DocumentRefused):
    """The answer could have too many objects."""


def shown(field: str, errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """The library's errors without what the caller wrote, other than plain names."""
    return [
        {
            "field": field,
            "message": _without_input(error.message),
            "locations": [{"line": one.line, "column": one.column} for one in error.locations or []],
        }
        for error in errors[:ERRORS_MAX]
    ]


def _without_input(message: str) -> str:
    plain = _QUOTED.sub(lambda quoted: f"'{quoted[2]}'" if _NAME.fullmatch(quoted[2]) else "?", message)
    return _TOLD_ONLY_UNTIL.sub("", plain)[:200]
