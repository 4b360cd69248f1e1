"""The fixtures of a repository's own tests that a job's tests use: that of its Flask app.

A fixture of a session (`db`, `session`) is left alone: the store commits by itself, so the
transaction that such a fixture rolls back would not hold what a test writes, and the repository's
database would keep it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.scaffold.manner.configured import above, read_text, within

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_APP = re.compile(r"(?m)^@(?:pytest\.)?fixture\b[^\n]*\n(?:@[^\n]*\n)*def (app|flask_app)\(")


def find_app_fixture(tree: Tree, tests: str) -> str | None:
    """The name of the fixture of the app, from the nearest conftest.py of a folder of tests."""
    texts = (read_text(tree, within(folder, "conftest.py")) for folder in above(f"{tests}/test.py"))
    return next((found[1] for text in texts if (found := _APP.search(text))), None)
