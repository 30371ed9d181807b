"""The edge's hot modules as native code: compiled by mypyc where there is a C compiler, plain Python elsewhere.

The sources are the same, so is what they do (a test runs the edge's tests either way); an announce costs about two
thirds. What was compiled is kept in the Python environment under a digest of the sources: an edge never runs code that
is older than what one reads.

    python -m tracker_edge.compiled                compile, unless it was done
    python -m tracker_edge.compiled MODULE ARGS    run a module over the compiled edge
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
#: What an announce goes through, from the bytes of a socket to those of the journal and back.
MODULES = (
    "tracker_edge.access",
    "tracker_edge.announce",
    "tracker_edge.connection_ids",
    "tracker_edge.flood",
    "tracker_edge.http",
    "tracker_edge.journal.writer",
    "tracker_edge.load",
    "tracker_edge.metrics",
    "tracker_edge.others",
    "tracker_edge.protocol.bencode",
    "tracker_edge.protocol.compact",
    "tracker_edge.protocol.http",
    "tracker_edge.protocol.query",
    "tracker_edge.protocol.types",
    "tracker_edge.protocol.udp",
    "tracker_edge.protocol.usual",
    "tracker_edge.proxies",
    "tracker_edge.swarms.limits",
    "tracker_edge.swarms.roster",
    "tracker_edge.swarms.swarm",
    "tracker_edge.swarms.table",
    "tracker_edge.udp",
    "tracker_edge.unregistered",
)
#: What they import of ours.
_PACKAGES = ("domain", "runtime", "tracker_edge")
#: They are compiled together and call each other as C functions, so all of them are native or none is.
_SETUP = """
from mypyc.build import mypycify
from setuptools import setup

setup(
    name="tracker-edge",
    packages=[],
    ext_modules=mypycify({arguments!r}, opt_level="3", debug_level="0", target_dir={generated!r}),
    script_args=["--quiet", "build_ext", "--build-temp", {generated!r}, "--build-lib", {target!r}],
)
"""
#: Types of the settings come from pydantic, and what else is imported need not be typed.
_MYPY = "[mypy]\nplugins = pydantic.mypy\nignore_missing_imports = True\nfollow_imports = silent\n"


class CannotCompile(Exception):
    """This machine lacks something, or the compiler refused; `str(error)` is one line."""


def place() -> Path:
    """Where the modules belong that were compiled from the present sources for this Python."""
    digest = hashlib.sha256(str(sysconfig.get_config_var("SOABI")).encode())
    for path in (Path(__file__), *map(_source, MODULES)):
        digest.update(path.read_bytes())
    return Path(sys.prefix) / "tracker-edge" / digest.hexdigest()[:20]


def build() -> Path:
    """Compiles unless it was done; returns the place. Raises `CannotCompile`."""
    target = place()
    if target.is_dir():
        return target
    _must_be_able()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as name:
        folder = Path(name)
        _compile(folder)
        for old in target.parent.glob("[!.]*"):
            shutil.rmtree(old)  # of sources that are no more
        (folder / "modules").replace(target)
    return target


def use() -> str | None:
    """Lets the modules be imported as they were compiled; returns why not, None when they are.

    To be called before any of them is imported.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return None
    early = sorted(set(MODULES) & set(sys.modules))
    if early:
        return f"{early[0]} was imported before"
    folder = place()
    if not folder.is_dir():
        return "not compiled"
    sys.meta_path.insert(0, _Finder(folder))
    return None


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the compiled modules, and the library that they share."""

    def __init__(self, folder: Path) -> None:
        suffix = EXTENSION_SUFFIXES[0]
        found = folder.rglob(f"*{suffix}")
        self._paths = {".".join(p.relative_to(folder).parts).removesuffix(suffix): p for p in found}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = self._paths.get(fullname)
        return importlib.util.spec_from_file_location(fullname, found) if found else None


def _compile(folder: Path) -> None:
    # Beside nothing else: mypy takes the folder that it starts in for the program's own.
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, folder / "sources" / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mypy.ini").write_text(_MYPY)
    arguments = ["--config-file", str(folder / "mypy.ini"), "--cache-dir", str(folder / "cache")]
    arguments += [str(_source(module).relative_to(ROOT)) for module in MODULES]
    text = _SETUP.format(arguments=arguments, generated=str(folder / "c"), target=str(folder / "modules"))
    done = subprocess.run([sys.executable, "-c", text], cwd=folder / "sources", capture_output=True, text=True)
    if done.returncode:
        raise CannotCompile(f"the compiler refuses: {(done.stderr + done.stdout).strip()[-2000:]}")


def _must_be_able() -> None:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        raise CannotCompile(f"there is no C compiler ({compiler})")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise CannotCompile("the headers of Python are missing (Debian: python3-dev)")
    if importlib.util.find_spec("mypyc") is None:
        raise CannotCompile("mypy is not installed")


def _source(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def main() -> None:
    if len(sys.argv) > 1:
        if reason := use():
            raise SystemExit(f"the edge is not compiled: {reason}")
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    try:
        print(f"the announce edge is compiled: {build().name}")  # noqa: T201
    except CannotCompile as error:
        print(f"the announce edge stays plain Python, which is slower: {error}")  # noqa: T201


if __name__ == "__main__":
    main()
