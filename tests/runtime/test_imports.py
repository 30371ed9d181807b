"""What processes import: the command line and a rebuild's processes start without the web framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: They take longer to import than most tasks of an operator take.
HEAVY = ("fastapi", "commands", "queries", "graphql", "meilisearch")


@pytest.mark.parametrize("module", ["runtime.cli.main", "runtime.site", "runtime.edge"])
def test_who_issues_no_commands_does_not_import_them(module: str) -> None:
    program = f"import sys, {module}; sys.exit(', '.join(sys.modules.keys() & set({HEAVY})) or None)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
