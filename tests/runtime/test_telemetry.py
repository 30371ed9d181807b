from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import hypothesis
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from runtime import telemetry
from runtime.masking import MASK, mask_text, mask_value
from runtime.settings import Settings, SettingsError, Telemetry

KEY = "abcdefghijklmnop0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
CONTROLS = "a\r\nb\x00c\x1b[31md\u2028e\u0085f\x7fg\ud800h"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What is logged while a test runs; logging is put back as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    yield io.StringIO()
    root.handlers[:], root.level = before[0], before[1]
    sys.excepthook, threading.excepthook = before[2], before[3]
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configure(output: io.StringIO, log_format: str = "json") -> None:
    settings = Settings.model_validate({"telemetry": {"log_format": log_format, "log_level": "debug"}})
    telemetry.configure_logging(settings, "api", output)


def records(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().split("\n")[:-1]]


@pytest.mark.parametrize(
    "text",
    [
        f"GET /announce/{KEY}?info_hash=x HTTP/1.1",
        f"GET /{KEY}/announce?info_hash=x",
        f"GET /scrape/{KEY}",
        f"GET /{KEY}/scrape?a=b",
        f"GET /announce/%61{KEY[1:]}",
        f"GET /%61{KEY[1:]}/announce",
        f"/tracker/announce?passkey={KEY}&port=1",
        f"key {KEY} is unknown",
        f"Authorization: Bearer {KEY}",
        f"Authorization: Digest username=a, response={KEY}",
        f"bearer {JWT}",
        f"sent {JWT} again",
        f"postgresql://app:{KEY}@db:5432/tracker",
        f"redis://:{KEY}@cache",
        f'{{"password": "{KEY} and more"}}',
        f"{{'refresh_token': '{KEY}\\' and more'}}",
        f"Cookie: a=b; session={KEY}",
        f"APP__AUTH__JWT_SECRET={KEY}",
        f"conninfo password='{KEY} and more' host=db",
    ],
)
def test_a_secret_is_masked_wherever_its_shape_gives_it_away(text: str) -> None:
    masked = mask_text(text)
    assert MASK in masked
    for trace in (KEY, KEY[1:], "and more", JWT, JWT.split(".")[2]):
        assert trace not in masked


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/v1/torrents/0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b00",
        "GET /tracker/announce",
        "info hash 0123456789abcdef0123456789abcdef01234567",
        "http://127.0.0.1:8080/health/ready",
        "a_name_of_a_function_that_has_32c",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert mask_text(text) == text


def test_masking_a_long_hostile_text_takes_no_long_time() -> None:
    begun = time.process_time()
    for part in ("token", "-eyJ", "a/", "secret_", "Bearer ", "://", "%41", "'\\", "cookie"):
        assert len(mask_text(part * 40_000)) <= 8200
    assert time.process_time() - begun < 10


