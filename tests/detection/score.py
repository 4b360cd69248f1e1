"""Scores the survey against labelled repositories: `score.py LABELS.json FOLDER [--misses]`.

LABELS.json is a list of objects with repo ("owner/name"), frameworks, also_ok, primary, app,
app_alternatives, task_modules, scheduler, broker, commands and package_manager; those with a
`group` are scored group by group. FOLDER holds a git checkout of each as `owner+name`. Nothing in a
checkout is executed.
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

from skillrun.frameworks.registry import recognisers
from skillrun.repo.commands import KINDS, CommandFact
from skillrun.repo.shell import without_prefix
from skillrun.repo.survey import Survey, survey_tree
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
    print(f"{len(present)} of {len(labels)} labelled repositories present")
    for group in dict.fromkeys(label.get("group", "") for label in present):
        score(group, [label for label in present if label.get("group", "") == group], options)
    return 0


def score(group: str, labels: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Prints what is right in one group of labels."""
    started = time.perf_counter()
    results = [
        result
        for label in labels
        for result in judge(label, surveyed(options.folder / folder_name(label)))
    ]
    seconds = time.perf_counter() - started
    print(
        f"\n{f'group {group}: ' if group else ''}{len(labels)} repositories, surveyed in"
        f" {seconds:.1f} s"
    )
    print_scores(results)
    if options.misses:
        print_misses(results)


def folder_name(label: dict[str, Any]) -> str:
    return str(label["repo"]).replace("/", "+")


def surveyed(folder: Path) -> Survey:
    return survey_tree(Tree(folder), recognisers())


def judge(label: dict[str, Any], found: Survey) -> Iterator[Result]:
    """One result a measure that applies to the repository."""
    yield from judge_frameworks(label, found)
    yield (
        "package manager",
        label["repo"],
        found.package_manager == label["package_manager"],
        found.package_manager or "",
    )
    for kind in KINDS:
        fact, wanted = getattr(found.commands, kind), label["commands"][kind]
        said = f"{fact and (fact.command, fact.path, fact.line)} for {wanted!r}"
        yield f"{kind}", label["repo"], agrees(fact, wanted), said


def judge_frameworks(label: dict[str, Any], found: Survey) -> Iterator[Result]:
    """Found and false frameworks, and how much of the main one's use is right."""
    repo, expected = label["repo"], set(label["frameworks"])
    said = {use.id: use for use in found.frameworks}
    for name in sorted(expected):
        yield "found", repo, name in said, name
    for name in sorted(said.keys() - expected - set(label["also_ok"])):
        yield (
            "false",
            repo,
            False,
            f"{name}: {[(p.path, p.line, p.text) for p in said[name].evidence[:3]]}",
        )
    yield (
        "primary",
        repo,
        found.primary == label["primary"],
        f"{found.primary} for {label['primary']}",
    )
    use = said.get(label["primary"] or "")
    right = [label["app"], *label["app_alternatives"]]
    if label["app"]:
        yield "app", repo, bool(use and use.app in right), f"{use and use.app} for {right}"
    if use:
        missing = set(label["task_modules"]) - _with_folders(use.task_modules)
        yield "tasks", repo, not missing, f"missing {sorted(missing)}"
        for part in ("scheduler", "broker"):
            yield (
                part,
                repo,
                getattr(use, part) == label[part],
                f"{getattr(use, part)} for {label[part]}",
            )


def _with_folders(paths: tuple[str, ...]) -> set[str]:
    return {*paths, *(str(folder) for path in paths for folder in Path(path).parents)}


def agrees(fact: CommandFact | None, wanted: str | None) -> bool:
    """Both say nothing, or both say the same: `make test` is right where its recipe is what the
    label quotes.
    """
    if fact is None or wanted is None:
        return fact is None and wanted is None
    essence = [_essence(part) for part in wanted.split("&&")]
    said = _essence(f"{fact.command}\n{fact.runs}")
    return any(
        part in said or _covers(said, part) or _essence(fact.command) in part
        for part in essence
        if part
    )


def _covers(said: str, part: str) -> bool:
    """Every word of the label is there: labels leave out options that say nothing."""
    return set(part.split()) <= set(said.split())


def _essence(command: str) -> str:
    """What a command does: `cd ui && pnpm build` and `pnpm --dir ui build` are one."""
    folderless = re.sub(r"\b(npm|pnpm|yarn|bun) --(?:prefix|dir|cwd) \S+ ", r"\1 ", command)
    lines = (
        re.sub(r"['\"@]|^\./|^(?:ba)?sh (?=\S+/)", "", without_prefix(one))
        for one in folderless.splitlines()
    )
    return re.sub(r"\s+", " ", "\n".join(lines)).strip()


def print_scores(results: list[Result]) -> None:
    totals, right = Counter(r[0] for r in results), Counter(r[0] for r in results if r[2])
    found, expected, false = right["found"], totals["found"], totals["false"]
    print(f"frameworks: precision {ratio(found, found + false)}, recall {ratio(found, expected)}")
    kinds = sum(right[kind] for kind in KINDS), sum(totals[kind] for kind in KINDS)
    print(f"commands right or null: {ratio(*kinds)}")
    for measure in sorted(totals.keys() - {"found", "false"}):
        print(f"{measure:16} {ratio(right[measure], totals[measure])}")


def ratio(part: int, whole: int) -> str:
    return f"{part}/{whole} = {part / whole:.3f}" if whole else "0/0"


def print_misses(results: list[Result]) -> None:
    for measure, repo, correct, said in sorted(results):
        if not correct:
            print(f"  {measure:16} {repo:40} {said[:200]}")


if __name__ == "__main__":
    sys.exit(main())
