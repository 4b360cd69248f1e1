"""Checks labelled repositories against their checkouts: `check_labels.py LABELS.json FOLDER`.

FOLDER holds a git checkout of each as `owner+name`. Every label must name the commit of its
checkout, files that exist at that commit, and evidence lines `path:line: text` that are in the file
at that line. Nothing is executed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("lint", "typecheck", "test", "build")


def main() -> int:
    """Prints each fault; returns 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    labels = json.loads(options.labels.read_text())
    faults = [fault for label in labels for fault in faults_of(label, options.folder)]
    twice = [
        repo for repo, times in Counter(label["repo"] for label in labels).items() if times > 1
    ]
    faults += [f"{repo}: labelled twice" for repo in twice]
    print("\n".join([*faults, f"{len(labels)} labels, {len(faults)} faults"]))
    return 1 if faults else 0


def faults_of(label: dict[str, Any], folder: Path) -> Iterator[str]:
    """What is wrong with one label, as `owner/name: what`."""
    repo = label["repo"]
    checkout = folder / repo.replace("/", "+")
    if not checkout.is_dir():
        yield f"{repo}: no checkout at {checkout}"
        return
    if git(checkout, "rev-parse", "HEAD").strip() != label["commit"]:
        yield f"{repo}: the checkout is not at {label['commit']}"
        return
    files = set(git(checkout, "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0"))
    for fault in (
        *sum_faults(label, files),
        *path_faults(label, files),
        *evidence_faults(label, checkout, files),
    ):
        yield f"{repo}: {fault}"


def sum_faults(label: dict[str, Any], files: set[str]) -> Iterator[str]:
    """Fields that must agree with one another."""
    if label["files"] != len(files - {""}):
        yield f"files says {label['files']}, there are {len(files - {''})}"
    if set(label["commands"]) != set(KINDS):
        yield f"commands are {sorted(label['commands'])}"
    if label["primary"] not in (label["frameworks"] or [None]):
        yield f"primary {label['primary']} is none of {label['frameworks']}"
    if label["multi_framework"] != (len(label["frameworks"]) > 1):
        yield "multi_framework does not agree with frameworks"
    if label["package_manager"] not in label["package_managers"]:
        yield f"package_manager {label['package_manager']} is none of {label['package_managers']}"
    if (label["class"] == "positive") != bool(label["frameworks"]):
        yield f"class {label['class']} with frameworks {label['frameworks']}"
    if set(label["frameworks"]) & {*label["decoys"], *label["also_ok"]}:
        yield "a framework is also a decoy or also_ok"


def path_faults(label: dict[str, Any], files: set[str]) -> Iterator[str]:
    """App, task modules and backend root that are not in the tree."""
    apps = [app.split(":")[0] for app in (label["app"], *label["app_alternatives"]) if app]
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for path in (*apps, *label["task_modules"], label["paths"]["backend_root"]):
        if path not in files and path not in folders:
            yield f"{path} is not in the tree"


def evidence_faults(label: dict[str, Any], checkout: Path, files: set[str]) -> Iterator[str]:
    """Evidence lines whose file, line or text is not so."""
    for line in label["evidence"]:
        path, number, text = line.split(":", 2)
        if path not in files:
            yield f"{path} is not in the tree"
            continue
        lines = git(checkout, "show", f"HEAD:{path}").splitlines()
        if (
            not text.strip()
            or int(number) > len(lines)
            or not lines[int(number) - 1].strip().startswith(text.strip())
        ):
            yield f"{path}:{number} does not read {text.strip()!r}"


def git(checkout: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(checkout), *arguments], check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
