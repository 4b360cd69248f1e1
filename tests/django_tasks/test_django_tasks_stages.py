"""The stages on a task of Django's: a small shop that passes, and the same shop broken in one way
at a time.
"""

from __future__ import annotations

from pathlib import Path

import django_tasks_repo


def test_failed_rows_may_be_the_dead_letters(tmp_path: Path) -> None:
    case = django_tasks_repo.build(tmp_path / "repo", spec={"dead_letter": {"kind": "framework"}})
    assert django_tasks_repo.examine("dead-letter", case).status == "passed"
