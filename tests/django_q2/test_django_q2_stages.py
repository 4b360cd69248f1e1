"""The stages on a Django Q2 handler: a small shop that passes, and the same shop broken in one way
at a time.
"""

from __future__ import annotations

from pathlib import Path

import django_q2_repo


def test_django_q2_s_own_failures_are_a_dead_letter(tmp_path: Path) -> None:
    case = django_q2_repo.build(tmp_path / "repo", spec={"dead_letter": {"kind": "framework"}})
    assert django_q2_repo.examine("dead-letter", case).status == "passed"
