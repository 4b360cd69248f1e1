"""What the tests of `skillrun verify` share: one verification of a real repository, as a pipeline
meets it.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers


@dataclass(frozen=True)
class Verified:
    """A verification that has ended: its process, and the folder with its outputs."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def document(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.folder / "out.json").read_text())
        return value

    @property
    def rules(self) -> set[str]:
        found = [
            f for job in self.document["jobs"] for stage in job["stages"] for f in stage["findings"]
        ]
        return {finding["rule"] for finding in (*found, *self.document["gaming"]["findings"])}


def verify(
    repo: Path, *args: str, code: int, formats: tuple[str, ...] = ("json",), **env: str
) -> Verified:
    """One verification that must end with `code` and leave nothing; each format goes to
    `out.<format>`.
    """
    folder = repo.parent / "out"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    wanted = [
        word
        for name in formats
        for word in ("--format", name, "--output", str(folder / f"out.{name}"))
    ]
    done = helpers.run_cli(
        "verify", *args, *wanted, cwd=repo, env={"TMPDIR": str(folder / "tmp"), **env}, timeout=900
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert list((folder / "tmp").iterdir()) == []
    assert len(helpers.git(repo, "worktree", "list").splitlines()) == 1
    return Verified(done, folder)


def branch(repo: Path, name: str = "feature") -> Path:
    helpers.git(repo, "checkout", "--quiet", "-b", name)
    return repo
