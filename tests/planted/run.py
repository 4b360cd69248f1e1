"""Proves the repositories of tests/strangers with bugs that production's events bring to light.

usage: run.py [--limit SECONDS] [--python PYTHON] [EVENT | ID ...]

`events/EVENT.py` holds VARIANTS: five mistakes that go wrong when that event happens and are right otherwise, and two
further correct versions that survive it. Each is a list of edits of one base there. A mistake is found where it is
refuted, or named as a risk that its base does not have; a correct one is to be proved.
Exit 0: no correct version is refuted.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STRANGERS = HERE.parent / "strangers"
sys.path.insert(0, str(STRANGERS))

import run as strangers  # noqa: E402 - a script has no other way to its neighbours


@dataclass(frozen=True)
class Planted:
    """One version of a repository, and the event that it is about."""

    event: str
    base: Path
    version: strangers.Version


def list_planted(asked: list[str]) -> Iterator[Planted]:
    """Those of the events, or with the ids, that are asked for; all where nothing is."""
    for file in sorted((HERE / "events").glob("*.py")):
        for row in runpy.run_path(str(file))["VARIANTS"]:
            if asked and not {file.stem, row["id"]} & set(asked):
                continue
            edits = tuple(tuple(edit) for edit in row["edits"])
            version = strangers.Version(row["id"], row["kind"], row["job"], row["what"], edits)
            yield Planted(file.stem, STRANGERS / row["base"], version)


def name_risks(result: dict[str, Any]) -> set[tuple[str, str]]:
    return {(grade, rule) for grade, rule, _message in result.get("risks", ())}


class Bases:
    """What is said of the bases, each proved once, where one is asked for."""

    def __init__(self, python: str) -> None:
        self.python = python
        self._seen: dict[tuple[Path, str], dict[str, Any]] = {}

    def find_risks(self, planted: Planted) -> set[tuple[str, str]]:
        job = planted.version.job
        place = (planted.base, job)
        if place not in self._seen:
            base = strangers.Version(f"base-{job}", "correct", job, "as it was written")
            self._seen[place] = strangers.judge(planted.base, base, self.python)
        return name_risks(self._seen[place])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds; begins no more")
    parser.add_argument("--python", default=sys.executable, help="with the job libraries")
    parser.add_argument("asked", nargs="*")
    options = parser.parse_args()
    python = str(Path(options.python).absolute())  # a link of an environment stays one
    bases, end, false_alarms = Bases(python), time.monotonic() + options.limit, 0
    counts: dict[str, int] = {}
    planted = list(list_planted(options.asked))
    for number, one in enumerate(planted):
        if time.monotonic() > end:
            print(f"not reached: {len(planted) - number}")
            break
        result = strangers.judge(one.base, one.version, python)
        kind, verdict = one.version.kind, str(result["verdict"])
        if kind == "mistake" and verdict == "proved":
            new = name_risks(result) - bases.find_risks(one)
            verdict = "named" if new else "MISSED"
        false_alarms += kind == "correct" and verdict == "refuted"
        counts[f"{kind} {verdict}"] = counts.get(f"{kind} {verdict}", 0) + 1
        print(f"{one.event:16} {one.base.name:16} {verdict:10}", end=" ")
        strangers.show(one.base, result)
    print(", ".join(f"{name}: {number}" for name, number in sorted(counts.items())))
    sys.exit(bool(false_alarms))


if __name__ == "__main__":
    main()
