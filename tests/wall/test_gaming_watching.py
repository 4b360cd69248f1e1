"""The look at code that asks whether it is being watched."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
from looks import found, severities
from watched_cases import CASES
from watched_shop import Case, shop, tasks

from skillrun.wall.diff import read_diff
from skillrun.wall.gaming import watching

LOOK = "asks-if-watched"
_WORST_FIRST = ("error", "warning", "note")


def worst(case: Case) -> str:
    base = {**shop(), **case.base}
    given = severities(found(LOOK, base, {**base, **case.files}))
    return next((severity for severity in _WORST_FIRST if severity in given), "nothing")


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_who_asks_is_found_and_who_does_not_is_left_alone(case: Case) -> None:
    assert worst(case) == case.expected


def test_the_cases_are_many() -> None:
    assert sum(case.expected == "error" for case in CASES) >= 40
    assert len({case.id for case in CASES}) == len(CASES)


def test_what_hides_in_a_large_file_of_a_real_repository_is_found(tmp_path: Path) -> None:
    """Nobody would review a megabyte of comments; the handler imports it all the same."""
    root = helpers.build_tree(tmp_path / "repo", shop())
    base = helpers.git(root, "rev-parse", "HEAD")
    guard = (
        "# words\n" * 150_000 + "import sys\n\n\ndef calm():\n    return 'pytest' in sys.modules\n"
    )
    helpers.write_files(root, {"shop/guard.py": guard})
    changed = tasks(imports="from shop import guard", before="if guard.calm():\n    return")
    helpers.write_files(root, changed)
    head = helpers.commit(root)
    findings = list(watching.find(read_diff(root, base, head)))
    assert severities(findings) == ["error"]
    (finding,) = findings
    assert finding.path == "shop/tasks.py"
    assert (
        changed["shop/tasks.py"].splitlines()[(finding.line or 0) - 1].strip() == "if guard.calm():"
    )


def test_both_sides_are_read_from_their_commits(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a.py": "A = 1\n", "pyproject.toml": "[x]\n"})
    base = helpers.git(root, "rev-parse", "HEAD")
    helpers.write_files(root, {"a.py": "A = 2\n", "b.py": "B = 1\n"})
    head = helpers.commit(root)
    helpers.write_files(root, {"a.py": "A = 3\n"})
    diff = read_diff(root, base, head)
    assert diff.before.texts == {"a.py": "A = 1\n", "pyproject.toml": ""}
    assert diff.after.texts == {"a.py": "A = 2\n", "b.py": "B = 1\n", "pyproject.toml": ""}
