"""Whatever fits the schemas is answered, never with a failure of ours, and no projection stumbles over it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from httpx import Response
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st

from tests.bad_input.schemas import Document, Operation
from tests.bad_input.site import Site, documented
from tests.metainfo.samples import single_info, torrent

DOCUMENT = documented()
#: Ids are put in when the site is there: `<user_id>` stands for the user that every path may be about.
#: Archives that nobody asked for are not there.
NOT_ASKED_FOR = {"get_export", "download_export"}
THINGS = {name: f"<{name}>" for name in ("user_id", "session_id", "torrent_id", "request_id", "case_id", "subject_id")}
FILES = st.binary(max_size=50) | st.text("abc.-é漢", min_size=1, max_size=20).map(
    lambda name: torrent(single_info(name=name.encode()))
)


def requests() -> st.SearchStrategy[tuple[Operation, dict[str, Any]]]:
    """An operation and what to send: paths, queries and bodies of any value that fits."""
    return st.sampled_from(DOCUMENT.operations).flatmap(
        lambda operation: st.tuples(st.just(operation), sendings(DOCUMENT, operation))
    )


def sendings(document: Document, operation: Operation) -> st.SearchStrategy[dict[str, Any]]:
    """The values of one request, by place."""
    places: dict[str, st.SearchStrategy[Any]] = {
        place: parameters(document, operation, place) for place in ("path", "query", "header")
    }
    if operation.media_type is not None:
        places["body"] = document.any_value(document.body(operation), "", THINGS)
    if operation.media_type == "multipart/form-data":
        places["file"] = FILES
    return st.fixed_dictionaries(places)


def parameters(document: Document, operation: Operation, place: str) -> st.SearchStrategy[dict[str, Any]]:
    known = {one["name"]: document.any_value(one["schema"], one["name"], THINGS) for one in operation.parameters(place)}
    if place == "path":
        return st.fixed_dictionaries({name: values.filter(_is_a_segment) for name, values in known.items()})
    if place == "header":
        known = {"x-min-position": st.integers(0, 2).map(str)} if "x-min-position" in known else {}
    known.pop("cursor", None)
    return st.fixed_dictionaries({}, optional=known)


#: No worker runs: after half a minute this is what they have to say.
SAYING_HOW_IT_IS = {"get_health", "get_readiness"}


# The platform's threads (pools, the broker's client) draw random numbers for their pauses while Hypothesis watches.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
def test_no_request_that_fits_the_schemas_is_a_failure(site: Site) -> None:
    done: set[str] = set()

    @settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
    @for_all(requests())
    def answered(request: tuple[Operation, dict[str, Any]]) -> None:
        answer = send(site, *request)
        done.update([request[0].name] if answer.is_success else [])
        if request[0].name in SAYING_HOW_IT_IS and answer.status_code == 503:
            return
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert str(answer.status_code) in request[0].spec["responses"], answer.text

    answered()
    assert len(done) > len(DOCUMENT.operations) * 0.4, "many operations should get past the first rules"
    site.catch_up()
    for operation in filter(can_be_asked, DOCUMENT.operations):
        query = {"q": "a"} if any(one["name"] == "q" for one in operation.parameters("query")) else {}
        answer = send(site, operation, {"path": THINGS, "query": query})
        assert answer.status_code in (200, 410), f"{operation.name}: {answer.text}"


def _is_a_segment(value: Any) -> bool:
    """Not one that a client leaves out before it sends the path (RFC 3986, 5.2.4)."""
    return bool(value) and value not in (".", "..")


def can_be_asked(operation: Operation) -> bool:
    """Whether it is a query about what is there."""
    needed = {one["name"] for one in operation.parameters("query") if one.get("required")} - {"q"}
    known = {one["name"] for one in operation.parameters("path")} <= THINGS.keys()
    return operation.method == "get" and known and not needed and operation.name not in NOT_ASKED_FOR


def send(site: Site, operation: Operation, places: dict[str, Any]) -> Response:
    """One request by the sysop, with ids of real things where the values name them."""
    path = {name: _real(site, value) for name, value in places["path"].items()}
    options: dict[str, Any] = {"params": {name: _text(_real(site, value)) for name, value in places["query"].items()}}
    body = _real(site, places.get("body"))
    if "file" in places:
        data = {name: _text(value) for name, value in body.items() if name not in ("file", "tags")}
        options |= {"data": data | {"tags": body.get("tags", [])}, "files": {"file": ("x", places["file"])}}
    elif body is not None:
        options["json"] = body
    headers = site.sysop.headers | places.get("header", {})
    target = site.client.base_url.copy_with(raw_path=_path(operation.path, path))
    answer: Response = site.client.request(operation.method, target, headers=headers, **options)
    return answer


def _path(template: str, values: dict[str, Any]) -> bytes:
    return template.format_map({name: quote(str(value), safe="") for name, value in values.items()}).encode()


def _real(site: Site, value: Any) -> Any:
    """The value with the site's ids in place of their names."""
    if isinstance(value, dict):
        return {name: _real(site, part) for name, part in value.items()}
    if isinstance(value, list):
        return [_real(site, part) for part in value]
    named = value[1:-1] if isinstance(value, str) and value in THINGS.values() else None
    return str(site.things[named]) if named else value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
