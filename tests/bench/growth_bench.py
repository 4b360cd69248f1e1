"""Benchmark: does what reads a stranger's file take time linear in its size? Twice the input, as a
ratio of the processor's time.

    python tests/bench/growth_bench.py

2 is linear and 4 quadratic; a figure above 2.5 is marked, and makes the exit code 1. The larger input
is as long as the file that once took half a minute: 540 KB of PEM headers, a bundle of 878 KB in one
line, a skill of 30,000 steps. The last lines are whole commands; what one costs over a small file is
taken away from both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import helpers

from skillrun.contract.skill import load_skill
from skillrun.core.text import masked
from skillrun.frameworks.known.sights_source import see_source
from skillrun.runner.planned import match_stages

TIMES = 2
MARKED = 2.5
# Characters of the larger input.
TEXT_SIZE = 540_000
BUNDLE_SIZE = 878_000
STEPS = 30_000

TEXTS: dict[str, str] = {
    "headers of PEM": "-----BEGIN RSA PRIVATE KEY-----\n",
    "ends of PEM": "-----END RSA PRIVATE KEY-----\n",
    "lines of base64": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n",
    "assignments": "token=",
    "addresses": "a://b:c@d@",
    "options": "mysql -u a ",
    "sentences": "password is ",
    "quotes": 'password="',
    "spaces": " ",
}
BUNDLES: dict[str, str] = {
    "calls": "new Queue('a');",
    "a chain": ".add('a')",
    "functions": "function a(b){return c.d(b)};",
}
SKILL = ".agents/skills/many/SKILL.md"
# name -> (the file, which of _MAKERS writes it, the words of the command)
COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "skillrun detect: a bundle of one line": ("a.js", "bundle", ("detect",)),
    "skillrun check: a skill of many steps": (SKILL, "skill", ("check", SKILL)),
    "skillrun run: a skill of many steps": (SKILL, "skill", ("run", "many", "--json")),
}


def main() -> int:
    """Prints a line for each input; 1 where one grows faster than its size."""
    over = 0
    for name, ratio in chain(_of_texts(), _of_bundles(), _of_skills(), _of_commands()):
        is_marked = ratio > MARKED
        over += is_marked
        print(f"{name:<44} {ratio:>6.1f}{'  OVER' if is_marked else ''}", flush=True)
    return 1 if over else 0


def _of_texts() -> Iterator[tuple[str, float]]:
    for name, piece in TEXTS.items():
        yield f"masked: {name}", _ratio(_repeated(piece), masked, TEXT_SIZE)


def _of_bundles() -> Iterator[tuple[str, float]]:
    for name, piece in BUNDLES.items():
        make = _repeated(piece, "import {Queue} from 'bullmq';a")
        yield f"a bundle of one line: {name}", _ratio(make, _read_bundle, BUNDLE_SIZE)


def _of_skills() -> Iterator[tuple[str, float]]:
    folder = Path(tempfile.mkdtemp(prefix="skillrun-bench-"))
    path = folder / "SKILL.md"

    def plan(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        match_stages(load_skill(path))

    try:
        yield "a skill of many steps", _ratio(_steps, plan, STEPS)
    finally:
        shutil.rmtree(folder)


# -- whole commands


def _of_commands() -> Iterator[tuple[str, float]]:
    folder = Path(tempfile.mkdtemp(prefix="skillrun-bench-"))
    try:
        for name, (path, kind, words) in COMMANDS.items():
            make, size = _MAKERS[kind]
            seconds = []
            for part in (0, size // TIMES, size):
                root = folder / f"{len(list(folder.iterdir()))}"
                repo = helpers.build_tree(root, {path: make(part)})
                seconds.append(_command_s(repo, words, folder.with_suffix(".home")))
            bare, half, whole = seconds
            yield name, (whole - bare) / max(half - bare, 1e-2)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(folder.with_suffix(".home"), ignore_errors=True)


def _command_s(repo: Path, words: tuple[str, ...], home: Path) -> float:
    """The processor's seconds of a command, with its children: the better of two."""
    environment = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    taken = []
    for _ in range(2):
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "skillrun", *words],
            cwd=repo,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = os.times()
        shutil.rmtree(repo / ".skillrun", ignore_errors=True)
        taken.append(
            after.children_user
            - before.children_user
            + after.children_system
            - before.children_system
        )
    return min(taken)


# -- inputs


def _repeated(piece: str, before: str = "") -> Callable[[int], str]:
    return lambda size: before + piece * (size // len(piece))


def _steps(count: int) -> str:
    steps = "".join(f"{number}) Do it.\n" for number in range(1, count + 2))
    return f"---\nname: many\ndescription: Many.\n---\n\n## Workflow\n{steps}"


_MAKERS: dict[str, tuple[Callable[[int], str], int]] = {
    "bundle": (_repeated("new Queue('a');", "import {Queue} from 'bullmq';a"), BUNDLE_SIZE),
    "skill": (_steps, STEPS),
}


def _read_bundle(text: str) -> None:
    see_source("a.js", text.encode())


def _ratio(make: Callable[[int], str], work: Callable[[str], object], size: int) -> float:
    """The best of five at each size, in turn: a busy machine only ever makes it slower."""
    texts = (make(size // TIMES), make(size))
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(5):
        for text, seconds in zip(texts, taken, strict=True):
            seconds.append(_seconds(text, work))
    half, whole = map(min, taken)
    return whole / max(half, 1e-6)


def _seconds(text: str, work: Callable[[str], object]) -> float:
    see_source.cache_clear()
    begun = time.process_time()
    work(text)
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
