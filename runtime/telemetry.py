"""What an operator sees of a running role: its log records and its metrics, every one of which is declared here."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    make_asgi_app,
    multiprocess,
    start_http_server,
)

from runtime.masking import escape_controls, mask_fields, mask_text
from runtime.settings import Settings, SettingsError

#: Set by `tracker up` (before prometheus_client is imported): all roles write their metrics into this directory.
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

#: Which role answers for all of them then.
METRICS_ROLE = "api"

#: Seconds; an announce takes microseconds to milliseconds, a request milliseconds to seconds.
ANNOUNCE_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 2.5)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

HTTP_REQUESTS = Counter("http_requests_total", "Requests answered by the API", ["method", "route", "status"])
HTTP_DURATION = Histogram(
    "http_request_duration_seconds", "Time to answer a request", ["method", "route"], buckets=REQUEST_BUCKETS
)
COMMANDS = Counter("commands_total", "Commands decided", ["command", "outcome"])
GRAPHQL_DOCUMENTS = Counter("graphql_documents_total", "GraphQL documents by what became of them", ["outcome"])
GRAPHQL_FIELDS = Counter("graphql_fields_total", "Questions of GraphQL documents", ["field", "outcome"])
GRAPHQL_DURATION = Histogram(
    "graphql_field_duration_seconds", "Time to answer a question of a document", ["field"], buckets=REQUEST_BUCKETS
)
EVENTS_APPENDED = Counter("events_appended_total", "Events written to the store")
LOG_UNSEALED = Gauge(
    "log_unsealed_seconds", "Age of the oldest event that is in no signed block yet", multiprocess_mode="livemax"
)
PROJECTION_LAG_EVENTS = Gauge(
    "projection_lag_events", "Events that a projection has not read yet", ["projection"], multiprocess_mode="livemax"
)
PROJECTION_LAG_SECONDS = Gauge(
    "projection_lag_seconds", "Age of the oldest event not read yet", ["projection"], multiprocess_mode="livemax"
)
PROJECTION_STATE = Gauge(
    "projection_state",
    "1 for the state that a projection is in: running, halted, waiting or paused",
    ["projection", "state"],
    multiprocess_mode="livemax",
)
DEAD_LETTERS = Gauge(
    "projection_dead_letters",
    "Events that a projection passed without handling",
    ["projection"],
    multiprocess_mode="livemax",
)
PROJECTION_DRIFT = Gauge(
    "projection_drift_rows",
    "Rows that the last nightly check of a projection found to differ from its events",
    ["projection"],
    multiprocess_mode="livemax",
)
PROJECTION_CHECKED = Gauge(
    "projection_checked_timestamp_seconds",
    "When rows of a projection were last worked out again and compared",
    ["projection"],
    multiprocess_mode="livemax",
)
PROJECTION_EVENTS = Counter("projection_events_total", "Events read by a projection", ["projection"])
WAKEUPS = Counter("wakeups_total", "Messages that wake followers, by what became of them", ["outcome"])
SEARCH_REQUESTS = Counter("search_requests_total", "Searches by the engine that answered", ["engine"])
MAILS = Counter("mails_total", "Tries to deliver mail, by what became of them", ["outcome"])
MAIL_WAITING = Gauge(
    "mail_waiting", "Mails that wait for their delivery, or are dead", ["state"], multiprocess_mode="livemax"
)
ANNOUNCES = Counter("announces_total", "Announces by outcome and address family", ["listener", "outcome", "family"])
ANNOUNCE_DURATION = Histogram(
    "announce_duration_seconds",
    "Time from an announce to its durable answer",
    ["listener", "family"],
    buckets=ANNOUNCE_BUCKETS,
)
ANNOUNCES_LIMITED = Counter(
    "announces_limited_total", "Accepted announces answered without peers, by limit", ["listener", "family", "limit"]
)
EDGE_REQUESTS = Counter(
    "edge_requests_total", "Requests and datagrams by how far they came", ["listener", "family", "stage"]
)
DATAGRAMS_DROPPED = Counter("datagrams_dropped_total", "Datagrams left without an answer", ["family", "reason"])
SCRAPES = Counter("scrapes_total", "Scrapes answered")
JOURNAL_DEPTH = Gauge("journal_depth_bytes", "Journal not shipped to the store yet", multiprocess_mode="livesum")
JOURNAL_FULL = Gauge("journal_full", "1 while its disk has no room: nothing is taken", multiprocess_mode="livemax")
JOURNAL_AGE = Gauge("journal_age_seconds", "Age of the oldest record not shipped yet", multiprocess_mode="livemax")
PEERS = Gauge("peers", "Peers in the swarms; each edge knows all", multiprocess_mode="livemax")
SWARMS = Gauge("swarms", "Swarms with at least one peer", multiprocess_mode="livemax")
LOAD_LEVEL = Gauge("edge_load_level", "How far the edge sheds load; 0 = not at all", multiprocess_mode="livemax")
INTERVAL = Gauge("edge_interval_seconds", "Interval that clients are told, without jitter", multiprocess_mode="livemax")
RIGHTS_AGE = Gauge(
    "edge_rights_age_seconds", "How old what the edge knows of people's rights is", multiprocess_mode="livemax"
)
DB_POOL = Gauge(
    "db_pool_connections", "Connections to PostgreSQL by what they do", ["state"], multiprocess_mode="livesum"
)


def metrics_registry() -> CollectorRegistry:
    """What to read metrics from: all roles under `tracker up`, else this process."""
    if METRICS_DIRECTORY not in os.environ:
        return REGISTRY
    registry = CollectorRegistry(support_collectors_without_names=True)
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def render_metrics() -> tuple[bytes, str]:
    """The body and the content type of a `/metrics` answer."""
    return generate_latest(metrics_registry()), CONTENT_TYPE_LATEST


def metrics_app() -> Callable[..., Any]:
    """An ASGI application that answers `/metrics`, to mount into the API."""
    return make_asgi_app(metrics_registry())


def serve_metrics(settings: Settings, role: str) -> Callable[[], None]:
    """Answer on `telemetry.metrics_port` from a thread; returns what ends it. Raises `SettingsError` when it is taken.

    Under `tracker up` the API answers for every role, and the other roles' call does nothing.
    """
    wanted = settings.telemetry
    if not wanted.metrics_enabled or (METRICS_DIRECTORY in os.environ and role != METRICS_ROLE):
        return lambda: None
    try:
        server, thread = start_http_server(wanted.metrics_port, wanted.metrics_host, metrics_registry())
    except OSError as error:
        raise SettingsError(f"APP__TELEMETRY__METRICS_PORT: port {wanted.metrics_port}: {error.strerror}") from None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def configure_logging(settings: Settings, role: str, stream: TextIO | None = None) -> None:
    """Send structlog's, the standard library's and uncaught exceptions' records to `stream` (None = stderr), one each.

    The API binds `request_id` with `structlog.contextvars.bind_contextvars`. Start uvicorn with `log_config=None`.
    """
    level = settings.telemetry.log_level.upper()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_role(role),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_formatter(settings.telemetry.log_format, shared))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    for library in ("uvicorn", "uvicorn.access", "uvicorn.error", "dramatiq"):
        logging.getLogger(library).handlers.clear()
        logging.getLogger(library).propagate = True
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _formatter(log_format: str, shared: list[structlog.typing.Processor]) -> logging.Formatter:
    last: list[structlog.typing.Processor]
    if log_format == "json":
        # ensure_ascii escapes C0, C1, U+2028 and lone surrogates, so a record is one line of plain ASCII
        last = [_mask, structlog.processors.JSONRenderer(ensure_ascii=True)]
    else:
        last = [_mask, _one_line, structlog.dev.ConsoleRenderer(colors=False)]
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[clean, structlog.processors.format_exc_info, *last]
    )


class _Handler(logging.StreamHandler[TextIO]):
    """The standard handler prints a traceback with the record's arguments when it fails: not into our log."""

    def handleError(self, record: logging.LogRecord) -> None:
        line = {"event": "a log record could not be written", "level": "error", "logger": record.name}
        try:
            self.stream.write(json.dumps(line) + "\n")
        except (OSError, ValueError):
            return  # nobody reads: stderr is closed


def _mask(_: object, __: str, record: MutableMapping[str, Any]) -> dict[str, Any]:
    return mask_fields(record)  # type: ignore[arg-type]


def _one_line(_: object, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback keeps its lines, indented so that none of them can pass for a record."""
    lines = str(record.pop("exception", "")).splitlines()
    clean = {
        escape_controls(name): escape_controls(value) if isinstance(value, str) else value
        for name, value in record.items()
    }
    return clean | ({"exception": "\n".join("    " + escape_controls(line) for line in lines)} if lines else {})


def _name_role(role: str) -> structlog.typing.Processor:
    def name_role(_: object, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        record["role"] = role
        return record

    return name_role


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("uncaught").critical(
        mask_text(f"uncaught {kind.__name__}"), exc_info=(kind, error or kind(), traceback)
    )
