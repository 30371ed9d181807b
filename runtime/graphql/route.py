"""`POST /graphql`: the body of a question, what has to hold before it is answered, and the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from graphql import execute_sync
from pydantic import BaseModel, ConfigDict, Field

from runtime.freshness import MinPosition, wait_for
from runtime.graphql.errors import DocumentRefused
from runtime.graphql.execution import AnswerError, Asker, Execution, told
from runtime.graphql.prepare import Prepared, prepare
from runtime.graphql.schema import Schema
from runtime.http.deps import Clock, Member, PlatformDep
from runtime.telemetry import GRAPHQL_DOCUMENTS


class GraphQLQuestion(BaseModel):
    """One operation, which is a query; other fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = Field(None, max_length=100)


class GraphQLAnswer(BaseModel):
    """`data` by root field, null where `errors` (absent when there are none) say why, or where nothing is."""

    data: dict[str, Any]
    errors: list[AnswerError] = []


def preparing(schema: Schema) -> Callable[..., Awaitable[Prepared]]:
    """A dependency: the caller's document, ready to be executed, with the projections that it reads caught up."""

    async def prepared(
        question: GraphQLQuestion, caller: Member, platform: PlatformDep, x_min_position: MinPosition = None
    ) -> Prepared:
        found = await to_thread.run_sync(partial(_prepared, schema, question, not platform.settings.production))
        if x_min_position:
            await wait_for(platform, tuple(sorted(found.projections)), x_min_position)
        return found

    return prepared


def _prepared(schema: Schema, question: GraphQLQuestion, introspection: bool) -> Prepared:
    try:
        return prepare(
            schema, question.query, question.variables or {}, question.operationName, introspection=introspection
        )
    except DocumentRefused as refused:
        GRAPHQL_DOCUMENTS.labels(refused.code).inc()
        raise


def answer(schema: Schema, prepared: Prepared, asker: Asker) -> JSONResponse:
    """What a prepared document is answered; raises what concerns the whole site rather than a field."""
    with Execution(asker, prepared.arguments) as execution:
        result = execute_sync(
            schema.graphql,
            prepared.read.document,
            context_value=execution,
            variable_values=prepared.variables,
            hide_suggestions=True,
        )
    errors = [error.model_dump() for error in told(result, str(asker.request.state.request_id))]
    GRAPHQL_DOCUMENTS.labels("partly_answered" if errors else "answered").inc()
    return JSONResponse({"data": result.data, **({"errors": errors} if errors else {})})


def asking(
    request: Request, platform: PlatformDep, caller: Member, now: Clock, x_min_position: MinPosition = None
) -> Asker:
    """The dependency behind `AskerDep`."""
    return Asker(request, platform, caller, now, x_min_position)


AskerDep = Annotated[Asker, Depends(asking)]