@hypothesis.settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.floats() | st.text() | st.binary(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_value_becomes_plain_json(value: object) -> None:
    json.dumps(mask_value(value), allow_nan=False)


def test_a_value_that_contains_itself_or_cannot_be_shown_does_not_stop_a_log_record() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    loop: list[object] = [Broken()]
    loop.append(loop)
    json.dumps(mask_value(loop))


@pytest.mark.parametrize(
    "name", ["password", "new_password", "access_token", "passkey", "totp", "API-Key", "Set-Cookie"]
)
def test_a_field_with_the_name_of_a_secret_is_masked_whole(output: io.StringIO, name: str) -> None:
    name = name.replace("-", "_")
    configure(output)
    structlog.get_logger().info("login", **{name: "hunter2", "nested": {name: ["hunter2"]}})
    assert "hunter2" not in output.getvalue()
    assert records(output)[0][name] == MASK


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_a_record_is_one_line_whatever_its_fields_hold(output: io.StringIO, log_format: str) -> None:
    configure(output, log_format)
    structlog.get_logger().info(CONTROLS, **{"field": CONTROLS, CONTROLS: "name", "deep": [{"x": CONTROLS}]})
    logging.getLogger("uvicorn.access").info("%s", CONTROLS)
    text = output.getvalue()
    assert text.count("\n") == 2
    assert text.replace("\n", "").isprintable()
    assert len(text.splitlines()) == 2


def test_json_records_keep_what_was_logged(output: io.StringIO) -> None:
    configure(output)
    structlog.get_logger().info("said", text=CONTROLS)
    assert records(output)[0]["text"] == CONTROLS


def test_every_record_names_time_level_logger_role_and_request(output: io.StringIO) -> None:
    configure(output)
    structlog.contextvars.bind_contextvars(request_id="7b1c")
    structlog.get_logger("commands").warning("refused")
    logging.getLogger("dramatiq.worker").warning("late by %d s", 3)
    ours, theirs = records(output)
    assert (ours["event"], ours["logger"], ours["level"]) == ("refused", "commands", "warning")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("late by 3 s", "dramatiq.worker", "warning")
    for record in (ours, theirs):
        assert (record["role"], record["request_id"]) == ("api", "7b1c")
        assert str(record["timestamp"]).endswith("Z")


def test_a_traceback_is_part_of_its_record_and_masked(output: io.StringIO) -> None:
    configure(output)
    try:
        raise ValueError(f"cannot reach postgresql://app:{KEY}@db\nforged")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("uvicorn.error").exception("failed")
    for record in records(output):
        assert "ValueError: cannot reach" in str(record["exception"])
    assert KEY not in output.getvalue()


def test_a_pretty_traceback_cannot_pass_for_a_record(output: io.StringIO) -> None:
    configure(output, "pretty")
    try:
        raise ValueError("text\n2026-01-01T00:00:00Z [info     ] forged")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert all(line.startswith("    ") for line in output.getvalue().splitlines()[1:])


def test_a_record_that_cannot_be_formatted_shows_none_of_its_arguments(output: io.StringIO) -> None:
    configure(output)
    logging.getLogger("broken").info("%d", "hunter2")
    assert records(output)[0]["logger"] == "broken"
    assert "hunter2" not in output.getvalue()


def test_uncaught_exceptions_are_records_too(output: io.StringIO) -> None:
    configure(output)

    def fail() -> None:
        raise RuntimeError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    sys.excepthook(RuntimeError, RuntimeError("in the main thread"), None)
    assert ["in a thread" in str(r["exception"]) for r in records(output)] == [True, False]
    assert "in the main thread" in str(records(output)[1]["exception"])


def test_every_metric_of_the_list_is_exposed() -> None:
    names = """http_requests http_request_duration_seconds commands events_appended projection_lag_events
        projection_lag_seconds projection_events search_requests announces announce_duration_seconds scrapes
        journal_depth_bytes journal_age_seconds peers swarms db_pool_connections""".split()
    body, content_type = telemetry.render_metrics()
    assert content_type.startswith("text/plain")
    for name in names:
        assert f"# HELP {name}".encode() in body


@pytest.fixture
def settings() -> Settings:
    """With a metrics port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return Settings(telemetry=Telemetry(metrics_port=held.getsockname()[1]))


def test_metrics_are_served_until_stopped(settings: Settings) -> None:
    stop = telemetry.serve_metrics(settings, "edge")
    url = f"http://127.0.0.1:{settings.telemetry.metrics_port}/metrics"
    with urlopen(url, timeout=5) as answer:
        assert b"scrapes_total" in answer.read()
    stop()
    with pytest.raises(URLError):
        urlopen(url, timeout=5)


def test_a_busy_metrics_port_is_one_line_with_the_name_of_its_setting(settings: Settings) -> None:
    port = settings.telemetry.metrics_port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(
            SettingsError, match=rf"^APP__TELEMETRY__METRICS_PORT: port {port}: Address already in use$"
        ):
            telemetry.serve_metrics(settings, "edge")


def test_beside_an_api_that_answers_for_all_a_role_serves_no_metrics(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telemetry.METRICS_DIRECTORY, str(tmp_path))
    with socket.create_server(("127.0.0.1", settings.telemetry.metrics_port)):
        telemetry.serve_metrics(settings, "worker")()


def test_all_roles_of_one_run_show_in_the_answer_of_one(tmp_path: Path) -> None:
    add = "from runtime import telemetry; telemetry.SCRAPES.inc({}); telemetry.PEERS.set({})"
    env = {telemetry.METRICS_DIRECTORY: str(tmp_path)}
    for count in (1, 2):
        subprocess.run([sys.executable, "-c", add.format(count, count * 10)], env=env, check=True)
    show = "from runtime import telemetry; print(telemetry.render_metrics()[0].decode())"
    shown = subprocess.run([sys.executable, "-c", show], env=env, check=True, capture_output=True, text=True).stdout
    assert "\nscrapes_total 3.0\n" in shown
    assert "\npeers 20.0\n" in shown, "every edge knows all peers"
