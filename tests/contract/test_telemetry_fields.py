"""What is read of the bullets of a Telemetry section."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.contract.markdown import Bullet
from skillrun.contract.skill import load_skill
from skillrun.contract.telemetry import read_field


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("how: `a | b | c`", "enum", ("a", "b", "c")),
        ("how: `a | b` (subset)", "list", ("a", "b")),
        ("skill: `ops/x`", "const", ("ops/x",)),
        ("who: `<name>`", "string", ()),
        ("endpoint: `<method> <path>`", "string", ()),
        ("many: count", "integer", ()),
        ("files_touched", "list", ()),
        ("`files_touched`", "list", ()),
        ("**how**: `a | b`", "enum", ("a", "b")),
        ("artifacts: migration file(s)", "list", ()),
    ],
)
def test_each_form_of_a_field(text: str, kind: str, values: tuple[str, ...]) -> None:
    found = read_field(Bullet(text, 7))
    assert found is not None
    assert (found.kind, found.values, found.line) == (kind, values, 7)


def test_a_sentence_is_no_field() -> None:
    assert read_field(Bullet("Do not log secrets, ever", 1)) is None


def test_what_need_not_be_known_is_optional() -> None:
    for text, optional in (("target: `<queue>` (if known)", True), ("target: `<queue>`", False)):
        found = read_field(Bullet(text, 1))
        assert found is not None
        assert found.optional is optional


def test_a_skill_without_the_section_has_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "SKILL.md"
    path.write_text("---\nname: a\ndescription: b\n---\n## Workflow\n1. a\n")
    assert load_skill(path).telemetry == ()
