"""The compiled edge does what its sources say, and is never older than they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.settings import Settings
from tests.tracker_edge.processes import EdgeProcess, ending
from tracker_edge import compiled

#: What an announce goes through, without engines.
SLICE = (
    "access announce bencode client_rules compact connection_ids families http_forms http_fuzz http_protocol journal"
    " limits query scrape_vectors selection sound_replies swarm_vectors swarms udp_desk udp_protocol udp_wire"
    " unregistered usual vectors wire"
).split()


@pytest.fixture(scope="session")
def place() -> Path:
    """Where the compiled modules are. A machine without a compiler has to say so; ours have one."""
    return compiled.build()


def test_the_tests_of_the_edge_hold_for_what_was_compiled(place: Path, tmp_path: Path) -> None:
    files = [f"tests/tracker_edge/test_{name}.py" for name in SLICE]
    done = subprocess.run(
        [sys.executable, "-m", "tracker_edge.compiled", "pytest", "-q", "-p", "no:cacheprovider", *files,
         f"--basetemp={tmp_path / 'inner'}"],
        capture_output=True, text=True, cwd=compiled.ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_a_module_of_the_compiled_edge_is_native(place: Path, tmp_path: Path) -> None:
    (tmp_path / "which.py").write_text("import tracker_edge.udp, tracker_edge.swarms.table as t\nprint(t.__file__)")
    done = subprocess.run(
        [sys.executable, "-m", "tracker_edge.compiled", "which"],
        capture_output=True, text=True, cwd=compiled.ROOT, env={"PYTHONPATH": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(place)


def test_tracker_edge_runs_the_compiled_modules(place: Path, settings: Settings) -> None:
    """Whatever the command line imports, it must not be a hot module before the compiled ones are looked for."""
    edge = EdgeProcess(settings, "native", 0)
    with ending(edge):
        edge.start()
        assert edge.end() == 0
    assert '"compiled": true' in (settings.data_dir / "native.log").read_text()


def test_a_source_that_was_changed_is_not_what_was_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled.place()
    shutil.copytree(compiled.ROOT / "tracker_edge", tmp_path / "tracker_edge")
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    assert compiled.place() == before
    changed = tmp_path / "tracker_edge/flood.py"
    changed.write_text(changed.read_text() + "\n")
    assert compiled.place() != before
    assert compiled.use() is not None


def test_a_machine_without_a_compiler_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "place", lambda: tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(compiled.CannotCompile, match="there is no C compiler"):
        compiled.build()
    assert list(tmp_path.iterdir()) == []
