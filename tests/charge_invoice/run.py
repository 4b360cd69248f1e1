"""Proves two real results of one task, and sets what is told beside what a real worker showed.

usage: run.py [--python PYTHON] [--report FILE] FOLDER [A] [D]

FOLDER holds `A` and `D`. Exit 0: each fault is told, and nothing that was fine is told as one.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_GIT = ("git", "-c", "user.name=author", "-c", "user.email=author@example.com")
_GRAVE = ("money", "lost", "stuck", "leak", "blind")
_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".git", "*.db")


@dataclass(frozen=True)
class Row:
    """One fault that production had. `rules` are patterns of the rules that tell it, and `schedules`
    of the schedules that ask for it; `faulty` names the results that did not survive it.
    """

    what: str
    faulty: str
    rules: tuple[str, ...] = ("*",)
    schedules: tuple[str, ...] = ()


_CALLER = "caller-*"
ROWS = (
    Row(
        "child killed after the retry was published",
        "A",
        ("attempts*",),
        ("*@before:*#[*]/[*] kill*@after:publish*",),
    ),
    Row("whole worker killed: message back when", "A", ("back-late",), ("kill*",)),
    Row("a job that kills its worker each time", "A", ("crash-loop",), ("kill*/[*]",)),
    Row(
        "broker down at finalize, death before the publish, all messages lost",
        "A",
        ("broker-lost", "effect.lost", "state.differs"),
        (_CALLER, "*broker-empty=*"),
    ),
    Row(
        "the retry cannot be published", "A", ("retry-lost", "dead-letter*"), ("*@before:publish*",)
    ),
    Row("a message for a draft, then finalize", "D", ("early",), ("*early*",)),
    Row("set uncollectible, or paid by bank, during the charge", "A", ("rival-*",), ("rival=*",)),
    Row("database locked after the charge", "A", ("*",), ("fail@*",)),
    Row(
        "the give-up record cannot be written",
        "A",
        ("letter-lost", "dead-letter*"),
        ("raise=* fail@*",),
    ),
    Row("back 25 h later", "A", ("window-passed", "effect.window"), ("*wait=*",)),
    Row("copies waiting, then errors", "D", ("copies*",), ("*waiting=*",)),
    Row("an SMTP server that never answers", "A", ("effect-hangs",), ("*",)),
    Row(
        "Declined",
        "A",
        ("dead-letter*", "logs.why"),
        ("raise=billing.gateway:Declined@before:charge#1/[*]", "once"),
    ),
    Row("poison {}, null, text", "D", ("*",), ("poison=*",)),
    Row("amount changed between retries", "AD", ("key-reused",), ("*rival=*",)),
    Row("a provider's error text with the card token in it", "AD", ("secret-*",), ("*",)),
)


@dataclass(frozen=True)
class Told:
    """What a proof says: a refutation has no grade."""

    rule: str
    grade: str
    schedules: tuple[str, ...]
    message: str
    also: tuple[str, ...] = ()  # other rules of the same root

    def __str__(self) -> str:
        how = f"risk {self.grade}" if self.grade else "refuted"
        return f"{how} {self.rule} [{self.schedules[0]}]"


def lay_out(folder: Path, name: str, root: Path, python: str) -> Path:
    """The result as a repository with one commit; returns its spec."""
    shutil.copytree(folder / name, root, ignore=_NOT_COPIED)
    spec = root / ".skillrun/jobs/charge-invoice.yaml"
    spec.parent.mkdir(parents=True)
    text = (HERE / f"{name}.yaml").read_text()
    spec.write_text(text.replace("\nproof:\n", f"\nproof:\n  python: {python}\n"))
    shutil.copy(HERE / "proof_rows.py", root / "tests")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "start")):
        subprocess.run([*_GIT, *command], cwd=root, check=True)
    return spec


def prove(root: Path, spec: Path) -> dict[str, Any]:
    """The report. Raises ValueError where there is none."""
    command = [sys.executable, "-m", "skillrun", "prove", "--repo", str(root), "--spec", str(spec)]
    done = subprocess.run([*command, "--trust", "--json"], capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def list_told(report: dict[str, Any]) -> list[Told]:
    """Refutations first, then risks."""
    told = []
    for one in report.get("witnesses", ()):
        told.append(Told(one["rule"], "", (one["schedule"],), one["message"]))
    for one in report.get("risks", ()):
        schedules, also = tuple(one["schedules"]), tuple(one["also"])
        told.append(Told(one["rule"], one["grade"], schedules, one["message"], also))
    return told


def find_told(row: Row, told: list[Told]) -> list[Told]:
    """What answers a row's question."""
    found = []
    for one in told:
        names = (one.rule, *one.also)
        is_rule = any(fnmatch.fnmatchcase(name, rule) for name in names for rule in row.rules)
        asked = [s for s in one.schedules if any(fnmatch.fnmatchcase(s, p) for p in row.schedules)]
        if is_rule and asked:
            found.append(Told(one.rule, one.grade, tuple(asked), one.message))
    return found


def judge(row: Row, name: str, found: list[Told]) -> str:
    """ok, found, MISS or FALSE ALARM. A minor risk of what is fine alarms nobody."""
    if name in row.faulty:
        return "found" if found else "MISS"
    is_alarm = any(not one.grade or one.grade in _GRAVE for one in found)
    return "FALSE ALARM" if is_alarm else "ok"


def show(name: str, report: dict[str, Any]) -> bool:
    """Prints the table of a result; returns whether every row is right."""
    told = list_told(report)
    print(f"{name}: {report['verdict']}, {len(told)} told")
    for reason in report.get("incomplete", ()):
        print(f"  incomplete: {reason['rule']}: {reason['message'][:160]}")
    used: set[tuple[str, str]] = set()
    is_right = True
    for row in ROWS:
        found = find_told(row, told)
        used.update((one.rule, one.message) for one in found)
        word = judge(row, name, found)
        is_right = is_right and word in ("ok", "found")
        print(f"  {word:11} {row.what}: {'; '.join(map(str, found)) or '-'}")
    for one in told:
        if (one.rule, one.message) not in used:
            print(f"  besides     {one}: {one.message[:160]}")
    return is_right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="with the job's libraries")
    parser.add_argument("--report", help="folder that takes the proofs' reports")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=["A", "D"])
    options = parser.parse_args()
    python = str(Path(options.python).absolute())  # a link of an environment stays one
    is_right = True
    for name in options.names:
        with tempfile.TemporaryDirectory(prefix="charge-") as scratch:
            root = Path(scratch) / "repo"
            report = prove(root, lay_out(options.folder, name, root, python))
        if options.report:
            Path(options.report, f"{name}.json").write_text(json.dumps(report, indent=1))
        is_right = show(name, report) and is_right
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
