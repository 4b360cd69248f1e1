"""The demo: three real invocations on a copy of the bundled shop, from blocked to success."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from skillrun.core.errors import Blocked, RepoUnusable
from skillrun.core.resources import copy_resource, list_resource_files, resource

SPEC = ".skillrun/jobs/send-receipt.yaml"
_COLUMNS = (
    "invocation",
    "trigger",
    "idempotency",
    "retries",
    "files_touched",
    "outcome",
    "duration_ms",
)
_BOLD, _DIM, _RED, _GREEN, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"


@dataclass(frozen=True)
class Step:
    """One invocation: what a person should know first, the overlays that make the shop wrong, and
    how it has to end.
    """

    title: str
    words: str
    overlays: tuple[str, ...]
    exit_code: int
    outcome: str


STEPS = (
    Step(
        "Nobody has said what happens when the message comes twice",
        "The spec of the job says `idempotency: unknown`. Whatever else it finds, the run has to"
        " stop and ask.",
        ("1-idempotency-unknown", "2-permanent-error-retried"),
        exit_code=3,
        outcome="blocked",
    ),
    Step(
        "The key is given, but the handler tries a bad address again",
        "The spec now names the key, and the table that remembers it. Still wrong: the handler"
        " retries every error,\nso an address that will never work is tried five times. The run has"
        " to say so, with file and line.",
        ("2-permanent-error-retried",),
        exit_code=1,
        outcome="partial",
    ),
    Step(
        "The handler is mended",
        "Only errors that may pass are tried again. Nothing reads wrong any more: now the handler"
        " is killed at every step and delivered again, and the shop's own tests run.",
        (),
        exit_code=0,
        outcome="success",
    ),
)


def run_demo(out: TextIO) -> int:
    """Runs the three steps in a new temporary folder, which is kept and named at the end.

    Returns 0 if the invocations ended as they should (3, 1, 0), else 1. Raises `RepoUnusable` where
    git is missing,
    `Blocked` where the shop's own tools are.
    Nothing outside the folder is written: HOME, TMPDIR, state and ledger of the invocations are
    inside it.
    """
    _require_tools()
    folder = Path(tempfile.mkdtemp(prefix="skillrun-demo-"))
    repo = folder / "celery-shop"
    (folder / "tmp").mkdir()
    _prepare(repo, STEPS[0])
    _allow_own_copy(repo, folder / "state")
    _say(
        out,
        f"A small Celery shop, copied to {repo}. Its job emails a receipt once a payment settles.",
    )
    for number, step in enumerate(STEPS, start=1):
        _heading(out, f"{number}/{len(STEPS)}  {step.title}")
        _say(out, step.words)
        if number > 1:
            _show_diff(out, _change_to(repo, step))
        if not _invoke(out, folder, step):
            _say(out, f"Everything is still there: {repo}")
            return 1
    _closing(out, repo)
    return 0


def _require_tools() -> None:
    """The shop's tests run for real, so its tools have to be here: make, and two packages beside
    skillrun.
    """
    packages = []
    for name in ("celery", "pytest"):
        if find_spec(name) is None:
            packages.append(name)
    if packages:
        hint = f"{sys.executable} -m pip install {' '.join(packages)}"
        raise Blocked(f"the demo's shop needs {' and '.join(packages)} beside skillrun", hint=hint)
    if shutil.which("make") is None:
        raise Blocked(
            "the demo's shop runs its checks with make, which is not on PATH", hint="install make"
        )


def _prepare(repo: Path, step: Step) -> None:
    """A git repository with the step's version of the shop in one commit."""
    copy_resource(_examples() / "celery-shop", repo)
    _lay_over(repo, step)
    _commit_all(repo, "The shop, as the demo finds it")


def _allow_own_copy(repo: Path, state: Path) -> None:
    """The shop is skillrun's own, so it may run, also where an agent shows somebody the demo."""
    from skillrun.repo.git import open_repo
    from skillrun.validations.consent import Consent

    Consent(open_repo(repo), store=state / "consent").give("the demo wrote it")


def _examples() -> Path:
    return resource("skills", "job-worker-orchestration", "examples")


def _lay_over(repo: Path, step: Step) -> None:
    for overlay in step.overlays:
        copy_resource(_examples() / "celery-shop-steps" / overlay, repo)


def _change_to(repo: Path, step: Step) -> list[str]:
    """Makes the tree that of the step, uncommitted as an edit in progress is; returns what changed,
    as a diff.
    """
    before = _texts(repo)
    copy_resource(_examples() / "celery-shop", repo)
    _lay_over(repo, step)
    after = _texts(repo)
    diffs = (
        unified_diff(before[name], after[name], name, name, n=1, lineterm="") for name in before
    )
    found = []
    for diff in diffs:
        for line in diff:
            found.append(line)
    return found


