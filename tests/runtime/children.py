"""Processes for a supervisor to keep."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runtime.supervisor import Child

ENV = {"PATH": os.defpath}


def python(name: str, code: str, **more: object) -> Child:
    return Child(name, [sys.executable, "-c", code], ENV, **more)  # type: ignore[arg-type]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
