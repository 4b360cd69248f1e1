"""What is written has the repository's quotes and annotations, and goes through its formatters
once.
"""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import matrix
import pytest
import samples
import writing

SINGLE = '\n[tool.ruff.format]\nquote-style = "single"\n'
USUAL = samples.Combination("celery")


def in_single_quotes() -> dict[str, str]:
    """The sample shop of somebody who prefers the other quotes, without annotations, and formats
    with ruff.
    """
    files = samples.files(USUAL)
    files["pyproject.toml"] += SINGLE
    for path in ("shop/tasks.py", "shop/celery.py", "shop/db.py"):
        text = files[path].replace('"""', "\0").replace('"', "'").replace("\0", '"""')
        files[path] = text.replace(" -> None", "").replace(" -> Iterator[sqlite3.Connection]", "")
    files["shop/tasks.py"] += "\n\ndef named(cart):\n    return f'cart {cart}'\n"
    files["tests/test_shop.py"] = "import shop\n\n\ndef test_it_is_there():\n    assert shop\n"
    return files


def test_quotes_and_annotations(tmp_path: Path) -> None:
    written = writing.write(tmp_path, USUAL, in_single_quotes())
    store = written.text("shop/send_receipt_store.py")
    assert "def create_tables():" in store
    assert "from typing import Any" not in store
    tests = written.text("tests/test_send_receipt.py")
    assert "PAYLOAD = {'order_id': 7, 'email': 'a@example.com'}" in tests
    assert "def test_a_second_delivery_changes_nothing(email):" in tests


@pytest.mark.real
def test_formatted_and_written_once(tmp_path: Path) -> None:
    """The formatter changes the lines; a second run has nothing to write and nothing to complain
    of.
    """
    files = in_single_quotes()
    files["pyproject.toml"] = files["pyproject.toml"].replace(
        "[tool.ruff.lint]", "[tool.ruff]\nline-length = 60\n\n[tool.ruff.lint]"
    )
    files["Makefile"] = files["Makefile"].replace("ruff check .", "ruff format --check .")
    repo = helpers.build_tree(tmp_path / "repo", files)
    first = matrix.cli(repo, "run", samples.SKILL, "--implement", "scaffold", "--trust")
    assert "not formatted" not in first.stdout, first.stdout
    long = [
        line
        for line in (repo / "tests/test_send_receipt.py").read_text().splitlines()
        if "after_the_last" in line
    ]
    assert len(long[0]) <= 60 or long[0].endswith("(")
    second = matrix.cli(
        repo, "run", samples.SKILL, "--implement", "scaffold", "--dry-run", "--json"
    )
    again = json.loads(second.stdout)
    assert (again["files"], again["kept"]) == ([], [])
