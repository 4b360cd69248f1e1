"""What is read in the corpus' correct handlers: no style of writing one is an error for the stages
that read code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
from bundled import bundled_skill
from procrastinate_repo import examine

from skillrun.contract.spec import load_spec
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.job_case import JobCase

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proof" / "corpus"))

import run as corpus

NAME = "procrastinate_reminder"
STYLES = [None, *corpus.load(NAME).VARIANTS]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.id if style else "as it is")
def test_a_correct_style_is_no_error(tmp_path: Path, style: Any) -> None:
    made = corpus.build(NAME, style, tmp_path.resolve() / "made")
    files = {
        str(path.relative_to(made)): path.read_text() for path in made.rglob("*") if path.is_file()
    }
    root = helpers.build_tree(tmp_path / "repo", files | {"requirements.txt": "procrastinate\n"})
    spec = load_spec(root / ".skillrun" / "jobs" / "remind.yaml", root=root)
    case = JobCase(bundled_skill(), spec, open_repo(root), Tree(root))
    found = [
        f
        for stage in ("handler", "idempotency", "retry", "dead-letter")
        for f in examine(stage, case).findings
    ]
    assert {f.rule for f in found if f.severity in ("error", "blocker")} == set()
