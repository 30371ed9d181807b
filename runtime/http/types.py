"""Types that bodies, paths and query strings are made of, each with one spelling on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from domain.base import MAX_COUNT

#: RFC 9562 section 4 in its canonical form: lower case, with hyphens.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
#: RFC 3339 section 5.6 with an upper-case T and an offset.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
#: Largest amount of points in one request.
MAX_POINTS = 9_000_000_000_000
#: Above this the distance between neighbouring doubles exceeds half a thousandth.
_EXACT_FLOATS_BELOW = 2.0**41


class JsonObject(dict[str, Any]):
    """A parsed JSON object with the bytes that it came from."""

    def __init__(self, parsed: dict[str, Any], *, text: bytes) -> None:
        super().__init__(parsed)
        self.text = text


class Command(BaseModel):
    """The body of a request that changes something: unknown fields and coerced types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """FastAPI validates parsed objects, and strictly so would refuse JSON's spelling of dates, enumerations and
        tuples: a parsed JSON object is therefore validated from its text."""

        def read(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
            return cls.model_validate_json(value.text) if isinstance(value, JsonObject) else validate(value)

        schema: Any = {**handler(source)}
        ref = schema.pop("ref", None)  # the name in OpenAPI belongs to the whole
        from_python = core_schema.no_info_wrap_validator_function(read, schema)
        return core_schema.json_or_python_schema(json_schema=schema, python_schema=from_python, ref=ref)


def _id(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("write the id as 32 lower-case hexadecimal digits with hyphens")
    return UUID(value)


def _timestamp(value: object) -> datetime:
    if isinstance(value, str) and _TIME.fullmatch(value):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("write the time as 2031-01-01T00:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is out of range") from None


def _thousandths(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("write points as a number")
    if not 0 < value <= MAX_POINTS:
        raise ValueError(f"points are above 0 and at most {MAX_POINTS}")
    if isinstance(value, float) and not value.is_integer() and value >= _EXACT_FLOATS_BELOW:
        raise ValueError("this amount is too large to have decimals")
    thousandths = Decimal(repr(value)) * 1000
    if thousandths != thousandths.to_integral_value():
        raise ValueError("points have at most three decimals")
    return int(thousandths)


def _whole(value: object) -> object:
    """Query strings are text: `1_000`, ` 5` and `+5` are numbers to Python and to nobody else."""
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value):
            raise ValueError("write a whole number")
        return int(value)
    return value


#: A UUID in its canonical spelling only.
Id = Annotated[UUID, BeforeValidator(_id)]

#: A moment with its offset; UTC afterwards.
Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]

#: A positive number of points with at most three decimals on the wire, an int of thousandths in the program.
Points = Annotated[
    int,
    BeforeValidator(_thousandths),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_POINTS, "multipleOf": 0.001}),
]

#: Thousandths of a point in the program, points on the wire.
ShownPoints = Annotated[
    int, PlainSerializer(lambda thousandths: thousandths / 1000, return_type=float, when_used="json")
]

#: Reads a whole number from a path, a query string or a header. It stands behind the bounds, which would otherwise
#: apply to what it returns and be missing in OpenAPI.
AS_TEXT = BeforeValidator(_whole)

#: A whole number in a path, a query string or a header.
WholeNumber = Annotated[int, Field(ge=0, le=MAX_COUNT), AS_TEXT]
