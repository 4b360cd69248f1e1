"""A call of the handler stands for a message where nothing of its row comes behind it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from skillrun.probe.call_sites import goes_on

ENDS = [
    "for row in rows:\n    handle(row)\nreturn len(rows)",
    "for row in rows:\n    try:\n        handle(row)\n    except Exception:\n        log.exception('x')",
    "for row in rows:\n    try:\n        handle(row)\n    except OSError:\n        failed += 1\n        continue",
    "for row in rows:\n    if row:\n        handle(row)\n    log.info('%s', row)",
    "for row in rows:\n    match row:\n        case 1:\n            handle(row)",
    "handle(\n    1,\n)",
]
GOES_ON = [
    "for row in rows:\n    done = handle(row)",
    "for row in rows:\n    if handle(row):\n        pass",
    "for row in rows:\n    handle(row)\n    mark(row)",
    "for row in rows:\n    if row:\n        handle(row)\n    mark(row)",
    "for row in rows:\n    try:\n        handle(row)\n    except OSError:\n        mark(row)",
    "for row in rows:\n    try:\n        handle(row)\n    except OSError:\n        pass\n    else:\n        mark(row)",
    "for row in rows:\n    try:\n        handle(row)\n    finally:\n        mark(row)",
    "return [handle(row) for row in rows]",
    "handle(1)\nmark(1)",
]


def ask(body: str, folder: Path) -> bool:
    """What is said of the function with this body, at its first call of `handle`."""
    source = folder / "poll.py"
    lines = "\n".join("    " + line for line in body.splitlines())
    source.write_text(f"def poll(rows, handle, mark, log):\n    failed = 0\n{lines}\n")
    names: dict[str, Any] = {}
    exec(compile(source.read_text(), str(source), "exec"), names)
    said: list[bool] = []

    def handle(_row: object) -> None:
        frame: FrameType | None = sys._getframe(1)
        said.append(goes_on(frame))

    names["poll"]([1], handle, lambda _row: None, log=logging)
    return said[0]


@pytest.mark.parametrize("body", ENDS)
def test_nothing_comes_behind_the_call(body: str, tmp_path: Path) -> None:
    assert not ask(body, tmp_path)


@pytest.mark.parametrize("body", GOES_ON)
def test_something_comes_behind_the_call(body: str, tmp_path: Path) -> None:
    assert ask(body, tmp_path)


def test_of_code_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile("def poll(handle):\n    handle(1)\n", "<text>", "exec"), names)
    said: list[bool] = []
    names["poll"](lambda _row: said.append(goes_on(sys._getframe(1))))
    assert said == [True]
