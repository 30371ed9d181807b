from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runtime.heartbeat import Heard
from runtime.supervisor import READY_FILE, Child, Supervisor, SupervisorError, announce_ready
from tests.runtime.children import ENV, children_of, gone, python


def test_a_crashing_child_is_started_again_each_time_a_little_later() -> None:
    ends: list[float] = []

    def on_exit(_: int) -> None:
        ends.append(time.monotonic())
        if len(ends) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor(on_exit=on_exit)
    with supervisor.signals():
        supervisor.start(Child("crashing", ["/bin/sh", "-c", "sleep 0.05; exit 3"], ENV))
        supervisor.watch()
        supervisor.stop()
    gaps = [later - earlier for earlier, later in zip(ends, ends[1:], strict=False)]
    assert [gap > least for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=True)] == [True] * 3
    assert gaps[2] < 2


BEATING = """
import signal, sys, threading, time
from runtime.heartbeat import beat
open({started!r}, "a").write("started ")
while True:
    beat()
    time.sleep(0.01)
"""


def test_a_child_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    started, heartbeat = tmp_path / "started", tmp_path / "heartbeat"
    ended: list[int] = []

    def on_exit(pid: int) -> None:
        ended.append(pid)

    class Watching(Supervisor):
        """Stops its child as soon as that beats, and itself as soon as the next one does."""

        def _tend(self, running: Any, now: float) -> None:
            super()._tend(running, now)
            if heartbeat.exists() and running.process is not None and running.heard is not None:
                if not ended:
                    os.kill(running.process.pid, signal.SIGSTOP)
                else:
                    os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Watching(on_exit=on_exit, hanging_s=0.3)
    with supervisor.signals():
        supervisor.start(python("beating", BEATING.format(started=str(started)), heartbeat=heartbeat))
        supervisor.watch()
        supervisor.stop()
    assert len(ended) == 1
    assert started.read_text().split() == ["started", "started"]


def test_a_child_that_beats_or_has_yet_to_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    heard = Heard(path, hanging_s=-1)
    assert not heard.is_hanging()
    path.touch()
    assert heard.is_hanging()
    patient = Heard(path, hanging_s=60)
    assert not patient.is_hanging()


def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    code = f"""
import signal, sys, pathlib
def stop(*_):
    open({str(tmp_path / "order")!r}, "a").write("NAME ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(tmp_path)!r}, "NAME").touch()
signal.pause()
"""
    supervisor = Supervisor()
    for name in ("first", "second", "third"):
        started = tmp_path / name
        supervisor.start(python(name, code.replace("NAME", name), ready=started.exists))
    supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


def test_a_part_that_does_not_stop_is_killed_within_the_time(tmp_path: Path) -> None:
    code = (
        f"import signal, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(tmp_path / 'up')!r}).touch()\n"
    )
    before = set(children_of(os.getpid()))
    supervisor = Supervisor(stop_timeout_s=1.5)
    with ExitStack() as stack:
        stack.callback(supervisor.stop)
        supervisor.start(Child("kind", ["sleep", "60"], ENV))
        supervisor.start(python("deaf", code + "while True: signal.pause()", ready=(tmp_path / "up").exists))
        pids = set(children_of(os.getpid())) - before
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_child_that_ends_before_it_answers_fails_the_start() -> None:
    supervisor = Supervisor()
    with pytest.raises(SupervisorError, match=r"^api ended \(exit code 7\) before it answered$"):
        supervisor.start(Child("api", ["/bin/sh", "-c", "exit 7"], ENV, ready=lambda: False))


def test_a_child_that_never_answers_fails_the_start() -> None:
    supervisor = Supervisor()
    with pytest.raises(SupervisorError, match=r"^api did not answer within 0.2 s$"):
        supervisor.start(Child("api", ["sleep", "60"], ENV, ready=lambda: False), timeout_s=0.2)
    supervisor.stop()


def test_an_old_ready_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "edge.ready").touch()
    supervisor = Supervisor()
    with pytest.raises(SupervisorError, match="did not answer"):
        supervisor.start(Child("edge", ["sleep", "60"], ENV, ready_file=tmp_path / "edge.ready"), timeout_s=0.2)
    supervisor.stop()


def test_a_role_announces_itself_only_to_a_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FILE, raising=False)
    announce_ready()
    monkeypatch.setenv(READY_FILE, str(tmp_path / "ready"))
    announce_ready()
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]
