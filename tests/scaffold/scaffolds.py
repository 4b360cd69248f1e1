"""What the tests of the scaffold's road share: a shop without its handler, a plan that writes it,
and real runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import helpers
import shops

STAND_IN = Path(__file__).with_name("stand_in.py")
HANDLER = "shop/tasks.py"
NOTES = "docs/jobs/send-receipt.md"
SCAFFOLD = (shops.SKILL, "--implement", "scaffold")
KEPT = {
    "path": "shop/mailer.py",
    "line": 3,
    "name": "send",
    "diff": (
        "--- a/shop/mailer.py\n+++ b/shop/mailer.py\n@@ -1 +1 @@\n-is there\n+would be written\n"
    ),
}
MISSING = {
    "rule": "scaffold.no-database",
    "severity": "blocker",
    "message": "it cannot be told how the repository reaches its database",
    "path": "shop/db.py",
    "line": 7,
    "hint": "give idempotency.dedupe.store",
}


PARTS = ("write", "kept", "missing", "notes", "formatters")


@dataclass
class Shop:
    """A repository whose job's handler is missing, and the plan that writes it."""

    root: Path
    write: dict[str, str]
    kept: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    formatters: list[str] = field(default_factory=list)

    def skillrun(
        self, *args: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """A real process, its output as bytes."""
        return subprocess.run(
            [*prefix, sys.executable, str(STAND_IN), *args],
            cwd=self.root,
            env=self.env(**(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )

    def env(self, **extra: str) -> dict[str, str]:
        """The environment of such a process; the plan is written down beside the repository."""
        plan = self.root.with_name("plan.json")
        plan.write_text(json.dumps({name: getattr(self, name) for name in PARTS}))
        return helpers.clean_env(self.root.with_name("repo.home"), STAND_IN=str(plan), **extra)

    def scaffold(self, *args: str, code: int, **options: Any) -> tuple[str, str]:
        """`--implement scaffold` that must end with `code`: (stdout, stderr)."""
        done = self.skillrun(*SCAFFOLD, *args, **options)
        said = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, f"exit code {done.returncode}\n{said[0]}\n{said[1]}"
        assert "Traceback" not in said[1]
        return said

    @property
    def written(self) -> list[dict[str, Any]]:
        """The events of what was written."""
        return shops.events(shops.ledger_of(self.root), "scaffold.written")

    def files(self) -> dict[str, str]:
        """Every file but git's own and the ledger's, with a hash of its content."""
        own = (".git/", ".skillrun/ledger.db", ".skillrun/locks", ".skillrun/.gitignore")
        found = shops.listing(self.root).items()
        return {
            path: seen for path, seen in found if not path.startswith(own) and seen != "not a file"
        }


def shop(folder: Path, *overlays: str) -> Shop:
    """The bundled shop without its handler; the plan writes that and a note."""
    root = shops.shop(folder / "repo", *overlays)
    whole = (root / HANDLER).read_text()
    (root / HANDLER).write_text(whole[: whole.index("@app.task")])
    helpers.commit(root, "No handler yet")
    return Shop(root, {HANDLER: whole, NOTES: "# send-receipt\n\nIt sends receipts.\n"})
