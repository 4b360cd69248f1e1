"""skillrun with a plan that a JSON file gives: what a scaffold writes is not what these tests are
about.

python stand_in.py ARGUMENTS...      with STAND_IN=plan.json: {write: {path: text}, kept, missing, notes}
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from skillrun.core.verdict import Finding, Severity
from skillrun.runner.changes import Change, Kept, Plan
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.scaffold import plan as planning


def plan(case: JobCase) -> Plan:
    """Whole files, as the JSON says."""
    given = json.loads(Path(os.environ["STAND_IN"]).read_text(encoding="utf-8"))
    missing = tuple(
        Finding(**{**finding, "severity": Severity(finding["severity"])})
        for finding in given["missing"]
    )
    changes = [Change(path, _now(case, path), text) for path, text in given["write"].items()]
    changes = [] if missing else [change for change in changes if change.before != change.after]
    kept = tuple(Kept(**kept) for kept in given["kept"])
    return Plan(
        tuple(changes), kept, missing, tuple(given["notes"]), tuple(given.get("formatters", ()))
    )


def _now(case: JobCase, path: str) -> str | None:
    _change_behind_its_back(case.root / path)
    file = case.root / path
    return file.read_bytes().decode() if file.exists() else None


def _change_behind_its_back(path: Path) -> None:
    """STAND_IN_EDITS=path: somebody edits it once it was read, as soon as anything else is read."""
    edited = os.environ.get("STAND_IN_EDITS")
    if edited and path != Path(edited):
        Path(edited).write_text("# mine\n", encoding="utf-8")


def main() -> None:
    from skillrun.__main__ import main as skillrun

    planning.plan = plan
    skillrun()


if __name__ == "__main__":
    main()
