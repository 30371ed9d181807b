"""How a child process starts so that it cannot outlive us, and how it ends."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

#: prctl(2): the signal that the kernel sends to a child when its parent ends.
PR_SET_PDEATHSIG = 1


def spawn(
    argv: Sequence[str],
    output: IO[bytes] | None,
    death_signal: signal.Signals,
    *,
    account: pwd.struct_passwd | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A child in a session of its own (the terminal's Ctrl-C is for us alone) that ends when the calling thread does.

    `output` takes its stdout and stderr, None = ours; `account` is whose process it becomes, None = ours; `env=None` is
    a minimal environment.
    """
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"} if env is None else env,
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
        start_new_session=True,
        preexec_fn=_die_with_parent(death_signal),
    )


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before exec, after its change of user (which would clear the setting again)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded here: after fork() nothing may be
    parent = os.getpid()

    def set_death_signal() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return set_death_signal


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals, timeout_s: float) -> bool:
    """Ask `process` to stop and wait, then kill it; tells whether it stopped by itself."""
    process.send_signal(stop_signal)
    try:
        process.wait(max(0.0, timeout_s))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
