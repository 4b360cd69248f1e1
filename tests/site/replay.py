"""Runs what a page of the documentation shows: its files are written, its commands run, their output compared.

python tests/site/replay.py docs/tutorial.md           what is printed otherwise, as a diff
python tests/site/replay.py --keep docs/tutorial.md    writes into the page what is printed now

In a page, a block of code with `title="shop/tasks.py"` is a file, and a `console` block holds commands
(`$ pytest -q`), each with its output below. `<!-- after: tutorial.md -->` begins with the files of
another page, `<!-- copy: skills/... -->` with a folder of the checkout. `<!-- not run: reason -->`
above a block leaves it out.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
AFTER = re.compile(r"<!-- after: (\S+) -->")
COPY = re.compile(r"<!-- copy: (\S+) -->")

# What a page says for the folder in which its commands are run.
FOLDER = "/home/ada/shop"

IGNORED = shutil.ignore_patterns("__pycache__", ".pytest_cache")

# A proof on a busy machine takes minutes.
COMMAND_S = 1800

# What differs from run to run, and what stands for it in a comparison.
VARYING = (
    (re.compile(r"\(\d+(?:\.\d+)? s\)"), "(... s)"),  # (18.0 s)
    (re.compile(r"\bin \d+(?:\.\d+)?s\b.*"), "in ...s"),  # 2 passed in 0.08s
    (re.compile(r"\b(celery|arq|django) \d+(?:\.\d+)+"), r"\1 ..."),  # celery 5.7.0
    # "  0.7s" behind a stage that took that long
    (re.compile(r"  (?:\d+m )?\d+(?:\.\d+)?s$", re.MULTILINE), ""),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}(?:(?:-[0-9a-f]{4}){2}-[0-9a-f]{12}\b|…)"), "(run)"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "(hash)"),  # head 2445fb64b49d
    (re.compile(r"\b\d{4}-\d\d-\d\dT? ?\d\d:\d\d:\d\d(?:\.\d+)?Z"), "(time)"),
    (re.compile(r"^\d+ of \d+ schedules\n", re.MULTILINE), ""),  # how far it is, every few seconds
    # Celery draws the wait before a retry: "delivery 2     3 s", "a retry, 1 s later", or none at all.
    (re.compile(r"^(   (?:delivery \d+|library)) +\d+ s", re.MULTILINE), r"\1 ... s"),
    (re.compile(r", \d+(?:\.\d+)? s later|, at once"), ""),
    # New families bring further schedules and risks; what refutes, and how, stays.
    (re.compile(r"\b\d+ schedules"), "... schedules"),
    (re.compile(r"; risks: \w+(?:[\w, ]*\w)?"), ""),
    (re.compile(r"^risk, .*\n(?:   .*\n)*", re.MULTILINE), ""),
)


@dataclass
class Command:
    """A line that is typed, what the page says that it prints, and where that stands in the page."""

    line: str
    shown: str
    start: int
    end: int


@dataclass
class Page:
    """What a reader does with a page, in its order."""

    path: Path
    steps: list[tuple[str, str] | Command] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def commands(self) -> list[Command]:
        return [step for step in self.steps if isinstance(step, Command)]


def read_page(path: Path) -> Page:
    """The files and commands of a page; `left_out` has the reasons of blocks that are not run."""
    text = path.read_text(encoding="utf-8")
    page = Page(path)
    for block in BLOCK.finditer(text):
        if block["reason"]:
            page.left_out.append(block["reason"])
        elif block["title"]:
            page.steps.append((block["title"], block["text"]))
        elif block["language"] == "console":
            page.steps.extend(find_commands(block["text"], block.start("text")))
    return page


def find_commands(text: str, offset: int) -> Iterator[Command]:
    """The commands of a console block; `offset` is where the block begins in its page."""
    for found in re.finditer(
        r"^\$ (?P<line>[^\n]+)\n(?P<shown>(?:(?!\$ )[^\n]*\n)*)", text, re.MULTILINE
    ):
        start, end = found.span("shown")
        yield Command(found["line"], found["shown"], offset + start, offset + end)


def replay(page: Page, folder: Path) -> list[str]:
    """What each command of the page prints in `folder`, in order."""
    work = folder / "shop"
    work.mkdir()
    environment = make_environment(folder)
    text = page.path.read_text(encoding="utf-8")
    earlier, copied = AFTER.search(text), COPY.search(text)
    if earlier:
        write_files(read_page(DOCS / earlier[1]), work)
    if copied:
        shutil.copytree(ROOT / copied[1], work, dirs_exist_ok=True, ignore=IGNORED)
    if earlier or copied:
        run("git init -q && git add -A && git commit -qm 'As it was'", work, environment)
    printed = []
    for step in page.steps:
        if isinstance(step, Command):
            printed.append(run(step.line, work, environment))
        else:
            write_file(work / step[0], step[1])
    return printed


def write_files(page: Page, work: Path) -> None:
    """The files as they are at the end of a page."""
    for step in page.steps:
        if not isinstance(step, Command):
            write_file(work / step[0], step[1])


def write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make_environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's but PATH; git knows an author, and nobody is asked for consent elsewhere."""
    home = folder / "home"
    home.mkdir()
    person = {"NAME": "A Reader", "EMAIL": "reader@example.invalid"}
    author = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in person.items()
    }
    return {
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        ),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "SKILLRUN_STATE_DIR": str(folder / "state"),
        "SKILLRUN_ACTOR": "human:ada",
        **author,
    }


def run(line: str, work: Path, environment: dict[str, str]) -> str:
    """What a command line prints, errors among it, as on a terminal."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=work,
        env=environment,
        text=True,
        timeout=COMMAND_S,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.replace(str(work.resolve()), FOLDER)


def settle(text: str) -> str:
    """The text with `...` for what differs from run to run."""
    for pattern, stand_in in VARYING:
        text = pattern.sub(stand_in, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def differences(page: Page, printed: list[str]) -> list[str]:
    """A diff for each command that prints something else than its page says."""
    found = []
    for command, output in zip(page.commands, printed, strict=True):
        shown, said = settle(command.shown).splitlines(), settle(output).splitlines()
        if shown != said:
            diff = difflib.unified_diff(shown, said, "in the page", "printed", lineterm="")
            found.append("\n".join([f"$ {command.line}", *diff]))
    return found


def keep(page: Page, printed: list[str]) -> None:
    """Writes into the page what its commands print now, where that differs by more than a duration."""
    # Read anew: somebody may have edited the page while its commands ran.
    text = page.path.read_text(encoding="utf-8")
    commands = read_page(page.path).commands
    for command, output in reversed(list(zip(commands, printed, strict=True))):
        if settle(command.shown) != settle(output):
            output = re.sub(r"^\d+ of \d+ schedules\n", "", output, flags=re.MULTILINE)
            lines = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
            text = text[: command.start] + lines + text[command.end :]
    page.path.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    kept = "--keep" in arguments
    failed = False
    for name in arguments:
        if name == "--keep":
            continue
        page = read_page(Path(name).resolve())
        with tempfile.TemporaryDirectory(prefix="skillrun-page-") as folder:
            printed = replay(page, Path(folder))
        if kept:
            keep(page, printed)
        for difference in differences(page, printed):
            failed = True
            print(f"{name}: {difference}\n")
    return int(failed and not kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
