"""Generated lines: as a formatter would leave them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skillrun.frameworks.layout import call, constant, doc, import_block, seconds, source, tidy

CALLS: dict[str, tuple[str, Sequence[str], int, str]] = {
    "short": ("send", ["a", "b"], 0, ""),
    "empty": ("send", [], 0, ""),
    "its arguments fit in a line": (
        "logger.info",
        [f'"{"x" * 50}"', "order_id", "correlation_id"],
        0,
        "",
    ),
    "one a line": ("logger.info", [f'"{"x" * 70}"', "order_id", "correlation_id", "reason"], 0, ""),
    "several": ("mailer.send", ["order_id=order_id", "email=email", f"key={'x' * 40}"], 0, ""),
    "a signature": (
        "def send",
        ["order_id: int", "email: str", f"key: {'x' * 50}"],
        0,
        " -> None:\n    pass",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_formatter_has_nothing_to_do(name: str, tmp_path: Path) -> None:
    called, arguments, indent, suffix = CALLS[name]
    text = call(called.strip(), arguments, indent, suffix) + "\n"
    assert formatted(text, tmp_path) == text


def formatted(text: str, folder: Path) -> str:
    path = folder / "one.py"
    path.write_text(text, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-q", "--isolated", str(path)], check=True
    )
    return path.read_text(encoding="utf-8")


def test_imports_are_grouped_merged_and_sorted() -> None:
    lines = [
        *(
            "from shop import mailer",
            "import os",
            "from celery import Task",
            "from shop import db",
            "import json",
        ),
        *(
            "from celery import shared_task",
            "from celery.signals import task_failure",
            "from typing import Any",
        ),
    ]
    assert import_block(lines, frozenset({"shop"})) == (
        "import json\nimport os\nfrom typing import Any\n\n"
        "from celery import Task, shared_task\nfrom celery.signals import task_failure\n\n"
        "from shop import db, mailer"
    )


def test_a_docstring_is_one_line_or_begins_with_its_first_sentence() -> None:
    assert doc("Sends it.") == '"""Sends it."""'
    long = "Sends it once. " + "And so on and on. " * 6
    lines = doc(long.strip()).split("\n")
    assert lines[0] == '"""Sends it once.'
    assert lines[1] == "" and lines[-1] == '    """'
    assert all(len(line) <= 88 for line in lines)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ('say "a"', '"say \\"a\\""'),
        ((7,), "(7,)"),
        ([1, None], "[1, None]"),
        ({"a": True}, '{"a": True}'),
    ],
)
def test_values_are_written_as_python(value: Any, text: str) -> None:
    assert source(value) == text
    assert eval(text) == value


def test_small_things() -> None:
    assert constant("X", {"a": 1}) == 'X = {"a": 1}'
    assert constant("X", {"a": "y" * 50, "b": "z" * 50}).startswith('X = {\n    "a": ')
    assert (seconds(2.0), seconds(0.5)) == ("2", "0.5")
    assert tidy("\n\na  \n\n\n\nb\n\n") == "a\n\n\nb\n"
