"""Calls of the notes' API, and what is a problem."""

from __future__ import annotations

import httpx

from tests.in_process import TestClient

NOTES = "/api/v1/notes"
JSON = {"Content-Type": "application/json"}


def send(client: TestClient, body: bytes, **headers: str) -> httpx.Response:
    answer: httpx.Response = client.post(NOTES, content=body, headers={**JSON, **headers})
    return answer


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    """Whether an answer is a problem document with this code, without any of the caller's words."""
    shown = answer.json()
    assert (answer.status_code, shown["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (shown["type"], shown["status"]) == ("about:blank", status)
    assert shown["request_id"] == answer.headers["x-request-id"]
    assert set(shown) <= {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert "traceback" not in answer.text.lower()
    return True
