"""Proves the jobs of small repositories that people wrote who knew the job spec's schema alone.

usage: run.py [--keep] [--limit SECONDS] [--python PYTHON] FOLDER[:ID,ID...]...

FOLDER holds `base/` (a repository with its specs in .skillrun/jobs) and `variants.py` (VARIANTS: further correct
versions and natural mistakes, as edits); its own `harness.py` shows which is which. Each version becomes a git
repository of its own. A correct one is to be proved, a mistake refuted; one that has a reason in `unpromised` is shown
and not counted, since no promise of its spec covers it. The results are kept in TMPDIR/strangers.
Exit 0: no false proved and no false alarm.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(tempfile.gettempdir()) / "strangers"
_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".pytest_cache", "*.sqlite3", "*.db")
_TIMEOUT_S = 420  # of one proof, on two busy cores
_GIT = ("git", "-c", "user.name=stranger", "-c", "user.email=stranger@example.com")


@dataclass(frozen=True)
class Version:
    """One version of a job. `edits`: (path, old text, new text); no old text means a whole file."""

    id: str
    kind: str  # correct | mistake | unpromised (a mistake that breaks no promise of its spec)
    job: str
    what: str
    edits: tuple[tuple[str, str, str], ...] = ()


def list_versions(folder: Path) -> list[Version]:
    """The base's own jobs, then the variants, correct ones and mistakes by turns."""
    jobs = sorted(path.stem for path in (folder / "base/.skillrun/jobs").glob("*.yaml"))
    said = runpy.run_path(str(folder / "variants.py"))
    kind = said.get("BASE", "correct")  # a bug report's base has the bug
    found = [Version(f"base-{job}", kind, job, "as it was written") for job in jobs]
    for row in said["VARIANTS"]:
        edits = tuple(tuple(edit) for edit in row["edits"])
        kind = "unpromised" if "unpromised" in row else row["kind"]
        found.append(Version(row["id"], kind, row["job"], row["what"], edits))
    return found


def lay_out(folder: Path, version: Version, root: Path, python: str) -> Path:
    """The version as a repository with one commit; returns its spec."""
    shutil.copytree(folder / "base", root, ignore=_NOT_COPIED)
    for path, old, new in version.edits:
        edit_file(root / path, old, new)
    spec = root / f".skillrun/jobs/{version.job}.yaml"
    text = spec.read_text()
    if "python:" not in text:
        text = text.replace("\nproof:\n", f"\nproof:\n  python: {python}\n", 1)
    spec.write_text(text)
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "start")):
        subprocess.run([*_GIT, *command], cwd=root, check=True)
    return spec


def edit_file(path: Path, old: str, new: str) -> None:
    """Raises ValueError where the old text does not stand there once."""
    if not old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new)
        return
    text = path.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{path.name}: {old[:60]!r} is there {text.count(old)} times")
    path.write_text(text.replace(old, new))


