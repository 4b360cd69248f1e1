"""What `skillrun trust` shows before it asks: all that would run, of every job."""

from __future__ import annotations

from pathlib import Path

import pytest
import shops

from skillrun.cli.commands.trust import _list_plans
from skillrun.repo.git import open_repo


@pytest.mark.parametrize("broken", [False, True])
def test_the_plans_of_each_spec_are_shown(tmp_path: Path, broken: bool) -> None:
    repo = shops.shop(tmp_path / "repo", proof=True)
    spec = repo / shops.SPEC
    text = spec.read_text().replace("job: send-receipt", "job: other")
    text = text[: text.index("\nproof:")] + "\nproof:\n  setup: make tables\n"
    if broken:
        text = "job: ["
    (spec.parent / "other.yaml").write_text(text)
    plans = _list_plans(open_repo(repo))
    shown = [command for plan in plans for command in plan.commands]
    assert "make lint" in shown
    assert "make test" in shown
    assert ("make tables" in shown) != broken
    unknown = [plan.purpose for plan in plans if plan.commands[0].startswith("whatever")]
    assert unknown == (["do what .skillrun/jobs/other.yaml asks for"] if broken else [])
    assert len(shown) == len(set(shown))
