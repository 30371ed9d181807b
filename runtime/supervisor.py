"""Keeps processes running: in order at the start, again when they end or hang, and in reverse order at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from runtime.children import end, spawn
from runtime.embedded import EngineError
from runtime.heartbeat import HANGING_S, HEARTBEAT_FILE, Heard

#: Names the file that a role touches once it serves; see `announce_ready`.
READY_FILE = "APP_READY_FILE"

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 10.0
HEALTHY_AFTER_S = 30.0

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
#: Of the time to stop, what each part still to be stopped keeps for itself.
STOP_RESERVE_S = 1.0
POLL_S = 0.05

log = structlog.get_logger("supervisor")


class SupervisorError(Exception):
    """The platform cannot start; `str(error)` is one line that says why."""


class Stopped(BaseException):
    """A signal asked to stop while something was being prepared."""


class Part(Protocol):
    """What a supervisor keeps running; an embedded engine is one, a `Child` too."""

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def start(self) -> subprocess.Popen[bytes]: ...

    def is_ready(self) -> bool: ...


@dataclass(frozen=True)
class Child:
    """A process of ours. `ready` tells whether it serves; a `ready_file` is removed before each start, and so is the
    file of its `heartbeat`, which it touches every second."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool] | None = None
    ready_file: Path | None = None
    heartbeat: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self) -> subprocess.Popen[bytes]:
        env = dict(self.env)
        if self.ready_file is not None:
            self.ready_file.unlink(missing_ok=True)
            env[READY_FILE] = str(self.ready_file)
        if self.heartbeat is not None:
            self.heartbeat.unlink(missing_ok=True)
            env[HEARTBEAT_FILE] = str(self.heartbeat)
        return spawn(self.argv, None, signal.SIGKILL, env=env)

    def is_ready(self) -> bool:
        return (self.ready_file is None or self.ready_file.exists()) and (self.ready is None or self.ready())


@dataclass
class _Running:
    """A part, its process, and when to try again after the process ended."""

    part: Part
    process: subprocess.Popen[bytes] | None
    started_at: float
    delay_s: float = FIRST_DELAY_S
    retry_at: float | None = None
    heard: Heard | None = None


@dataclass
class Supervisor:
    """Starts parts in order, restarts those that end or hang, stops them in reverse order. Single-threaded."""

    on_exit: Callable[[int], None] = lambda pid: None  # told of every process that ended
    stop_timeout_s: float = STOP_TIMEOUT_S
    hanging_s: float = HANGING_S
    _running: list[_Running] = field(default_factory=list)
    _stopping: bool = False
    _interruptible: bool = False

    def start(self, *parts: Part, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start parts side by side and wait for all; raises `SupervisorError` when one ends or stays silent."""
        started = []
        for part in parts:
            started.append(_Running(part, None, time.monotonic()))
            self._running.append(started[-1])
            self._begin(started[-1])
        for running in started:
            self._await(running, timeout_s)

    def _await(self, running: _Running, timeout_s: float) -> None:
        part, process, deadline = running.part, running.process, running.started_at + timeout_s
        while not part.is_ready():
            self._check_stop()
            if process is not None and process.poll() is not None:
                raise SupervisorError(f"{part.name} ended ({_how(process)}) before it answered")
            if time.monotonic() > deadline:
                raise SupervisorError(f"{part.name} did not answer within {timeout_s:g} s")
            time.sleep(POLL_S)
        self._check_stop()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this block a signal raises `Stopped` at once."""
        self._check_stop()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def watch(self) -> None:
        """Keep every part running until a signal asks to stop."""
        while not self._stopping:
            for running in self._running:
                self._tend(running, time.monotonic())
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop all parts in reverse order within `stop_timeout_s`; what does not stop in its time is killed."""
        deadline = time.monotonic() + self.stop_timeout_s
        for left, running in reversed(list(enumerate(self._running))):
            if running.process is not None and running.process.poll() is None:
                patience = deadline - left * STOP_RESERVE_S - time.monotonic()
                if not end(running.process, running.part.stop_signal, patience):
                    log.warning("a part did not stop in its time and was killed", part=running.part.name)
        self._running.clear()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT and SIGHUP as the wish to stop."""

        def asked(number: int, _: object) -> None:
            self._stopping = True
            if self._interruptible:
                raise Stopped

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [(number, signal.signal(number, asked)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _check_stop(self) -> None:
        if self._stopping:
            raise Stopped

    def _tend(self, running: _Running, now: float) -> None:
        if running.retry_at is not None:
            if now >= running.retry_at:
                self._restart(running, now)
        elif running.process is not None and running.process.poll() is not None:
            self.on_exit(running.process.pid)
            self._ended(running, _how(running.process), now)
        elif running.process is not None and running.heard is not None and running.heard.is_hanging():
            log.error("a part hangs and is killed", part=running.part.name, silent_s=self.hanging_s)
            running.heard = None
            running.process.kill()

    def _begin(self, running: _Running) -> None:
        running.process = running.part.start()
        heartbeat = getattr(running.part, "heartbeat", None)
        running.heard = Heard(heartbeat, self.hanging_s) if heartbeat else None

    def _ended(self, running: _Running, how: str, now: float) -> None:
        if now - running.started_at >= HEALTHY_AFTER_S:
            running.delay_s = FIRST_DELAY_S
        running.retry_at = now + running.delay_s
        log.error("a part ended", part=running.part.name, how=how, restart_in_s=running.delay_s)
        running.delay_s = min(running.delay_s * 2, MAX_DELAY_S)

    def _restart(self, running: _Running, now: float) -> None:
        running.process, running.retry_at, running.started_at = None, None, now
        try:
            self._begin(running)
        except (EngineError, OSError, subprocess.SubprocessError) as error:
            self._ended(running, str(error), now)


def announce_ready() -> None:
    """Tell the supervisor, if there is one, that this role serves: called by the worker and the edge."""
    if path := os.environ.get(READY_FILE):
        Path(path).touch()


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
