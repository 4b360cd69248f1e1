"""The skill as one value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changelog_entry.case import ReleaseCase
from changelog_entry.release import load_release, read_settings
from skillrun.runner.coded import CheckRule, CodedSkill, Measured, SpecFormat, Stage, wording

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill


def _list_stages(skill: Skill) -> Sequence[Stage[ReleaseCase]]:
    from changelog_entry.stages import STAGES

    return STAGES


def _measure(measured: Measured) -> dict[str, Any]:
    entry = measured.results.get("entry")
    version = measured.spec.version if measured.spec else None
    return {"version": version, "bullets": entry.facts.get("bullets") if entry else None}


SKILL: CodedSkill[ReleaseCase] = CodedSkill(
    name="changelog-entry",
    stages=_list_stages,
    open_case=ReleaseCase,
    checks=(
        CheckRule(
            "says-what-changed",
            "The changelog names the version and says what changed",
            wording(r"\bchangelog\b.*\bversion"),
            ("changelog", "entry"),
        ),
    ),
    spec=SpecFormat(Path(".skillrun/changelog"), load_release, read_settings),
    measure=_measure,
    never_waived={"entry": "write the entry"},
)
