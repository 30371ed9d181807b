"""A small Meilisearch for tests: as much of its HTTP contract as `runtime.search` uses, kept in memory.

Tasks are carried out at once and stay `processing` for the first look. Settings decide what may be filtered and sorted,
as they do in the real server. `fail`, when set, makes whatever it names go wrong.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOW = "2031-01-01T00:00:00.000001Z"


class Meilisearch:
    """The state of the server. `refuse` holds ids of documents that make a task fail; `fail` answers 500 to all."""

    def __init__(self) -> None:
        self.indexes: dict[str, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.searches: list[dict[str, Any]] = []
        self.refuse: set[str] = set()
        self.fail = False
        self.url = ""

    def documents(self, uid: str = "torrents") -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.indexes[uid]["documents"]
        return found

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON of one request."""
        if self.fail:
            return 500, {"message": "out of order", "code": "internal"}
        if path == "/health":
            return 200, {"status": "available"}
        if task := re.fullmatch(r"/tasks/(\d+)", path):
            return 200, self._look(self.tasks[int(task[1])])
        if path == "/swap-indexes":
            return self._task("indexSwap", None, lambda: self._swap(*body[0]["indexes"]))
        if path == "/indexes":
            return self._task("indexCreation", body["uid"], lambda: self._create(body["uid"]))
        found = re.fullmatch(r"/indexes/([a-z_]+)(/.*)?", path)
        if found is None:
            return 404, {"message": "no such route", "code": "not_found"}
        return self._index(method, found[1], found[2] or "", body)

    def _index(self, method: str, uid: str, rest: str, body: Any) -> tuple[int, Any]:
        if uid not in self.indexes:
            return 404, {"message": "Index not found.", "code": "index_not_found"}
        index = self.indexes[uid]
        match method, rest:
            case "GET", "":
                return 200, {"uid": uid, "primaryKey": "id"}
            case "DELETE", "":
                return self._task("indexDeletion", uid, lambda: self.indexes.pop(uid))
            case "PATCH", "/settings":
                return self._task("settingsUpdate", uid, lambda: index["settings"].update(body))
            case "POST", "/documents":
                return self._task("documentAdditionOrUpdate", uid, lambda: self._add(index, body))
            case "POST", "/documents/delete":
                return self._task("documentDeletion", uid, lambda: self._remove(index, body["filter"]))
            case "POST", "/search":
                return self._search(index, body)
        return 405, {"message": "no such method", "code": "not_found"}

    def _task(self, kind: str, uid: str | None, work: Any) -> tuple[int, Any]:
        task: dict[str, Any] = {"uid": len(self.tasks), "indexUid": uid, "type": kind, "enqueuedAt": NOW, "looks": 0}
        try:
            work()
            task["outcome"] = "succeeded"
        except ValueError as error:
            task |= {"outcome": "failed", "error": {"message": str(error), "code": "invalid"}}
        self.tasks.append(task)
        return 202, {"taskUid": task["uid"], "indexUid": uid, "status": "enqueued", "type": kind, "enqueuedAt": NOW}

    def _look(self, task: dict[str, Any]) -> dict[str, Any]:
        task["looks"] += 1
        shown = {name: value for name, value in task.items() if name not in ("looks", "outcome", "error")}
        if task["looks"] == 1:
            return {**shown, "status": "processing"}
        return {**shown, "status": task["outcome"], "error": task.get("error")}

    def _create(self, uid: str) -> None:
        self.indexes[uid] = {"documents": {}, "settings": {"filterableAttributes": [], "sortableAttributes": []}}

    def _swap(self, one: str, other: str) -> None:
        self.indexes[one], self.indexes[other] = self.indexes[other], self.indexes[one]

    def _add(self, index: dict[str, Any], documents: list[dict[str, Any]]) -> None:
        if any(document["id"] in self.refuse for document in documents):
            raise ValueError("a document is invalid")
        index["documents"].update({document["id"]: document for document in documents})

    def _remove(self, index: dict[str, Any], expression: str) -> None:
        if "id" not in index["settings"]["filterableAttributes"]:
            raise ValueError("attribute `id` is not filterable")
        for document_id in re.findall(r'"([^"]*)"', expression):
            index["documents"].pop(document_id, None)

    def _search(self, index: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        self.searches.append(body)
        settings = index["settings"]
        asked = {term.split(" ")[1 if term.startswith("NOT ") else 0] for term in body["filter"]}
        if not asked | set(body["facets"]) <= set(settings["filterableAttributes"]):
            return 400, {"message": "attribute is not filterable", "code": "invalid_search_filter"}
        if not {name.partition(":")[0] for name in body["sort"]} <= set(settings["sortableAttributes"]):
            return 400, {"message": "attribute is not sortable", "code": "invalid_search_sort"}
        words = body["q"].lower().split()
        found = [
            document
            for document in index["documents"].values()
            if all(_near(word, json.dumps(document).lower()) for word in words)
            and all(_holds(term, document) for term in body["filter"])
        ]
        counts: dict[str, dict[str, int]] = {facet: {} for facet in body["facets"]}
        for document in found:
            for facet, of in counts.items():
                of[document[facet]] = of.get(document[facet], 0) + 1
        for name, _, direction in (rule.partition(":") for rule in reversed(body["sort"])):
            found.sort(key=lambda document: document[name], reverse=direction == "desc")
        hits = [{"id": document["id"]} for document in found[body["offset"] : body["offset"] + body["limit"]]]
        facets = {"facetDistribution": counts} if counts else {}
        return 200, {"hits": hits, "estimatedTotalHits": len(found), **facets}


def _near(word: str, text: str) -> bool:
    """Whether a word of the text has the same letters, as a transposed one has: our only kind of typing error."""
    return any(sorted(other) == sorted(word) for other in re.findall(r"\w+", text))


def _holds(term: str, document: dict[str, Any]) -> bool:
    if term.startswith("NOT "):
        return not _holds(term[4:], document)
    attribute, operator, operand = term.split(" ", 2)
    value, given = document[attribute], json.loads(operand)
    match operator:
        case "IN":
            return value in given
        case "=":
            return given in value if isinstance(value, list) else bool(value == given)
        case _ if value is None:
            return False
        case ">":
            return bool(value > given)
        case ">=":
            return bool(value >= given)
        case "<=":
            return bool(value <= given)
    raise AssertionError(operator)


@contextmanager
def serving() -> Iterator[Meilisearch]:
    """The server on a free port of this machine."""
    state = Meilisearch()

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            status, content = state.answer(self.command, path, json.loads(raw) if raw.strip() else None)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _respond

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