def prove(root: Path, spec: Path) -> dict[str, Any]:
    """The report, or {"verdict": "error", ...}."""
    command = [sys.executable, "-m", "skillrun", "prove", "--repo", str(root), "--spec", str(spec)]
    process = subprocess.Popen(
        [*command, "--trust", "--json"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"verdict": "error", "why": f"timeout of {_TIMEOUT_S} s"}
    try:
        report: dict[str, Any] = json.loads(out)
    except ValueError:
        return {"verdict": "error", "why": f"exit {process.returncode}: {(err or out)[-400:]}"}
    return report


def judge(folder: Path, version: Version, python: str) -> dict[str, Any]:
    began = time.monotonic()
    found = {"id": version.id, "kind": version.kind, "what": version.what, "why": ""}
    with tempfile.TemporaryDirectory(prefix="strangers-") as scratch:
        root = Path(scratch) / "repo"
        try:
            spec = lay_out(folder, version, root, python)
        except ValueError as error:
            return {**found, "verdict": "layout", "why": str(error)}
        report = prove(root, spec)
    found["seconds"] = round(time.monotonic() - began, 1)
    found["verdict"] = report.get("verdict", "error")
    found["why"] = report.get("why") or explain(report)
    found["risks"] = [
        [risk["grade"], risk["rule"], risk["message"]] for risk in report.get("risks", [])
    ]
    found["witnesses"] = report.get("witnesses", [])
    found["incomplete"] = report.get("incomplete", [])
    return found


def explain(report: dict[str, Any]) -> str:
    """The first reason of a verdict that is not proved."""
    for witness in report.get("witnesses", ()):
        return f"{witness['rule']} [{witness['schedule']}] {witness['message']}"
    for reason in report.get("incomplete", ()):
        return f"{reason['rule']}: {reason['message']}"
    return str(report.get("error") or report.get("message") or "")


def grave_risks(result: dict[str, Any]) -> list[str]:
    """The rules of those that nobody may overlook: they make the outcome of a run partial."""
    return [rule for grade, rule, _message in result.get("risks", ()) if grade in ("money", "lost")]


def show(folder: Path, result: dict[str, Any]) -> None:
    head = f"{folder.name:16} {result['id']:14} {result['kind']:10} {result['verdict']:10}"
    told = "".join(f" [risk: {grade} {rule}]" for grade, rule, _ in result.get("risks", ()))
    print(f"{head} {result.get('seconds', 0):6.1f} s {told} {result['why'][:240]}", flush=True)


def count(results: list[dict[str, Any]]) -> str:
    def number(kind: str, *verdicts: str) -> int:
        return sum(r["kind"] == kind and r["verdict"] in verdicts for r in results)

    unclear = ("incomplete", "error", "layout")
    proved = [result for result in results if result["verdict"] == "proved"]
    at_risk = [result["kind"] for result in proved if grave_risks(result)]
    told = f" (at risk of money or lost: {at_risk.count('correct')} correct, {at_risk.count('mistake')} mistakes)"
    return (
        f"correct: {number('correct', 'proved')} proved, {number('correct', 'refuted')} FALSE ALARM,"
        f" {number('correct', *unclear)} incomplete; mistakes: {number('mistake', 'refuted')} refuted,"
        f" {number('mistake', 'proved')} FALSE PROVED, {number('mistake', *unclear)} incomplete"
        + told
    )


def is_wrong(result: dict[str, Any]) -> bool:
    """A false alarm; or a mistake that is proved, and of which nobody is told."""
    kind, verdict = result["kind"], result["verdict"]
    is_missed = kind == "mistake" and verdict == "proved" and not grave_risks(result)
    return is_missed or (kind == "correct" and verdict == "refuted")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", action="store_true", help="keeps the results that are there")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds; begins no more")
    parser.add_argument("--python", default=sys.executable, help="with the job libraries")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    python = str(Path(options.python).absolute())  # a link of an environment stays one
    RESULTS.mkdir(exist_ok=True)
    end = time.monotonic() + options.limit
    everything: list[dict[str, Any]] = []
    for asked in options.folders:
        name, _, ids = asked.partition(":")
        folder = Path(name).resolve()
        store = RESULTS / f"{folder.name}.json"
        kept: dict[str, Any] = {}
        if options.keep and store.exists():
            kept = {result["id"]: result for result in json.loads(store.read_text())}
        wanted = [v for v in list_versions(folder) if v.id not in kept]
        if ids:
            wanted = [v for v in list_versions(folder) if v.id in ids.split(",")]
        with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:

            def work(version: Version, folder: Path = folder) -> dict[str, Any] | None:
                if time.monotonic() > end:
                    return None
                return judge(folder, version, python)

            for done in concurrent.futures.as_completed([pool.submit(work, v) for v in wanted]):
                result = done.result()
                if result is None:
                    continue
                kept[result["id"]] = result
                store.write_text(json.dumps(list(kept.values()), indent=1))
                show(folder, result)
        print(f"{folder.name}: {count(list(kept.values()))}", flush=True)
        everything += kept.values()
    print(f"all: {count(everything)}")
    sys.exit(any(is_wrong(result) for result in everything))


if __name__ == "__main__":
    main()
