"""Scores the survey against labelled repositories: `score.py LABELS.json FOLDER [--misses]`.

LABELS.json is a list of objects with repo ("owner/name"), frameworks, app, app_alternatives, commands and
package_manager. FOLDER holds a git checkout of each as `owner+name`. Nothing in a checkout is executed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from skillrun.frameworks.celery.recognise import CeleryRecogniser
from skillrun.repo.commands import KINDS, CommandFact
from skillrun.repo.shell import without_prefix
from skillrun.repo.survey import Survey, survey
from skillrun.repo.tree import Tree

Result = tuple[str, str, bool, str]  # measure, repository, right, what was found and expected


def main() -> int:
    """Prints one line a measure, and each miss where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--misses", action="store_true", help="name what was wrong")
    options = parser.parse_args()
    labels = json.loads(options.labels.read_text())
    present = [label for label in labels if (options.folder / folder_name(label)).is_dir()]
    started = time.perf_counter()
    results = [result for label in present for result in judge(label, surveyed(options.folder / folder_name(label)))]
    print_scores(results, len(present), len(labels), time.perf_counter() - started)
    if options.misses:
        print_misses(results)
    return 0


def folder_name(label: dict[str, Any]) -> str:
    return str(label["repo"]).replace("/", "+")


def surveyed(folder: Path) -> Survey:
    return survey(Tree(folder), [CeleryRecogniser()])


def judge(label: dict[str, Any], found: Survey) -> Iterator[Result]:
    """One result a measure that applies to the repository."""
    repo, use = label["repo"], found.use("celery")
    expected = "celery" in label["frameworks"]
    if use is not None or expected:
        yield ("celery found" if expected else "celery false"), repo, bool(use) == expected, str(use and use.evidence)
    if expected and label["app"]:
        right = [label["app"], *label["app_alternatives"]]
        yield "celery app", repo, bool(use and use.app in right), f"{use and use.app} for {right}"
    if expected and use:
        missing = set(label["task_modules"]) - set(use.task_modules)
        yield "celery tasks", repo, not missing, f"missing {sorted(missing)}"
        yield "celery beat", repo, use.scheduler == label["scheduler"], f"{use.scheduler} for {label['scheduler']}"
        yield "celery broker", repo, use.broker == label["broker"], f"{use.broker} for {label['broker']}"
    yield "package manager", repo, found.package_manager == label["package_manager"], str(found.package_manager)
    for kind in KINDS:
        fact, wanted = getattr(found.commands, kind), label["commands"][kind]
        yield f"{kind}", repo, agrees(fact, wanted), f"{fact and (fact.command, fact.path, fact.line)} for {wanted!r}"


def agrees(fact: CommandFact | None, wanted: str | None) -> bool:
    """Both say nothing, or both say the same: `make test` is right where its recipe is what the label quotes."""
    if fact is None or wanted is None:
        return fact is None and wanted is None
    essence = [_essence(part) for part in wanted.split("&&")]
    said = _essence(f"{fact.command}\n{fact.runs}")
    return any(part in said or _covers(said, part) or _essence(fact.command) in part for part in essence if part)


def _covers(said: str, part: str) -> bool:
    """Every word of the label is there: labels leave out options that say nothing."""
    return set(part.split()) <= set(said.split())


def _essence(command: str) -> str:
    lines = (re.sub(r"['\"@]|^\./|^(?:ba)?sh (?=\S+/)", "", without_prefix(line)) for line in command.splitlines())
    return re.sub(r"\s+", " ", "\n".join(lines)).strip()


def print_scores(results: list[Result], present: int, labelled: int, seconds: float) -> None:
    print(f"{present} of {labelled} labelled repositories present, surveyed in {seconds:.1f} s")
    totals, right = Counter(r[0] for r in results), Counter(r[0] for r in results if r[2])
    found, expected, false = right["celery found"], totals["celery found"], totals["celery false"]
    print(f"celery: precision {found}/{found + false}, recall {found}/{expected}")
    for measure in sorted(totals.keys() - {"celery found", "celery false"}):
        print(f"{measure:16} {right[measure]:3}/{totals[measure]}")


def print_misses(results: list[Result]) -> None:
    for measure, repo, correct, said in sorted(results):
        if not correct:
            print(f"  {measure:16} {repo:40} {said[:200]}")


if __name__ == "__main__":
    sys.exit(main())
