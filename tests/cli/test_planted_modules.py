"""`python -m skillrun` in a clone that holds files by the names of modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import helpers
import pytest

# What Python's own `-m` imports before anything of skillrun is reached.
_BEFORE = "import runpy, sys; print(*sys.modules)"
_PLANTED = "import os\nos.write(2, b'planted: %s\\n' % __name__.encode())\nos._exit(99)\n"


@pytest.mark.parametrize("words", [("--version",), ("detect",)], ids=" ".join)
def test_a_file_by_the_name_of_a_module_is_not_run(words: tuple[str, ...], tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "A shop.\n"})
    done = subprocess.run([sys.executable, "-c", _BEFORE], capture_output=True, text=True)
    for name in ("typer", "click", "yaml", *sys.stdlib_module_names):
        if name not in done.stdout.split():
            (repo / f"{name}.py").write_text(_PLANTED)
    said = helpers.run_cli(*words, cwd=repo, starts=True)
    assert "planted" not in said.stderr
    # `detect` ends with 3 where it finds no jobs.
    assert said.returncode in (0, 3), said.stderr
