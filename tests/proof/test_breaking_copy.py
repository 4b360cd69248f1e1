"""The scratch copy in which tests meet a broken handler: what is in it, and what is not."""

from __future__ import annotations

from pathlib import Path

import helpers

from skillrun.proof.breaking.scratch import scratch_copy


def test_a_folder_that_git_ignores_is_there_and_empty(tmp_path: Path) -> None:
    files = {
        "shop/tasks.py": "A = 1\n",
        "data/mine.db": "x",
        ".venv/bin/python": "x",
        "node_modules/a/b.js": "x",
    }
    helpers.write_files(tmp_path, files)
    with scratch_copy(tmp_path, ["shop/tasks.py"]) as folder:
        found = sorted(
            str(path.relative_to(folder / "repo")) for path in (folder / "repo").rglob("*")
        )
    assert found == ["data", "shop", "shop/tasks.py"]