def _texts(repo: Path) -> dict[str, list[str]]:
    """The lines of the files that some step changes."""
    names: list[str] = []
    for overlay in STEPS[0].overlays:
        names.extend(list_resource_files(_examples() / "celery-shop-steps" / overlay))
    return {name: (repo / name).read_text(encoding="utf-8").splitlines() for name in sorted(names)}


def _commit_all(repo: Path, message: str) -> None:
    """One commit with an identity of its own. GitPython's index runs no hooks when told so, and
    never signs.
    """
    try:
        import git
    except ImportError as error:  # GitPython looks for the git program when it is imported
        raise RepoUnusable("git is not installed or not on PATH", hint="install git") from error
    try:
        made = git.Repo.init(repo, initial_branch="main")
        made.git.add(all=True)
        author = git.Actor("skillrun demo", "demo@skillrun.invalid")
        made.index.commit(message, author=author, committer=author, skip_hooks=True)
    except git.GitError as error:
        raise RepoUnusable(
            f"{repo}: git failed: {error}", hint="try git init in a new folder"
        ) from error


def _invoke(out: TextIO, folder: Path, step: Step) -> bool:
    """Runs the command in a process of its own, on the person's terminal; True if it ended as it
    should.
    """
    words = [
        "job-worker-orchestration",
        "--repo",
        "celery-shop",
        "--spec",
        f"celery-shop/{SPEC}",
        "--trust",
    ]
    _say(out, _paint(out, _BOLD, f"$ skillrun {' '.join(words)}"))
    code = _run(out, [sys.executable, "-P", "-m", "skillrun", *words], folder)
    if code == step.exit_code:
        _say(out, f"Exit code {code}: {step.outcome}, as it should be.")
        return True
    _say(
        out,
        _paint(
            out, _RED, f"WRONG: exit code {code}; {step.exit_code} ({step.outcome}) was expected."
        ),
    )
    _say(
        out,
        "The demo stops here. This is a bug in skillrun, or something on this machine that it did"
        " not foresee.",
    )
    return False


def _run(out: TextIO, command: list[str], folder: Path) -> int:
    """Runs a command that writes straight to `out`; through a pipe where `out` is no file."""
    out.flush()
    try:
        descriptor = out.fileno()
    except OSError:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        out.write(done.stdout)
        return done.returncode
    return subprocess.run(
        command, cwd=folder, env=_environment(folder), stdout=descriptor
    ).returncode


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment; HOME, TMPDIR and state in the folder, this interpreter's programs
    first on PATH.
    """
    kept = {}
    for name, value in os.environ.items():
        if not name.startswith(("GIT_", "SKILLRUN_", "SHOP_")):
            kept[name] = value
    programs = str(Path(sys.executable).parent)
    return kept | {
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "SKILLRUN_STATE_DIR": str(folder / "state"),
    }


def _closing(out: TextIO, repo: Path) -> None:
    _heading(out, "What the ledger remembers: one telemetry row for each invocation")
    for line in _table(_telemetry(repo / ".skillrun" / "ledger.db")):
        _say(out, line)
    if shutil.which("skillrun"):
        program = "skillrun"
    else:
        program = str(Path(sys.executable).parent / "skillrun")
    _say(out, f"\nThe repository is kept: {repo}\nTry next:")
    _say(out, f"  {program} status --repo {repo}")
    _say(out, f"  {program} ledger verify --repo {repo}")


def _telemetry(ledger: Path) -> list[tuple[str, ...]]:
    """The rows of the telemetry table as text, oldest first, under a row of column names."""
    from sqlite_utils import Database

    rows = Database(ledger)["telemetry"].rows_where(
        select=", ".join(_COLUMNS), order_by="ts_utc, invocation"
    )
    table: list[tuple[str, ...]] = [_COLUMNS]
    for row in rows:
        table.append(tuple(_spell_cell(value) for value in row.values()))
    return table


def _spell_cell(value: object) -> str:
    # An empty cell would leave the columns of a row one short for whoever reads it by words.
    if value is None:
        return "-"
    return str(value)


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _show_diff(out: TextIO, diff: list[str]) -> None:
    colours = {"+": _GREEN, "-": _RED, "@": _DIM}
    for line in diff:
        _say(out, _paint(out, colours.get(line[:1], ""), f"    {line}"))
    _say(out, "")


def _heading(out: TextIO, text: str) -> None:
    _say(out, f"\n{_paint(out, _BOLD, text)}\n{'-' * len(text)}")


def _paint(out: TextIO, colour: str, text: str) -> str:
    """The text in a colour where a person sees it on a terminal."""
    shown = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    if shown and colour:
        return f"{colour}{text}{_RESET}"
    return text


def _say(out: TextIO, text: str) -> None:
    print(text, file=out, flush=True)
