"""`skillrun check`: each rule finds what it should, and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.contract.lint import lint_paths, lint_skill
from skillrun.core.errors import SkillInvalid
from skillrun.core.verdict import Finding, Severity

WORKFLOW = "\n## Workflow\n1. Go\n"


def lint(
    tmp_path: Path, front: str, body: str = WORKFLOW, folder: str = "my-skill"
) -> list[Finding]:
    path = tmp_path / folder / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"---\n{front}\n---\n{body}")
    return lint_skill(path)


def good(**changes: str) -> str:
    keys = {"name": "my-skill", "description": "Does it", **changes}
    return "\n".join(f"{key.replace('_', '-')}: {value}" for key, value in keys.items())


def test_a_good_skill_has_no_findings(tmp_path: Path) -> None:
    extra = good(
        license="MIT",
        compatibility="Any",
        allowed_tools="Bash(git:*) Bash(git add:*) Read mcp__x__y",
        metadata='{layer: ops, version: "1"}',
    )
    assert lint(tmp_path, extra) == []


BAD = {
    "upper case": (good(name="My-Skill"), "skill.name", 2),
    "underscore": (good(name="my_skill"), "skill.name", 2),
    "hyphen at the edge": (good(name="-my-skill"), "skill.name", 2),
    "two hyphens": (good(name="my--skill"), "skill.name", 2),
    "other than the folder": (good(name="your-skill"), "skill.name", 2),
    "too long": (good(name="a" * 65), "skill.name", 2),
    "a number": (good(name="123"), "skill.name", 2),
    "missing name": ("description: x", "skill.name", 2),
    "missing description": ("name: my-skill", "skill.description", 2),
    "empty description": (good(description='""'), "skill.description", 3),
    "long description": (good(description="x" * 1025), "skill.description", 3),
    "description list": (good(description="[a]"), "skill.description", 3),
    "empty compatibility": (good(compatibility='""'), "skill.compatibility", 4),
    "long compatibility": (good(compatibility="x" * 501), "skill.compatibility", 4),
    "unknown key": (good(version='"1"'), "skill.unknown-key", 4),
    "metadata text": (good(metadata="x"), "skill.metadata", 4),
    "metadata nested": (good(metadata="\n  a: {b: c}"), "skill.metadata", 5),
    "tools as a list": (good(allowed_tools="[Read]"), "skill.allowed-tools", 4),
    "tools with commas": (good(allowed_tools="Read,Write"), "skill.allowed-tools", 4),
    "no tools": (good(allowed_tools='""'), "skill.allowed-tools", 4),
    "broken YAML": ("name: [", "skill.unreadable", 2),
}


@pytest.mark.parametrize("name", BAD)
def test_an_error_is_found_on_its_line(tmp_path: Path, name: str) -> None:
    front, rule, line = BAD[name]
    errors = [finding for finding in lint(tmp_path, front) if finding.severity == Severity.ERROR]
    assert (rule, line) in [(finding.rule, finding.line) for finding in errors]
    assert {finding.rule for finding in errors} == {rule}
    assert all(finding.path and finding.path.endswith("SKILL.md") for finding in errors)


@pytest.mark.parametrize("limits", [good(description="x" * 1024), good(compatibility="x" * 500)])
def test_what_just_fits_is_accepted(tmp_path: Path, limits: str) -> None:
    assert lint(tmp_path, limits) == []


def test_the_longest_name_is_accepted(tmp_path: Path) -> None:
    assert lint(tmp_path, good(name="a" * 64), folder="a" * 64) == []


def test_a_plain_value_in_metadata_is_only_a_warning(tmp_path: Path) -> None:
    found = lint(tmp_path, good(metadata="\n  idempotent: false\n  n: 1"))
    assert [(finding.rule, finding.severity, finding.line) for finding in found] == [
        ("skill.metadata", Severity.WARNING, 5),
        ("skill.metadata", Severity.WARNING, 6),
    ]
    assert "'false'" in found[0].message


def test_several_problems_are_reported_at_once(tmp_path: Path) -> None:
    found = lint(tmp_path, "name: Bad_Name\nversion: 1\n", "[x](gone.md)\n")
    rules = {finding.rule for finding in found}
    assert rules == {
        "skill.name",
        "skill.description",
        "skill.unknown-key",
        "skill.link",
        "skill.no-workflow",
    }


def test_broken_links_to_bundled_files_are_found(tmp_path: Path) -> None:
    body = (
        WORKFLOW + "\n[a](references/a.md)\n![b](assets/b.png)\n\n[c](references/c%20d.md#part)\n"
    )
    found = lint(tmp_path, good(), body)
    assert [(finding.rule, finding.line) for finding in found] == [
        ("skill.link", 9),
        ("skill.link", 10),
        ("skill.link", 12),
    ]


def test_links_that_lead_somewhere_else_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "my-skill" / "references"
    folder.mkdir(parents=True)
    (folder / "a b.md").write_text("x")
    body = (
        WORKFLOW + "\n[a](references/a%20b.md#x) [b](https://example.com/x) [c](#workflow)"
        " [d](mailto:a@example.com) [e](/abs)\n`[f](gone.md)`\n\n```\n[g](gone.md)\n```\n"
    )
    assert lint(tmp_path, good(), body) == []


def test_a_long_body_is_a_warning(tmp_path: Path) -> None:
    assert lint(tmp_path, good(), WORKFLOW + "x\n" * 490) == []
    found = lint(tmp_path, good(), WORKFLOW + "x\n" * 500)
    assert [(finding.rule, finding.severity) for finding in found] == [
        ("skill.long", Severity.WARNING)
    ]


def test_no_workflow_is_a_note(tmp_path: Path) -> None:
    found = lint(tmp_path, good(), "# Only words\n")
    assert [(finding.rule, finding.severity) for finding in found] == [
        ("skill.no-workflow", Severity.NOTE)
    ]


def test_a_workflow_without_numbers_is_a_warning(tmp_path: Path) -> None:
    found = lint(tmp_path, good(), "## Workflow\n- a\n")
    assert [(finding.rule, finding.severity) for finding in found] == [
        ("skill.no-steps", Severity.WARNING)
    ]


def test_an_open_fence_is_an_error_and_a_closed_one_is_not(tmp_path: Path) -> None:
    assert lint(tmp_path, good(), WORKFLOW + "\n```\nx\n```\n") == []
    assert lint(tmp_path, good(), WORKFLOW + "\n~~~~\n```\n~~~~\n") == []
    assert [finding.rule for finding in lint(tmp_path, good(), WORKFLOW + "\n```\nx\n")] == [
        "skill.fence"
    ]


def test_a_tree_is_searched_for_skills(tmp_path: Path) -> None:
    lint(tmp_path, good(), folder="a/my-skill")
    lint(tmp_path, good(name="other"), folder="b/c/my-skill")
    lint(tmp_path, good(name="other"), folder="node_modules/my-skill")
    found = lint_paths([tmp_path])
    assert [(finding.rule, finding.path) for finding in found] == [
        ("skill.name", str(tmp_path / "b" / "c" / "my-skill" / "SKILL.md"))
    ]


def test_a_tree_without_skills_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillInvalid, match=r"no SKILL\.md here"):
        lint_paths([tmp_path])
    with pytest.raises(SkillInvalid, match="no such file or folder"):
        lint_paths([tmp_path / "gone"])
