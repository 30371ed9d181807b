"""What the OpenAPI document says that routes do not say themselves: problems, once for all, and names for clients."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

#: Each status that any operation may refuse with; `_statuses` picks those that fit.
PROBLEMS = {
    400: "The request cannot be read: broken JSON, a broken form, a malformed Host header.",
    401: "There is no good access token, or what was sent to sign in is wrong.",
    403: "The caller may not do this.",
    404: "There is no such thing, or the caller may not see it.",
    409: "The present state does not allow this, somebody else was faster, or If-Match names another version.",
    413: "The body is too large.",
    415: "The body is of another content type.",
    422: "The request can be read and is not valid; `errors` names the fields.",
    429: "Too much of it lately: try again after Retry-After seconds.",
    503: "A part of the site is away or catching up: try again after Retry-After seconds.",
}
_MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one field; never the value that was sent."""

    field: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457). `code` is stable; `request_id` is that of the log."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] = Field([], description="with code `invalid` and `unknown_field`")


class DescribedApi(FastAPI):
    """An application whose document is complete enough to generate a client from."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            _describe_problems(super().openapi())
        assert self.openapi_schema is not None
        return self.openapi_schema


def operation_id(route: APIRoute) -> str:
    """The handler's name, so that clients call `upload_torrent`; a test holds that no two handlers share one."""
    return route.name


def problem_response(description: str) -> dict[str, Any]:
    """For the `responses` of a route: a problem that only this one has."""
    content = {_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}


def _describe_problems(document: dict[str, Any]) -> None:
    components = document["components"]
    for replaced in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(replaced, None)
    reference = "#/components/schemas/{model}"
    described = Problem.model_json_schema(ref_template=reference)
    components["schemas"] |= described.pop("$defs") | {"Problem": described}
    components["responses"] = {f"Problem{status}": _response(status) for status in PROBLEMS}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            for status in sorted(_statuses(path, method, operation)):
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}


def _response(status: int) -> dict[str, Any]:
    described = problem_response(PROBLEMS[status])
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return described


def _statuses(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    """With which problems this operation may answer."""
    if operation.get("tags") == ["health"]:
        return set()
    changes = method != "get"
    statuses = {400, 422, 503} | ({401, 403} if "security" in operation or changes else set())
    statuses |= {404} if "{" in path or changes else set()
    statuses |= {409, 429} if changes else set()
    return statuses | ({413, 415} if "requestBody" in operation else set())
