"""A point in the past as a query names it: a number (version or position) or a time."""

from __future__ import annotations

import re
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from domain.errors import Malformed
from runtime.http.types import Timestamp

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_timestamp = TypeAdapter[datetime](Timestamp)


class BadMoment(Malformed):
    """Neither a whole number nor a time with its offset."""


def moment(text: str) -> int | datetime:
    """`7` or `2031-01-01T00:00:00Z`; raises `BadMoment`."""
    if _NUMBER.fullmatch(text):
        return int(text)
    try:
        return _timestamp.validate_python(text)
    except ValidationError:
        raise BadMoment("write a whole number, or a time as 2031-01-01T00:00:00Z") from None
