"""Benchmark: does what reads a stranger's file take time linear in its size? Four times the input,
as a ratio.

4 is linear and 16 quadratic; a figure above 8 is marked. No figure is asserted.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from skillrun.contract.skill import load_skill
from skillrun.core.text import masked
from skillrun.frameworks.known.sights_source import see_source
from skillrun.runner.planned import match_stages

SMALL = 50_000  # characters
TIMES = 4
MARKED = 8.0

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


def main() -> int:
    """Prints a line for each input."""
    for name, ratio in chain(_of_texts(), _of_bundles(), _of_skills()):
        mark = "  OVER" if ratio > MARKED else ""
        print(f"{name:<44} {ratio:>6.1f}{mark}", flush=True)
    return 0


def _of_texts() -> Iterator[tuple[str, float]]:
    for name, piece in TEXTS.items():
        yield f"masked: {name}", _ratio(_repeated(piece), masked)


def _of_bundles() -> Iterator[tuple[str, float]]:
    for name, piece in BUNDLES.items():
        make = _repeated(piece, "import {Queue} from 'bullmq';a")
        yield f"a bundle of one line: {name}", _ratio(make, _read_bundle)


def _of_skills() -> Iterator[tuple[str, float]]:
    folder = Path(tempfile.mkdtemp(prefix="skillrun-bench-"))
    path = folder / "SKILL.md"

    def plan(text: str) -> None:
        path.write_text(text, encoding="utf-8")
        match_stages(load_skill(path))

    try:
        yield "a skill of many steps", _ratio(_steps, plan)
    finally:
        shutil.rmtree(folder)


def _repeated(piece: str, before: str = "") -> Callable[[int], str]:
    return lambda size: before + piece * (size // len(piece))


def _steps(size: int) -> str:
    steps = "".join(f"{number}) Do it.\n" for number in range(1, size // 12))
    return f"---\nname: many\ndescription: Many.\n---\n\n## Workflow\n{steps}"


def _read_bundle(text: str) -> None:
    see_source("a.js", text.encode())


def _ratio(make: Callable[[int], str], work: Callable[[str], object]) -> float:
    """The best of three at each size: a busy machine only ever makes it slower."""
    best: list[float] = []
    for size in (SMALL, SMALL * TIMES):
        text = make(size)
        best.append(min(_seconds(text, work) for _ in range(3)))
    return best[1] / max(best[0], 1e-6)


def _seconds(text: str, work: Callable[[str], object]) -> float:
    see_source.cache_clear()
    begun = time.process_time()
    work(text)
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
